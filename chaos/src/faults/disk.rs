//! Disks that lose power, fill up, fail or are slow.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use flotilla_workload::Dice;
use tokio::time::sleep;

use super::trace::Tracer;
use super::{Class, Struck, rot};
use crate::machine::disk::Disk;
use crate::run::arena::Arena;

/// So few bytes left is full.
const FULL_BYTES: u64 = 64 * 1024;
const CANARY: &str = "canary";

pub(super) async fn strike(
    class: Class,
    arena: &Arena,
    dice: &mut Dice,
    hold: Duration,
) -> Result<Option<Struck>> {
    let node = arena.some_node(dice);
    match class {
        Class::PowerLoss => power_loss(arena, &[node], hold).await,
        Class::PowerLossAll => power_loss(arena, &arena.fleet.ids(), hold).await,
        Class::FullDisk => full(arena, node, hold).await,
        Class::IoError => {
            let after = dice.within(1..6);
            traced(arena, node, &format!("error=EIO:when={after}+"), hold, true).await
        }
        Class::SlowDisk => traced(arena, node, "delay_enter=100000", hold, false).await,
        _ => rot::strike(class, arena, dice, hold).await,
    }
}

fn disk(arena: &Arena, node: u64) -> Result<&Disk> {
    arena.fleet.node(node)?.disk.as_ref().with_context(|| format!("node {node} has no disk of its own"))
}

/// The power of all these nodes goes at once.
async fn power_loss(arena: &Arena, nodes: &[u64], hold: Duration) -> Result<Option<Struck>> {
    let Some(_claim) = arena.claim(nodes) else { return Ok(None) };
    for node in nodes {
        arena.fleet.may_be_down(*node);
        // Written and not synced, so that its loss shows that unsynced data is lost.
        fs::write(disk(arena, *node)?.path().join(CANARY), CANARY)?;
    }
    for node in nodes {
        disk(arena, *node)?.cut()?;
    }
    let died = arena.fleet.kill(nodes)?;
    sleep(hold).await;
    let mut lost = Vec::new();
    for node in nodes {
        disk(arena, *node)?.again().await?;
        let canary = disk(arena, *node)?.path().join(CANARY);
        if fs::read_to_string(&canary).unwrap_or_default() != CANARY {
            lost.push(*node);
        }
        // It may be there, empty.
        drop(fs::remove_file(canary));
        arena.start(*node)?;
    }
    let evidence = format!("unsynced data of nodes {lost:?} was lost; {died}");
    Ok(Struck::new(nodes, "", if lost.is_empty() { String::new() } else { evidence }))
}

async fn full(arena: &Arena, node: u64, hold: Duration) -> Result<Option<Struck>> {
    let Some(_claim) = arena.claim(&[node]) else { return Ok(None) };
    let before = arena.fleet.node(node)?.process.log_text().len();
    // It may well stop, and must not be believed to serve.
    arena.fleet.may_be_down(node);
    let left = disk(arena, node)?.fill().await?;
    sleep(hold).await;
    disk(arena, node)?.empty();
    let log = arena.fleet.node(node)?.process.log_text();
    let noticed = log.get(before..).unwrap_or_default().matches("No space left").count();
    arena.start_anew(node).await?;
    let evidence = format!("{left} bytes were left, the node's log says so {noticed} times");
    Ok(Struck::new([node], "", if left < FULL_BYTES { evidence } else { String::new() }))
}

/// Syncs of a node are tampered with. `fatal`: the node may stop, and is started anew afterwards.
async fn traced(
    arena: &Arena,
    node: u64,
    inject: &str,
    hold: Duration,
    fatal: bool,
) -> Result<Option<Struck>> {
    let Some(_claim) = arena.claim(&[node]) else { return Ok(None) };
    let process = &arena.fleet.node(node)?.process;
    let Some(pid) = process.pid() else { return Ok(None) };
    if fatal {
        arena.fleet.may_be_down(node);
    }
    let tracer = Tracer::attach(pid, inject, process.plan().folder.join("strace")).await?;
    let met = arena.held(hold, async || Ok(tracer.tampered())).await;
    let calls = tracer.detach().await?.max(met?);
    if fatal {
        arena.start_anew(node).await?;
    }
    let evidence = if calls == 0 { String::new() } else { format!("{calls} syncs were tampered with") };
    Ok(Struck::new([node], inject, evidence))
}
