//! The search for an order of one key's operations.

use std::collections::HashSet;

use super::unseen::Unseen;
use super::{Entry, Guide};
use crate::value::Value;

/// The most bytes of values that are remembered at a time.
const BYTES_MAX: usize = 128 << 20;

/// Which operations have been placed: one bit each.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Placed(Vec<u64>);

impl Placed {
    fn none(of: usize) -> Self {
        Self(vec![0; of.div_ceil(64)])
    }

    fn has(&self, at: usize) -> bool {
        self.0[at / 64] >> (at % 64) & 1 == 1
    }

    fn flip(&mut self, at: usize) {
        self.0[at / 64] ^= 1 << (at % 64);
    }
}

/// The search of one key.
struct Search<'a, 'b> {
    /// By call.
    entries: &'b [Entry<'a>],
    unseen: Unseen,
    guide: Guide,
    placed: Placed,
    /// How many operations with an answer still wait for their place.
    waiting: usize,
    /// Configurations from which nothing was found.
    refuted: HashSet<(Placed, Value)>,
    steps_max: usize,
    /// The values in them.
    bytes: usize,
}

/// One pick: the operation, and the value before it.
struct Pick {
    turn: usize,
    before: Value,
}

/// Whether there is an order; none: it was not found out within so many steps. Entries stand in the order of calls.
pub(crate) fn linearizable(entries: &[Entry<'_>], steps_max: usize) -> Option<bool> {
    let placed = Placed::none(entries.len());
    let waiting = entries.iter().filter(|entry| entry.heard.is_some()).count();
    let (unseen, guide) = (Unseen::of(entries), Guide::of(entries));
    Search { entries, unseen, guide, placed, waiting, refuted: HashSet::new(), steps_max, bytes: 0 }.run()
}

impl Search<'_, '_> {
    // Written as a loop with a stack of its own: a history is longer than a thread's stack is deep.
    fn run(mut self) -> Option<bool> {
        let mut picks: Vec<Pick> = Vec::new();
        let mut value: Value = None;
        let mut from = 0;
        while self.waiting > 0 {
            if self.refuted.len() > self.steps_max || self.bytes > BYTES_MAX {
                return None;
            }
            if let Some((turn, after)) = self.next(from, &value) {
                self.place(turn, true);
                picks.push(Pick { turn, before: std::mem::replace(&mut value, after) });
                from = 0;
                continue;
            }
            let Some(Pick { turn, before }) = picks.pop() else { return Some(false) };
            self.place(turn, false);
            value = before;
            from = turn + 1;
        }
        Some(true)
    }

    fn place(&mut self, turn: usize, forward: bool) {
        let at = turn % self.entries.len();
        self.placed.flip(at);
        if self.entries[at].heard.is_some() {
            self.waiting = if forward { self.waiting - 1 } else { self.waiting + 1 };
        }
    }

    /// The next operation that can stand here and leads to a configuration not yet refuted; with its turn. Those with an
    /// answer have the first turns: what need not be assumed is assumed last.
    fn next(&mut self, from: usize, value: &Value) -> Option<(usize, Value)> {
        let first_return = self.first_return();
        let count = self.entries.len();
        for turn in from..2 * count {
            let at = turn % count;
            let entry = &self.entries[at];
            if entry.op.called_ns > first_return
                || entry.heard.is_some() != (turn < count)
                || self.placed.has(at)
            {
                continue;
            }
            if self.unseen.is_idle(at, |at| self.placed.has(at)) {
                continue;
            }
            let after = self.unseen.step(at, entry, value).filter(|after| self.guide.allows(after));
            let Some(after) = after else { continue };
            let mut placed = self.placed.clone();
            placed.flip(at);
            // Inserted when it is entered: it is left again only when nothing was found from it.
            if self.refuted.insert((placed, after.clone())) {
                self.bytes += after.as_ref().map_or(0, bytes::Bytes::len);
                return Some((turn, after));
            }
        }
        None
    }

    /// Whoever was called after somebody's return cannot stand before him.
    fn first_return(&self) -> u64 {
        let mut first = u64::MAX;
        for (at, entry) in self.entries.iter().enumerate() {
            // Nobody called this late returns earlier.
            if entry.op.called_ns > first {
                break;
            }
            if !self.placed.has(at) {
                first = first.min(entry.returned().unwrap_or(u64::MAX));
            }
        }
        first
    }
}
