//! The overlay through which `apply` works: writes gather in memory, reads see them over the view below, and
//! the whole round becomes one atomic batch.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use crate::engine::{EngineError, Reader, Row, Rows, WriteBatch};

/// One round of applies over one view. Point writes only: range deletes go to [`Txn::delete_range_later`].
pub struct Txn<'a> {
    below: &'a dyn Reader,
    writes: BTreeMap<Bytes, Option<Bytes>>,
    ranges: Vec<(Bytes, Bytes)>,
}

impl<'a> Txn<'a> {
    /// An empty overlay over `below`.
    pub fn new(below: &'a dyn Reader) -> Self {
        Self { below, writes: BTreeMap::new(), ranges: Vec::new() }
    }

    /// Stores `value` under `key`.
    pub fn put(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.writes.insert(key.into(), Some(value.into()));
    }

    /// Removes `key`.
    pub fn delete(&mut self, key: impl Into<Bytes>) {
        self.writes.insert(key.into(), None);
    }

    /// Removes the rows with `start <= key < end` when the round is written, before the round's own puts.
    /// Until then this overlay still shows them: only for rows that no later command of the round reads.
    pub fn delete_range_later(&mut self, start: impl Into<Bytes>, end: impl Into<Bytes>) {
        self.ranges.push((start.into(), end.into()));
    }

    /// Removes the rows with `start <= key < end`, this round's own included. The overlay may still show what is below:
    /// only for rows that no later command of the round reads or writes.
    pub fn forget_range_later(&mut self, start: impl Into<Bytes>, end: impl Into<Bytes>) {
        let (start, end) = (start.into(), end.into());
        self.writes.retain(|key, _| *key < start || *key >= end);
        self.delete_range_later(start, end);
    }

    /// How many point writes are waiting.
    pub fn len(&self) -> usize {
        self.writes.len()
    }

    /// Whether nothing is waiting.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.ranges.is_empty()
    }

    /// The round as one batch.
    pub fn into_batch(self) -> WriteBatch {
        let mut batch = WriteBatch::default();
        for (start, end) in self.ranges {
            batch.delete_range(start, end);
        }
        for (key, value) in self.writes {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        batch
    }
}

// The overlay is itself a view, so that reads written once serve `apply` and `query` alike.
impl Reader for Txn<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        match self.writes.get(key) {
            Some(written) => Ok(written.clone()),
            None => self.below.get(key),
        }
    }

    fn scan<'b>(&'b self, start: &[u8], end: &[u8]) -> Rows<'b> {
        if !end.is_empty() && start >= end {
            return Box::new(std::iter::empty());
        }
        let upper = if end.is_empty() { Bound::Unbounded } else { Bound::Excluded(end) };
        let over = self.writes.range::<[u8], _>((Bound::Included(start), upper));
        Box::new(Merge { over: over.peekable(), below: self.below.scan(start, end).peekable() })
    }
}

struct Merge<'b, O: Iterator<Item = (&'b Bytes, &'b Option<Bytes>)>> {
    over: std::iter::Peekable<O>,
    below: std::iter::Peekable<Rows<'b>>,
}

impl<'b, O: Iterator<Item = (&'b Bytes, &'b Option<Bytes>)>> Iterator for Merge<'b, O> {
    type Item = Result<Row, EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let below_key = match self.below.peek() {
                Some(Err(_)) => return self.below.next(),
                Some(Ok((key, _))) => Some(key),
                None => None,
            };
            let Some((over_key, _)) = self.over.peek() else { return self.below.next() };
            match below_key {
                Some(key) if key < *over_key => return self.below.next(),
                Some(key) if key == *over_key => drop(self.below.next()),
                _ => {}
            }
            if let Some((key, Some(value))) = self.over.next() {
                return Some(Ok((key.clone(), value.clone())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Engine, MemEngine};

    #[test]
    fn a_scan_merges_the_overlay_over_the_view() {
        let engine = MemEngine::default();
        let mut first = WriteBatch::default();
        for key in ["a", "c", "e"] {
            first.put(key, "old");
        }
        engine.write(first).expect("memory");
        let view = engine.view();
        let mut txn = Txn::new(&view);
        txn.put("b", "new");
        txn.put("c", "new");
        txn.delete("e");
        txn.put("f", "new");
        let rows: Vec<_> = txn.scan(b"a", b"").map(|row| row.expect("memory").0).collect();
        assert_eq!(rows, ["a", "b", "c", "f"]);
        assert_eq!(txn.get(b"c").expect("memory").expect("present"), "new");
        assert_eq!(txn.get(b"e").expect("memory"), None);
        engine.write(txn.into_batch()).expect("memory");
        assert_eq!(engine.view().scan(b"", b"").count(), 4);
    }
}
