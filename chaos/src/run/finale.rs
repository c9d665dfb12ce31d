//! The end of a run: everything is healed, and must come back, settle and agree.

use std::time::Duration;

use flotilla_checker::invariants::converged::{self, Wanted};
use flotilla_client::ClientError;
use flotilla_proto::ctrl_v1::{GroupRecord, GroupState};
use flotilla_workload::{Load, Mix, Plan, Site, last_reads};
use tokio::time::{Instant, sleep};

use super::arena::Arena;
use crate::node::watch::Watcher;

const LOOK: Duration = Duration::from_millis(300);
/// The numbers of the clients that write and read last.
const LAST_WRITERS: u64 = 2_000_000;
const LAST_READERS: u64 = 3_000_000;

/// Waits until all replicas are there, while load goes on.
pub(crate) async fn healed(arena: &Arena) {
    arena.revive();
    arena.expect_healthy(arena.patience, "all was healed").await;
}

/// After the load: writes and reads must succeed, all must settle and agree.
pub(crate) async fn settle(
    arena: &Arena,
    site: &Site,
    watcher: &Watcher,
    shards: u32,
    mut keys: Vec<String>,
) {
    keys.append(&mut last_writes(arena, site, shards).await);
    let patience = arena.patience;
    if let Err(missing) = converged(arena, watcher).await {
        let missing = missing.join("; ");
        arena
            .recorder
            .violation("I9", &format!("not converged within {patience:?} after all was healed: {missing}"));
    }
    if let Err(unread) = last_reads(site, LAST_READERS, keys, patience).await {
        arena.recorder.violation("I9", &unread.to_string());
    }
}

/// Appends to many keys: each must be acknowledged. Gives the keys.
async fn last_writes(arena: &Arena, site: &Site, shards: u32) -> Vec<String> {
    let each = u64::from(shards) * 2;
    let plan = Plan {
        clients: 4,
        crew: 4,
        append_keys: usize::try_from(shards).unwrap_or(1) * 2,
        shared_keys: 0,
        prefix: "last-".to_owned(),
        mix: Mix { get: 0, put: 0, append: 1, delete: 0, swap: 0 },
        think: Duration::ZERO..Duration::from_millis(1),
        hasty_per_mille: 0,
        reconnect_per_mille: 0,
        ops_per_client: Some(each),
        first: LAST_WRITERS,
        ..Plan::default()
    };
    let wanted = each * plan.clients as u64;
    let done = Load::start(plan, site).done().await;
    if done.ok < wanted {
        let what = format!(
            "of {wanted} last writes to the healed cluster, {} were acknowledged, {} refused, {} of unknown outcome",
            done.ok, done.failed, done.unknown
        );
        arena.recorder.violation("I9", &what);
    }
    done.keys
}

/// Waits until everything is as the newest configuration says, and all replicas of a group hold the same.
async fn converged(arena: &Arena, watcher: &Watcher) -> Result<(), Vec<String>> {
    let until = Instant::now() + arena.patience;
    loop {
        let missing = match wanted(arena).await {
            Ok(wanted) => converged::missing(&watcher.views_with_digests().await, &wanted),
            Err(error) => vec![format!("the controller does not answer: {error}")],
        };
        if missing.is_empty() {
            return Ok(());
        }
        if Instant::now() >= until {
            return Err(missing);
        }
        sleep(LOOK).await;
    }
}

async fn wanted(arena: &Arena) -> Result<Wanted, ClientError> {
    let admin = arena.client.admin();
    let config = admin.query(None).await?.config.unwrap_or_default();
    let groups = admin.directory().await?.groups;
    let live = groups.into_iter().filter(|group| group.state() == GroupState::Live);
    let nodes = |group: GroupRecord| group.replicas.iter().map(|replica| replica.node).collect();
    let groups = live.map(|group| (group.gid, nodes(group))).collect();
    Ok(Wanted { config: config.num, owners: config.shards, groups })
}
