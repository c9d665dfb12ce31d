//! Configurations, groups and nodes, as JSON and as tables.

use std::collections::BTreeMap;

use flotilla_proto::ctrl_v1::{Directory, GroupRecord, NodeRecord, ShardConfig};
use serde_json::{Value, json};

use crate::status::state_name;
use crate::table::{self, ranges, table};

/// Every group of a configuration with its nodes: those that had joined by then and not left, and any other owner.
fn members(config: &ShardConfig, directory: &Directory) -> BTreeMap<u64, Vec<u64>> {
    let joined = |group: &&GroupRecord| {
        group.gid != 0 && group.incarnation <= config.num && (group.left == 0 || group.left > config.num)
    };
    let nodes = |group: &GroupRecord| group.replicas.iter().map(|replica| replica.node).collect();
    let mut found: BTreeMap<u64, Vec<u64>> =
        directory.groups.iter().filter(joined).map(|group| (group.gid, nodes(group))).collect();
    for gid in config.shards.iter().filter(|gid| **gid != 0) {
        found.entry(*gid).or_default();
    }
    found
}

/// `{"num", "shards": [gid, ...], "groups": {gid: [node, ...]}}`.
pub fn config(config: &ShardConfig, directory: &Directory) -> Value {
    json!({ "num": config.num, "shards": config.shards, "groups": members(config, directory) })
}

/// A configuration for people: each group with its nodes and shards.
pub fn config_text(config: &ShardConfig, directory: &Directory) -> String {
    let mut rows = table([">group", "nodes", ">shards", "which"]);
    let shards_of = |gid: u64| -> Vec<u32> {
        let owned = config.owners().filter(|(_, owner)| owner.get() == gid);
        owned.map(|(shard, _)| shard.get()).collect()
    };
    for (gid, nodes) in members(config, directory) {
        let shards = shards_of(gid);
        rows.add_row([gid.to_string(), joined(&nodes), shards.len().to_string(), ranges(&shards)]);
    }
    let nobody = shards_of(0);
    if !nobody.is_empty() {
        rows.add_row(["nobody".into(), String::new(), nobody.len().to_string(), ranges(&nobody)]);
    }
    format!("config {}\n\n{}", config.num, table::text(&rows))
}

fn joined(numbers: &[u64]) -> String {
    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
}

/// Every group of the directory.
pub fn groups(directory: &Directory) -> Vec<Value> {
    directory.groups.iter().map(group).collect()
}

fn group(group: &GroupRecord) -> Value {
    let replica = |replica: &flotilla_proto::ctrl_v1::Replica| json!({ "node": replica.node, "member": replica.member, "disk": replica.disk });
    json!({
        "gid": group.gid,
        "incarnation": group.incarnation,
        "state": state_name(group.state()),
        "initialised": group.initialised,
        "settled": group.settled,
        "left": group.left,
        "replicas": group.replicas.iter().map(replica).collect::<Vec<_>>(),
    })
}

/// Every group of the directory, for people.
pub fn groups_text(directory: &Directory) -> String {
    let mut rows = table(["group", "state", ">since config", ">settled", "nodes", "members"]);
    for group in &directory.groups {
        let name = if group.gid == 0 { "controller".to_owned() } else { group.gid.to_string() };
        let nodes: Vec<u64> = group.replicas.iter().map(|replica| replica.node).collect();
        let members: Vec<u64> = group.replicas.iter().map(|replica| replica.member).collect();
        let state = if group.initialised { state_name(group.state()) } else { "starting" };
        rows.add_row([
            name,
            state.to_owned(),
            group.incarnation.to_string(),
            group.settled.to_string(),
            joined(&nodes),
            joined(&members),
        ]);
    }
    table::text(&rows)
}

/// Every node of the directory.
pub fn nodes(directory: &Directory) -> Vec<Value> {
    let node = |record: &NodeRecord| {
        json!({
            "node": record.node,
            "address": record.address,
            "zone": record.zone,
            "disk": record.disk,
            "groups": hosted(directory, record.node),
        })
    };
    directory.nodes.iter().map(node).collect()
}

/// The groups that have a replica on a node, without those that are gone.
fn hosted(directory: &Directory, node: u64) -> Vec<u64> {
    let here = |group: &&GroupRecord| group.replicas.iter().any(|replica| replica.node == node);
    let alive = |group: &&GroupRecord| state_name(group.state()) != "torn down";
    directory.groups.iter().filter(here).filter(alive).map(|group| group.gid).collect()
}

/// Every node of the directory, for people.
pub fn nodes_text(directory: &Directory) -> String {
    let mut rows = table([">node", "address", "zone", "groups (0 is the controller)"]);
    for record in &directory.nodes {
        let groups = joined(&hosted(directory, record.node));
        rows.add_row([record.node.to_string(), record.address.clone(), record.zone.clone(), groups]);
    }
    table::text(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_proto::ctrl_v1::Replica;

    #[test]
    fn a_configuration_shows_the_groups_of_its_time() {
        let group = |gid, incarnation, left| GroupRecord {
            gid,
            incarnation,
            left,
            replicas: vec![Replica { node: gid + 10, member: 1, disk: 1 }],
            ..GroupRecord::default()
        };
        let groups = vec![group(0, 0, 0), group(1, 1, 0), group(2, 1, 3), group(3, 4, 0)];
        let directory = Directory { groups, ..Directory::default() };
        let at = |num| config(&ShardConfig { num, shards: vec![1, 9] }, &directory)["groups"].clone();
        assert_eq!(at(2), json!({ "1": [11], "2": [12], "9": [] }));
        assert_eq!(at(3), json!({ "1": [11], "9": [] }));
        assert_eq!(at(4), json!({ "1": [11], "3": [13], "9": [] }));
    }
}
