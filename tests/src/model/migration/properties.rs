//! What must hold, by name. A name is what a test of a planted omission expects to see broken.

use flotilla_cloud_migration::State;
use stateright::Property;

use super::Migration;
use super::world::World;

/// Nothing follows a terminal state, not even another one.
pub const TERMINAL_STAYS: &str = "a terminal state stays";
/// States go forward, one at a time.
pub const FORWARD: &str = "states only go forward";
/// When the job is over and nothing is owed, every group takes writes, whatever still arrives.
pub const NOBODY_LEFT_FROZEN: &str = "nobody is left frozen";
/// The manifest names write counters that were all the cluster's at one moment.
pub const ONE_CUT: &str = "a manifest is one cut";
/// Only the latest claim changes the record.
pub const ONE_OWNER: &str = "one owner's writes count";
/// A frozen group applies no write.
pub const READ_ONLY: &str = "frozen is read-only";
/// The job comes to its end, and so do its compensations. Checked as: until then some step is possible that somebody
/// retries; and the state graph has no cycle (asserted at every step).
pub const ENDS: &str = "every job ends";
/// The bounds do reach a finished job.
pub const DONE: &str = "a job is done";
/// The bounds do reach a job that another node finishes.
pub const TAKEN_OVER: &str = "a job is taken over and done";

/// The properties of the model.
pub fn all(model: &Migration) -> Vec<Property<Migration>> {
    let mut all = vec![
        Property::always(TERMINAL_STAYS, |_, w: &World| {
            w.witness.terminal.is_none_or(|state| w.record.state == state)
        }),
        Property::always(FORWARD, |_, w: &World| !w.witness.backward),
        Property::always(NOBODY_LEFT_FROZEN, |_, w: &World| {
            w.record.is_owed() || !w.groups.iter().any(|group| group.frozen)
        }),
        Property::always(ONE_CUT, |_, w: &World| w.manifest.is_none_or(|counters| w.was_cut(counters))),
        Property::always(ONE_OWNER, |_, w: &World| !w.witness.stale_write),
        Property::always(READ_ONLY, |_, w: &World| !w.witness.frozen_write),
        Property::always(ENDS, |m: &Migration, w: &World| !w.record.is_owed() || m.can_go_on(w)),
        Property::sometimes(DONE, |_, w: &World| w.record.state == State::Done && !w.record.is_owed()),
    ];
    if model.epochs > 1 {
        all.push(Property::sometimes(TAKEN_OVER, |_, w: &World| {
            w.record.state == State::Done && w.record.epoch > 1
        }));
    }
    all
}
