//! What each kind of machine is given when a replica of it opens.

use flotilla_raft_store::{GroupLimits, GroupOptions, RaftTimings, ReplicaId};
use flotilla_shardctrler::ShardCtrler;
use flotilla_shardkv::ShardKv;
use flotilla_types::Machine;
use futures::future::BoxFuture;

use crate::options::Settings;
use crate::reconcile::{Failure, Performer};
use crate::replicas::Local;

/// The controller's machine has no I/O to do.
pub struct Idle;

impl Performer<ShardCtrler> for Idle {
    fn perform(
        &self,
        action: <ShardCtrler as Machine>::Action,
    ) -> BoxFuture<'static, Result<<ShardCtrler as Machine>::Outcome, Failure>> {
        match action {}
    }
}

/// The controller's options.
pub fn controller_options(_node: &Local) -> <ShardCtrler as Machine>::Options {
    flotilla_shardctrler::Options::default()
}

/// A shard group's options; none as long as nobody said how many shards there are.
pub fn shard_options(node: &Local, replica: ReplicaId) -> Option<<ShardKv as Machine>::Options> {
    let shards = node.topology.now().directory.shards;
    (shards > 0).then(|| flotilla_shardkv::Options::new(replica.gid, replica.incarnation, shards))
}

/// A group's options from the node's settings.
pub fn group_options<M: Machine>(
    settings: &Settings,
    replica: ReplicaId,
    machine: M::Options,
) -> GroupOptions<M> {
    let mut options = GroupOptions::new(replica, machine);
    options.timings = RaftTimings {
        heartbeat_ms: settings.heartbeat_ms,
        election_ms_min: settings.election_min_ms,
        election_ms_max: settings.election_max_ms,
        ..RaftTimings::default()
    };
    // No more is kept than a snapshot would cover, so that small settings (in tests) mean what they say.
    options.limits = GroupLimits {
        snapshot_entries: settings.snapshot_log_entries,
        snapshot_log_bytes: settings.snapshot_log_bytes,
        keep_entries: GroupLimits::default().keep_entries.min(settings.snapshot_log_entries / 10),
        ..GroupLimits::default()
    };
    options
}
