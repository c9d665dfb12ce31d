//! What an operation answers. A refusal is a value, deterministic and typed, never an error of the machine.

use bytes::Bytes;

/// What became of an operation. `Ok`, `NoKey` and `CompareFailed` are outcomes (recorded in the session, for writes);
/// the others are refusals (nothing was written, the session is untouched).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, prost::Enumeration)]
#[repr(i32)]
pub enum Code {
    /// Done.
    Ok = 0,
    /// The key is not there (get, delete).
    NoKey = 1,
    /// The key was not as expected; nothing was written.
    CompareFailed = 2,
    /// Another group has this shard: ask the one in the hint.
    WrongGroup = 3,
    /// Another replica leads: ask the one in the hint.
    WrongLeader = 4,
    /// The shard is on its way, or the group is starting: ask again shortly.
    NotReady = 5,
    /// The request belongs to a configuration that is over.
    OutDated = 6,
    /// The deadline passed; the outcome may be unknown.
    Timeout = 7,
    /// The cluster is frozen by a cloud migration, named in the message.
    ReadOnly = 8,
    /// A key, value or batch is over its limit, named in the message.
    TooLarge = 9,
    /// Too much is waiting already: ask again after `retry_after_ms`.
    Overloaded = 10,
    /// This write id is older than the memory of retries: it is not applied (again).
    SessionExpired = 11,
    /// The request makes no sense; the message says why.
    Invalid = 12,
}

/// Whom to ask instead.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Hint {
    /// The group to ask; 0: unknown.
    #[prost(uint64, tag = "1")]
    pub gid: u64,
    /// The node whose replica leads; 0: unknown.
    #[prost(uint64, tag = "2")]
    pub node: u64,
    /// That node's gRPC address, if known.
    #[prost(string, tag = "3")]
    pub address: String,
}

/// The answer to one operation.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Reply {
    /// What became of it.
    #[prost(enumeration = "Code", tag = "1")]
    pub code: i32,
    /// The value that a get read.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub value: Option<Bytes>,
    /// The key's version: after the write, or as read. For an absent key: the shard's write counter.
    #[prost(uint64, tag = "3")]
    pub version: u64,
    /// The last configuration at which this group owned the shard; when it refuses as not serving it, the configuration
    /// that the shard has processed here.
    #[prost(uint64, tag = "4")]
    pub config: u64,
    /// The group that answers.
    #[prost(uint64, tag = "5")]
    pub gid: u64,
    /// One reply for each operation of a batch.
    #[prost(message, repeated, tag = "6")]
    pub batch: Vec<Reply>,
    /// Whom to ask instead (`WrongGroup`, `WrongLeader`, sometimes `NotReady`).
    #[prost(message, optional, tag = "7")]
    pub hint: Option<Hint>,
    /// For people: names the thing, the limit and the next step. Empty unless refused.
    #[prost(string, tag = "8")]
    pub message: String,
    /// When to ask again, for `NotReady` and `Overloaded`; 0: the client chooses.
    #[prost(uint64, tag = "9")]
    pub retry_after_ms: u64,
    /// The shard's replicated time, in milliseconds since 1970 UTC: keeps the client's clock offset true.
    #[prost(uint64, tag = "10")]
    pub time_ms: u64,
    /// The migration that has made the cluster read-only (`ReadOnly`); 0: none.
    #[prost(uint64, tag = "11")]
    pub migration: u64,
}

impl Reply {
    /// A refusal.
    pub fn refused(code: Code, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), ..Self::default() }
    }

    /// Whether the operation was carried out or decided (as opposed to refused).
    pub fn is_outcome(&self) -> bool {
        matches!(self.code(), Code::Ok | Code::NoKey | Code::CompareFailed)
    }
}
