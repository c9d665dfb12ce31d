//! What calls take and give back.

use flotilla_proto::kv_v1::{Code, Reply, op};
use flotilla_types::Bytes;

/// A value that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Versioned {
    /// The value; empty where only keys were asked for.
    pub value: Bytes,
    /// The key's version: its shard's write counter at its last write. Only grows.
    pub version: u64,
    /// The last configuration at which the answering group owned the shard.
    pub config: u64,
    /// The group that answered.
    pub gid: u64,
}

/// What a read saw, also where there was nothing to see.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Read {
    /// The value; none: there is no such key.
    pub value: Option<Bytes>,
    /// The key's version; for an absent key the shard's write counter.
    pub version: u64,
    /// The last configuration at which the answering group owned the shard.
    pub config: u64,
    /// The group that answered.
    pub gid: u64,
}

/// A write that was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Written {
    /// The key's version after the write.
    pub version: u64,
    /// The last configuration at which the answering group owned the shard.
    pub config: u64,
    /// The group that answered.
    pub gid: u64,
}

/// What a key must be for a compare-and-set to write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expected {
    /// Not there.
    Absent,
    /// Exactly this value.
    Value(Bytes),
    /// Exactly this version.
    Version(u64),
}

/// What became of a compare-and-set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cas {
    /// The key was as expected, and was written.
    Done(Written),
    /// The key was not as expected; nothing was written.
    Failed {
        /// The key's present version; for an absent key the shard's write counter.
        version: u64,
    },
}

impl From<&Reply> for Written {
    fn from(reply: &Reply) -> Self {
        Self { version: reply.version, config: reply.config, gid: reply.gid }
    }
}

impl From<Reply> for Read {
    fn from(reply: Reply) -> Self {
        let there = reply.code() == Code::Ok;
        let value = there.then(|| reply.value.unwrap_or_default());
        Self { value, version: reply.version, config: reply.config, gid: reply.gid }
    }
}

impl Read {
    /// The value with its version, if there is one.
    pub fn versioned(self) -> Option<Versioned> {
        let Self { value, version, config, gid } = self;
        value.map(|value| Versioned { value, version, config, gid })
    }
}

impl From<Expected> for Option<op::Expected> {
    fn from(expected: Expected) -> Self {
        match expected {
            Expected::Absent => None,
            Expected::Value(value) => Some(op::Expected::Value(value)),
            Expected::Version(version) => Some(op::Expected::Version(version)),
        }
    }
}
