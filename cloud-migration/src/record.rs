//! The record of one migration: what every node reads, and what the next owner goes on from.
//!
//! The record is small, however large the cluster: its files ([`crate::file::File`]) and their parts are rows of their
//! own, and the record holds only their sums. Nothing secret is ever in it: no key, no password, no presigned URL.

use crate::options::{Options, Target};
use crate::state::State;

/// One migration, from its creation until it is forgotten.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Record {
    /// Its number in this cluster, from 1; never used again.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// What the migration store calls it; empty for a bucket, and before the store was asked.
    #[prost(string, tag = "2")]
    pub external_id: String,
    /// 1, and one more with each retry. Part of every object's key.
    #[prost(uint32, tag = "3")]
    pub attempt: u32,
    /// The migration that this one tries again; 0: none.
    #[prost(uint64, tag = "4")]
    pub retry_of: u64,
    /// How far it is.
    #[prost(enumeration = "State", tag = "5")]
    pub state: i32,
    /// 0 to 100; never falls.
    #[prost(uint32, tag = "6")]
    pub progress: u32,
    /// What is going on, for people.
    #[prost(string, tag = "7")]
    pub detail: String,
    /// Where it goes.
    #[prost(message, optional, tag = "8")]
    pub target: Option<Target>,
    /// How it goes.
    #[prost(message, optional, tag = "9")]
    pub options: Option<Options>,
    /// Who drives it.
    #[prost(message, optional, tag = "10")]
    pub owner: Option<Owner>,
    /// The freeze: absent until the configuration is pinned.
    #[prost(message, optional, tag = "11")]
    pub freeze: Option<Freeze>,
    /// The groups of the pinned configuration, by gid; none until it is pinned.
    #[prost(message, repeated, tag = "12")]
    pub groups: Vec<Group>,
    /// Sums over the files.
    #[prost(message, optional, tag = "13")]
    pub totals: Option<Totals>,
    /// What is still to be undone or tidied up.
    #[prost(message, repeated, tag = "14")]
    pub compensations: Vec<Compensation>,
    /// Why it ended in error.
    #[prost(message, optional, tag = "15")]
    pub error: Option<Failure>,
    /// When it was created, in milliseconds since 1970 UTC, as the controller's leader saw it.
    #[prost(uint64, tag = "16")]
    pub created_ms: u64,
    /// When it last changed.
    #[prost(uint64, tag = "17")]
    pub updated_ms: u64,
    /// What happened, oldest first; bounded.
    #[prost(message, repeated, tag = "18")]
    pub timeline: Vec<Event>,
    /// Grows by one with each change of this record or of its files.
    #[prost(uint64, tag = "20")]
    pub revision: u64,
    /// While true no join, leave or move makes a new configuration.
    #[prost(bool, tag = "21")]
    pub pauses: bool,
    /// A digest of the plan once every group has planned: CRC32C over the files, in order, as they were planned.
    #[prost(uint32, tag = "22")]
    pub plan_digest: u32,
    /// The cluster that is carried, 32 hex digits.
    #[prost(string, tag = "23")]
    pub cluster: String,
    /// How many shards the cluster has.
    #[prost(uint32, tag = "24")]
    pub shards: u32,
}

/// Who drives a migration.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Owner {
    /// The node that claimed it last; 0: nobody yet.
    #[prost(uint64, tag = "1")]
    pub node: u64,
    /// The number of that claim; 0 before the first. Commands of earlier claims are refused.
    #[prost(uint64, tag = "2")]
    pub epoch: u64,
    /// Whether the claim's lease stands: it was neither given back nor expired.
    #[prost(bool, tag = "3")]
    pub leased: bool,
    /// How often the lease was renewed. Whoever sees it stand still for too long lets it expire.
    #[prost(uint64, tag = "4")]
    pub renewals: u64,
}

/// The freeze of all groups.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Freeze {
    /// Grows with every freeze of this cluster; a thaw of it refuses every freeze up to it for good.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// The configuration that is pinned: every group had settled it, and none follows while the migration pauses moves.
    #[prost(uint64, tag = "2")]
    pub config: u64,
    /// When the configuration was pinned: time to live stands still from here on.
    #[prost(uint64, tag = "3")]
    pub started_ms: u64,
    /// When the last group had acknowledged; 0 before.
    #[prost(uint64, tag = "4")]
    pub complete_ms: u64,
    /// When the thaw was decided; 0 before.
    #[prost(uint64, tag = "5")]
    pub ended_ms: u64,
    /// When the last group was thawed; 0 before.
    #[prost(uint64, tag = "6")]
    pub thawed_ms: u64,
}

/// One group of the pinned configuration.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Group {
    /// The group.
    #[prost(uint64, tag = "1")]
    pub gid: u64,
    /// Its life.
    #[prost(uint64, tag = "2")]
    pub incarnation: u64,
    /// The index and term of the log entry that made it read-only; absent until it has acknowledged.
    #[prost(message, optional, tag = "3")]
    pub ack: Option<Ack>,
    /// After the last acknowledgement it was seen in the same freeze, unthawed since, with the same counters.
    #[prost(bool, tag = "4")]
    pub proven: bool,
    /// The node that dumps it and sends its files; 0: nobody yet.
    #[prost(uint64, tag = "5")]
    pub node: u64,
    /// The number of this assignment; commands of nodes under earlier ones are refused.
    #[prost(uint32, tag = "6")]
    pub assignment: u32,
    /// How many of its files are planned, ...
    #[prost(uint32, tag = "7")]
    pub planned: u32,
    /// ... and whether these are all.
    #[prost(bool, tag = "8")]
    pub planned_all: bool,
    /// How many of its files were made, ...
    #[prost(uint32, tag = "9")]
    pub dumped: u32,
    /// ... and how many are in the store.
    #[prost(uint32, tag = "10")]
    pub done: u32,
    /// The nodes that hold a replica of it.
    #[prost(uint64, repeated, tag = "11")]
    pub nodes: Vec<u64>,
    /// Those of them that can no longer read what was pinned.
    #[prost(uint64, repeated, tag = "12")]
    pub lost: Vec<u64>,
}

/// A group's acknowledgement of the freeze.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Ack {
    /// The log index at which it became read-only.
    #[prost(uint64, tag = "1")]
    pub index: u64,
    /// The term of that entry.
    #[prost(uint64, tag = "2")]
    pub term: u64,
    /// The sum of its shards' write counters there: what continuity is judged by.
    #[prost(uint64, tag = "3")]
    pub counters: u64,
}

/// Sums over a migration's files. Bytes of rows are raw, before compression; bytes of files as they are in the store.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Totals {
    /// Files planned, ...
    #[prost(uint32, tag = "1")]
    pub files: u32,
    /// ... of those dumped, ...
    #[prost(uint32, tag = "2")]
    pub files_dumped: u32,
    /// ... of those in the store.
    #[prost(uint32, tag = "3")]
    pub files_done: u32,
    /// Bytes of rows, as planned, ...
    #[prost(uint64, tag = "4")]
    pub bytes_planned: u64,
    /// ... of those dumped (as planned, so that the two can be compared).
    #[prost(uint64, tag = "5")]
    pub bytes_dumped: u64,
    /// Bytes of the dumped files, ...
    #[prost(uint64, tag = "6")]
    pub bytes_files: u64,
    /// ... of those in the store, finished parts included.
    #[prost(uint64, tag = "7")]
    pub bytes_uploaded: u64,
    /// Rows in the dumped files.
    #[prost(uint64, tag = "8")]
    pub rows: u64,
}

/// What is still to be undone or tidied up. Each is ticked off by removing it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Message)]
pub struct Compensation {
    /// What to do.
    #[prost(enumeration = "Undo", tag = "1")]
    pub undo: i32,
    /// Of which: a gid, a node, or 0.
    #[prost(uint64, tag = "2")]
    pub of: u64,
}

/// The kinds of [`Compensation`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, prost::Enumeration)]
#[repr(i32)]
pub enum Undo {
    /// Thaw group `of`.
    Thaw = 0,
    /// Node `of` removes its local files and pins.
    Local = 1,
    /// Abort the uploads and delete the objects of this attempt, unless they are to be kept.
    Store = 2,
}

/// Why a migration ended in error. Never holds a secret.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Failure {
    /// A word for programs: `freeze_timeout`, `drain_timeout`, `freeze_broken`, `target_denied`, ...
    #[prost(string, tag = "1")]
    pub code: String,
    /// The state that it happened in.
    #[prost(enumeration = "State", tag = "2")]
    pub phase: i32,
    /// For people.
    #[prost(string, tag = "3")]
    pub message: String,
    /// Whether `retry` makes sense without changing anything.
    #[prost(bool, tag = "4")]
    pub retryable: bool,
}

/// Something that happened.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Event {
    /// When, in milliseconds since 1970 UTC.
    #[prost(uint64, tag = "1")]
    pub at_ms: u64,
    /// What, for people.
    #[prost(string, tag = "2")]
    pub what: String,
}

impl Group {
    /// Whether the freeze was acknowledged.
    pub fn is_frozen(&self) -> bool {
        self.ack.is_some()
    }

    /// The nodes that can still read what was pinned.
    pub fn readers(&self) -> impl Iterator<Item = u64> + '_ {
        self.nodes.iter().copied().filter(|node| !self.lost.contains(node))
    }
}

impl Compensation {
    /// One of a kind.
    pub fn new(undo: Undo, of: u64) -> Self {
        Self { undo: undo.into(), of }
    }
}

impl Record {
    /// Whether there is anything left for an owner to do.
    pub fn is_owed(&self) -> bool {
        !self.state().is_terminal() || self.cleanup_pending()
    }

    /// Whether something is still to be undone or tidied up.
    pub fn cleanup_pending(&self) -> bool {
        !self.compensations.is_empty()
    }

    /// The number of the latest claim.
    pub fn epoch(&self) -> u64 {
        self.owner.map_or(0, |owner| owner.epoch)
    }

    /// Its sums.
    pub fn totals(&self) -> Totals {
        self.totals.unwrap_or_default()
    }

    /// A group of the pinned configuration.
    pub fn group(&self, gid: u64) -> Option<&Group> {
        self.groups.iter().find(|group| group.gid == gid)
    }

    /// Whether this is still to be done.
    pub fn owes(&self, undo: Undo, of: u64) -> bool {
        self.compensations.contains(&Compensation::new(undo, of))
    }

    /// Whether any group may still be read-only because of this migration.
    pub fn holds_freeze(&self) -> bool {
        let owed = self.compensations.iter().any(|owed| owed.undo() == Undo::Thaw);
        owed || self.freeze.is_some_and(|freeze| freeze.ended_ms == 0)
    }

    /// The folder of its files below the target's prefix: `m<id>-a<attempt>-<cluster>`, with the start of the cluster's id,
    /// so that two clusters do not write over each other. The manifest stands beside it, at the prefix itself.
    pub fn folder(&self) -> String {
        let cluster = self.cluster.get(..8).unwrap_or(&self.cluster);
        format!("m{}-a{}-{cluster}", self.id, self.attempt).trim_end_matches('-').to_owned()
    }
}
