//! What a shard group is asked, and what it answers.
//!
//! Messages with a `prost` derive travel (in the log, on the wire, or both); their tags never change meaning.

pub mod command;
pub mod freeze;
pub mod op;
mod query;
mod reply;
pub mod restore;
mod status;
mod transfer;

pub use command::{Command, Response};
pub use freeze::FreezeProof;
pub use op::{Append, Batch, CompareAndSet, Delete, Get, Op, Put};
pub use query::{Answer, Query, ScanPage, ScanRow};
pub use reply::{Code, Hint, Reply};
pub use status::{GroupStatus, MoveStatus, ShardPhase, ShardStatus};
pub use transfer::{Chunk, Last, Row, RowKind, TransferAnswer, TransferCursor, TransferPhase};

/// Who writes, and the how-manieth write it is: the same on every retry of one write.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct WriteId {
    /// The client: 64 random bits.
    #[prost(fixed64, tag = "1")]
    pub client: u64,
    /// One in-flight write at a time; a client pipelines with several lanes.
    #[prost(uint32, tag = "2")]
    pub lane: u32,
    /// Grows by at least one with each write of the lane; starts at 1.
    #[prost(uint64, tag = "3")]
    pub seq: u64,
    /// When the write was first issued, in milliseconds since 1970 UTC, on the client's corrected clock.
    #[prost(uint64, tag = "4")]
    pub issued_at_ms: u64,
}
