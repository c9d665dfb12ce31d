//! One hosted replica: what it replicates, and how it ends.

use flotilla_proto::env::Spawner;
use flotilla_raft_store::{Group, RaftServer, ReplicaId, Role};
use flotilla_shardctrler::ShardCtrler;
use flotilla_shardkv::ShardKv;

/// One replica, by what it replicates.
#[derive(Clone)]
pub enum Hosted {
    /// The controller.
    Controller(Group<ShardCtrler>),
    /// A shard group.
    Shards(Group<ShardKv>),
}

impl Hosted {
    /// Whether it has stopped by itself, and why does not matter here.
    pub fn has_stopped(&self) -> bool {
        let role = match self {
            Self::Controller(group) => group.watch().borrow().role,
            Self::Shards(group) => group.watch().borrow().role,
        };
        role == Role::Stopped
    }

    /// Whether what it has stored contradicts itself.
    pub fn is_corrupt(&self) -> bool {
        match self {
            Self::Controller(group) => group.is_corrupt(),
            Self::Shards(group) => group.is_corrupt(),
        }
    }
}

/// A hosted replica with the tasks that work for it.
pub(crate) struct Running {
    pub replica: ReplicaId,
    pub hosted: Hosted,
    /// Grows with every replica that this node opens.
    pub opening: u64,
    pub duties: Spawner,
}

impl Running {
    /// Hands over, ends the tasks, closes the replica.
    pub async fn stop(self, raft: &RaftServer) {
        self.duties.stop().await;
        match &self.hosted {
            Hosted::Controller(group) => group.shutdown().await,
            Hosted::Shards(group) => group.shutdown().await,
        }
        raft.unregister(self.replica);
    }

    /// Ends at once, without a word to anybody.
    pub async fn crash(self, raft: &RaftServer) {
        raft.unregister(self.replica);
        match &self.hosted {
            Hosted::Controller(group) => group.crash().await,
            Hosted::Shards(group) => group.crash().await,
        }
    }
}
