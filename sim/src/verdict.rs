//! What is judged when a run is over.

use flotilla_checker::invariants::substance::{self, Floor};
use flotilla_checker::record::{Fault, Operation, Violation};
use flotilla_checker::{Limits, judge_within};

use crate::world::World;

/// A complete run in which fewer operations were acknowledged proves nothing.
const FLOOR: usize = 20;

/// Everything that is wrong with a history.
pub fn judge(world: &World, history: &[Operation], faults: &[Fault], complete: bool) -> Vec<Violation> {
    let limits = Limits { shards: Some(world.plan.shards), ..Limits::default() };
    let verdicts = judge_within(history, &limits);
    let mut found: Vec<Violation> = verdicts.violations().cloned().collect();
    if complete {
        found.extend(substance::check(history, faults, Floor { acknowledged: FLOOR, faults: 0 }));
    }
    found
}
