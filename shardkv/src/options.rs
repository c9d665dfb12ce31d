//! What a shard group must know before its first row: the same on every replica, for ever.

use flotilla_types::{ConfigNum, GroupId};

/// A group's identity and bounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// This group.
    pub gid: GroupId,
    /// The configuration whose Join created it. The group owns nothing before it.
    pub incarnation: ConfigNum,
    /// How many shards the cluster has.
    pub shards: u32,
    /// Bounds. They shape what `apply` decides, so they never change while a group lives.
    pub limits: KvLimits,
}

impl Options {
    /// A group with the usual bounds.
    pub fn new(gid: GroupId, incarnation: ConfigNum, shards: u32) -> Self {
        Self { gid, incarnation, shards, limits: KvLimits::default() }
    }
}

/// Bounds of a shard group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KvLimits {
    /// The most session rows one shard keeps; beyond it the oldest leave early, by raising the floor.
    pub session_rows_max: u64,
    /// How long a retry is remembered, in milliseconds.
    pub session_window_ms: u64,
    /// How far ahead of the shard's time a command may claim to have been issued, in milliseconds.
    pub future_skew_max_ms: u64,
    /// The most bytes of values that a batch which also writes may read: they are remembered for its retries.
    pub batch_reads_bytes_max: usize,
    /// The new owner asks for the seal once no more than this is said to remain, in bytes.
    pub seal_when_bytes: u64,
    /// ... or after so many delta chunks, or sustained writes would put the seal off for ever.
    pub delta_rounds_max: u32,
    /// The most keys that one `Expire` removes.
    pub expire_keys_max: usize,
}

impl Default for KvLimits {
    fn default() -> Self {
        Self {
            session_rows_max: 100_000,
            session_window_ms: 60 * 60 * 1000,
            future_skew_max_ms: 60 * 1000,
            batch_reads_bytes_max: 16 * 1024,
            seal_when_bytes: 64 * 1024,
            delta_rounds_max: 64,
            expire_keys_max: 256,
        }
    }
}
