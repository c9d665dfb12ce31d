//! What clients do.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// What every client of a run does, over and over.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Op {
    /// Stores a whole value.
    Put,
    /// Reads a key, linearizably.
    Get,
    /// Adds one value's length to the end of a key.
    Append,
    /// Gets and puts.
    Mixed,
    /// Reads some keys that follow each other.
    Scan,
}

impl Op {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Put, Self::Get, Self::Append, Self::Mixed, Self::Scan];

    /// Its name, as it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Append => "append",
            Self::Mixed => "mixed",
            Self::Scan => "scan",
        }
    }

    /// Whether the keys must be there before it begins.
    pub fn reads(self) -> bool {
        matches!(self, Self::Get | Self::Mixed | Self::Scan)
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Op {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|op| op.name() == text);
        found.ok_or_else(|| format!("{text:?} is no operation: choose put, get, append, mixed or scan"))
    }
}

impl Serialize for Op {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
