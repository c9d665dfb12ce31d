//! An operation as the search sees it.

use crate::record::{Answer, Operation};
use crate::value::{Value, answer, says_something, step};

/// One operation in the search.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) op: &'a Operation,
    /// Its answer and when it came; none: it may act at any time after its call, or never.
    pub(crate) heard: Option<(u64, &'a Answer)>,
}

impl Entry<'_> {
    pub(crate) fn returned(&self) -> Option<u64> {
        self.heard.map(|(returned, _)| returned)
    }

    pub(crate) fn step(&self, value: &Value) -> Option<Value> {
        step(&self.op.action, self.heard.map(|(_, answer)| answer), value)
    }
}

/// What the search is about, in the order of the calls.
pub(crate) fn entries<'a>(operations: &[&'a Operation]) -> Vec<Entry<'a>> {
    let heard = |op: &'a Operation| answer(op).map(|answer| (op.returned_ns.unwrap_or(u64::MAX), answer));
    let says = operations.iter().copied().filter(|op| says_something(op));
    let mut entries: Vec<Entry> = says.map(|op| Entry { op, heard: heard(op) }).collect();
    entries.sort_by_key(|entry| entry.op.called_ns);
    entries
}
