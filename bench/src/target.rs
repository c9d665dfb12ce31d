//! Whom to measure.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::op::Op;

/// Whom to measure.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Target {
    /// A Flotilla cluster.
    Flotilla,
    /// An etcd cluster.
    Etcd,
    /// A Redis server.
    Redis,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Flotilla, Self::Etcd, Self::Redis];

    /// Its name, as it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flotilla => "flotilla",
            Self::Etcd => "etcd",
            Self::Redis => "redis",
        }
    }

    /// Why this operation cannot be measured there, and what to do instead; none: it can.
    pub fn why_not(self, op: Op) -> Option<&'static str> {
        match (self, op) {
            (Self::Etcd, Op::Append) => Some("etcd has no append: choose --op put, get, mixed or scan"),
            (Self::Redis, Op::Scan) => {
                Some("redis has no scan in key order: choose --op put, get, append or mixed")
            }
            _ => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|target| target.name() == text);
        found.ok_or_else(|| format!("{text:?} is no target: choose flotilla, etcd or redis"))
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
