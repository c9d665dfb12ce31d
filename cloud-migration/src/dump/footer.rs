//! The last section of a file: what must have been read by now.

use serde::{Deserialize, Serialize};

use super::hex::Digest;
use super::position::Position;
use super::sums::Sums;

/// Counts and digest. JSON in the file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Footer {
    /// How many blocks.
    pub blocks: u64,
    /// Where the index begins.
    pub index_offset: u64,
    /// Bytes of all blocks before compression.
    pub raw_bytes: u64,
    /// Counts and checksums over the rows.
    pub sums: Sums,
    /// The first row; none: there are no rows.
    pub smallest: Option<Position>,
    /// The last row.
    pub largest: Option<Position>,
    /// blake3 of everything before the footer.
    pub blake3: Digest,
}

/// What a file ends with, after the offset of the footer (8 bytes, little endian).
pub const TAIL_MAGIC: [u8; 4] = *b"KVD.";
/// The bytes of the tail.
pub const TAIL_BYTES: usize = 12;

/// The tail's bytes.
pub fn tail(footer_offset: u64) -> [u8; TAIL_BYTES] {
    let mut out = [0; TAIL_BYTES];
    out[..8].copy_from_slice(&footer_offset.to_le_bytes());
    out[8..].copy_from_slice(&TAIL_MAGIC);
    out
}
