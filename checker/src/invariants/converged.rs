//! I9: once healed, everything converges. What is still missing, in words.
//!
//! Everything: each node answers, each group has one leader that everybody follows, all replicas have applied the same,
//! hold the same rows and know the same voters, every group has reached the newest configuration, and I7 holds.
//!
//! What it does not check: that a last write succeeds (the load does), and how long it took (whoever waits does).

use std::collections::{BTreeMap, BTreeSet};

use super::key_space;
use crate::record::{ReplicaView, View};

/// What a cluster shall have become.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wanted {
    /// The number of the newest configuration.
    pub config: u64,
    /// The owner of each shard in it; 0: nobody.
    pub owners: Vec<u64>,
    /// The nodes that host each group, the controller (0) included; groups that are gone are not named.
    pub groups: BTreeMap<u64, BTreeSet<u64>>,
}

/// What keeps the cluster from having converged; nothing: it has. One view of each node, taken at about one moment.
pub fn missing(views: &[View], wanted: &Wanted) -> Vec<String> {
    let silent = views.iter().filter(|view| view.replicas.is_none());
    let mut found: Vec<String> = silent.map(|view| format!("node {} does not answer", view.node)).collect();
    found.extend(strangers(views, wanted));
    for (gid, nodes) in &wanted.groups {
        found.extend(group(views, *gid, nodes, wanted.config));
    }
    if found.is_empty() {
        found = key_space::check(views, &wanted.owners);
    }
    found
}

fn name(gid: u64) -> String {
    if gid == 0 { "the controller".to_owned() } else { format!("group {gid}") }
}

/// Replicas that should be gone.
fn strangers(views: &[View], wanted: &Wanted) -> Vec<String> {
    let hosted = |node: u64, gid: u64| wanted.groups.get(&gid).is_some_and(|nodes| nodes.contains(&node));
    let all =
        views.iter().flat_map(|view| view.replicas.iter().flatten().map(|replica| (view.node, replica.gid)));
    let strange = all.filter(|(node, gid)| !hosted(*node, *gid));
    strange.map(|(node, gid)| format!("node {node} still has a replica of {}", name(gid))).collect()
}

fn group(views: &[View], gid: u64, nodes: &BTreeSet<u64>, config: u64) -> Vec<String> {
    let name = name(gid);
    let mut replicas: Vec<(u64, &ReplicaView)> = Vec::new();
    let mut found = Vec::new();
    for node in nodes {
        let here =
            views.iter().filter(|view| view.node == *node).flat_map(|view| view.replicas.iter().flatten());
        match here.filter(|replica| replica.gid == gid).max_by_key(|replica| replica.incarnation) {
            None => found.push(format!("{name} has no replica on node {node}")),
            Some(replica) if replica.role == "stopped" || !replica.problem.is_empty() => {
                found.push(format!("{name} on node {node} is {}: {}", replica.role, replica.problem));
            }
            Some(replica) => replicas.push((*node, replica)),
        }
    }
    let leaders: Vec<u64> =
        replicas.iter().filter(|(_, one)| one.role == "leader").map(|(node, _)| *node).collect();
    if leaders.len() != 1 {
        found.push(format!("{name} has {} leaders, on nodes {leaders:?}", leaders.len()));
    }
    if let Some((first, rest)) = replicas.split_first() {
        found.extend(rest.iter().filter_map(|other| unequal(&name, *first, *other)));
        found.extend(behind(&name, *first, config));
    }
    found
}

fn behind(name: &str, (node, replica): (u64, &ReplicaView), config: u64) -> Option<String> {
    (replica.config != config)
        .then(|| format!("{name} on node {node} is at config {}, the newest is {config}", replica.config))
}

fn unequal(
    name: &str,
    (node, one): (u64, &ReplicaView),
    (other_node, other): (u64, &ReplicaView),
) -> Option<String> {
    let voters = |replica: &ReplicaView| replica.voters.iter().copied().collect::<BTreeSet<u64>>();
    let differ = |what: &str, one: String, other: String| {
        Some(format!("{name}: {what} {one} on node {node}, {other} on node {other_node}"))
    };
    if one.term != other.term {
        return differ("term", one.term.to_string(), other.term.to_string());
    }
    if one.applied != other.applied {
        return differ("applied", one.applied.to_string(), other.applied.to_string());
    }
    if voters(one) != voters(other) {
        return differ("voters", format!("{:?}", voters(one)), format!("{:?}", voters(other)));
    }
    if one.digest != other.digest {
        return differ("digest", format!("{:x?}", one.digest), format!("{:x?}", other.digest));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{of_node, replica};
    use super::*;

    fn wanted() -> Wanted {
        Wanted { config: 3, owners: vec![1], groups: BTreeMap::from([(1, BTreeSet::from([1, 2]))]) }
    }

    fn follower() -> ReplicaView {
        ReplicaView { member: 12, role: "follower".to_owned(), ..replica() }
    }

    fn words(one: ReplicaView, two: ReplicaView) -> String {
        missing(&[of_node(1, vec![one]), of_node(2, vec![two])], &wanted()).join("; ")
    }

    #[test]
    fn a_quiet_cluster_has_converged() {
        assert_eq!(words(replica(), follower()), "");
    }

    #[test]
    fn everything_that_is_missing_is_named() {
        assert!(words(follower(), follower()).contains("group 1 has 0 leaders"));
        assert!(
            words(replica(), ReplicaView { applied: 5, ..follower() })
                .contains("applied 90 on node 1, 5 on node 2")
        );
        assert!(words(replica(), ReplicaView { digest: Some(1), ..follower() }).contains("digest"));
        assert!(words(replica(), ReplicaView { voters: vec![11], ..follower() }).contains("voters"));
        assert!(
            words(replica(), ReplicaView { problem: "disk full".into(), ..follower() }).contains("disk full")
        );
        let late = |replica| ReplicaView { config: 2, ..replica };
        assert!(words(late(replica()), late(follower())).contains("is at config 2, the newest is 3"));
        let empty = |replica| ReplicaView { shards: vec![], ..replica };
        assert!(words(empty(replica()), empty(follower())).contains("nobody serves shard 0"));
        let down = View { at_ns: 0, node: 2, replicas: None };
        let alone = missing(&[of_node(1, vec![replica()]), down], &wanted()).join("; ");
        assert!(
            alone.contains("node 2 does not answer") && alone.contains("no replica on node 2"),
            "{alone}"
        );
        let stranger = ReplicaView { gid: 9, ..replica() };
        let views = [of_node(1, vec![replica(), stranger]), of_node(2, vec![follower()])];
        assert!(missing(&views, &wanted()).join("; ").contains("node 1 still has a replica of group 9"));
    }
}
