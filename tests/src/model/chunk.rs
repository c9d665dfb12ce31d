//! What GetShardsData reads and InsertShards installs.

use super::data::{CLIENTS, Data, KEYS, Row};
use super::omission::Omission;
use super::shard::{Cursor, Phase, Shard};

/// An answer of the old owner. Each base chunk holds one key, the last also the lanes; each delta chunk one change.
/// (Larger chunks are the same as several read from one state.)
pub struct Chunk {
    /// Keys included; `None` inside is a tombstone.
    rows: [Option<Option<Row>>; KEYS],
    /// Lanes included; 0 is a lane whose row is gone.
    lanes: [Option<u8>; CLIENTS],
    /// Where the copy goes on.
    pub next: Cursor,
    /// Whether nothing can follow; the three below count then.
    pub last: bool,
    counter: u8,
    time: u8,
    floor: u8,
}

impl Chunk {
    /// What a replica in state `source` answers; `None` when there is nothing new for this cursor.
    pub fn read(
        source: &Shard,
        cursor: Cursor,
        seal_asked: bool,
        omission: Option<Omission>,
    ) -> Option<Self> {
        let sealed = match source.phase {
            Phase::BePulling { sealed } => sealed || seal_asked && omission == Some(Omission::LastBeforeSeal),
            _ => false,
        };
        match cursor {
            Cursor::Base(index) => Some(Self::base(source, usize::from(index))),
            Cursor::Delta(seen) => Self::delta(source, seen, sealed, omission),
        }
    }

    fn empty(source: &Shard, next: Cursor) -> Self {
        let Data { counter, time, floor, .. } = source.data;
        Self { rows: [None; KEYS], lanes: [None; CLIENTS], next, last: false, counter, time, floor }
    }

    fn base(source: &Shard, index: usize) -> Self {
        let next = if index + 1 < KEYS { Cursor::Base(index as u8 + 1) } else { Cursor::Delta(0) };
        let mut chunk = Self::empty(source, next);
        chunk.rows[index] = source.data.rows[index].map(Some);
        if index + 1 == KEYS {
            chunk.lanes = source.data.lanes.map(|seq| Some(seq).filter(|seq| *seq != 0));
        }
        chunk
    }

    fn delta(source: &Shard, seen: u8, sealed: bool, omission: Option<Omission>) -> Option<Self> {
        let beyond = |from: u8| source.changes.iter().copied().filter(move |number| *number > from);
        if seen > source.changed && !omission.is_some_and(Omission::numbers_by_counter) {
            return None;
        }
        let Some(oldest) = beyond(seen).min() else {
            let mut chunk = Self::empty(source, Cursor::Delta(seen));
            chunk.last = true;
            return sealed.then_some(chunk);
        };
        let newest = beyond(seen).max().unwrap_or(oldest);
        let next = if omission == Some(Omission::NextTooFar) { newest } else { oldest };
        let mut chunk = Self::empty(source, Cursor::Delta(next));
        chunk.last = sealed && beyond(next).next().is_none();
        let items = source.changes.iter().enumerate().filter(|(_, number)| **number == oldest);
        let items_max = if omission == Some(Omission::SplitCounter) { 1 } else { usize::MAX };
        items.take(items_max).for_each(|(item, _)| chunk.include(source, item, omission));
        Some(chunk)
    }

    fn include(&mut self, source: &Shard, item: usize, omission: Option<Omission>) {
        if item >= KEYS {
            self.lanes[item - KEYS] = Some(source.data.lanes[item - KEYS]);
        } else if source.data.rows[item].is_some() || omission != Some(Omission::NoTombstones) {
            self.rows[item] = Some(source.data.rows[item]);
        }
    }

    /// Puts the chunk into the new owner's data.
    pub fn install(&self, data: &mut Data, omission: Option<Omission>) {
        for (row, new) in data.rows.iter_mut().zip(self.rows) {
            *row = new.unwrap_or(*row);
        }
        if omission != Some(Omission::SessionsStay) {
            for (lane, new) in data.lanes.iter_mut().zip(self.lanes) {
                *lane = new.unwrap_or(*lane);
            }
        }
        if !self.last {
            return;
        }
        if omission != Some(Omission::CounterStays) {
            data.counter = data.counter.max(self.counter);
        }
        if omission != Some(Omission::TimeStays) {
            data.time = data.time.max(self.time);
        }
        if omission != Some(Omission::FloorStays) {
            data.floor = data.floor.max(self.floor);
        }
    }
}
