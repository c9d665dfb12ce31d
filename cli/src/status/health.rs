//! What is well in a cluster and what is not. Moving shards are well, as long as somebody serves them.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_proto::ctrl_v1::{GroupRecord, GroupState};
use flotilla_proto::kv_v1::{ShardPhase, ShardStatus};

use crate::probe::View;
use crate::table::ranges;

/// The judgement on a [`View`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Health {
    /// What is not well and why, a sentence each; empty: everything is well.
    pub problems: Vec<String>,
    /// The shards that each group serves now.
    pub serving: BTreeMap<u64, Vec<u32>>,
    /// Shards on their way that nobody serves for the moment, between the seal and the last piece.
    pub sealed: Vec<u32>,
}

impl Health {
    /// How many shards are served.
    pub fn serving_count(&self) -> usize {
        self.serving.values().map(Vec::len).sum()
    }
}

/// The groups that the directory holds and that are not gone.
pub fn groups(view: &View) -> impl Iterator<Item = &GroupRecord> {
    view.directory.groups.iter().filter(|group| group.state() != GroupState::TornDown)
}

/// A group's shards as its leader knows them.
pub fn shards(view: &View, gid: u64) -> &[ShardStatus] {
    let group = view.leader(gid).and_then(|(_, replica)| replica.group.as_ref());
    group.map_or(&[], |group| &group.shards)
}

/// Judges.
pub fn judge(view: &View) -> Health {
    let mut health = Health::default();
    judge_nodes(view, &mut health);
    judge_controller(view, &mut health);
    for group in groups(view) {
        judge_group(view, group, &mut health);
    }
    judge_shards(view, &mut health);
    health
}

fn judge_nodes(view: &View, health: &mut Health) {
    for seen in &view.nodes {
        if let Err(why) = &seen.status {
            let name = if seen.node == 0 { "a node".to_owned() } else { format!("node {}", seen.node) };
            health.problems.push(format!("{name} ({}) is unreachable: {why}", seen.address));
        }
    }
}

fn judge_controller(view: &View, health: &mut Health) {
    if view.config.is_none() {
        health.problems.push("no replica of the controller answers, so shards cannot be judged".to_owned());
    }
}

fn judge_group(view: &View, group: &GroupRecord, health: &mut Health) {
    let name = group_name(group.gid);
    let reachable: BTreeSet<u64> =
        view.nodes.iter().filter(|seen| seen.status.is_ok()).map(|seen| seen.node).collect();
    let away = group.replicas.iter().filter(|replica| !reachable.contains(&replica.node)).count();
    if view.leader(group.gid).is_none() {
        let of = group.replicas.len();
        health.problems.push(match away {
            0 => format!("{name} has no leader (an election?)"),
            _ => format!("{name} has no leader: {away} of its {of} replicas are unreachable"),
        });
    }
    for replica in group.replicas.iter().filter(|replica| reachable.contains(&replica.node)) {
        let node = replica.node;
        let here = view.replicas(group.gid).find(|(at, found)| *at == node && found.member == replica.member);
        match here {
            None => health.problems.push(format!("{name} has no replica on node {node} yet")),
            Some((_, found)) if found.role == "stopped" || !found.problem.is_empty() => {
                let why = if found.problem.is_empty() { "no reason given" } else { &found.problem };
                health.problems.push(format!("{name} on node {node} ({}): {why}", found.role));
            }
            Some(_) => {}
        }
    }
}

/// `group 3`, or `the controller`.
pub fn group_name(gid: u64) -> String {
    if gid == 0 { "the controller".to_owned() } else { format!("group {gid}") }
}

fn judge_shards(view: &View, health: &mut Health) {
    let Some(config) = &view.config else { return };
    let mut served: BTreeMap<u32, u64> = BTreeMap::new();
    let mut sealed = BTreeSet::new();
    for group in groups(view) {
        for shard in shards(view, group.gid) {
            match shard.phase() {
                ShardPhase::Serving | ShardPhase::Gcing | ShardPhase::BePulling => {
                    served.insert(shard.shard, group.gid);
                }
                ShardPhase::Sealed => {
                    sealed.insert(shard.shard);
                }
                ShardPhase::Absent | ShardPhase::Pulling => {}
            }
        }
    }
    let mut missing: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    for (shard, owner) in config.owners() {
        let (shard, owner) = (shard.get(), owner.get());
        match served.get(&shard) {
            Some(gid) => health.serving.entry(*gid).or_default().push(shard),
            None if sealed.contains(&shard) => health.sealed.push(shard),
            None => missing.entry(owner).or_default().push(shard),
        }
    }
    health.problems.extend(missing.iter().map(|(owner, shards)| not_served(view, *owner, shards)));
}

fn not_served(view: &View, owner: u64, shards: &[u32]) -> String {
    let which = match shards {
        [one] => format!("shard {one} is not served"),
        _ => format!("shards {} are not served", ranges(shards)),
    };
    let why = match (owner, view.leader(owner)) {
        (0, _) => "no group has joined yet (flotilla ctl join GID=NODE,NODE,NODE)".to_owned(),
        (_, None) => format!("group {owner} owns them and has no leader"),
        _ => format!("group {owner} is still taking them over"),
    };
    format!("{which}: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Seen;
    use flotilla_proto::ctrl_v1::{NodeRecord, Replica, ShardConfig};
    use flotilla_proto::kv_v1::{GetStatusResponse, GroupStatus, ReplicaStatus};

    fn shard(shard: u32, phase: ShardPhase) -> ShardStatus {
        ShardStatus { shard, phase: phase.into(), ..ShardStatus::default() }
    }

    fn leader(gid: u64, shards: Vec<ShardStatus>) -> ReplicaStatus {
        let group = Some(GroupStatus { shards, ..GroupStatus::default() });
        ReplicaStatus { gid, member: gid, role: "leader".into(), term: 1, group, ..ReplicaStatus::default() }
    }

    /// One node; groups 1 and 2 with a replica each on it.
    fn view(owners: Vec<u64>, replicas: Vec<ReplicaStatus>) -> View {
        let record = |gid| GroupRecord {
            gid,
            replicas: vec![Replica { node: 1, member: gid, disk: 0 }],
            ..GroupRecord::default()
        };
        let mut view = View { config: Some(ShardConfig { num: 3, shards: owners }), ..View::default() };
        view.directory.groups = vec![record(1), record(2)];
        view.directory.nodes = vec![NodeRecord { node: 1, ..NodeRecord::default() }];
        let status = GetStatusResponse { node: 1, replicas, ..GetStatusResponse::default() };
        view.nodes = vec![Seen { node: 1, address: "a:1".into(), status: Ok(status) }];
        view
    }

    #[test]
    fn a_moving_shard_is_well_while_its_old_owner_serves_it() {
        let one = leader(1, vec![shard(0, ShardPhase::Serving), shard(1, ShardPhase::BePulling)]);
        let two = leader(2, vec![shard(1, ShardPhase::Pulling)]);
        let health = judge(&view(vec![1, 2], vec![one, two]));
        assert_eq!(health.problems, Vec::<String>::new());
        assert_eq!(health.serving, BTreeMap::from([(1, vec![0, 1])]));
    }

    #[test]
    fn a_shard_that_nobody_serves_is_named_with_the_reason() {
        let one = leader(1, vec![shard(0, ShardPhase::Serving)]);
        let follower = ReplicaStatus { role: "follower".into(), ..leader(2, vec![]) };
        let health = judge(&view(vec![1, 2, 0], vec![one, follower]));
        let problems = health.problems.join("\n");
        assert!(problems.contains("group 2 has no leader"), "{problems}");
        assert!(problems.contains("shard 1 is not served: group 2 owns"), "{problems}");
        assert!(problems.contains("shard 2 is not served: no group has joined"), "{problems}");
    }

    #[test]
    fn an_unreachable_node_and_a_missing_replica_are_named() {
        let mut down = view(vec![1], vec![leader(1, vec![shard(0, ShardPhase::Serving)])]);
        let problems = judge(&down).problems.join("\n");
        assert!(problems.contains("group 2 has no replica on node 1 yet"), "{problems}");
        down.nodes[0].status = Err("connection refused".into());
        let problems = judge(&down).problems.join("\n");
        assert!(problems.contains("node 1 (a:1) is unreachable: connection refused"), "{problems}");
        assert!(problems.contains("1 of its 1 replicas are unreachable"), "{problems}");
    }
}
