//! A cluster in tables, and a last line that says how it is.

use std::time::Duration;

use flotilla_proto::ctrl_v1::{GroupRecord, GroupState};
use flotilla_proto::kv_v1::ReplicaStatus;

use super::health::{Health, groups};
use super::moving::Moving;
use crate::duration;
use crate::probe::{Seen, View};
use crate::table::{self, ranges, size, table};

/// The whole view.
pub fn view(view: &View, health: &Health, moving: &[Moving]) -> String {
    let mut text = format!("cluster {}\n\n{}", view.cluster, nodes(view));
    if !view.directory.groups.is_empty() {
        text += &format!("\n{}", group_table(view, health));
    }
    text += &format!("\n{}", shard_line(view, health, moving));
    if !moving.is_empty() {
        text += &format!("\n{}", moves(moving));
    }
    text.push('\n');
    for problem in &health.problems {
        text += &format!("not healthy: {problem}\n");
    }
    if health.problems.is_empty() {
        text += "healthy\n";
    }
    text
}

fn nodes(view: &View) -> String {
    let mut nodes = table(["node", "address", "state", "up for", ">memory", ">disk", "version"]);
    for Seen { node, address, status } in &view.nodes {
        let id = if *node == 0 { "?".to_owned() } else { node.to_string() };
        match status {
            Ok(said) => {
                let uptime = duration::shown(Duration::from_millis(said.uptime_ms));
                let (memory, disk) = (size(said.memory_bytes), size(said.storage_bytes));
                nodes.add_row([id, address.clone(), "up".into(), uptime, memory, disk, said.version.clone()]);
            }
            Err(_) => {
                nodes.add_row([id, address.clone(), "unreachable".into()]);
            }
        }
    }
    table::text(&nodes)
}

fn group_table(view: &View, health: &Health) -> String {
    let headings = ["group", "state", "leader", ">term", ">config", ">settled", ">serves", "replicas"];
    let mut rows = table(headings);
    for group in groups(view) {
        let leader = view.leader(group.gid);
        let told = leader.and_then(|(_, replica)| replica.group.as_ref());
        let dash = || "-".to_owned();
        let number = |number: Option<u64>| number.map_or_else(dash, |number| number.to_string());
        let serves = health.serving.get(&group.gid).map_or(0, Vec::len);
        rows.add_row([
            if group.gid == 0 { "controller".to_owned() } else { group.gid.to_string() },
            state_name(group.state()).to_owned(),
            leader.map_or_else(|| "none".to_owned(), |(node, _)| format!("node {node}")),
            number(leader.map(|(_, replica)| replica.term)),
            number(told.map(|group| group.config)),
            number(told.map(|group| group.settled)),
            if group.gid == 0 { dash() } else { serves.to_string() },
            replicas(view, group),
        ]);
    }
    table::text(&rows)
}

/// A group's state in a word.
pub fn state_name(state: GroupState) -> &'static str {
    match state {
        GroupState::Live => "live",
        GroupState::Leaving => "leaving",
        GroupState::TornDown => "torn down",
    }
}

/// Every replica with its node, role and how many entries it is behind: `1 leader, 2 follower -12, 3 unreachable`.
fn replicas(view: &View, group: &GroupRecord) -> String {
    let newest = view.leader(group.gid).map_or(0, |(_, leader)| leader.applied);
    let one = |node: u64, member: u64| {
        let found = view.replicas(group.gid).find(|(at, replica)| *at == node && replica.member == member);
        match found {
            Some((_, ReplicaStatus { role, applied, .. })) if newest > *applied => {
                format!("{node} {role} -{}", newest - applied)
            }
            Some((_, replica)) => format!("{node} {}", replica.role),
            None => format!("{node} absent"),
        }
    };
    let all = group.replicas.iter().map(|replica| one(replica.node, replica.member));
    all.collect::<Vec<_>>().join(", ")
}

fn shard_line(view: &View, health: &Health, moving: &[Moving]) -> String {
    let Some(config) = &view.config else { return "shards: unknown\n".to_owned() };
    let (serving, total) = (health.serving_count(), config.shards.len());
    let keys = super::keys(view);
    let mut text = format!("shards: {serving} of {total} served, {} moving, {keys} keys", moving.len());
    if !health.sealed.is_empty() {
        text += &format!(", changing hands right now: {}", ranges(&health.sealed));
    }
    text + &format!("; config {}\n", config.num)
}

fn moves(moving: &[Moving]) -> String {
    let mut rows =
        table([">shard", ">from", ">to", "step", ">copied", ">of", ">percent", ">rate", "trouble"]);
    for one in moving {
        let trouble = match one.retries {
            0 => String::new(),
            retries => format!("{retries} retries: {}", one.last_error),
        };
        rows.add_row([
            one.shard.to_string(),
            one.from.to_string(),
            one.to.to_string(),
            one.step.clone(),
            size(one.bytes_done),
            size(one.bytes_done.saturating_add(one.bytes_remaining)),
            format!("{} %", one.percent()),
            format!("{}/s", size(one.bytes_per_second)),
            trouble,
        ]);
    }
    table::text(&rows)
}
