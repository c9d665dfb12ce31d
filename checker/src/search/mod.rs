//! Checker B. Is the history of each key linearizable? Wing and Gong's search with Lowe's memory of configurations
//! already refuted ("Testing for linearizability", 2017), on values only.
//!
//! ```text
//!   calls and returns in time ---> pick an operation that nobody returned before ---> does its answer fit the value?
//!            ^                                                                        yes: go on with the rest
//!            `--------------- undo the latest pick, take the next <------------------ no
//! ```
//!
//! * An operation of unknown outcome may take effect at any time after its call, or never.
//! * An operation that failed did not take effect: the value it would have written is never seen.
//! * Keys are independent, so histories are judged key by key.
//!
//! What it does not check: versions and configurations (A does), which version a swap found, and keys with more
//! operations or more possible orders than the limits allow. Those stay open; appends on them are D's.

use std::collections::HashSet;

use crate::keys::by_key;
use crate::record::{Operation, Outcome};
use crate::value::{answer, says_something, written};
use crate::verdict::{Limits, Verdict};
use crate::words;

mod entry;
mod guide;
mod orders;
mod unseen;

pub(crate) use entry::{Entry, entries};
pub(crate) use guide::Guide;
pub(crate) use orders::linearizable;
pub(crate) use unseen::unseen_writes;

/// How many operations before the impossible one are shown.
const SHOWN_MAX: usize = 12;

/// Judges every key.
pub fn check(history: &[Operation], limits: &Limits) -> Verdict {
    let mut verdict = Verdict::new("B");
    for (key, operations) in by_key(history) {
        if let Some((read, failed)) = failed_value_seen(&operations) {
            let what = format!(
                "a value was read that was certainly not written:{}",
                words::operations([failed, read])
            );
            verdict.wrong(read, what);
            verdict.keys += 1;
            continue;
        }
        let entries = entries(&operations);
        if entries.len() > limits.search_ops_max {
            verdict.leave(key, format!("{} operations are too many to search", entries.len()));
            continue;
        }
        match linearizable(&entries, limits.search_steps_max) {
            Some(true) => verdict.keys += 1,
            Some(false) => {
                verdict.keys += 1;
                let (culprit, what) = explain(&entries, limits.search_steps_max);
                verdict.wrong(culprit, what);
            }
            None => verdict.leave(key, "too many orders are possible to try them all"),
        }
    }
    verdict
}

/// A read of exactly what a failed operation would have written, where nobody else wrote the same.
pub(crate) fn failed_value_seen<'a>(operations: &[&'a Operation]) -> Option<(&'a Operation, &'a Operation)> {
    let is_failed = |op: &&&Operation| matches!(op.outcome, Outcome::Fail { .. });
    if !operations.iter().any(|op| is_failed(&op)) {
        return None;
    }
    let others: HashSet<_> =
        operations.iter().filter(|op| says_something(op)).filter_map(|op| written(&op.action)).collect();
    let failed = operations.iter().filter(is_failed).filter_map(|op| Some((written(&op.action)?, *op)));
    let failed: std::collections::HashMap<_, _> = failed.filter(|(text, _)| !others.contains(text)).collect();
    operations.iter().find_map(|read| Some((*read, *failed.get(answer(read)?.value.as_ref()?)?)))
}

/// Finds the first answer that cannot be: up to it, the history has an order.
fn explain<'a>(entries: &[Entry<'a>], steps_max: usize) -> (&'a Operation, String) {
    let mut returns: Vec<(u64, &'a Operation)> =
        entries.iter().filter_map(|entry| Some((entry.returned()?, entry.op))).collect();
    returns.sort_by_key(|(returned, _)| *returned);
    // What has no order never finds one again when more is added, so the first time can be bisected.
    let bad =
        returns.partition_point(|(until, _)| linearizable(&up_to(entries, *until), steps_max) != Some(false));
    let (until, culprit) = returns[bad.min(returns.len() - 1)];
    let mut before: Vec<&Operation> =
        up_to(entries, until).iter().map(|entry| entry.op).filter(|op| *op != culprit).collect();
    let left_out = before.len().saturating_sub(SHOWN_MAX);
    let before = before.split_off(left_out);
    let what = format!(
        "no order of its operations explains this answer:{}\nafter ({left_out} earlier ones left out):{}",
        words::operations([culprit]),
        words::operations(before)
    );
    (culprit, what)
}

/// The history as it was known at this moment.
fn up_to<'a>(entries: &[Entry<'a>], until: u64) -> Vec<Entry<'a>> {
    let known = entries.iter().filter(|entry| entry.op.called_ns <= until);
    known
        .map(|entry| Entry { heard: entry.heard.filter(|(returned, _)| *returned <= until), ..*entry })
        .collect()
}
