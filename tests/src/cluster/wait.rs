//! Waiting until a cluster is somewhere.

use std::time::Duration;

use flotilla_client::Client;
use flotilla_proto::ctrl_v1::{Directory, GroupState, ShardConfig};
use flotilla_proto::kv_v1::ShardPhase;

use super::{Cluster, View, eventually};

/// Long enough for a loaded machine; nothing waits that long when all is well.
pub const WITHIN: Duration = Duration::from_secs(60);

impl Cluster {
    /// Waits for what `probe` finds in a look at all nodes; fails with its reason and the look.
    pub async fn wait_view<T>(&self, what: &str, mut probe: impl FnMut(&View) -> Result<T, String>) -> T {
        eventually(what, WITHIN, async || {
            let view = self.view().await;
            probe(&view).map_err(|why| format!("{why}\n{}", view.words()))
        })
        .await
    }

    /// Waits until the controller leads and has recorded every node.
    pub(super) async fn wait_born(&self) {
        let client = self.client().await;
        let wanted = self.nodes();
        eventually("the cluster is born", WITHIN, async || {
            let directory = client.admin().directory().await.map_err(|error| error.to_string())?;
            let there: Vec<u64> = directory.nodes.iter().map(|record| record.node).collect();
            if there == wanted { Ok(()) } else { Err(format!("registered are {there:?} of {wanted:?}")) }
        })
        .await;
    }

    /// Waits for a leader of a group; gives its node.
    pub async fn wait_leader(&self, gid: u64) -> u64 {
        let what = format!("group {gid} has a leader");
        self.wait_view(&what, |view| {
            let leader = view.leader(gid).ok_or("nobody leads")?;
            // Freshly elected, it may not yet know that it may read.
            Ok(leader.node)
        })
        .await
    }

    /// Waits for a leader of a group that is not `node`; gives its node.
    pub async fn wait_leader_other_than(&self, gid: u64, node: u64) -> u64 {
        let what = format!("group {gid} has a leader other than node {node}");
        self.wait_view(&what, |view| {
            let leader = view.leader(gid).filter(|leader| leader.node != node);
            leader.map(|leader| leader.node).ok_or("nobody else leads".to_owned())
        })
        .await
    }

    /// Waits until every live group has settled the latest configuration and serves exactly its shards.
    pub async fn wait_settled(&self, client: &Client) -> ShardConfig {
        let mut reached = None;
        eventually("every shard is where it belongs", WITHIN, async || {
            let admin = client.admin();
            let config = admin.query(None).await.map_err(|error| error.to_string())?;
            let config = config.config.ok_or("the controller knows no configuration")?;
            let directory = admin.directory().await.map_err(|error| error.to_string())?;
            let view = self.view().await;
            settled(&view, &config, &directory).map_err(|why| format!("{why}\n{}", view.words()))?;
            reached = Some(config);
            Ok(())
        })
        .await;
        reached.expect("set when the probe succeeds")
    }

    /// Waits until a group that left has been torn down everywhere.
    pub async fn wait_torn_down(&self, client: &Client, gid: u64) {
        eventually(&format!("group {gid} is torn down"), WITHIN, async || {
            let directory = client.admin().directory().await.map_err(|error| error.to_string())?;
            let state = directory.group(gid).map(|group| group.state());
            let view = self.view().await;
            let left: Vec<u64> = view.replicas(gid).map(|seen| seen.node).collect();
            let gone = state.is_none_or(|state| state == GroupState::TornDown) && left.is_empty();
            let words = view.words();
            gone.then_some(()).ok_or(format!("it is {state:?}, with replicas on {left:?}\n{words}"))
        })
        .await;
    }

    /// Waits until a shard is in this phase at a group's leader.
    pub async fn wait_phase(&self, gid: u64, shard: u32, wanted: ShardPhase) {
        self.wait_view(&format!("shard {shard} is {wanted:?} at group {gid}"), |view| {
            let phase = view.phase(gid, shard);
            if phase == wanted { Ok(()) } else { Err(format!("it is {phase:?}")) }
        })
        .await;
    }
}

/// Whether every live group has settled `config` and serves exactly its shards.
pub fn settled(view: &View, config: &ShardConfig, directory: &Directory) -> Result<(), String> {
    let live = directory.groups.iter().filter(|group| group.gid > 0 && group.state() == GroupState::Live);
    for group in live {
        let gid = group.gid;
        let status = view.group(gid).ok_or(format!("group {gid} has no leader"))?;
        if status.settled < config.num {
            return Err(format!("group {gid} has settled {} of {}", status.settled, config.num));
        }
        let serving = status.shards.iter().filter(|shard| shard.phase() == ShardPhase::Serving);
        let mut serving: Vec<u32> = serving.map(|shard| shard.shard).collect();
        serving.sort_unstable();
        let wanted = super::shards_of(config, gid);
        if serving != wanted {
            return Err(format!("group {gid} serves {serving:?} instead of {wanted:?}"));
        }
    }
    Ok(())
}
