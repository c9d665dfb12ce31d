//! Identifiers. Each is its own type, parsed at the edge; past a handler nothing is a bare integer.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $inner:ty, $prefix:literal) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// The bare number, for the wire.
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl From<$inner> for $name {
            fn from(value: $inner) -> Self {
                Self(value)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id!(
    /// One process with a data directory and one gRPC port. Chosen by the operator, starts at 1.
    NodeId, u64, "n"
);
id!(
    /// One Raft group. 0 is the controller; groups from 1 own shards.
    GroupId, u64, "g"
);
id!(
    /// One of the `S` partitions of the key space, `0..S`.
    ShardId, u32, "s"
);
id!(
    /// The number of a shard configuration. Configuration 0 gives every shard to nobody.
    ConfigNum, u64, "c"
);
id!(
    /// One Raft member: issued once by the controller for (group, node, disk incarnation), never reused.
    MemberId, u64, "m"
);
id!(
    /// One client's exactly-once context: 64 random bits, drawn by the client.
    ClientId, u64, "client-"
);
id!(
    /// A shard's write counter at some write. Only grows, whatever group's log the writes went through.
    Version, u64, "v"
);
id!(
    /// One life of a data directory: 64 random bits drawn when it was made. A wiped disk has another.
    DiskId, u64, "disk-"
);

/// One life of a group: the number of the configuration whose Join created it.
pub type Incarnation = ConfigNum;

impl GroupId {
    /// The controller's own group, and in a configuration "nobody yet".
    pub const CONTROLLER: GroupId = GroupId(0);
    /// In a configuration: nobody owns this shard yet (only before the first Join).
    pub const NOBODY: GroupId = GroupId(0);
}

impl ConfigNum {
    /// The configuration after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The configuration before this one; 0 stays 0.
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl Version {
    /// The counter after one more write.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A cluster's name: 128 random bits, drawn once when the cluster is created. Shown as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ClusterId(pub u128);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cluster-{:032x}", self.0)
    }
}

/// A cluster id is 32 hexadecimal digits.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("cluster id {0:?} is not 32 hexadecimal digits")]
pub struct ClusterIdError(String);

impl FromStr for ClusterId {
    type Err = ClusterIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let value = hex.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        value.map(Self).ok_or_else(|| ClusterIdError(text.to_owned()))
    }
}

impl Serialize for ClusterId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ClusterId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_id_round_trips_and_refuses_other_text() {
        let id = ClusterId(0x1234_5678_9abc_def0_0fed_cba9_8765_4321);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("+1234567890123456789012345678901".parse::<ClusterId>().is_err());
        assert!("12".parse::<ClusterId>().is_err());
    }
}
