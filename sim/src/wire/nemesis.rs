//! What goes wrong on the wire, between two ticks of the world.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{NODES, Phase, Stage, host};
use crate::dice::Dice;
use crate::disk::SimDisk;

/// How long a fault lasts at least and at most, and the rest after it, in milliseconds.
const FAULT_MS: (u64, u64) = (200, 4_000);
const REST_MS: (u64, u64) = (100, 3_000);

/// A fault that lasts.
enum Fault {
    /// Two hosts hear nothing of each other.
    Partition(String, String),
    /// One host hears nothing of another.
    OneWay(String, String),
    /// Segments between two hosts wait.
    Held(String, String),
    /// A node is down.
    Down(u64),
}

impl Fault {
    /// As it is counted.
    fn name(&self) -> &'static str {
        match self {
            Self::Partition(..) | Self::OneWay(..) => "fault_partition",
            Self::Held(..) => "fault_held",
            Self::Down(_) => "event_crashed",
        }
    }
}

/// Drives the simulation to its end, with faults while the stage says so. Returns how many there were of each.
pub(super) fn run(
    sim: &mut turmoil::Sim<'_>,
    stage: &Stage,
    disks: &[SimDisk],
    dice: &Dice,
) -> Result<BTreeMap<String, u64>, String> {
    let mut made = BTreeMap::new();
    let mut next = None;
    let mut present = None;
    let mut until = None;
    while !sim.step().map_err(|error| error.to_string())? {
        if stage.phase() != Phase::Rage {
            continue;
        }
        let now = sim.elapsed();
        let end = *until.get_or_insert_with(|| now + dice.millis(8_000, 20_000));
        if *next.get_or_insert(now) > now && now < end {
            continue;
        }
        if let Some(fault) = present.take() {
            heal(sim, fault);
            next = Some(now + dice.millis(REST_MS.0, REST_MS.1));
        } else if now < end {
            let fault = make(sim, disks, dice);
            let mut count = |name: &str| *made.entry(name.to_owned()).or_default() += 1;
            count(fault.name());
            if matches!(fault, Fault::Down(_)) {
                count("event_started");
            }
            present = Some(fault);
            next = Some(now + dice.millis(FAULT_MS.0, FAULT_MS.1));
        }
        if now >= end {
            stage.enter(Phase::Healed);
        }
    }
    Ok(made)
}

fn make(sim: &mut turmoil::Sim<'_>, disks: &[SimDisk], dice: &Dice) -> Fault {
    let node = dice.range(1, NODES);
    let other = match dice.range(1, NODES) {
        other if other == node => "clients".to_owned(),
        other => host(other),
    };
    sim.set_max_message_latency(Duration::from_millis(dice.of(&[3, 10, 30, 100])));
    match dice.range(0, 9) {
        0..3 => {
            sim.partition(host(node), other.clone());
            Fault::Partition(host(node), other)
        }
        3..5 => {
            sim.partition_oneway(host(node), other.clone());
            Fault::OneWay(host(node), other)
        }
        5..7 => {
            sim.hold(host(node), other.clone());
            Fault::Held(host(node), other)
        }
        kind => {
            let disk = &disks[usize::try_from(node - 1).unwrap_or_default()];
            match kind {
                9 => disk.power_cut(),
                _ => disk.kill(),
            }
            sim.crash(host(node));
            Fault::Down(node)
        }
    }
}

fn heal(sim: &mut turmoil::Sim<'_>, fault: Fault) {
    match fault {
        Fault::Partition(one, other) => sim.repair(one, other),
        Fault::OneWay(one, other) => sim.repair_oneway(one, other),
        Fault::Held(one, other) => sim.release(one, other),
        Fault::Down(node) => sim.bounce(host(node)),
    }
}
