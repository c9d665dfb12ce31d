//! Larger bounds, too slow for every test run (a minute and half a gigabyte each):
//!
//!     cargo test --release -p flotilla-tests --test model larger -- --ignored --nocapture --test-threads 1

use flotilla_tests::model::Schedule;
use flotilla_tests::model::schedule::{S, T, U, append, delete};

use super::{busy_clients, holds, two_clients};

#[test]
#[ignore = "larger bounds"]
fn round_and_home_busy() {
    holds(busy_clients(Schedule::chain(&[S, T, U, S])), 1_000_000);
}

#[test]
#[ignore = "larger bounds"]
fn there_and_back_by_a_third_with_cancellations() {
    holds(two_clients(Schedule::chain(&[S, T, U, T, S]).cancelling()), 2_200_000);
}

#[test]
#[ignore = "larger bounds"]
fn there_and_back_twice_with_cancellations() {
    holds(busy_clients(Schedule::chain(&[S, T, S, T, S]).cancelling()), 1_900_000);
}

#[test]
#[ignore = "larger bounds"]
fn taken_back_and_given_again_with_many_writes() {
    let writes = [append(0), delete(1), append(1)];
    let schedule = Schedule::chain(&[S, T, S, T]).client(&writes).client(&[append(0), append(1)]);
    holds(schedule.cancelling(), 1_600_000);
}
