//! After healing everything must converge: what is still missing, in words.

use std::collections::BTreeSet;

use flotilla_checker::invariants::converged::{Wanted, missing as unconverged};
use flotilla_checker::record::{ReplicaView, View};
use flotilla_proto::ctrl_v1::{Directory, GroupRecord, GroupState, ShardConfig};

/// What keeps the cluster from having converged; nothing: it has.
pub fn missing(views: &[View], config: &ShardConfig, directory: &Directory) -> Option<String> {
    let live = || directory.groups.iter().filter(|record| record.state() != GroupState::TornDown);
    let nodes = |record: &GroupRecord| record.replicas.iter().map(|replica| replica.node).collect();
    let wanted = Wanted {
        config: config.num,
        owners: config.shards.clone(),
        groups: live().map(|record| (record.gid, nodes(record))).collect(),
    };
    let leaving = live().find(|record| record.state() == GroupState::Leaving);
    let leaving = leaving.map(|record| format!("group {} is still leaving", record.gid));
    let found = leaving.into_iter().chain(live().find_map(|record| strange(views, record)));
    let found: Vec<String> = found.chain(unconverged(views, &wanted)).collect();
    (!found.is_empty()).then(|| found.join("; "))
}

/// The members of a group are those that the directory names, on every replica.
fn strange(views: &[View], record: &GroupRecord) -> Option<String> {
    let gid = record.gid;
    let members: BTreeSet<u64> = record.replicas.iter().map(|replica| replica.member).collect();
    let all = views.iter().flat_map(|view| replicas(view, gid).map(|replica| (view.node, replica)));
    all.filter_map(|(node, replica)| {
        let voters: BTreeSet<u64> = replica.voters.iter().copied().collect();
        let ok = voters == members && replica.digest.is_some();
        (!ok).then(|| {
            let digest = replica.digest;
            format!("group {gid} on node {node} has voters {voters:?} of {members:?} and digest {digest:x?}")
        })
    })
    .next()
}

fn replicas(view: &View, gid: u64) -> impl Iterator<Item = &ReplicaView> {
    view.replicas.iter().flatten().filter(move |replica| replica.gid == gid)
}

/// Some key of a shard.
pub fn key_of(shard: u32, shards: u32) -> String {
    let mut keys = (0..).map(|number| format!("last-{number}"));
    let own = |key: &String| flotilla_types::slot::shard_of_key(key.as_bytes(), shards).get() == shard;
    keys.find(own).expect("there is no end of keys")
}
