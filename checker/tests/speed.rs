//! A long history is judged in seconds.

use std::time::{Duration, Instant};

use flotilla_checker::generate::{Shape, history};
use flotilla_checker::{Limits, judge_within};

fn shape(operations: usize) -> Shape {
    Shape {
        operations,
        clients: 40,
        keys: 40,
        key_operations: 100,
        logs: 1,
        shards: 16,
        unknown_per_mille: 5,
        failed_per_mille: 5,
        moved_per_mille: 1,
    }
}

/// Takes a history of so many operations; prints how long each checker takes.
fn judged_in(operations: usize) -> Duration {
    let shape = shape(operations);
    let history = history(7, &shape);
    let began = Instant::now();
    let verdicts = judge_within(&history, &Limits { shards: Some(shape.shards), ..Limits::default() });
    let took = began.elapsed();
    for verdict in &verdicts.each {
        println!("{verdict} in {:?}", verdict.took);
    }
    println!("{} operations judged in {took:?}", history.len());
    assert!(verdicts.hold(), "{:?}", verdicts.violations().next());
    took
}

#[test]
fn a_run_of_twenty_thousand_operations_is_judged_at_once() {
    assert!(judged_in(20_000) < Duration::from_secs(20));
}

/// Needs a release build; `cargo test --release -p flotilla-checker --test speed -- --ignored --nocapture`.
#[test]
#[ignore = "a minute, and only a release build is fast enough"]
fn a_million_operations_are_judged() {
    judged_in(1_000_000);
}
