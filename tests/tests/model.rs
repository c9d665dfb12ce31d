//! The move protocol, explored exhaustively (layer L0; wiki/Model.md): one test per schedule, which must
//! hold, and one per planted omission, which must be caught by the property named.

use std::collections::BTreeSet;

use flotilla_tests::model::schedule::{NOBODY, Op, S, T, U, append, append_if_absent, delete, put_with_ttl};
use flotilla_tests::model::{Moves, Omission, Schedule, properties};
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

fn one_client(schedule: Schedule, ops: &[Op]) -> Schedule {
    schedule.client(ops)
}

mod schedules {
    use super::*;

    #[test]
    fn one_move() {
        holds(busy_clients(Schedule::chain(&[S, T])), 9_200);
    }

    #[test]
    fn one_move_of_a_busy_key() {
        let writes = [append(0), append(0), delete(0)];
        holds(Schedule::chain(&[S, T]).client(&writes).client(&[append(0), append(0)]), 22_000);
    }

    #[test]
    fn on_to_a_third() {
        holds(busy_clients(Schedule::chain(&[S, T, U])), 190_000);
    }

    #[test]
    fn there_and_back() {
        holds(busy_clients(Schedule::chain(&[S, T, S])), 55_000);
    }

    #[test]
    fn there_and_back_and_there() {
        holds(busy_clients(Schedule::chain(&[S, T, S, T])), 190_000);
    }

    #[test]
    fn round_and_home() {
        holds(busy_clients(Schedule::chain(&[S, T, U, S])), 1_000_000);
    }

    #[test]
    fn on_and_back_again() {
        holds(two_clients(Schedule::chain(&[S, T, U, T])), 240_000);
    }

    #[test]
    fn from_nobody() {
        holds(two_clients(Schedule::chain(&[NOBODY, S, T, S])), 10_000);
    }

    #[test]
    fn two_shards_cross() {
        let schedule = Schedule::chains(&[&[S, T], &[T, S]]);
        holds(schedule.client(&[append(0), delete(1).at_shard(1)]).client(&[append(0).at_shard(1)]), 11_000);
    }

    #[test]
    fn two_shards_cross_and_return_past_a_dead_group() {
        let schedule = Schedule::chains(&[&[S, T, S], &[T, S, T]]).with_dead_bystander();
        holds(schedule.client(&[append(0), delete(1).at_shard(1)]).client(&[append(0)]), 150_000);
    }

    #[test]
    fn handed_on_while_the_first_owner_is_dead() {
        holds(two_clients(Schedule::chain(&[S, T, U]).mortal(S, 2)), 67_000);
    }

    #[test]
    fn a_compare_that_may_fail() {
        let schedule = Schedule::chain(&[S, T, S]).client(&[append_if_absent(0), append(1)]);
        holds(schedule.client(&[delete(0), append(0)]), 53_000);
    }

    #[test]
    fn taken_back() {
        holds(busy_clients(Schedule::chain(&[S, T, S]).cancelling()), 73_000);
    }

    #[test]
    fn taken_back_and_given_again() {
        holds(busy_clients(Schedule::chain(&[S, T, S, T]).cancelling()), 320_000);
    }

    #[test]
    fn taken_back_from_the_third() {
        holds(two_clients(Schedule::chain(&[S, T, U, T]).cancelling()), 300_000);
    }

    #[test]
    fn taken_back_late() {
        holds(two_clients(Schedule::chain(&[S, T, T, S, U]).cancelling()), 670_000);
    }

    #[test]
    fn taken_back_from_a_dead_group() {
        holds(two_clients(Schedule::chain(&[S, T, S]).cancelling().without(T)), 390);
    }

    #[test]
    fn time_passes() {
        let schedule = Schedule::chain(&[S, T, S]).ticking();
        holds(schedule.client(&[put_with_ttl(0), append(1).late()]).client(&[append(1)]), 49_000);
    }

    #[test]
    fn time_passes_while_moves_are_taken_back() {
        let schedule = Schedule::chain(&[S, T, S, T]).ticking().cancelling();
        holds(schedule.client(&[put_with_ttl(0), append(1).late()]).client(&[append(1)]), 290_000);
    }
}

mod second_locks {
    use super::*;

    /// T sends DeleteShardsData only once it has installed a sealed last chunk.
    #[test]
    fn delete_does_not_ask_for_the_seal() {
        let schedule = two_clients(Schedule::chain(&[S, T, S, T]));
        holds_with(Some(Omission::DeleteUnsealed), schedule, 45_000);
    }

    /// Waiting costs availability when a group is dead, nothing else.
    #[test]
    fn handing_on_waits_and_nobody_dies() {
        let schedule = two_clients(Schedule::chain(&[S, T, U, T]));
        holds_with(Some(Omission::HandOnWaits), schedule, 100_000);
    }
}

mod omissions {
    use super::properties::*;
    use super::*;

    fn there_and_back_and_there() -> Schedule {
        two_clients(Schedule::chain(&[S, T, S, T]))
    }

    fn one_move() -> Schedule {
        two_clients(Schedule::chain(&[S, T]))
    }

    #[test]
    fn insert_ignores_the_config() {
        catches(Omission::InsertNum, NOTHING_LOST, there_and_back_and_there());
    }

    #[test]
    fn insert_ignores_the_state() {
        catches(Omission::InsertState, VERSIONS_GROW, one_move());
    }

    #[test]
    fn insert_ignores_the_cursor() {
        catches(Omission::InsertCursor, NOTHING_LOST, one_move());
    }

    #[test]
    fn get_ignores_the_config() {
        catches(Omission::GetNum, NOTHING_LOST, there_and_back_and_there());
    }

    #[test]
    fn seal_ignores_the_config() {
        catches(Omission::SealNum, SHORT_PAUSE, there_and_back_and_there());
    }

    #[test]
    fn seal_during_the_base_copy() {
        catches(Omission::SealInBase, SHORT_PAUSE, one_move());
    }

    #[test]
    fn delete_ignores_the_config() {
        catches(Omission::DeleteNum, KEPT_UNTIL_INSTALLED, there_and_back_and_there());
    }

    #[test]
    fn acknowledgement_ignores_the_config() {
        catches(Omission::AckNum, SETTLES, there_and_back_and_there());
    }

    #[test]
    fn a_sealed_shard_takes_writes() {
        catches(Omission::SealedWrites, NOTHING_LOST, one_move());
    }

    #[test]
    fn a_seal_answers_once() {
        catches(Omission::SealOnce, SETTLES, one_move());
    }

    #[test]
    fn sessions_stay_behind() {
        catches(Omission::SessionsStay, NOTHING_DOUBLED, one_move());
    }

    #[test]
    fn the_counter_stays_behind() {
        catches(Omission::CounterStays, VERSIONS_GROW, one_move());
    }

    #[test]
    fn time_stays_behind() {
        let schedule = Schedule::chain(&[S, T]).ticking();
        catches(Omission::TimeStays, NOTHING_COMES_BACK, one_client(schedule, &[put_with_ttl(0)]));
    }

    #[test]
    fn the_floor_stays_behind() {
        let schedule = Schedule::chain(&[S, T]).ticking();
        catches(Omission::FloorStays, NOTHING_DOUBLED, one_client(schedule, &[append(0)]));
    }

    #[test]
    fn tombstones_are_left_out() {
        catches(Omission::NoTombstones, NOTHING_COMES_BACK, one_move());
    }

    #[test]
    fn change_rows_begin_late() {
        catches(Omission::LateChangeRows, NOTHING_LOST, one_move());
    }

    #[test]
    fn the_first_change_row_is_kept() {
        catches(Omission::FirstChangeRow, NOTHING_LOST, one_move());
    }

    #[test]
    fn next_is_set_too_far() {
        catches(Omission::NextTooFar, NOTHING_LOST, one_move());
    }

    #[test]
    fn changes_of_one_counter_are_split() {
        catches(Omission::SplitCounter, NOTHING_DOUBLED, one_move());
    }

    fn a_compare_that_may_fail() -> Schedule {
        Schedule::chain(&[S, T]).client(&[append_if_absent(0)]).client(&[append(1), delete(0)])
    }

    #[test]
    fn a_failed_compare_leaves_no_change_row() {
        catches(Omission::FailureUnrecorded, NOTHING_DOUBLED, a_compare_that_may_fail());
    }

    #[test]
    fn a_failed_compare_does_not_raise_the_counter() {
        catches(Omission::FailureAtOldCounter, NOTHING_DOUBLED, a_compare_that_may_fail());
    }

    fn taken_back(owners: &[u8]) -> Schedule {
        two_clients(Schedule::chain(owners).cancelling())
    }

    #[test]
    fn a_sealed_shard_is_taken_back() {
        catches(Omission::AbortSealed, ONE_SERVER, taken_back(&[S, T, S]));
    }

    #[test]
    fn a_drop_ignores_the_config() {
        catches(Omission::DropNum, SETTLES, taken_back(&[S, T, S, T]));
    }

    #[test]
    fn a_dropped_copy_stays_visible() {
        catches(Omission::DropKeepsRows, NOTHING_COMES_BACK, taken_back(&[S, T, S, T]));
    }

    #[test]
    fn a_dropped_shard_is_given_away() {
        catches(Omission::DroppedIsGivenAway, ONE_SERVER, taken_back(&[S, T, S]));
    }

    #[test]
    fn the_last_delta_is_read_before_the_seal() {
        catches(Omission::LastBeforeSeal, ONE_SERVER, one_move());
    }

    #[test]
    fn an_old_delete_is_refused() {
        catches(Omission::RefuseOldDelete, SETTLES, one_move());
    }

    #[test]
    fn configs_are_skipped() {
        catches(Omission::SkipConfigs, SETTLES, there_and_back_and_there());
    }

    #[test]
    fn the_old_owner_answers_with_the_new_config() {
        catches(Omission::AnswerNewNum, ONE_SERVER_A_CONFIG, one_move());
    }

    #[test]
    fn old_rows_stay_visible() {
        catches(Omission::OldRowsVisible, NOTHING_COMES_BACK, two_clients(Schedule::chain(&[S, T, S])));
    }

    #[test]
    fn handing_on_waits_for_the_deletion() {
        let schedule = Schedule::chain(&[S, T, U]).mortal(S, 2);
        catches(Omission::HandOnWaits, SETTLES, two_clients(schedule));
    }

    #[test]
    fn a_debt_ends_with_its_config() {
        catches(Omission::DebtEndsWithConfig, SETTLES, two_clients(Schedule::chain(&[S, T, S])));
    }

    #[test]
    fn the_old_owner_forgets_whom_it_handed_to() {
        catches(Omission::NoHandedTo, HINTS_LEAD, two_clients(Schedule::chain(&[S, T, U])));
    }
}
