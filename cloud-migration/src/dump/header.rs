//! The first section of a file: whose rows follow, and how they are written.

use serde::{Deserialize, Serialize};

use super::block::Codec;
use super::position::Position;

/// The format of files, plans and manifests that this program writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// What a file begins with. Bytes that no text editor and no transfer as text leaves alone.
pub(super) const MAGIC: [u8; 8] = *b"\x8dKVD\r\n\x1a\n";

/// What the file says of itself. JSON in the file, so that `head -c 600` tells a person what it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileHeader {
    /// The format's version.
    pub format: u32,
    /// The cluster that the rows come from.
    pub cluster: String,
    /// The migration that dumped them: its number in that cluster.
    pub migration: u64,
    /// The group that owned the shard.
    pub gid: u64,
    /// The shard.
    pub shard: u32,
    /// How many shards the cluster had.
    pub shards: u32,
    /// The pinned configuration's number.
    pub config: u64,
    /// The first position that belongs to this file.
    pub start: Position,
    /// The first position that does not; none: all to the end of the shard.
    pub end: Option<Position>,
    /// How blocks are compressed.
    pub codec: Codec,
    /// A block is closed when it has this many bytes, before compression.
    pub block_bytes: u32,
    /// The shard's own numbers at the freeze.
    pub facts: ShardFacts,
}

impl FileHeader {
    /// The usual size of a block.
    pub const BLOCK_BYTES: u32 = 1 << 20;
}

/// What a shard counts besides its rows, at the freeze. The same in each file of the shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ShardFacts {
    /// The write counter: no version in the shard is greater.
    pub counter: u64,
    /// The replicated time.
    pub time_ms: u64,
    /// The session floor: writes issued at or before it are not remembered.
    pub floor_ms: u64,
}
