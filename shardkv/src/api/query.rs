//! What a shard group can be asked without touching its log.

use bytes::Bytes;
use flotilla_types::{ConfigNum, ShardId};

use super::command::Write;
use super::restore::RestoreState;
use super::{FreezeProof, GroupStatus, Reply, TransferAnswer, TransferCursor};

/// A read.
#[derive(Clone, PartialEq, Debug)]
pub enum Query {
    /// One key.
    Get {
        /// The key's shard.
        shard: ShardId,
        /// The key.
        key: Bytes,
        /// The leader's clock: if a key expires between the shard's time and this, the answer is [`Answer::TickFirst`].
        now_ms: u64,
    },
    /// A page of keys of one shard, in order.
    Scan {
        /// The shard.
        shard: ShardId,
        /// The first key.
        start: Bytes,
        /// The first key that is out; empty: none.
        end: Bytes,
        /// At most so many rows (bounded by the limits as well); 0: as many as the limits allow.
        rows_max: usize,
        /// Leave the values out.
        keys_only: bool,
        /// The leader's clock.
        now_ms: u64,
    },
    /// The next piece of a shard that moves away (`GetShardsData`).
    Transfer {
        /// The shard.
        shard: ShardId,
        /// The configuration of the move.
        config: ConfigNum,
        /// Where the new owner stands; none: at the beginning.
        cursor: Option<TransferCursor>,
        /// The new owner wants the last piece: the seal is needed.
        seal: bool,
        /// About how many bytes the piece may have.
        bytes_max: usize,
    },
    /// What a write would be refused with, as this replica knows it, before it goes to the log.
    RefusalAhead(Write),
    /// One freeze.
    Freeze(u64),
    /// How far a restore is.
    Restore {
        /// The restore.
        restore: u64,
        /// A file of the dump.
        file: u32,
        /// The shard here that takes rows of it.
        shard: ShardId,
    },
    /// The state of every shard.
    Status,
    /// A digest over every live row.
    Digest,
}

/// The answer to a [`Query`].
#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    /// `Get`, and any refusal of `Scan`.
    Reply(Reply),
    /// Commit a tick for this shard first, then ask again.
    TickFirst(ShardId),
    /// `Scan`.
    Page(ScanPage),
    /// `Transfer`.
    Transfer(TransferAnswer),
    /// `RefusalAhead`: none, or [`Answer::Reply`].
    NoRefusal,
    /// `Freeze`: none, it is not in force.
    Freeze(Option<FreezeProof>),
    /// `Restore`.
    Restore(RestoreState),
    /// `Status`.
    Status(GroupStatus),
    /// `Digest`: equal at equal applied index on every replica.
    Digest(u64),
}

/// A page of a scan.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ScanPage {
    /// The rows, ascending.
    pub rows: Vec<ScanRow>,
    /// Where the next page starts; none: there is no more in this shard.
    pub next: Option<Bytes>,
    /// The last configuration at which this group owned the shard.
    pub config: u64,
    /// The shard's write counter.
    pub version: u64,
}

/// A row of a scan.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct ScanRow {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// The value; empty if only keys were asked for.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
    /// The key's version.
    #[prost(uint64, tag = "3")]
    pub version: u64,
}
