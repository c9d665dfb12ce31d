//! Every class of broken history is found, by whom it should be; and what is not broken is left in peace.

use std::collections::BTreeMap;
use std::time::Duration;

use flotilla_checker::generate::{Break, Shape, broken, history};
use flotilla_checker::{Limits, judge_within, words};

const SEEDS: u64 = 60;

fn limits(shape: &Shape) -> Limits {
    Limits { shards: Some(shape.shards), search_time_max: Duration::from_millis(300), ..Limits::default() }
}

#[test]
fn honest_histories_are_left_in_peace() {
    for seed in 0..3 * SEEDS {
        let shape = Shape { unknown_per_mille: seed % 4 * 30, ..Shape::default() };
        let history = history(seed, &shape);
        let verdicts = judge_within(&history, &limits(&shape));
        let found: Vec<_> = verdicts.violations().map(|violation| violation.what.clone()).collect();
        assert!(found.is_empty(), "seed {seed}: {}{}", found.join("\n"), words::operations(&history));
        assert!(verdicts.each.iter().all(|verdict| verdict.keys > 0), "seed {seed}: {:?}", verdicts.each);
    }
}

/// In how many of a hundred histories each checker must find the class. Those that see values alone cannot see
/// everything, as an operation of unknown outcome, or one under way, may explain it; and D sees appends only.
fn wanted(how: Break) -> [(&'static str, u64); 4] {
    let [values, appends] = match how {
        Break::VersionBack | Break::TwoOwners | Break::ConfigBack => [0, 0],
        Break::DuplicatedAppend | Break::RetriedAppend | Break::LostUpdate => [95, 30],
        Break::LostWrite | Break::FailedWriteActs => [85, 30],
        Break::StaleRead => [95, 15],
        Break::ReorderedSwap | Break::RefusedSwap => [95, 0],
        Break::ResurrectedDelete => [85, 0],
    };
    // It knows no more of unknown outcomes than the others.
    let all = if how == Break::RetriedAppend { 95 } else { 98 };
    [("A", all), ("B", values), ("C", values), ("D", appends)]
}

#[test]
fn every_class_is_found_by_whom_it_should_be() {
    println!("{:<20} {:>6} {:>5} {:>5} {:>5} {:>5}", "class", "seeds", "A", "B", "C", "D");
    let mut complaints = Vec::new();
    for how in Break::ALL {
        let mut found: BTreeMap<&str, u64> = BTreeMap::new();
        let mut seeds = 0;
        for seed in 0..SEEDS {
            let shape = Shape {
                unknown_per_mille: if seed % 2 == 0 || how == Break::RetriedAppend { 30 } else { 0 },
                ..Shape::default()
            };
            let Some(history) = broken(seed, &shape, how) else { continue };
            seeds += 1;
            let verdicts = judge_within(&history, &limits(&shape));
            assert_eq!(verdicts.disagreements, [], "{how:?} seed {seed}");
            for verdict in verdicts.each.iter().filter(|verdict| !verdict.holds()) {
                *found.entry(verdict.by).or_default() += 1;
            }
        }
        let count = |by: &str| found.get(by).copied().unwrap_or_default();
        let row = ["A", "B", "C", "D"].map(count);
        println!(
            "{:<20} {seeds:>6} {:>5} {:>5} {:>5} {:>5}",
            format!("{how:?}"),
            row[0],
            row[1],
            row[2],
            row[3]
        );
        if seeds < SEEDS / 2 {
            complaints.push(format!("{how:?}: only {seeds} histories gave an occasion"));
        }
        for (by, percent) in wanted(how) {
            if count(by) * 100 < percent * seeds {
                complaints
                    .push(format!("{how:?}: {by} found it in {} of {seeds}, {percent}% were due", count(by)));
            }
            if percent == 0 && how.is_of_numbers() && count(by) > 0 {
                complaints
                    .push(format!("{how:?}: {by} cannot have seen it, and said so {} times", count(by)));
            }
        }
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}
