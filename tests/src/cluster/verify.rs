//! What must hold of every cluster at the end of a test. Each check says what it does not see.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flotilla_proto::kv_v1::ShardPhase;

use super::view::digest;
use super::{Cluster, View, eventually};

/// How long replicas may take to be at the same index at once.
const WITHIN: Duration = Duration::from_secs(30);

impl Cluster {
    /// Ends a test: replicas hold the same bytes, nobody serves what another serves, no node panicked or died unasked.
    pub async fn finish(self) {
        self.check_digests().await;
        one_server_each(&self.view().await).unwrap_or_else(|why| panic!("{why}"));
        self.check_logs();
    }

    /// Replicas of a group at the same applied index have equal digests. (Not seen: replicas on nodes that are down.)
    pub async fn check_digests(&self) {
        let view = self.view().await;
        let gids: BTreeSet<u64> = view
            .nodes
            .values()
            .flat_map(|status| status.replicas.iter().map(|replica| replica.gid))
            .collect();
        for gid in gids {
            eventually(&format!("the replicas of group {gid} can be compared"), WITHIN, async || {
                let view = self.view().await;
                let nodes: Vec<u64> = view.replicas(gid).map(|seen| seen.node).collect();
                self.compare(gid, &nodes).await
            })
            .await;
        }
    }

    async fn compare(&self, gid: u64, nodes: &[u64]) -> Result<(), String> {
        let mut found: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        for node in nodes {
            found.insert(*node, digest(&self.env, &self.node(*node).plan().listen, gid).await?);
        }
        let indices: BTreeSet<u64> = found.values().map(|(applied, _)| *applied).collect();
        if indices.len() > 1 {
            return Err(format!("they are at different indices: {found:?}"));
        }
        let digests: BTreeSet<u64> = found.values().map(|(_, digest)| *digest).collect();
        assert!(
            digests.len() <= 1,
            "group {gid}: replicas at the same index differ (node, (index, digest)): {found:x?}"
        );
        Ok(())
    }

    /// No node panicked, and none died unasked. (Not seen: a panic whose message never reached the log.)
    pub fn check_logs(&self) {
        for (node, process) in &self.nodes {
            let log = process.log_text();
            let panic = log.lines().find(|line| line.contains("panicked at"));
            assert!(
                panic.is_none(),
                "node {node} panicked: {}\n{}",
                panic.unwrap_or_default(),
                process.tail()
            );
            if let Some(status) = process.ended() {
                panic!("node {node} ended unasked with {status}:\n{}", process.tail());
            }
        }
    }
}

/// At one moment no two leaders say that they serve a shard at the same configuration. The moment is not quite one: nodes
/// answer one after the other, so only equal configuration numbers count.
pub fn one_server_each(view: &View) -> Result<(), String> {
    let mut servers: BTreeMap<(u32, u64), u64> = BTreeMap::new();
    let gids: BTreeSet<u64> =
        view.nodes.values().flat_map(|status| status.replicas.iter().map(|replica| replica.gid)).collect();
    for gid in gids {
        for shard in view.group(gid).into_iter().flat_map(|group| &group.shards) {
            // BePulling still serves, but as the owner of the configuration before.
            if !matches!(shard.phase(), ShardPhase::Serving | ShardPhase::Gcing) {
                continue;
            }
            if let Some(other) = servers.insert((shard.shard, shard.config), gid) {
                let (shard, config) = (shard.shard, shard.config);
                return Err(format!("groups {other} and {gid} both serve shard {shard} at config {config}"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_proto::kv_v1::{GetStatusResponse, GroupStatus, ReplicaStatus, ShardStatus};

    fn view(shards: &[(u64, u32, u64)]) -> View {
        let mut view = View::default();
        for (gid, shard, config) in shards {
            let shard = ShardStatus {
                shard: *shard,
                config: *config,
                phase: ShardPhase::Serving.into(),
                ..Default::default()
            };
            let group = GroupStatus { shards: vec![shard], ..Default::default() };
            let role = "leader".to_owned();
            let replica = ReplicaStatus { gid: *gid, role, group: Some(group), ..Default::default() };
            view.nodes.insert(*gid, GetStatusResponse { replicas: vec![replica], ..Default::default() });
        }
        view
    }

    #[test]
    fn two_servers_of_one_shard_are_flagged() {
        assert_eq!(one_server_each(&view(&[(1, 0, 5), (2, 1, 5)])), Ok(()));
        assert_eq!(one_server_each(&view(&[(1, 0, 5), (2, 0, 6)])), Ok(()), "asked at different moments");
        assert!(one_server_each(&view(&[(1, 0, 5), (2, 0, 5)])).is_err());
    }
}
