//! I7 on a live cluster: the groups' shards make up the whole key space, and nothing is left behind.
//!
//! While shards move this is not so, and rightly. So it is asked again and again, and the last answer counts.

use std::time::Duration;

use anyhow::Result;
use flotilla_checker::invariants::key_space;
use flotilla_checker::record::{ReplicaView, ShardView, View};
use flotilla_proto::kv_v1::{ReplicaStatus, ShardPhase, ShardStatus};

use crate::args::Common;
use crate::probe;

/// How often it is asked.
const ATTEMPTS: u32 = 20;
/// The wait between two times.
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(250);

/// What is wrong, in words; nothing: it holds.
pub async fn problems(common: &Common) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for attempt in 1..=ATTEMPTS {
        found = judge(&probe::view(&common.endpoints.0, common.timeout).await?);
        if found.is_empty() || attempt == ATTEMPTS {
            break;
        }
        tokio::time::sleep(ATTEMPT_INTERVAL).await;
    }
    Ok(found)
}

fn judge(view: &probe::View) -> Vec<String> {
    let Some(config) = &view.config else {
        return vec![
            "no replica of the controller answers, so the owners of shards are not known".to_owned(),
        ];
    };
    let views: Vec<View> = view.nodes.iter().map(of_node).collect();
    key_space::check(&views, &config.shards)
}

fn of_node(seen: &probe::Seen) -> View {
    let replicas = seen.status.as_ref().ok().map(|status| status.replicas.iter().map(replica).collect());
    View { at_ns: 0, node: seen.node, replicas }
}

fn replica(status: &ReplicaStatus) -> ReplicaView {
    let group = status.group.clone().unwrap_or_default();
    ReplicaView {
        gid: status.gid,
        incarnation: status.incarnation,
        member: status.member,
        role: status.role.clone(),
        term: status.term,
        config: group.config,
        shards: group.shards.iter().map(shard).collect(),
        debts: group.debts,
        ..ReplicaView::default()
    }
}

fn shard(status: &ShardStatus) -> ShardView {
    let phase = match status.phase() {
        ShardPhase::Absent => "absent",
        ShardPhase::Serving => "serving",
        ShardPhase::Pulling => "pulling",
        ShardPhase::BePulling => "be_pulling",
        ShardPhase::Sealed => "sealed",
        ShardPhase::Gcing => "gcing",
    };
    ShardView { shard: status.shard, phase: phase.to_owned(), config: status.config, ..ShardView::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_proto::ctrl_v1::ShardConfig;
    use flotilla_proto::kv_v1::{GetStatusResponse, GroupStatus};

    fn view(owners: Vec<u64>, shards: Vec<ShardStatus>) -> probe::View {
        let group = Some(GroupStatus { shards, ..GroupStatus::default() });
        let leader = ReplicaStatus { gid: 1, role: "leader".into(), group, ..ReplicaStatus::default() };
        let status = GetStatusResponse { node: 1, replicas: vec![leader], ..GetStatusResponse::default() };
        let seen = probe::Seen { node: 1, address: "a:1".into(), status: Ok(status) };
        let config = Some(ShardConfig { num: 3, shards: owners });
        probe::View { config, nodes: vec![seen], ..probe::View::default() }
    }

    fn serving(shard: u32) -> ShardStatus {
        ShardStatus { shard, phase: ShardPhase::Serving.into(), ..ShardStatus::default() }
    }

    #[test]
    fn missing_and_left_over_shards_are_named() {
        assert_eq!(judge(&view(vec![1, 1, 0], vec![serving(0), serving(1)])), Vec::<String>::new());
        assert_eq!(
            judge(&view(vec![1, 1], vec![serving(0)])),
            ["nobody serves shard 1, which belongs to group 1"]
        );
        let sealed = ShardStatus { phase: ShardPhase::Sealed.into(), ..serving(1) };
        assert_eq!(
            judge(&view(vec![1, 0], vec![serving(0), sealed])),
            ["group 1 still has shard 1 as sealed"]
        );
        let unknown = probe::View { config: None, ..view(vec![], vec![]) };
        assert!(judge(&unknown)[0].contains("no replica of the controller"));
    }
}
