//! What goes through a shard group's log.

use flotilla_types::ShardConfig;

use super::freeze::{Freeze, LapseFreeze, RenewFreeze, Thaw};
use super::restore::{OpenRestore, PublishRestore, RestoreRows};
use super::{Chunk, Op, Reply, TransferCursor, WriteId};

/// One replicated command.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Command {
    /// Which; none is refused as invalid.
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16")]
    pub kind: Option<Kind>,
}

/// Which command.
#[derive(Clone, PartialEq, Eq, Hash, prost::Oneof)]
pub enum Kind {
    /// A client's write.
    #[prost(message, tag = "1")]
    Write(Write),
    /// The next configuration.
    #[prost(message, tag = "2")]
    Adopt(ShardConfig),
    /// A piece of a shard that moves here.
    #[prost(message, tag = "3")]
    InsertShards(Chunk),
    /// The old owner stops serving a moving shard.
    #[prost(message, tag = "4")]
    Seal(Seal),
    /// The new owner has everything: the old rows die.
    #[prost(message, tag = "5")]
    DeleteShards(AtConfig),
    /// The old owner has deleted: the debt is settled.
    #[prost(message, tag = "6")]
    Acknowledge(AtConfig),
    /// Moves a shard's replicated time on, so that a read can see a key expire.
    #[prost(message, tag = "7")]
    Tick(Tick),
    /// Removes some keys whose time has come, for space; answers never depend on it.
    #[prost(message, tag = "8")]
    Expire(Tick),
    /// The controller has been told that this group settled a configuration.
    #[prost(message, tag = "9")]
    Reported(Reported),
    /// The group becomes read-only.
    #[prost(message, tag = "10")]
    Freeze(Freeze),
    /// A freeze ends.
    #[prost(message, tag = "11")]
    Thaw(Thaw),
    /// A freeze goes on.
    #[prost(message, tag = "12")]
    RenewFreeze(RenewFreeze),
    /// A freeze ends because nobody has renewed it.
    #[prost(message, tag = "13")]
    LapseFreeze(LapseFreeze),
    /// The group takes a dump.
    #[prost(message, tag = "14")]
    OpenRestore(OpenRestore),
    /// Rows of the dump.
    #[prost(message, tag = "15")]
    RestoreRows(RestoreRows),
    /// The dump is complete: the group serves.
    #[prost(message, tag = "16")]
    PublishRestore(PublishRestore),
}

/// A client's write.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Write {
    /// The shard of its keys.
    #[prost(uint32, tag = "1")]
    pub shard: u32,
    /// Whose it is; always present.
    #[prost(message, optional, tag = "2")]
    pub id: Option<WriteId>,
    /// What to do.
    #[prost(message, optional, tag = "3")]
    pub op: Option<Op>,
    /// The leader's clock when it proposed this, in milliseconds since 1970 UTC; 0: the leader does not stamp.
    #[prost(uint64, tag = "4")]
    pub now_ms: u64,
}

/// A shard at a configuration.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct AtConfig {
    /// The shard.
    #[prost(uint32, tag = "1")]
    pub shard: u32,
    /// The configuration of the move.
    #[prost(uint64, tag = "2")]
    pub config: u64,
}

/// The seal of a move.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Seal {
    /// The shard.
    #[prost(uint32, tag = "1")]
    pub shard: u32,
    /// The configuration of the move.
    #[prost(uint64, tag = "2")]
    pub config: u64,
    /// Where the new owner stands: refused (`NotReady`) unless in the delta phase.
    #[prost(message, optional, tag = "3")]
    pub cursor: Option<TransferCursor>,
    /// The leader's clock.
    #[prost(uint64, tag = "4")]
    pub now_ms: u64,
}

/// A shard and the leader's clock.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Tick {
    /// The shard.
    #[prost(uint32, tag = "1")]
    pub shard: u32,
    /// The leader's clock.
    #[prost(uint64, tag = "2")]
    pub now_ms: u64,
}

/// What the controller knows of this group.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Reported {
    /// Everything up to this configuration is settled here.
    #[prost(uint64, tag = "1")]
    pub settled: u64,
}

/// What applying a command answers: for a write, the client's reply; for a move command, `Ok` (done, or done before),
/// `NotReady` or `OutDated`.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Response {
    /// The reply.
    #[prost(message, optional, tag = "1")]
    pub reply: Option<Reply>,
}
