//! The steps of a schedule.

use bytes::Bytes;
use flotilla_shardkv::api::op::Kind as OpKind;
use flotilla_types::{ShardId, shard_of_key};

use super::world;

pub const SHARDS: u32 = 2;
pub const GROUPS: u64 = 3;
pub const KEYS: [&[u8]; 5] = [b"a", b"b", b"{foo}1", b"{foo}2", b"d"];

/// One step of a schedule. Numbers choose among what there is.
#[derive(Clone, Debug)]
pub enum Step {
    Write {
        client: u64,
        gid: u64,
        op: OpKind,
    },
    Retry {
        client: u64,
        gid: u64,
        back: u64,
    },
    Read {
        gid: u64,
        key: usize,
    },
    Pass {
        ms: u64,
    },
    Config {
        owners: Vec<u64>,
    },
    Adopt {
        gid: u64,
    },
    Pull {
        gid: u64,
        shard: u32,
        lagging: bool,
    },
    Deliver {
        message: usize,
    },
    Seal {
        gid: u64,
        shard: u32,
    },
    Delete {
        gid: u64,
        answered: bool,
    },
    LateDelete {
        index: usize,
    },
    LateSeal {
        index: usize,
    },
    LateAcknowledge {
        index: usize,
    },
    Restart {
        gid: u64,
    },
    Lag {
        gid: u64,
    },
    Sweep {
        gid: u64,
    },
    Expire {
        gid: u64,
        shard: u32,
    },
    /// The next right step of some move, without any loss.
    Progress {
        index: usize,
    },
}

// A batch of those operations that are on the first one's shard.
pub fn same_shard(ops: Vec<OpKind>) -> OpKind {
    let shard = shard_of(&ops[0]);
    world::batch(ops.into_iter().filter(|op| shard_of(op) == shard).collect())
}

pub fn key_of(op: &OpKind) -> Bytes {
    match op {
        OpKind::Get(op) => op.key.clone(),
        OpKind::Put(op) => op.key.clone(),
        OpKind::Append(op) => op.key.clone(),
        OpKind::Delete(op) => op.key.clone(),
        OpKind::CompareAndSet(op) => op.key.clone(),
        OpKind::Batch(batch) => batch.ops[0].kind.as_ref().map(key_of).unwrap_or_default(),
    }
}

pub fn shard_of(op: &OpKind) -> ShardId {
    shard_of_key(&key_of(op), SHARDS)
}
