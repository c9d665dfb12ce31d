//! The wire: a small cluster that talks real HTTP/2 over turmoil's simulated TCP, from one seed.
//!
//! The main simulation cuts between gRPC and HTTP/2 and so never sees a connect, a window, a reset or a shutdown. Here
//! these are real, at a price: a seed takes several times as long, and a single message cannot be lost or doubled, only
//! everything on a link from some moment on. Each host has a tokio runtime of its own, so a crash ends all of its tasks at once.
//!
//! ```text
//!   n1 n2 n3   one node each: controller and two groups, disks of [`crate::disk`]
//!   clients    the director: birth, load, administrators, last reads
//!   nemesis    between two ticks: partitions, held links, latencies, crashes and polite restarts
//! ```

mod director;
mod nemesis;
pub mod net;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use flotilla_checker::judge;
use flotilla_checker::record::{self, End, Line, Operation, Run, Violation};
use flotilla_node::{Node, NodeOptions, Settings};
use flotilla_proto::env::{Clock, Environment, Spawner};
use flotilla_proto::faults::Faults;
use flotilla_raft_store::Writer;
use flotilla_types::{ClusterId, NodeId};
use flotilla_workload::Memory;
use parking_lot::Mutex;

use crate::counts::named;
use crate::dice::Dice;
use crate::disk::SimDisk;
use crate::run::Outcome;
use net::WireNetwork;

const NODES: u64 = 3;
const SHARDS: u32 = 8;
const PORT: u16 = 7100;
const CLUSTER: ClusterId = ClusterId(0x3e);
/// Where all clocks start: some day, so that a lucky zero cannot hide a mistake.
const START: Duration = Duration::from_secs(1_800_000_000);
/// A run in which fewer operations were acknowledged proves nothing.
const FLOOR: u64 = 20;
/// A run that needs longer hangs.
const SIMULATED_MAX: Duration = Duration::from_secs(400);

/// What director and nemesis tell each other.
#[derive(Default)]
pub(crate) struct Stage {
    phase: AtomicU8,
    acked: AtomicU64,
    violations: Mutex<Vec<Violation>>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Debug)]
pub(crate) enum Phase {
    Birth,
    Rage,
    Healed,
}

impl Stage {
    fn phase(&self) -> Phase {
        match self.phase.load(Ordering::SeqCst) {
            0 => Phase::Birth,
            1 => Phase::Rage,
            _ => Phase::Healed,
        }
    }

    fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::SeqCst);
    }

    fn violation(&self, by: &str, what: impl ToString) {
        let what = what.to_string();
        self.violations.lock().push(Violation { at_ns: 0, by: by.to_owned(), what, key: None });
    }
}

/// The clock of every host: turmoil's.
struct WireClock;

impl Clock for WireClock {
    fn now_ms(&self) -> u64 {
        let since = turmoil::since_epoch().unwrap_or(START);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

fn host(node: u64) -> String {
    format!("n{node}")
}

fn address(node: u64) -> String {
    format!("n{node}:{PORT}")
}

fn environment(dice: Dice, faults: &Faults) -> Environment {
    Environment {
        clock: Arc::new(WireClock),
        random: Arc::new(dice),
        network: Arc::new(WireNetwork::default()),
        spawner: Spawner::default(),
        faults: faults.clone(),
    }
}

fn options(node: u64, first: bool, dice: &Dice) -> NodeOptions {
    let settings = Settings {
        snapshot_log_entries: dice.range(20, 2000),
        chunk_bytes: usize::try_from(dice.range(200, 20_000)).unwrap_or(1000),
        ..Settings::default()
    };
    NodeOptions {
        node: NodeId(node),
        cluster: CLUSTER,
        dir: format!("/wire/n{node}").into(),
        listen: ([0, 0, 0, 0], PORT).into(),
        advertise: Some(address(node)),
        http: None,
        controllers: (1..=NODES).map(|node| (NodeId(node), address(node))).collect(),
        bootstrap: first,
        shards: SHARDS,
        zone: String::new(),
        settings,
    }
}

/// Runs one seed. Everything of the process must follow from it, so a process runs one.
pub fn run(seed: u64) -> anyhow::Result<Outcome> {
    let dice = Dice::new(seed).fork("wire", 0);
    let stage = Arc::new(Stage::default());
    let record = Arc::new(Memory::default());
    let marks = Faults::counting();
    let mut sim = turmoil::Builder::new()
        .simulation_duration(SIMULATED_MAX)
        .epoch(UNIX_EPOCH + START)
        .rng_seed(seed)
        .tcp_capacity(65_536)
        .min_message_latency(dice.micros(100, 2_000))
        .max_message_latency(dice.millis(3, 30))
        .build();
    let disks: Vec<SimDisk> = (1..=NODES).map(|node| SimDisk::new(dice.fork("disk", node))).collect();
    for node in 1..=NODES {
        add_host(&mut sim, node, &disks, &marks, &dice);
    }
    let director = director::direct(stage.clone(), record.clone(), dice.fork("director", 0));
    sim.client("clients", async move {
        Box::pin(director).await;
        Ok(())
    });
    let faults = nemesis::run(&mut sim, &stage, &disks, &dice.fork("nemesis", 0));
    let mut counts = faults.unwrap_or_else(|why| {
        stage.violation("liveness", why);
        BTreeMap::new()
    });
    counts.extend(marks.marks().into_iter().map(|(name, count)| (name.to_owned(), count)));
    counts.insert("torn_changes".to_owned(), disks.iter().map(|disk| disk.counts().torn).sum());
    let simulated = sim.elapsed();
    // Whatever still runs ends here, before the record is read.
    drop(sim);
    Ok(finish(seed, &stage, record.take(), simulated, counts))
}

fn add_host(sim: &mut turmoil::Sim<'_>, node: u64, disks: &[SimDisk], marks: &Faults, dice: &Dice) {
    let disk = disks[usize::try_from(node - 1).unwrap_or_default()].clone();
    let dice = dice.fork("node", node);
    let (lives, marks) = (AtomicU64::new(0), marks.clone());
    sim.host(host(node), move || {
        let life = lives.fetch_add(1, Ordering::SeqCst);
        let options = options(node, life == 0, &dice);
        let (env, disk) = (environment(dice.fork("life", life), &marks), disk.open());
        async move {
            let node = Node::start_on(options, env, disk, Writer::Task).await?;
            node.stopped().await?;
            Ok(())
        }
    });
}

fn finish(
    seed: u64,
    stage: &Stage,
    mut lines: Vec<Line>,
    simulated: Duration,
    mut counts: BTreeMap<String, u64>,
) -> Outcome {
    let history: Vec<Operation> = lines.iter().filter_map(operation).collect();
    let mut violations = std::mem::take(&mut *stage.violations.lock());
    violations.extend(judge(&history).violations().cloned());
    let acked = stage.acked.load(Ordering::SeqCst);
    if violations.is_empty() && acked < FLOOR {
        let what = format!("only {acked} operations were acknowledged: this run proves nothing");
        violations.push(Violation { at_ns: 0, by: "floor".to_owned(), what, key: None });
    }
    let hash = (history.iter().fold(0xcbf2_9ce4_8422_2325, hashed), history.len() as u64);
    let run = Run {
        kind: "wire".to_owned(),
        seed: Some(seed),
        again: format!("flotilla-sim --seed {seed} --wire"),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..Run::default()
    };
    counts.insert("acked".to_owned(), acked);
    counts.insert(
        "unknown".to_owned(),
        history.iter().filter(|operation| is_unknown(operation)).count() as u64,
    );
    let counts = named(counts);
    let at_ns = u64::try_from(simulated.as_nanos()).unwrap_or(u64::MAX);
    lines.insert(0, Line::Run(run));
    lines.extend(violations.iter().cloned().map(Line::Violation));
    lines.push(Line::End(End { at_ns, healed_ns: None, counts: counts.clone() }));
    Outcome { lines, violations, hash, simulated, acked, counts }
}

/// FNV-1a over an operation, with its stamps.
fn hashed(hash: u64, operation: &Operation) -> u64 {
    let text = format!("{operation:?}");
    text.bytes().fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn is_unknown(operation: &Operation) -> bool {
    matches!(operation.outcome, record::Outcome::Unknown { .. })
}

fn operation(line: &Line) -> Option<Operation> {
    match line {
        Line::Op(operation) => Some(operation.clone()),
        _ => None,
    }
}
