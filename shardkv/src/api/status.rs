//! The truth about a group's shards, for `GetStatus`.

use super::FreezeProof;

/// Where a shard stands in its life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, prost::Enumeration)]
#[repr(i32)]
pub enum ShardPhase {
    /// Not here.
    Absent = 0,
    /// On its way here; does not serve.
    Pulling = 1,
    /// Complete here and serving; the old owner still has to delete.
    Gcing = 2,
    /// Here and serving.
    Serving = 3,
    /// On its way to another group; serves until sealed.
    BePulling = 4,
    /// On its way to another group; sealed, does not serve.
    Sealed = 5,
}

/// One shard of one group.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct ShardStatus {
    /// The shard.
    #[prost(uint32, tag = "1")]
    pub shard: u32,
    /// Where it stands.
    #[prost(enumeration = "ShardPhase", tag = "2")]
    pub phase: i32,
    /// The configuration this shard has processed here.
    #[prost(uint64, tag = "3")]
    pub config: u64,
    /// How many keys it holds here.
    #[prost(uint64, tag = "4")]
    pub keys: u64,
    /// How many bytes of keys and values.
    #[prost(uint64, tag = "5")]
    pub bytes: u64,
    /// How many session rows.
    #[prost(uint64, tag = "6")]
    pub sessions: u64,
    /// The write counter.
    #[prost(uint64, tag = "7")]
    pub version: u64,
    /// If it moves: how far it is.
    #[prost(message, optional, tag = "8")]
    pub moving: Option<MoveStatus>,
}

/// How far a move is, as this side knows it.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct MoveStatus {
    /// The group on the other side.
    #[prost(uint64, tag = "1")]
    pub peer: u64,
    /// The configuration of the move.
    #[prost(uint64, tag = "2")]
    pub config: u64,
    /// Bytes installed so far (new owner).
    #[prost(uint64, tag = "3")]
    pub bytes_done: u64,
    /// Bytes still to come, as the old owner last said; with `bytes_done`, the total.
    #[prost(uint64, tag = "4")]
    pub bytes_remaining: u64,
    /// The part of the copy: rows, sessions, delta.
    #[prost(string, tag = "5")]
    pub step: String,
}

/// A group, as its state machine knows it.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct GroupStatus {
    /// The newest configuration this group has adopted.
    #[prost(uint64, tag = "1")]
    pub config: u64,
    /// Every shard has processed everything up to this configuration, and nothing is owed.
    #[prost(uint64, tag = "2")]
    pub settled: u64,
    /// The shards that are not simply absent.
    #[prost(message, repeated, tag = "3")]
    pub shards: Vec<ShardStatus>,
    /// Old owners that still have to delete: shards whose deletion is owed.
    #[prost(uint64, tag = "4")]
    pub debts: u64,
    /// The freezes in force: while there is any, the group is read-only.
    #[prost(message, repeated, tag = "5")]
    pub freezes: Vec<FreezeProof>,
}
