//! Guards that are second locks: without them nothing breaks within these bounds.

use flotilla_tests::model::schedule::{S, T, U};
use flotilla_tests::model::{Omission, Schedule};

use super::{holds_with, two_clients};

/// T sends DeleteShardsData only once it has installed a sealed last chunk.
#[test]
fn delete_does_not_ask_for_the_seal() {
    let schedule = two_clients(Schedule::chain(&[S, T, S, T]));
    holds_with(Some(Omission::DeleteUnsealed), schedule, 71_000);
}

/// Waiting costs availability when a group is dead, nothing else.
#[test]
fn handing_on_waits_and_nobody_dies() {
    let schedule = two_clients(Schedule::chain(&[S, T, U, T]));
    holds_with(Some(Omission::HandOnWaits), schedule, 165_000);
}

/// The cursor stands past whatever a chunk that was installed begins with, and counters only grow.
#[test]
fn insert_ignores_the_state() {
    holds_with(Some(Omission::InsertState), two_clients(Schedule::chain(&[S, T, S])), 71_000);
}
