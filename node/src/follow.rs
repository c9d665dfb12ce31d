//! Keeps the node's topology fresh: from its own controller replica if it hosts one (every applied change), else from
//! a watch at any controller that answers. A watch that breaks is opened again elsewhere; a poll is what remains.

use std::time::Duration;

use flotilla_proto::ctrl_v1::WatchConfigRequest;
use flotilla_proto::faults::site;
use flotilla_raft_store::Group;
use flotilla_shardctrler::ShardCtrler;
use tokio::time::{sleep, timeout};
use tracing::debug;

use crate::replicas::Replicas;
use crate::topology::Topology;

/// The pause before the next address is tried: the polling interval when nothing else works.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// How long a local replica may be silent before the node looks whether it still hosts one.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long a remote watch is trusted without a word: a controller cut off from its majority says nothing either.
const WATCH_MAX: Duration = Duration::from_secs(30);

/// Runs until the node stops.
pub async fn follow_controller(replicas: Replicas) {
    let mut turn = 0usize;
    loop {
        match replicas.controller() {
            // A replica that hears no leader may be cut off: then others may know more.
            Some(group) if group.leader().is_some() => {
                follow_local(&group, &replicas.node().topology).await;
            }
            _ => {
                follow_remote(&replicas, turn).await;
                turn = turn.wrapping_add(1);
                sleep(RETRY_INTERVAL).await;
            }
        }
    }
}

async fn follow_local(group: &Group<ShardCtrler>, topology: &Topology) {
    let mut progress = group.watch();
    loop {
        progress.mark_unchanged();
        let machine = group.machine();
        if machine.is_born() {
            let known = topology.now();
            let directory = machine.directory();
            let newer =
                machine.latest().num > known.config.num || directory.revision > known.directory.revision;
            if newer {
                topology.learn(Some((**machine.latest()).clone()), Some((**directory).clone()));
            }
        }
        let changed = timeout(LOOK_INTERVAL, progress.changed()).await;
        if matches!(changed, Ok(Err(_))) || group.leader().is_none() {
            return;
        }
    }
}

async fn follow_remote(replicas: &Replicas, turn: usize) {
    let local = replicas.node();
    let own = &local.address;
    let addresses: Vec<_> =
        local.controller.addresses().into_iter().filter(|address| address != own).collect();
    let Some(address) = addresses.get(turn % addresses.len().max(1)) else { return };
    let known = local.topology.now();
    let request = WatchConfigRequest { config: known.config.num, revision: known.directory.revision };
    let mut updates = match local.controller.watch_at(address, request).await {
        Ok(updates) => updates,
        Err(status) => return debug!(address, message = status.message(), "watch not opened"),
    };
    loop {
        // Nodes that all start at once would otherwise watch each other in a ring, and none of them its own replica.
        let update = tokio::select! {
            () = led_here(replicas) => return,
            update = timeout(WATCH_MAX, updates.message()) => update,
        };
        let Ok(Ok(Some(update))) = update else { return };
        if local.env.faults.fires(site::BROKEN_WATCH) {
            return;
        }
        local.topology.learn(update.config, update.directory);
    }
}

// Resolves when this node hosts a controller replica that leads, or has heard its leader lately. (That a leader has
// fallen silent changes nothing that could be watched, so it is looked at.)
async fn led_here(replicas: &Replicas) {
    while replicas.controller().is_none_or(|group| group.leader().is_none()) {
        sleep(RETRY_INTERVAL).await;
    }
}
