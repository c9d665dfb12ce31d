//! What a checker says of a history.

use std::time::Duration;

use crate::record::{Operation, Violation};
use crate::text::Text;

/// The verdict of one checker.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Verdict {
    /// Its letter.
    pub by: &'static str,
    /// How many keys it judged.
    pub keys: usize,
    /// Keys that it could not judge, wholly or in part, each with the reason.
    pub open: Vec<(Text, String)>,
    /// What is wrong; empty: nothing was found.
    pub violations: Vec<Violation>,
    /// How long it took, for people.
    pub took: Duration,
}

/// What the checkers may assume and spend.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Limits {
    /// How many shards there are, if it is known: then versions are compared between the keys of a shard.
    pub shards: Option<u32>,
    /// The most operations on one key that the searching checkers (B and C) take on.
    pub search_ops_max: usize,
    /// The most configurations of one key that B looks at.
    pub search_steps_max: usize,
    /// The most operations of unknown outcome on one key that C takes on: each may double its work.
    pub search_unknown_max: usize,
    /// The longest that C may take for one batch of keys, as a last resort.
    pub search_time_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            shards: None,
            search_ops_max: 1000,
            search_steps_max: 400_000,
            search_unknown_max: 6,
            search_time_max: Duration::from_secs(5),
        }
    }
}

impl Verdict {
    /// A verdict with nothing in it.
    pub(crate) fn new(by: &'static str) -> Self {
        Self { by, ..Self::default() }
    }

    /// Whether nothing wrong was found.
    pub fn holds(&self) -> bool {
        self.violations.is_empty()
    }

    /// Notes something wrong with a key, seen at this operation.
    pub(crate) fn wrong(&mut self, op: &Operation, what: String) {
        let at_ns = op.returned_ns.unwrap_or(op.called_ns);
        let what = format!("key {}: {what}", op.key);
        self.violations.push(Violation { at_ns, by: self.by.to_owned(), what, key: Some(op.key.clone()) });
    }

    /// Notes that a key stays open.
    pub(crate) fn leave(&mut self, key: &Text, why: impl Into<String>) {
        self.open.push((key.clone(), why.into()));
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { by, keys, open, violations, .. } = self;
        match violations.len() {
            0 => write!(f, "{by}: holds, {keys} keys judged")?,
            1 => write!(f, "{by}: VIOLATED, {keys} keys judged")?,
            more => write!(f, "{by}: VIOLATED {more} times, {keys} keys judged")?,
        }
        if !open.is_empty() {
            write!(f, ", {} left open", open.len())?;
        }
        Ok(())
    }
}
