//! Faults for clusters of real processes: partitions, kills, power cuts, rot.
//!
//! ```text
//!   clients, administrators --> proxies, packet filters --> flotilla node (processes) --> ext4 in a file
//!            |                        ^                         ^                            ^
//!            v                        '------- nemesis: draws faults from the seed ----------'
//!         record --> checkers, invariants --> verdict, report
//! ```
//!
//! * [`Able::find`] says what the machine lets us do; classes of faults that need more are left out, and named.
//! * A fault proves that it fired, or the run fails. So does a run without traffic.
//! * Whatever happens, nothing stays behind on the machine (`machine::sweep`): the tag of the run is in all its names.
//! * A seed draws the cluster, the load and the order of faults. Real processes make what follows different each time.
//!
//! Absent: faults inside the node's code. The simulation has those.

mod faults;
mod machine;
mod net;
mod node;
mod run;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use flotilla_checker::record::{Line, Violation};
use flotilla_workload::Done;

pub use faults::{Class, Family, named};
pub use machine::able::{Able, Need};
pub use machine::sweep::{Tag, stale};
pub use run::gaps::Service;

/// Who is told how the run goes.
pub type Voice = Arc<dyn Fn(&str) + Send + Sync>;

/// What to run.
#[derive(Clone)]
pub struct Options {
    /// The program that is a node when it is called with `node`.
    pub binary: PathBuf,
    /// How long faults strike.
    pub length: Duration,
    /// How many nodes: at least 3.
    pub nodes: u64,
    /// How many groups at the start.
    pub groups: u64,
    /// How many clients.
    pub clients: usize,
    /// Which faults.
    pub classes: Vec<Class>,
    /// What everything is drawn from.
    pub seed: u64,
    /// Where the run's folder is made.
    pub dir: PathBuf,
    /// Where the record goes; none: into the run's folder.
    pub record: Option<PathBuf>,
    /// Whether groups come and go and shards move all the time.
    pub moves: bool,
    /// Fewer acknowledged operations per second outside of faults fail the run.
    pub floor: f64,
    /// All on 127.0.0.1, also where namespaces could be had.
    pub loopback: bool,
    /// How long the healed cluster may take for each step of its recovery.
    pub patience: Duration,
    /// Every node's disk lies: syncs do nothing.
    pub lying: bool,
    /// Who is told how it goes.
    pub voice: Voice,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Where logs and data are, and the record unless it was to go elsewhere.
    pub folder: PathBuf,
    /// Everything wrong; empty: the cluster held.
    pub violations: Vec<Violation>,
    /// Each checker's verdict in a line.
    pub verdicts: Vec<String>,
    /// What service was like.
    pub service: Service,
    /// What became of the operations.
    pub done: Done,
    /// How many changes of groups and shards were committed.
    pub changes: u64,
    /// How often each class of faults has struck.
    pub struck: BTreeMap<Class, u64>,
    /// The record.
    pub lines: Vec<Line>,
}

impl Options {
    /// The command that runs the same again.
    pub fn again(&self) -> String {
        let faults = self.classes.iter().map(|class| class.name()).collect::<Vec<_>>().join(",");
        let all = named("all").is_ok_and(|all| all == self.classes);
        let faults = if all { "all" } else { &faults };
        let more =
            [(!self.moves, " --no-moves"), (self.loopback, " --loopback"), (self.lying, " --self-check")];
        let more: String = more.iter().filter(|(given, _)| *given).map(|(_, flag)| *flag).collect();
        format!(
            "flotilla chaos --seed {} --seconds {} --nodes {} --groups {} --clients {} --faults {faults}{more}",
            self.seed,
            self.length.as_secs(),
            self.nodes,
            self.groups,
            self.clients
        )
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.again())
    }
}

/// Runs. Everything that it made on the machine but its folder is gone afterwards, also if it is dropped half-way.
pub async fn run(options: &Options, able: &Able) -> Result<Outcome> {
    if !(3..=99).contains(&options.nodes) {
        bail!("{} nodes: a run needs 3 to 99", options.nodes);
    }
    let tag = Tag::mine();
    // Dropped after everything in the run.
    let _sweeper = machine::sweep::Sweeper(tag.clone());
    Box::pin(run::run(options, able, &tag)).await
}
