//! Where a row stands in its shard's order.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::hex;
use super::row::RowKind;

/// A place in the order of a shard's rows: the kind's byte, then the key. Empty: before all rows. Data rows come before
/// session rows. Hexadecimal in text and JSON.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub Vec<u8>);

impl Position {
    /// Before all rows.
    pub const START: Self = Self(Vec::new());

    /// Where a row stands.
    pub fn of(kind: RowKind, key: &[u8]) -> Self {
        Self([&[kind as u8][..], key].concat())
    }

    /// Whether a row stands before it.
    pub fn is_after(&self, kind: RowKind, key: &[u8]) -> bool {
        match self.0.split_first() {
            None => false,
            Some((first, rest)) => (kind as u8, key) < (*first, rest),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = hex::decode(&text).ok_or_else(|| {
            de::Error::custom(format!("{text:?} is no position: hexadecimal digits are expected"))
        })?;
        Ok(Self(bytes))
    }
}
