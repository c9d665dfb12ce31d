//! Guards taken out, one at a time: each must be caught by the property named.

use flotilla_tests::model::properties::*;
use flotilla_tests::model::schedule::{S, T, U, append, append_if_absent, delete, put_with_ttl};
use flotilla_tests::model::{Omission, Schedule};

use super::{catches, two_clients};

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
    catches(Omission::TimeStays, NOTHING_COMES_BACK, schedule.client(&[put_with_ttl(0)]));
}

#[test]
fn the_floor_stays_behind() {
    let schedule = Schedule::chain(&[S, T]).client(&[append(0)]).client(&[append(1).late()]);
    catches(Omission::FloorStays, NOTHING_DOUBLED, schedule);
}

#[test]
fn sessions_below_the_floor_are_obeyed() {
    let schedule = Schedule::chain(&[S, T]).client(&[append(0), append(0)]).client(&[append(1).late()]);
    catches(Omission::GoneRowsObeyed, NOTHING_DOUBLED, schedule);
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
fn changes_are_numbered_by_the_counter() {
    catches(Omission::NumberedByCounter, NOTHING_DOUBLED, a_compare_that_may_fail());
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
    let schedule = Schedule::chain(&[S, T, U]).dies_after_the_install(S, 2);
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
