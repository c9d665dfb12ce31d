//! What is there now, and what to try.

use std::path::Path;

use anyhow::Result;
use serde_json::json;

use super::member::{Member, log_file};
use crate::args::Common;
use crate::cluster_dir::ClusterDir;
use crate::endpoints::{self, DEFAULT_ENDPOINTS};
use crate::output;
use crate::table::{self, table};

/// Prints it.
pub fn say(common: &Common, dir: &ClusterDir, members: &[Member], detached: bool) -> Result<()> {
    if common.json {
        return json(dir, members);
    }
    let record = &dir.record;
    let mut rows = table([">node", "gRPC", "HTTP", ">pid", "log"]);
    for member in members {
        rows.add_row([
            member.node.to_string(),
            member.ports.grpc.to_string(),
            member.ports.http.to_string(),
            member.process().1.pid().to_string(),
            short(&log_file(&dir.node(member.node))),
        ]);
    }
    output::line(format_args!(
        "cluster {} is up: {} nodes, {} shards, in {}\n\n{}\ntry:\n{}",
        record.cluster,
        record.nodes,
        record.shards,
        short(dir.path()),
        table::text(&rows),
        commands(dir, members, detached)
    ))
}

fn commands(dir: &ClusterDir, members: &[Member], detached: bool) -> String {
    let program = std::env::args().next().unwrap_or_else(|| "flotilla".to_owned());
    let mut text = String::new();
    let default = endpoints::parse(DEFAULT_ENDPOINTS).map(|endpoints| endpoints.0).unwrap_or_default();
    if !members.iter().any(|member| default.contains(&member.ports.grpc.to_string())) {
        let all: Vec<_> = members.iter().map(|member| member.ports.grpc.to_string()).collect();
        text += &format!("  export FLOTILLA_ENDPOINTS={}\n", all.join(","));
    }
    for command in ["put greeting hello", "get greeting", "status", "ctl query"] {
        text += &format!("  {program} {command}\n");
    }
    let chosen = if is_default(dir.path()) { String::new() } else { format!(" --dir {}", short(dir.path())) };
    match detached {
        true => text + &format!("  {program} down{chosen}"),
        false => text + "\nCtrl-C stops the cluster; its data stays.",
    }
}

fn is_default(path: &Path) -> bool {
    short(path) == ".flotilla"
}

/// A path as seen from here, if it is below.
fn short(path: &Path) -> String {
    let here = std::env::current_dir().ok().and_then(|here| here.canonicalize().ok());
    let below = here.and_then(|here| path.strip_prefix(here).ok());
    below.unwrap_or(path).display().to_string()
}

fn json(dir: &ClusterDir, members: &[Member]) -> Result<()> {
    let member = |member: &Member| {
        json!({
            "node": member.node,
            "pid": member.process().1.pid(),
            "grpc": member.ports.grpc.to_string(),
            "http": member.ports.http.to_string(),
            "dir": dir.node(member.node),
            "started": member.is_new(),
        })
    };
    let endpoints: Vec<_> = members.iter().map(|member| member.ports.grpc.to_string()).collect();
    output::json(&json!({
        "cluster": dir.record.cluster.to_string(),
        "dir": dir.path(),
        "shards": dir.record.shards,
        "endpoints": endpoints,
        "nodes": members.iter().map(member).collect::<Vec<_>>(),
    }))
}
