//! Operations on keys.

use bytes::Bytes;

/// One operation.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Op {
    /// Which; none is refused as invalid.
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6")]
    pub kind: Option<Kind>,
}

/// Which operation.
#[derive(Clone, PartialEq, Eq, Hash, prost::Oneof)]
pub enum Kind {
    /// Reads a key.
    #[prost(message, tag = "1")]
    Get(Get),
    /// Stores a value.
    #[prost(message, tag = "2")]
    Put(Put),
    /// Adds bytes at the end of a value; an absent key counts as empty.
    #[prost(message, tag = "3")]
    Append(Append),
    /// Removes a key. An absent key answers `NO_KEY`.
    #[prost(message, tag = "4")]
    Delete(Delete),
    /// Writes only if the key is as expected.
    #[prost(message, tag = "5")]
    CompareAndSet(CompareAndSet),
    /// Several operations on keys of one shard, all or none.
    #[prost(message, tag = "6")]
    Batch(Batch),
}

/// Reads a key.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Get {
    /// 1 to 4096 bytes, any.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
}

/// Stores a value.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Put {
    /// 1 to 4096 bytes, any.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// Up to 8 MiB, any bytes, may be empty.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
    /// Expires this many milliseconds (of the shard's replicated time) after the write; 0 never.
    #[prost(uint64, tag = "3")]
    pub ttl_ms: u64,
}

/// Adds bytes at the end of a value.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Append {
    /// 1 to 4096 bytes, any.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// What is added; the value stays within 8 MiB or the append is refused. An expiry stays as it was.
    #[prost(bytes = "bytes", tag = "2")]
    pub suffix: Bytes,
}

/// Removes a key.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Delete {
    /// 1 to 4096 bytes, any.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
}

/// Writes only if the key is as expected; otherwise `COMPARE_FAILED` with the key's present version.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct CompareAndSet {
    /// 1 to 4096 bytes, any.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// What the key must be; none: it must be absent.
    #[prost(oneof = "Expected", tags = "2, 3")]
    pub expected: Option<Expected>,
    /// What it becomes; none: it is removed.
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub new: Option<Bytes>,
    /// As in [`Put`].
    #[prost(uint64, tag = "5")]
    pub ttl_ms: u64,
}

/// By value or by version.
#[derive(Clone, PartialEq, Eq, Hash, prost::Oneof)]
pub enum Expected {
    /// The key holds exactly this value.
    #[prost(bytes = "bytes", tag = "2")]
    Value(Bytes),
    /// The key's version is exactly this.
    #[prost(uint64, tag = "3")]
    Version(u64),
}

/// Several operations on keys of one shard, applied in order, all or none: if a compare fails or an operation is
/// refused, nothing is written and the reply is `COMPARE_FAILED` or the refusal, with one reply each up to the failing one.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Batch {
    /// 1 to 1024 operations, none itself a batch.
    #[prost(message, repeated, tag = "1")]
    pub ops: Vec<Op>,
}
