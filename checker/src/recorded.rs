//! Judges a recorded run from its lines alone: the history, what nodes said of themselves, and whether faults fired.
//!
//! What it does not judge: what only the running cluster could show (I7 and I9, panics). If the run's own violations are
//! in the record, they are given back as they are.

use crate::invariants::{Invariants, substance};
use crate::judge::{Verdicts, judge_within};
use crate::read::ReadError;
use crate::record::{Fault, Line, Operation, Run, Violation};
use crate::verdict::Limits;

/// What came of it.
#[derive(Clone, Debug)]
pub struct Judged {
    /// What was run, if the record says so.
    pub run: Option<Run>,
    /// The operations.
    pub history: Vec<Operation>,
    /// What the checkers say of them (I1, I2, I3).
    pub verdicts: Verdicts,
    /// How many views there are.
    pub views: usize,
    /// What the views violate, and faults that did not fire.
    pub invariants: Vec<Violation>,
    /// What the run itself recorded as violated.
    pub recorded: Vec<Violation>,
}

impl Judged {
    /// Whether nothing is wrong.
    pub fn holds(&self) -> bool {
        self.verdicts.hold() && self.invariants.is_empty() && self.recorded.is_empty()
    }
}

/// Reads and judges. The first line that cannot be read ends it.
pub fn judge(lines: impl Iterator<Item = Result<Line, ReadError>>) -> Result<Judged, ReadError> {
    let mut invariants = Invariants::default();
    let (mut run, mut history, mut faults) = (None, Vec::new(), Vec::<Fault>::new());
    let (mut views, mut found, mut recorded) = (0, Vec::new(), Vec::new());
    for line in lines {
        match line? {
            Line::Run(it) => run = Some(it),
            Line::Op(operation) => history.push(operation),
            Line::Fault(fault) => faults.push(fault),
            Line::View(view) => {
                views += 1;
                found.extend(invariants.see(&view));
            }
            Line::Event(event) if event.name == "restarted" => {
                event.node.into_iter().for_each(|node| invariants.restarted(node));
            }
            Line::Violation(violation) => recorded.push(violation),
            Line::Event(_) | Line::Message(_) | Line::End(_) => {}
        }
    }
    found.extend(substance::check(&history, &faults, substance::Floor { acknowledged: 0, faults: 0 }));
    let verdicts =
        judge_within(&history, &Limits { shards: run.as_ref().and_then(shards), ..Limits::default() });
    Ok(Judged { run, history, verdicts, views, invariants: found, recorded })
}

/// How many shards the run had, if it says so.
pub fn shards(run: &Run) -> Option<u32> {
    run.choices.get("shards")?.parse().ok().filter(|shards| *shards > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{Break, Shape, broken, history};
    use crate::record::{ReplicaView, View};

    fn judged(lines: Vec<Line>) -> Judged {
        judge(lines.into_iter().map(Ok)).expect("good lines")
    }

    fn ops(history: Vec<Operation>) -> Vec<Line> {
        history.into_iter().map(Line::Op).collect()
    }

    #[test]
    fn a_good_run_holds_and_a_broken_one_does_not() {
        let shape = Shape::default();
        assert!(judged(ops(history(3, &shape))).holds());
        let stale = broken(3, &shape, Break::StaleRead).expect("an occasion");
        assert!(judged(ops(stale)).verdicts.found_by().starts_with('A'));
    }

    #[test]
    fn the_number_of_shards_counts() {
        // The version of one key goes back below that of another: nothing is wrong unless they share a shard.
        let shape = Shape { shards: 1, unknown_per_mille: 0, ..Shape::default() };
        let back = broken(5, &shape, Break::VersionBack).expect("an occasion");
        let mut run = Run::default();
        run.choices.insert("shards".to_owned(), "1".to_owned());
        let lines = [Line::Run(run)].into_iter().chain(ops(back)).collect();
        assert_eq!(judged(lines).verdicts.found_by(), "A");
    }

    #[test]
    fn views_are_judged_and_old_violations_kept() {
        let view = |term| {
            let replica = ReplicaView { gid: 1, member: 1, term, ..ReplicaView::default() };
            Line::View(View { at_ns: 0, node: 1, replicas: Some(vec![replica]) })
        };
        let old = Violation { at_ns: 0, by: "panic".to_owned(), what: "node 1".to_owned(), key: None };
        let judged = judged(vec![view(2), view(1), Line::Violation(old)]);
        assert_eq!((judged.views, judged.invariants.len(), judged.recorded.len()), (2, 1, 1));
        assert!(!judged.holds());
    }
}
