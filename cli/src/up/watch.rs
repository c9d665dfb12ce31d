//! Without `--detach`: says when a node dies or comes back, and stops them all on Ctrl-C.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;

use super::log_tail::tail;
use super::member::{Member, log_file};
use crate::cluster_dir::ClusterDir;
use crate::stop::{self, Signals};
use crate::{exit, output, process};

/// How often to look.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Watches until a signal, or until no node is left.
pub async fn run(dir: &ClusterDir, mut members: Vec<Member>, mut signals: Signals) -> Result<()> {
    let mut dead = BTreeSet::new();
    loop {
        tokio::select! {
            _ = signals.next() => return stop_all(dir, signals).await,
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
        }
        for member in &mut members {
            look(dir, member, &mut dead);
        }
        if dead.len() == members.len() {
            return ended(dir);
        }
    }
}

fn look(dir: &ClusterDir, member: &mut Member, dead: &mut BTreeSet<u32>) {
    let node = member.node;
    let node_dir = dir.node(node);
    let Some(how) = member.ended() else { return };
    if let Some(process) = process::running(&node_dir) {
        output::note(format_args!("node {node} is back (pid {})", process.pid()));
        member.adopt(process);
        dead.remove(&node);
    } else if dead.insert(node) {
        if process::is_forgotten(&node_dir) {
            output::note(format_args!("node {node} was stopped"));
        } else {
            let again = format!("flotilla up --dir {} --detach", dir.path().display());
            let tail = tail(&log_file(&node_dir));
            output::note(format_args!("node {node} {how}; `{again}` starts it again\n{tail}"));
        }
    }
}

/// No node is left: on purpose, or not.
fn ended(dir: &ClusterDir) -> Result<()> {
    if dir.nodes().all(|node| process::is_forgotten(&dir.node(node))) {
        output::note("the cluster was stopped");
        return Ok(());
    }
    Err(exit::no("no node is running any more"))
}

async fn stop_all(dir: &ClusterDir, mut signals: Signals) -> Result<()> {
    let running: Vec<_> =
        dir.nodes().filter_map(|node| Some((node, process::running(&dir.node(node))?))).collect();
    output::note(format_args!("stopping {} nodes; again Ctrl-C leaves them to themselves", running.len()));
    tokio::select! {
        stopped = stop::stop(dir, &running) => stopped.map(drop)?,
        _ = signals.next() => return Err(exit::no("left before all nodes had stopped")),
    }
    output::note(format_args!("stopped; the data stays in {}", dir.path().display()));
    Ok(())
}
