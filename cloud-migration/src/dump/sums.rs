//! Counts and checksums over rows that do not depend on their order, nor on how they are cut into files and shards.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use xxhash_rust::xxh3::xxh3_128;

use super::row::{RowKind, RowRef};

/// Over all rows of one kind: how many, how much, and the sum (modulo 2^128) of each row's XXH3 hash.
///
/// A sum, not an exclusive or: a row that is there twice does not cancel itself out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct RowSum {
    /// How many rows.
    pub rows: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// The sum of their hashes.
    pub checksum: Checksum,
}

/// The sum of hashes; 32 hexadecimal digits in JSON, which has no numbers of this size.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Checksum(pub u128);

impl RowSum {
    fn from_bytes(bytes: &[u8; 32]) -> Self {
        let number =
            |at: usize| bytes[at..at + 8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        let checksum = Checksum(u128::from(number(16)) << 64 | u128::from(number(24)));
        Self { rows: number(0), bytes: number(8), checksum }
    }

    /// The sum over two sets of rows.
    pub fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.checksum.0 = self.checksum.0.wrapping_add(other.checksum.0);
    }
}

/// Both kinds of rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Sums {
    /// Keys of clients.
    pub data: RowSum,
    /// What shards remember of clients.
    pub sessions: RowSum,
}

impl Sums {
    /// Adds one row.
    pub fn add_row(&mut self, row: RowRef<'_>) {
        let mut bytes = Vec::with_capacity(row.key.len() + row.value.len() + 32);
        row.encode(&mut bytes);
        self.add_encoded(row, &bytes);
    }

    /// Adds one row whose bytes are at hand.
    pub(super) fn add_encoded(&mut self, row: RowRef<'_>, encoded: &[u8]) {
        let checksum = Checksum(xxh3_128(encoded));
        let of_kind = match row.kind {
            RowKind::Data => &mut self.data,
            RowKind::Session => &mut self.sessions,
        };
        of_kind.add(&RowSum { rows: 1, bytes: row.logical_bytes(), checksum });
    }

    /// The sum over two sets of rows.
    pub fn add(&mut self, other: &Self) {
        self.data.add(&other.data);
        self.sessions.add(&other.sessions);
    }

    /// Fixed bytes, for records: of data and of sessions, rows, bytes (8 each) and checksum (16), big endian.
    pub fn to_bytes(&self) -> [u8; 64] {
        let mut out = [0; 64];
        for (half, sum) in out.chunks_exact_mut(32).zip([self.data, self.sessions]) {
            half[..8].copy_from_slice(&sum.rows.to_be_bytes());
            half[8..16].copy_from_slice(&sum.bytes.to_be_bytes());
            half[16..].copy_from_slice(&sum.checksum.0.to_be_bytes());
        }
        out
    }

    /// Reads the fixed bytes back. None: not 64 of them.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (data, sessions) = bytes.split_first_chunk::<32>()?;
        let sessions: &[u8; 32] = sessions.try_into().ok()?;
        Some(Self { data: RowSum::from_bytes(data), sessions: RowSum::from_bytes(sessions) })
    }

    /// Rows of both kinds.
    pub fn rows(&self) -> u64 {
        self.data.rows + self.sessions.rows
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Checksum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Checksum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong =
            || de::Error::custom(format!("{text:?} is no checksum: 32 hexadecimal digits are expected"));
        if text.len() != 32 {
            return Err(wrong());
        }
        u128::from_str_radix(&text, 16).map(Self).map_err(|_| wrong())
    }
}
