//! Several operations on keys of one shard, done together or not at all.

use flotilla_proto::kv_v1::op::Kind;
use flotilla_proto::kv_v1::{self as kv, Code, Op, Reply};
use flotilla_types::Bytes;

use crate::values::{Expected, Read, Versioned, Written};

/// Several operations on keys of one shard, in order: all of them or none. A hashtag (`{user7}.name`) puts keys into
/// one shard.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Batch {
    ops: Vec<Op>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a key, as it is at this place of the batch.
    pub fn get(self, key: impl Into<Bytes>) -> Self {
        self.with(Kind::Get(kv::Get { key: key.into() }))
    }

    /// Stores a value.
    pub fn put(self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.with(Kind::Put(kv::Put { key: key.into(), value: value.into(), ttl_ms: 0 }))
    }

    /// Adds bytes at the end of a value.
    pub fn append(self, key: impl Into<Bytes>, suffix: impl Into<Bytes>) -> Self {
        self.with(Kind::Append(kv::Append { key: key.into(), suffix: suffix.into() }))
    }

    /// Removes a key.
    pub fn delete(self, key: impl Into<Bytes>) -> Self {
        self.with(Kind::Delete(kv::Delete { key: key.into() }))
    }

    /// Writes only if the key is as expected (`new` none: removes it); if it is not, the whole batch does nothing.
    pub fn compare_and_set(self, key: impl Into<Bytes>, expected: Expected, new: Option<Bytes>) -> Self {
        let (key, expected) = (key.into(), expected.into());
        self.with(Kind::CompareAndSet(kv::CompareAndSet { key, expected, new, ttl_ms: 0 }))
    }

    /// How many operations there are.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    pub(crate) fn into_ops(self) -> Vec<Op> {
        self.ops
    }

    fn with(mut self, kind: Kind) -> Self {
        self.ops.push(Op { kind: Some(kind) });
        self
    }
}

impl From<Vec<Op>> for Batch {
    fn from(ops: Vec<Op>) -> Self {
        Self { ops }
    }
}

/// What became of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BatchResult {
    /// Everything was done; one result for each operation.
    Done {
        /// The results, in order.
        results: Vec<OpResult>,
        /// The shard's version after it, and who did it.
        written: Written,
    },
    /// A compare failed, so nothing was done.
    Failed {
        /// Which operation, from 0.
        index: usize,
        /// The version of its key.
        version: u64,
    },
}

/// What became of one operation of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OpResult {
    /// A get: what it read.
    Read(Option<Versioned>),
    /// A write that was done.
    Written(Written),
    /// A delete of a key that was not there.
    NoKey,
}

/// Reads the reply to `ops`.
pub(crate) fn result(ops: &[Op], reply: Reply) -> BatchResult {
    if reply.code() == Code::CompareFailed {
        let failed = reply.batch.iter().position(|reply| reply.code() == Code::CompareFailed);
        let index = failed.unwrap_or(reply.batch.len().saturating_sub(1));
        let version = reply.batch.get(index).map_or(reply.version, |reply| reply.version);
        return BatchResult::Failed { index, version };
    }
    let written = Written::from(&reply);
    let one = |(op, mut reply): (&Op, Reply)| {
        // The replies inside may leave out what is the same for the whole batch.
        reply.gid = written.gid;
        reply.config = written.config;
        op_result(op, reply)
    };
    BatchResult::Done { results: ops.iter().zip(reply.batch).map(one).collect(), written }
}

fn op_result(op: &Op, reply: Reply) -> OpResult {
    match (&op.kind, reply.code()) {
        (Some(Kind::Get(_)), _) => OpResult::Read(Read::from(reply).versioned()),
        (_, Code::NoKey) => OpResult::NoKey,
        _ => OpResult::Written(Written::from(&reply)),
    }
}
