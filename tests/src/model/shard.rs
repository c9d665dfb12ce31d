//! One shard as one group's log holds it.

use super::data::{CLIENTS, Data, KEYS};
use super::schedule::Gid;

/// How far a copy has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Cursor {
    /// The next base chunk.
    Base(u8),
    /// The change rows beyond this number.
    Delta(u8),
}

/// Where a shard stands in its life at a group.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Phase {
    /// Not here.
    Absent,
    /// Being copied from `from`; does not serve.
    Pulling {
        /// The owner before.
        from: Gid,
    },
    /// Here. GCing is Serving with a debt: the previous owner has not deleted yet.
    Serving,
    /// Being copied away; serves until it is sealed.
    BePulling {
        /// Whether writes have been stopped for the last delta.
        sealed: bool,
    },
}

/// A shard at a group.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Shard {
    /// The config this shard has processed.
    pub at: u8,
    /// Its phase.
    pub phase: Phase,
    /// What the copy asks for next; the start when there is none.
    pub cursor: Cursor,
    /// Rows, sessions, counter, time, floor.
    pub data: Data,
    /// Change rows: for each key, then for each lane, the number of its last change; 0 is none.
    pub changes: [u8; KEYS + CLIENTS],
    /// The number of the last change row since the shard began to leave.
    pub changed: u8,
    /// Configs (as bits) whose move was installed here.
    pub installed: u8,
    /// Configs (as bits) whose previous owner has not yet been seen to delete.
    pub debts: u8,
    /// To whom this group handed the shard last.
    pub handed_to: Option<Gid>,
}

impl Shard {
    /// Not here, at config 1.
    pub fn absent() -> Self {
        Self {
            at: 1,
            phase: Phase::Absent,
            cursor: Cursor::Base(0),
            data: Data::default(),
            changes: [0; KEYS + CLIENTS],
            changed: 0,
            installed: 0,
            debts: 0,
            handed_to: None,
        }
    }

    /// Whether reads and writes are answered.
    pub fn serves(&self) -> bool {
        matches!(self.phase, Phase::Serving | Phase::BePulling { sealed: false })
    }

    /// Whether the shard is being copied away.
    pub fn is_source(&self) -> bool {
        matches!(self.phase, Phase::BePulling { .. })
    }

    /// Whether the move of `num` is past at this source: deleted, or already at a later config.
    pub fn is_past(&self, num: u8) -> bool {
        self.at > num || self.at == num && self.phase == Phase::Absent
    }

    /// The copy is over: no change rows are needed any more.
    pub fn forget_changes(&mut self) {
        (self.changes, self.changed) = (Default::default(), 0);
    }

    /// What a replica's answer to GetShardsData depends on, and nothing else.
    pub fn snapshot(&self) -> Self {
        Self { installed: 0, debts: 0, handed_to: None, ..*self }
    }
}

/// The bit of config `num`.
pub fn bit(num: u8) -> u8 {
    1 << num
}
