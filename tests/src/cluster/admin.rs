//! Administration through the client library: what a test needs of it, with failures that fail the test.

use flotilla_client::Client;
use flotilla_proto::ctrl_v1::{Directory, NewGroup, ShardConfig};
use flotilla_types::slot::shard_of_key;
use flotilla_types::{GroupId, ShardId};

use super::Cluster;

/// Groups to join: each gid with the nodes of its replicas.
pub type Groups<'a> = &'a [(u64, &'a [u64])];

/// Groups as they travel.
pub fn new_groups(groups: Groups<'_>) -> Vec<NewGroup> {
    groups.iter().map(|(gid, nodes)| NewGroup { gid: *gid, nodes: nodes.to_vec() }).collect()
}

impl Cluster {
    /// Joins groups and waits until every shard is where it belongs. Gives the configuration's number.
    pub async fn join(&self, client: &Client, groups: Groups<'_>) -> u64 {
        let num = self.join_only(client, groups).await;
        self.wait_settled(client).await;
        num
    }

    /// Joins groups, without waiting for the shards.
    pub async fn join_only(&self, client: &Client, groups: Groups<'_>) -> u64 {
        let done = client.admin().join(new_groups(groups)).await;
        done.unwrap_or_else(|error| panic!("join {groups:?}: {error}")).config
    }

    /// Makes groups leave and waits until every shard is where it belongs.
    pub async fn leave(&self, client: &Client, gids: &[u64]) -> u64 {
        let num = self.leave_only(client, gids).await;
        self.wait_settled(client).await;
        num
    }

    /// Makes groups leave, without waiting for the shards.
    pub async fn leave_only(&self, client: &Client, gids: &[u64]) -> u64 {
        let done = client.admin().leave(gids.iter().copied().map(GroupId)).await;
        done.unwrap_or_else(|error| panic!("leave {gids:?}: {error}")).config
    }

    /// Moves a shard, without waiting for it.
    pub async fn move_only(&self, client: &Client, shard: u32, gid: u64) -> u64 {
        let done = client.admin().move_shard(ShardId(shard), GroupId(gid)).await;
        done.unwrap_or_else(|error| panic!("move {shard} {gid}: {error}")).config
    }

    /// The latest configuration, from the controller's leader.
    pub async fn config(&self, client: &Client) -> ShardConfig {
        let answer = client.admin().query(None).await;
        answer
            .unwrap_or_else(|error| panic!("query: {error}"))
            .config
            .expect("there is always a latest configuration")
    }

    /// The directory, from the controller's leader.
    pub async fn directory(&self, client: &Client) -> Directory {
        client.admin().directory().await.unwrap_or_else(|error| panic!("directory: {error}"))
    }
}

/// The shards that a group owns.
pub fn shards_of(config: &ShardConfig, gid: u64) -> Vec<u32> {
    config.owners().filter(|(_, owner)| owner.get() == gid).map(|(shard, _)| shard.get()).collect()
}

/// A key of this shard, another one for each `nth`.
pub fn key_of(shard: u32, shards: u32, nth: usize) -> String {
    let mut found = (0..)
        .map(|n| format!("key-{n}"))
        .filter(|key| shard_of_key(key.as_bytes(), shards) == ShardId(shard));
    found.nth(nth).expect("there is no end of keys")
}
