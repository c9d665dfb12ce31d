//! The newest entries of one replica's log, in memory: what apply and healthy followers read.

use std::collections::VecDeque;

use crate::raft_types::Entry;

/// Consecutive entries up to the log's last one.
#[derive(Default)]
pub(crate) struct Tail {
    entries: VecDeque<Kept>,
    bytes: usize,
}

struct Kept {
    entry: Entry,
    bytes: usize,
    /// The operation that wrote it: may be forgotten only once that is on disk.
    op: u64,
}

impl Tail {
    /// The index of the first entry kept.
    pub fn first(&self) -> Option<u64> {
        self.entries.front().map(|kept| kept.entry.log_id.index)
    }

    pub fn push(&mut self, entry: Entry, bytes: usize, op: u64) {
        self.bytes += bytes;
        self.entries.push_back(Kept { entry, bytes, op });
    }

    /// The kept entries with `start <= index < end`, until `bytes_max` is reached; at least one if there is one.
    pub fn range(&self, start: u64, end: u64, bytes_max: usize) -> Vec<Entry> {
        let Some(first) = self.first() else { return Vec::new() };
        let skip = usize::try_from(start.saturating_sub(first)).unwrap_or(usize::MAX);
        let mut bytes = 0;
        self.entries
            .iter()
            .skip(skip)
            .take_while(|kept| {
                let within = bytes == 0 || bytes + kept.bytes <= bytes_max;
                bytes += kept.bytes;
                within && kept.entry.log_id.index < end
            })
            .map(|kept| kept.entry.clone())
            .collect()
    }

    /// Forgets the entries from `index` on.
    pub fn truncate(&mut self, index: u64) {
        while self.entries.back().is_some_and(|kept| kept.entry.log_id.index >= index) {
            self.bytes -= self.entries.pop_back().map_or(0, |kept| kept.bytes);
        }
    }

    /// Forgets the entries up to `index`.
    pub fn purge(&mut self, index: u64) {
        while self.entries.front().is_some_and(|kept| kept.entry.log_id.index <= index) {
            self.bytes -= self.entries.pop_front().map_or(0, |kept| kept.bytes);
        }
    }

    /// Forgets the oldest entries that are on disk until at most `bytes_max` remain.
    pub fn evict(&mut self, bytes_max: usize, durable: u64) {
        while self.bytes > bytes_max && self.entries.front().is_some_and(|kept| kept.op <= durable) {
            self.bytes -= self.entries.pop_front().map_or(0, |kept| kept.bytes);
        }
    }

    /// The smallest index such that the entries from it on take at most `bytes_max`; none if all that are kept do.
    pub fn newest(&self, bytes_max: usize) -> Option<u64> {
        let mut bytes = 0;
        for kept in self.entries.iter().rev() {
            bytes += kept.bytes;
            if bytes > bytes_max {
                return Some(kept.entry.log_id.index + 1);
            }
        }
        None
    }
}
