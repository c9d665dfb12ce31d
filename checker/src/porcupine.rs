//! Checker C. A second opinion on linearizability, by `porcupine-rs`: somebody else's search, on values only.
//!
//! It sees what B sees, with the same reading of each operation, and must say the same. An operation of unknown outcome
//! returns at the end of time.
//!
//! What it does not check: versions and configurations (A does), and keys with more operations, or more of them of
//! unknown outcome, than the limits allow. What takes too long stays open.

use std::time::Duration;

use porcupine_rs::{CheckResult, Model};

use crate::keys::by_key;
use crate::record::{Action, Answer, Operation};
use crate::search::{Entry, Guide, entries, failed_value_seen, unseen_writes};
use crate::text::Text;
use crate::value::{Value, step};
use crate::verdict::{Limits, Verdict};

/// How many keys are given at once: the library starts a thread for each.
const KEYS_AT_ONCE: usize = 16;

/// Judges every key.
pub fn check(history: &[Operation], limits: &Limits) -> Verdict {
    let mut verdict = Verdict::new("C");
    let mut keys = Vec::new();
    for (key, operations) in by_key(history) {
        let entries = entries(&operations);
        if entries.len() > limits.search_ops_max {
            verdict.leave(key, format!("{} operations are too many to search", entries.len()));
        } else if let Some((read, _)) = failed_value_seen(&operations) {
            verdict.keys += 1;
            verdict.wrong(read, "a value was read that was certainly not written".to_owned());
        } else {
            let entries = that_matter(entries);
            let unknown = entries.iter().filter(|entry| entry.heard.is_none()).count();
            if unknown > limits.search_unknown_max && !Guide::of(&entries).leads() {
                verdict.leave(key, format!("{unknown} unknown outcomes are too many to search"));
            } else {
                keys.push((key, entries));
            }
        }
    }
    for batch in keys.chunks(KEYS_AT_ONCE) {
        check_batch(batch, limits.search_time_max, &mut verdict);
    }
    verdict
}

/// All at once; one by one only if something is wrong with one of them.
fn check_batch(batch: &[(&Text, Vec<Entry<'_>>)], time_max: Duration, verdict: &mut Verdict) {
    let all: Vec<_> = batch.iter().flat_map(|(_, entries)| operations(entries)).collect();
    if porcupine_rs::check_operations_timeout::<Key>(&all, time_max) == CheckResult::Ok {
        verdict.keys += batch.len();
        return;
    }
    for (key, entries) in batch {
        let one = operations(entries);
        match porcupine_rs::check_operations_timeout::<Key>(&one, time_max) {
            CheckResult::Ok => verdict.keys += 1,
            CheckResult::Illegal => {
                verdict.keys += 1;
                let last = entries.last().expect("what has no operations has an order").op;
                verdict.wrong(last, "no order of its operations explains the answers".to_owned());
            }
            CheckResult::Unknown => verdict.leave(key, "no verdict within the time allowed"),
        }
    }
}

fn operations(entries: &[Entry<'_>]) -> Vec<porcupine_rs::Operation<Key>> {
    let guide = Guide::of(entries);
    entries.iter().map(|entry| operation(entry, &guide)).collect()
}

fn operation(entry: &Entry<'_>, guide: &Guide) -> porcupine_rs::Operation<Key> {
    let ns = |at: u64| i64::try_from(at).unwrap_or(i64::MAX);
    let answer = entry.heard.map(|(_, answer)| answer.clone());
    let op = entry.op;
    porcupine_rs::Operation {
        client_id: None,
        call_time: ns(op.called_ns),
        return_time: entry.heard.map_or(i64::MAX, |(returned, _)| ns(returned)),
        op: Asked { key: op.key.clone(), action: op.action.clone(), answer, guide: guide.clone() },
        metadata: None,
    }
}

/// Leaves out the writes of unknown outcome that no answer can tell of: those whose word is in no answer, on a key where
/// no answer tells whether the key was there. Each of them would double the work, and change nothing.
fn that_matter<'a>(entries: Vec<Entry<'a>>) -> Vec<Entry<'a>> {
    let tells_presence = |entry: &Entry<'_>| matches!(entry.op.action, Action::Delete | Action::Swap { .. });
    if entries.iter().any(tells_presence) {
        return entries;
    }
    let unseen = unseen_writes(&entries);
    let numbered = entries.into_iter().enumerate();
    numbered.filter(|(at, _)| unseen.binary_search(at).is_err()).map(|(_, entry)| entry).collect()
}

/// One key, as the library wants it.
#[derive(Clone)]
struct Key;

/// An operation, as the library wants it.
#[derive(Clone, Debug)]
struct Asked {
    key: Text,
    action: Action,
    /// None: the outcome is unknown.
    answer: Option<Answer>,
    /// What is known of the key's values.
    guide: Guide,
}

impl Model for Key {
    type State = Value;
    type Op = Asked;
    type Metadata = ();

    fn partition_operations(
        history: &[porcupine_rs::Operation<Self>],
    ) -> Vec<Vec<porcupine_rs::Operation<Self>>> {
        // They come key by key.
        history.chunk_by(|one, next| one.op.key == next.op.key).map(<[_]>::to_vec).collect()
    }

    fn init() -> Value {
        None
    }

    fn step(value: &Value, op: &Asked) -> (bool, Value) {
        let after = step(&op.action, op.answer.as_ref(), value).filter(|after| op.guide.allows(after));
        (after.is_some(), after.flatten())
    }
}
