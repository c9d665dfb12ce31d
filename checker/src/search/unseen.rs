//! What of an operation of unknown outcome can never be read.
//!
//! A word that is in no answer may still have been written: it explains that a delete found something, or that a swap
//! did not. Which such word it was, nobody can tell, so all values with one in them count as the same, and of
//! operations that would write one only the earliest has to be tried: it can stand wherever a later one could. The same
//! is true of deletes of unknown outcome. Without this, every operation of unknown outcome doubles the search.

use bytes::Bytes;

use super::Entry;
use crate::record::{Action, Expected};
use crate::value::{Value, answer, written};

/// The operations of which only the earliest has to be tried.
#[derive(Debug)]
pub(super) struct Unseen {
    /// Puts and appends of unknown outcome whose word is in no answer, by call.
    pub(super) writes: Vec<usize>,
    /// Deletes of unknown outcome, by call.
    pub(super) removals: Vec<usize>,
    /// Stands for every value with such a word in it. Longer than whatever is compared with it.
    mark: Bytes,
}

impl Unseen {
    pub(super) fn of(entries: &[Entry<'_>]) -> Self {
        let texts = compared(entries);
        let (mut writes, mut removals) = (Vec::new(), Vec::new());
        for (at, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.heard.is_none()) {
            match &entry.op.action {
                Action::Put { value } | Action::Append { value }
                    if !texts.iter().any(|text| holds(text, value.bytes())) =>
                {
                    writes.push(at);
                }
                Action::Delete => removals.push(at),
                _ => {}
            }
        }
        let lengths = texts.iter().map(|text| text.len());
        let lengths =
            lengths.chain(entries.iter().filter_map(|entry| Some(written(&entry.op.action)?.bytes().len())));
        let longest = lengths.max().unwrap_or_default();
        Self { writes, removals, mark: vec![0; longest + 1].into() }
    }

    /// Whether an earlier one, not placed yet, can stand wherever this one can.
    pub(super) fn is_idle(&self, at: usize, is_placed: impl Fn(usize) -> bool) -> bool {
        let behind = |all: &[usize]| {
            all.binary_search(&at).is_ok() && all.iter().find(|at| !is_placed(**at)) != Some(&at)
        };
        behind(&self.writes) || behind(&self.removals)
    }

    /// The value after an operation, if its answer fits the value before.
    pub(super) fn step(&self, at: usize, entry: &Entry<'_>, value: &Value) -> Option<Value> {
        let is_marked = value.as_ref() == Some(&self.mark);
        let appends = matches!(entry.op.action, Action::Append { .. });
        if self.writes.binary_search(&at).is_ok() || (is_marked && appends) {
            return Some(Some(self.mark.clone()));
        }
        entry.step(value)
    }
}

/// Puts and appends of unknown outcome whose word is in no answer, by call.
pub(crate) fn unseen_writes(entries: &[Entry<'_>]) -> Vec<usize> {
    Unseen::of(entries).writes
}

/// Every text that some value is compared with, but those that another one begins with.
fn compared<'a>(entries: &[Entry<'a>]) -> Vec<&'a [u8]> {
    let read = entries.iter().filter_map(|entry| answer(entry.op)?.value.as_ref());
    let expected = entries.iter().filter_map(|entry| match &entry.op.action {
        Action::Swap { expected: Expected::Value(value), .. } => Some(value),
        _ => None,
    });
    let mut texts: Vec<&[u8]> = read.chain(expected).map(|text| text.bytes()).collect();
    texts.sort_unstable();
    let begins_next: Vec<bool> =
        texts.windows(2).map(|pair| pair[1].starts_with(pair[0])).chain([false]).collect();
    texts.into_iter().zip(begins_next).filter(|(_, begins)| !begins).map(|(text, _)| text).collect()
}

fn holds(text: &[u8], word: &[u8]) -> bool {
    word.is_empty() || text.windows(word.len()).any(|window| window == word)
}
