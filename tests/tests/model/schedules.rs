//! Schedules that must hold.

use flotilla_tests::model::Schedule;
use flotilla_tests::model::schedule::{NOBODY, S, T, U, append, append_if_absent, delete, put_with_ttl};

use super::{busy_clients, holds, two_clients};

#[test]
fn one_move() {
    holds(busy_clients(Schedule::chain(&[S, T])), 11_200);
}

#[test]
fn one_move_of_a_busy_key() {
    let writes = [append(0), append(0), delete(0)];
    holds(Schedule::chain(&[S, T]).client(&writes).client(&[append(0), append(0)]), 40_500);
}

#[test]
fn on_to_a_third() {
    holds(busy_clients(Schedule::chain(&[S, T, U])), 273_000);
}

#[test]
fn there_and_back() {
    holds(busy_clients(Schedule::chain(&[S, T, S])), 80_000);
}

#[test]
fn there_and_back_twice() {
    holds(two_clients(Schedule::chain(&[S, T, S, T, S])), 207_000);
}

#[test]
fn there_and_back_and_there() {
    holds(busy_clients(Schedule::chain(&[S, T, S, T])), 313_000);
}

#[test]
fn round_and_home() {
    holds(two_clients(Schedule::chain(&[S, T, U, S])), 357_000);
}

#[test]
fn on_and_back_again() {
    holds(two_clients(Schedule::chain(&[S, T, U, T])), 394_000);
}

#[test]
fn from_nobody() {
    holds(two_clients(Schedule::chain(&[NOBODY, S, T, S])), 15_800);
}

#[test]
fn two_shards_cross() {
    let schedule = Schedule::chains(&[&[S, T], &[T, S]]);
    holds(schedule.client(&[append(0), delete(1).at_shard(1)]).client(&[append(0).at_shard(1)]), 19_800);
}

#[test]
fn two_shards_cross_and_return_past_a_dead_group() {
    let schedule = Schedule::chains(&[&[S, T, S], &[T, S, T]]).with_dead_bystander();
    holds(schedule.client(&[append(0), delete(1).at_shard(1)]).client(&[append(0)]), 291_000);
}

#[test]
fn handed_on_while_the_first_owner_is_dead() {
    holds(two_clients(Schedule::chain(&[S, T, U]).dies_after_the_install(S, 2)), 97_000);
}

#[test]
fn a_compare_that_may_fail() {
    let schedule = Schedule::chain(&[S, T, S]).client(&[append_if_absent(0), append(1)]);
    holds(schedule.client(&[delete(0), append(0)]), 75_000);
}

#[test]
fn taken_back() {
    holds(busy_clients(Schedule::chain(&[S, T, S]).cancelling()), 101_000);
}

#[test]
fn taken_back_and_given_again() {
    holds(busy_clients(Schedule::chain(&[S, T, S, T]).cancelling()), 497_000);
}

#[test]
fn taken_back_from_the_third() {
    holds(two_clients(Schedule::chain(&[S, T, U, T]).cancelling()), 473_000);
}

#[test]
fn taken_back_late() {
    holds(two_clients(Schedule::chain(&[S, T, T, S, U]).cancelling()), 982_000);
}

#[test]
fn taken_back_from_a_dead_group() {
    holds(two_clients(Schedule::chain(&[S, T, S]).cancelling().without(T)), 390);
}

#[test]
fn taken_back_from_a_group_that_dies() {
    let schedule = Schedule::chain(&[S, T, S]).cancelling().dies_in_the_base_copy(T, 2);
    holds(busy_clients(schedule), 110_000);
}

#[test]
fn taken_back_from_the_third_that_dies() {
    let schedule = Schedule::chain(&[S, T, U, T]).cancelling().dies_in_the_base_copy(U, 3);
    holds(two_clients(schedule), 624_000);
}

#[test]
fn time_passes() {
    let schedule = Schedule::chain(&[S, T, S]).ticking();
    holds(schedule.client(&[put_with_ttl(0), append(1).late()]).client(&[append(1)]), 145_000);
}

#[test]
fn time_passes_while_moves_are_taken_back() {
    let schedule = Schedule::chain(&[S, T, S, T]).ticking().cancelling();
    holds(schedule.client(&[put_with_ttl(0), append(1).late()]).client(&[append(1)]), 934_000);
}
