//! The models, explored exhaustively (layer L0; wiki/Model.md): one test per schedule, which must hold, and one per
//! planted omission, which must be caught by the property named.
//!
//! * [`schedules`], [`larger`], [`second_locks`], [`omissions`]: the move protocol.
//! * [`migration`]: the record of a cloud migration.

#[path = "model/larger.rs"]
mod larger;
#[path = "model/migration.rs"]
mod migration;
#[path = "model/omissions.rs"]
mod omissions;
#[path = "model/schedules.rs"]
mod schedules;
#[path = "model/second_locks.rs"]
mod second_locks;

use std::collections::BTreeSet;

use flotilla_tests::model::schedule::{append, delete};
use flotilla_tests::model::{Moves, Omission, Schedule};
use stateright::{Checker, HasDiscoveries, Model};

/// Explores everything within the schedule's bounds: no property is broken, and the fewest states expected
/// were seen (a schedule that shrinks by accident proves nothing).
fn holds(schedule: Schedule, states_min: usize) {
    holds_with(None, schedule, states_min);
}

/// The same, perhaps with a guard taken out that turns out to be a second lock on a door.
fn holds_with(omission: Option<Omission>, schedule: Schedule, states_min: usize) {
    let checker = Moves { schedule, omission }.checker().threads(2).spawn_bfs().join();
    println!("{} states, at most {} deep", checker.unique_state_count(), checker.max_depth());
    checker.assert_properties();
    assert!(checker.unique_state_count() >= states_min, "only {} states", checker.unique_state_count());
}

/// Explores with one guard taken out until the property named is seen broken.
fn catches(omission: Omission, property: &'static str, schedule: Schedule) {
    let broken = HasDiscoveries::AnyOf(BTreeSet::from([property]));
    let checker =
        Moves { schedule, omission: Some(omission) }.checker().finish_when(broken).spawn_bfs().join();
    let path =
        checker.discovery(property).unwrap_or_else(|| panic!("{omission:?} did not break \"{property}\""));
    println!("{omission:?} breaks \"{property}\" ({} states)", checker.unique_state_count());
    path.into_actions().iter().for_each(|step| println!("  {step:?}"));
}

/// Two writes of one client and one of another, to both keys.
fn two_clients(schedule: Schedule) -> Schedule {
    schedule.client(&[append(0), delete(1)]).client(&[append(0)])
}

/// Two writes of each client.
fn busy_clients(schedule: Schedule) -> Schedule {
    schedule.client(&[append(0), delete(1)]).client(&[append(0), append(1)])
}
