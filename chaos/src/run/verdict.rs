//! What is wrong with a run, by its record.

use std::collections::BTreeMap;

use flotilla_checker::invariants::Invariants;
use flotilla_checker::invariants::substance::{self, Floor};
use flotilla_checker::record::{Event, Fault, Line, Operation, ReplicaView, View, Violation};
use flotilla_checker::{Limits, Verdicts, judge_within};
use flotilla_workload::Sink;

use super::recorder::Recorder;
use crate::node::fleet::Fleet;

/// What a run is judged by, and how often each was looked at.
pub(crate) struct Judged {
    /// A to D.
    pub verdicts: Verdicts,
    /// By name: `checked_I4` and the like.
    pub counts: BTreeMap<String, u64>,
}

/// Judges what was recorded; what is wrong goes into the record.
pub(crate) fn judge(recorder: &Recorder, shards: u32, faults_min: usize) -> Judged {
    let (operations, faults, stamped) = recorder.with_lines(sorted);
    let verdicts = judge_within(&operations, &Limits { shards: Some(shards), ..Limits::default() });
    let views = stamped.iter().filter(|(_, seen)| matches!(seen, Seen::View(_))).count() as u64;
    let mut wrong: Vec<Violation> = verdicts.violations().cloned().collect();
    wrong.extend(watched(stamped));
    wrong.extend(substance::check(&operations, &faults, Floor { acknowledged: 1, faults: faults_min }));
    for violation in wrong {
        recorder.put(Line::Violation(violation));
    }
    let mut counts = BTreeMap::new();
    for by in ["A", "B", "C", "D"] {
        counts.insert(format!("checked_{by}"), operations.len() as u64);
    }
    for by in ["I4", "I5", "I6", "I10"] {
        counts.insert(format!("checked_{by}"), views);
    }
    for by in ["I7", "I9", "I12", "I13"] {
        counts.insert(format!("checked_{by}"), 1);
    }
    Judged { verdicts, counts }
}

/// What invariants of nodes are shown.
enum Seen {
    View(View),
    Restarted(u64),
}

/// Operations and faults, and what nodes said, by stamp: an answer that was asked for before a restart counts before it.
fn sorted(lines: &[Line]) -> (Vec<Operation>, Vec<Fault>, Vec<(u64, Seen)>) {
    let (mut operations, mut faults, mut stamped) = (Vec::new(), Vec::new(), Vec::new());
    for line in lines {
        match line {
            Line::Op(operation) => operations.push(operation.clone()),
            Line::Fault(fault) => faults.push(fault.clone()),
            Line::View(view) => stamped.push((view.at_ns, Seen::View(view.clone()))),
            Line::Event(Event { name, at_ns, node: Some(node), .. }) if name == "restarted" => {
                stamped.push((*at_ns, Seen::Restarted(*node)));
            }
            _ => {}
        }
    }
    stamped.sort_by_key(|(at_ns, _)| *at_ns);
    (operations, faults, stamped)
}

fn watched(stamped: Vec<(u64, Seen)>) -> Vec<Violation> {
    let (mut invariants, mut found) = (Invariants::default(), Vec::new());
    for (_, seen) in stamped {
        match seen {
            Seen::View(view) => found.extend(invariants.see(&view)),
            Seen::Restarted(node) => invariants.restarted(node),
        }
    }
    found
}

/// Counts of what happened, for the sums over many runs.
pub(crate) fn happened(lines: &[Line]) -> BTreeMap<String, u64> {
    let mut seen = Happened::default();
    for line in lines {
        match line {
            Line::View(View { replicas, .. }) => {
                replicas.iter().flatten().for_each(|replica| seen.replica(replica))
            }
            Line::Event(event) if event.name == "elected" => seen.count("elections"),
            Line::Event(event) if event.name == "restarted" => seen.count("restarts"),
            Line::Fault(fault) if fault.kind.starts_with("partition") => seen.count("partitions"),
            Line::Fault(fault) if fault.kind.starts_with("kill") => seen.count("crashes"),
            Line::Fault(fault) if fault.kind.starts_with("power") => seen.count("power_cuts"),
            Line::Op(operation) if operation.returned_ns.is_none() => seen.count("unknown_outcomes"),
            _ => {}
        }
    }
    seen.counts
}

#[derive(Default)]
struct Happened {
    counts: BTreeMap<String, u64>,
    /// By shard: the group whose leader served it last.
    owners: BTreeMap<u32, u64>,
    /// By member: its last snapshot.
    snapshots: BTreeMap<u64, u64>,
}

impl Happened {
    fn count(&mut self, name: &str) {
        *self.counts.entry(name.to_owned()).or_default() += 1;
    }

    fn replica(&mut self, replica: &ReplicaView) {
        let grew = self.snapshots.insert(replica.member, replica.snapshot);
        if grew.is_some_and(|before| before < replica.snapshot) {
            self.count("snapshots");
        }
        if replica.role != "leader" {
            return;
        }
        for shard in replica.shards.iter().filter(|shard| shard.phase == "serving") {
            if self.owners.insert(shard.shard, replica.gid).is_some_and(|gid| gid != replica.gid) {
                self.count("moves");
            }
        }
    }
}

/// No node may have panicked.
pub(crate) fn look_for_panics(recorder: &Recorder, fleet: &Fleet) {
    for node in fleet.ids() {
        let Ok(there) = fleet.node(node) else { continue };
        let log = there.process.log_text();
        if let Some(at) = log.lines().position(|line| line.contains("panicked at")) {
            let words: Vec<&str> = log.lines().skip(at).take(3).collect();
            recorder.violation("I13", &format!("node {node} panicked: {}", words.join(" ")));
        }
    }
}
