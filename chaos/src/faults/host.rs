//! What a process gets of its machine: the time, CPU, memory.

use std::ffi::OsString;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use flotilla_workload::{CREW_MAX, Dice, Load, Plan};
use tokio::time::sleep;

use super::{Class, Struck};
use crate::machine::able::fake_clock;
use crate::machine::cgroup::{Cgroup, Kind};
use crate::run::arena::Arena;

const OVERLOAD_CLIENTS: usize = 60;
/// A hundredth of a CPU, in thousandths: an idle node needs more.
const STARVED: u64 = 10;
/// What a node may still allocate: next to nothing, since it has most of what it needs.
const MEMORY_BYTES: u64 = 256 << 10;

pub(super) async fn strike(
    class: Class,
    arena: &Arena,
    dice: &mut Dice,
    hold: Duration,
) -> Result<Option<Struck>> {
    if class == Class::Overload {
        return overload(arena, dice, hold).await;
    }
    let node = arena.some_node(dice);
    let Some(_claim) = arena.claim(&[node]) else { return Ok(None) };
    match class {
        Class::Clock => clock(arena, node, dice, hold).await,
        Class::StarveCpu => limited(arena, node, Kind::Cpu, STARVED, hold).await,
        _ => limited(arena, node, Kind::Memory, MEMORY_BYTES, hold).await,
    }
}

/// The node is restarted with another clock, and after a while with the right one: two jumps.
async fn clock(arena: &Arena, node: u64, dice: &mut Dice, hold: Duration) -> Result<Option<Struck>> {
    let all = ["+5s", "-5s", "+1s", "-1s", "+0 x1.05", "+0 x0.95", "+60s"];
    let shift = *dice.pick(&all).unwrap_or(&all[0]);
    let variables: Vec<(OsString, OsString)> = vec![
        ("LD_PRELOAD".into(), fake_clock()?.into_os_string()),
        ("FAKETIME".into(), shift.into()),
        // Timers go by the monotonic clock, which no administrator can set.
        ("FAKETIME_DONT_FAKE_MONOTONIC".into(), "1".into()),
        ("DONT_FAKE_MONOTONIC".into(), "1".into()),
    ];
    arena.fleet.kill(&[node])?;
    arena.start_with(node, &variables)?;
    sleep(hold).await;
    let said = arena.fleet.node(node)?.process.log_text();
    let process = &arena.fleet.node(node)?.process;
    let maps = process.pid().and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/maps")).ok());
    let loaded = maps.is_some_and(|maps| maps.contains("faketime"));
    if arena.runs(node) {
        arena.fleet.kill(&[node])?;
    }
    arena.start(node)?;
    let last =
        said.lines().last().and_then(|line| line.split_whitespace().next()).unwrap_or_default().to_owned();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let evidence = format!("its log's last stamp is {last}, the time was {now} s since 1970");
    Ok(Struck::new([node], shift, if loaded { evidence } else { String::new() }))
}

/// Far more clients than the cluster can serve at once: it must refuse or delay, and lose nothing.
async fn overload(arena: &Arena, dice: &mut Dice, hold: Duration) -> Result<Option<Struck>> {
    let seed = dice.next_u64();
    let plan = Plan {
        clients: OVERLOAD_CLIENTS,
        crew: CREW_MAX,
        // The clients of different bursts must not be taken for each other.
        first: seed >> 8 << 8,
        prefix: format!("burst{seed:x}-"),
        value_bytes: 8..4000,
        think: Duration::ZERO..Duration::from_micros(1),
        hasty_per_mille: 50,
        ..Plan::new(seed)
    };
    let load = Load::start(plan, &arena.site);
    arena.held(hold, async || Ok(load.acked())).await?;
    let mut done = load.stop().await;
    arena.keep_keys(std::mem::take(&mut done.keys));
    let words =
        format!("{} acknowledged, {} refused, {} of unknown outcome", done.ok, done.failed, done.unknown);
    Ok(Struck::new([], words.clone(), if done.ok == 0 { String::new() } else { words }))
}

async fn limited(arena: &Arena, node: u64, kind: Kind, limit: u64, hold: Duration) -> Result<Option<Struck>> {
    let group = Cgroup::make(kind, &arena.tag.node(node))?;
    let Some(pid) = arena.fleet.node(node)?.process.pid() else { return Ok(None) };
    if kind == Kind::Memory {
        // The kernel may kill it.
        arena.fleet.may_be_down(node);
    }
    let before = group.bites();
    group.add(pid)?;
    group.limit(limit)?;
    let bites = arena.held(hold, async || Ok(group.bites() - before)).await?;
    group.free()?;
    if kind == Kind::Memory {
        arena.start_anew(node).await?;
    }
    let evidence = if bites == 0 { String::new() } else { format!("the limit bit {bites} times") };
    Ok(Struck::new([node], format!("limit {limit}"), evidence))
}
