//! How a dump comes back into a cluster that is empty.

use super::Row;

/// The group takes rows of a dump from now on, and serves nothing until that is published. Repeats are answered again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct OpenRestore {
    /// The restore: random, not 0.
    #[prost(fixed64, tag = "1")]
    pub restore: u64,
    /// The configuration at which all groups restore: refused unless this group has settled exactly that one.
    #[prost(uint64, tag = "2")]
    pub config: u64,
}

/// Rows of one file of the dump that belong to one shard here.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct RestoreRows {
    /// The restore.
    #[prost(fixed64, tag = "1")]
    pub restore: u64,
    /// The shard here.
    #[prost(uint32, tag = "2")]
    pub shard: u32,
    /// The file's number in the dump.
    #[prost(uint32, tag = "3")]
    pub file: u32,
    /// How many pieces of that file this shard has taken before: each is taken once.
    #[prost(uint64, tag = "4")]
    pub piece: u64,
    /// The file has no more for this shard.
    #[prost(bool, tag = "5")]
    pub last: bool,
    /// The rows, as stored; never tombstones.
    #[prost(message, repeated, tag = "6")]
    pub rows: Vec<Row>,
    /// The write counter of the shard that they were in.
    #[prost(uint64, tag = "7")]
    pub counter: u64,
    /// Its replicated time.
    #[prost(uint64, tag = "8")]
    pub time_ms: u64,
    /// Its session floor.
    #[prost(uint64, tag = "9")]
    pub floor_ms: u64,
}

/// Everything is there and verified: the group serves.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct PublishRestore {
    /// The restore.
    #[prost(fixed64, tag = "1")]
    pub restore: u64,
}

/// How far a restore is, as the group says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RestoreState {
    /// This one was never open here, or another one is.
    Unknown,
    /// It is open; the shard has taken so many pieces of the file, and maybe the last.
    Open {
        /// How many.
        pieces: u64,
        /// Whether there are no more.
        whole: bool,
    },
    /// It is published.
    Published,
}
