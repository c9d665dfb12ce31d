//! What travels while a shard moves (`GetShardsData`, `InsertShards`).

use bytes::Bytes;

/// Where in the copy the new owner stands. Replicated at the new owner; chosen by the old one.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct TransferCursor {
    /// The part of the copy.
    #[prost(enumeration = "TransferPhase", tag = "1")]
    pub phase: i32,
    /// `Rows`, `Sessions`: the first key (inside the shard's rows of that kind) that is still to come.
    #[prost(bytes = "bytes", tag = "2")]
    pub key: Bytes,
    /// `Delta`: the number of the last change included. Before: how many bytes have been sent, to know what remains.
    #[prost(uint64, tag = "3")]
    pub counter: u64,
    /// `Delta`: how many delta chunks there have been: caps the rounds before the seal. The greatest number there is
    /// means that the old owner has sealed.
    #[prost(uint32, tag = "4")]
    pub rounds: u32,
}

/// The parts of a copy, in order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, prost::Enumeration)]
#[repr(i32)]
pub enum TransferPhase {
    /// Data rows in key order.
    Rows = 0,
    /// Session rows in key order.
    Sessions = 1,
    /// What changed since the copy began, in order of the changes.
    Delta = 2,
}

/// What kind of row travels.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, prost::Enumeration)]
#[repr(i32)]
pub enum RowKind {
    /// A key and its value.
    Data = 0,
    /// A client's lane and its last answer.
    Session = 1,
}

/// One row of a chunk.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Row {
    /// Its kind.
    #[prost(enumeration = "RowKind", tag = "1")]
    pub kind: i32,
    /// Its key, without the (shard, incarnation) prefix.
    #[prost(bytes = "bytes", tag = "2")]
    pub key: Bytes,
    /// Its stored bytes; none: a tombstone, the key is absent at the old owner.
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub value: Option<Bytes>,
}

/// What closes a copy: carried by the last chunk only.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Last {
    /// The shard's write counter.
    #[prost(uint64, tag = "1")]
    pub counter: u64,
    /// The shard's replicated time.
    #[prost(uint64, tag = "2")]
    pub time_ms: u64,
    /// The shard's session floor.
    #[prost(uint64, tag = "3")]
    pub floor_ms: u64,
}

/// One piece of a moving shard: at least one row (unless empty at the end), about 1 MiB.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Chunk {
    /// The shard.
    #[prost(uint32, tag = "1")]
    pub shard: u32,
    /// The configuration of the move.
    #[prost(uint64, tag = "2")]
    pub config: u64,
    /// Where the chunk starts: must equal the new owner's cursor.
    #[prost(message, optional, tag = "3")]
    pub cursor: Option<TransferCursor>,
    /// Where the next one starts.
    #[prost(message, optional, tag = "4")]
    pub next: Option<TransferCursor>,
    /// The rows.
    #[prost(message, repeated, tag = "5")]
    pub rows: Vec<Row>,
    /// Present on the last chunk of the move.
    #[prost(message, optional, tag = "6")]
    pub last: Option<Last>,
    /// What the old owner believes is still to come after this chunk, in bytes; for progress and for deciding to seal.
    #[prost(uint64, tag = "7")]
    pub remaining_bytes: u64,
}

/// What the old owner answers to `GetShardsData`.
#[derive(Clone, PartialEq, Debug)]
pub enum TransferAnswer {
    /// The next piece.
    Chunk(Chunk),
    /// Not at that configuration yet, or still Serving: ask again.
    NotReady,
    /// Past it: the move is over here.
    OutDated,
    /// (With `seal` asked) the seal must be committed first: propose it, then ask again.
    SealFirst,
}
