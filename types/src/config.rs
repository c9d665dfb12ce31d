//! A numbered shard configuration: who owns each shard. Who the members of a group are stands in the controller's
//! directory, not here.

use serde::Serialize;

use crate::ids::{ConfigNum, GroupId, ShardId};

/// A shard configuration. Immutable once numbered; numbers grow by one.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message, Serialize)]
pub struct ShardConfig {
    /// This configuration's number.
    #[prost(uint64, tag = "1")]
    pub num: u64,
    /// The owner of each shard, by shard number; 0 is nobody (only before the first Join).
    #[prost(uint64, repeated, tag = "2")]
    pub shards: Vec<u64>,
}

impl ShardConfig {
    /// This configuration's number.
    pub fn number(&self) -> ConfigNum {
        ConfigNum(self.num)
    }

    /// Who owns `shard`; [`GroupId::NOBODY`] for a shard that does not exist.
    pub fn owner(&self, shard: ShardId) -> GroupId {
        self.shards.get(shard.get() as usize).map_or(GroupId::NOBODY, |gid| GroupId(*gid))
    }

    /// Every shard with its owner, in order.
    pub fn owners(&self) -> impl Iterator<Item = (ShardId, GroupId)> + '_ {
        (0u32..).zip(&self.shards).map(|(shard, gid)| (ShardId(shard), GroupId(*gid)))
    }
}
