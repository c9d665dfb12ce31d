//! Processes that die, stop for a while, or are restarted in turn.

use std::time::Duration;

use anyhow::{Result, ensure};
use flotilla_workload::Dice;
use rustix::process::Signal;
use tokio::time::sleep;

use super::{Class, Struck};
use crate::run::arena::Arena;

/// The longest pause: ten election timeouts.
const PAUSE_MAX: Duration = Duration::from_millis(4500);
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// How long the kernel may take to stop a process.
const STOP_MAX: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(2);

pub(super) async fn strike(
    class: Class,
    arena: &Arena,
    dice: &mut Dice,
    hold: Duration,
) -> Result<Option<Struck>> {
    match class {
        Class::Kill => kill(arena, vec![arena.some_node(dice)], hold).await,
        Class::KillGroup => {
            let Some(gid) = dice.pick(&arena.picture().groups()).copied() else { return Ok(None) };
            kill(arena, arena.picture().nodes_of(gid).into_iter().collect(), hold).await
        }
        Class::KillAll => kill(arena, arena.fleet.ids(), hold).await,
        Class::KillControllers => {
            let mut nodes: Vec<u64> = arena.picture().nodes_of(0).into_iter().collect();
            dice.shuffle(&mut nodes);
            nodes.truncate(nodes.len() / 2 + 1);
            if nodes.is_empty() { Ok(None) } else { kill(arena, nodes, hold).await }
        }
        Class::Pause => pause(arena, arena.some_node(dice), dice.duration(PAUSE_MIN..PAUSE_MAX)).await,
        _ => rolling(arena).await,
    }
}

async fn kill(arena: &Arena, nodes: Vec<u64>, hold: Duration) -> Result<Option<Struck>> {
    let Some(_claim) = arena.claim(&nodes) else { return Ok(None) };
    let evidence = arena.fleet.kill(&nodes)?;
    sleep(hold).await;
    for node in &nodes {
        arena.start(*node)?;
    }
    Ok(Struck::new(nodes, "", evidence))
}

async fn pause(arena: &Arena, node: u64, length: Duration) -> Result<Option<Struck>> {
    let Some(_claim) = arena.claim(&[node]) else { return Ok(None) };
    let process = &arena.fleet.node(node)?.process;
    process.signal(Signal::STOP)?;
    let mut waited = Duration::ZERO;
    while process.state() != Some('T') && process.state() != Some('t') {
        ensure!(waited < STOP_MAX, "node {node} was stopped and is in state {:?}", process.state());
        waited += LOOK;
        sleep(LOOK).await;
    }
    sleep(length).await;
    let state = process.state();
    process.signal(Signal::CONT)?;
    let evidence = format!("state {} after {} ms", state.unwrap_or('-'), length.as_millis());
    Ok(Struck::new([node], format!("{} ms", length.as_millis()), evidence))
}

async fn rolling(arena: &Arena) -> Result<Option<Struck>> {
    let Some(_claim) = arena.claim(&arena.fleet.ids()) else { return Ok(None) };
    let mut evidence = Vec::new();
    for node in arena.fleet.ids() {
        arena.fleet.may_be_down(node);
        let stopped = arena.fleet.node(node)?.process.stop().await?;
        arena.start(node)?;
        evidence.push(format!("node {node}: {stopped}"));
        // As an operator would: the next one when this one is back.
        arena.wait_healthy(Duration::from_secs(30)).await;
    }
    Ok(Struck::new(arena.fleet.ids(), "one after the other", evidence.join(", ")))
}
