//! Which node dumps which group, and what becomes of the work of one that falls silent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flotilla_cloud_migration::command::{Assign, Kind};
use flotilla_cloud_migration::{Group, Record, State};
use flotilla_proto::identity::stamp;
use flotilla_proto::migration_v1::{WorkRequest, WorkResponse};
use flotilla_types::NodeId;
use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::warn;

use super::perform::{Outcome, Owner, failure};

/// A node that alone has what is left to send is waited for this many times longer.
const ALONE_TIMES: u32 = 30;

impl Owner {
    /// What a node says of its work; none if it does not answer.
    pub async fn work_of(&self, node: u64) -> Option<WorkResponse> {
        let address = self.replicas.node().topology.now().address(NodeId(node))?.to_owned();
        let request = WorkRequest { id: self.id };
        let answer = self
            .reporter
            .at(&address, |mut grpc, cluster| async move { grpc.work(stamp(request, Some(cluster))).await });
        answer.await.ok()
    }

    /// Gives a group to the best node that answers: one that does not lead it, with the least to do.
    pub async fn assign(&self, record: &Record, gid: u64, without: u64) -> Outcome {
        let Some(group) = record.group(gid) else { return Outcome::Done };
        let mut best: Option<(bool, usize, u64, u64)> = None;
        let readers: Vec<u64> = group.readers().filter(|node| *node != without).collect();
        for node in readers {
            let Some(work) = self.work_of(node).await else { continue };
            let leads = work.groups.iter().any(|held| held.gid == gid && held.leads);
            let load = record.groups.iter().filter(|group| group.node == node).count();
            // Groups that are given away at the same moment are to go to different nodes.
            let turn = node.wrapping_add(gid) % group.nodes.len().max(1) as u64;
            let rank = (leads, load, turn, node);
            best = Some(best.map_or(rank, |best| best.min(rank)));
        }
        let Some((_, _, _, node)) = best else {
            return Outcome::Again(format!("no node of group {gid} answers"));
        };
        let assign = Assign { gid, node, after: group.assignment };
        self.propose(Kind::Assign(assign)).await.map_or_else(Outcome::from, |_| Outcome::Done)
    }
}

/// Watches over the nodes at work.
pub(super) struct Nodes {
    owner: Arc<Owner>,
    heard: Arc<Mutex<BTreeMap<u64, Instant>>>,
}

impl Nodes {
    pub fn new(owner: Arc<Owner>) -> Self {
        Self { owner, heard: Arc::default() }
    }

    /// Asks every node that has something to do, in the background, and gives the work of the silent ones to others.
    pub fn look(&self, record: &Record) {
        if !matches!(record.state(), State::Dump | State::Upload) {
            return;
        }
        let patience =
            Duration::from_millis(record.options.clone().unwrap_or_default().filled().node_timeout_ms);
        for group in record.groups.iter().filter(|group| has_work(group)) {
            let now = Instant::now();
            let since = *self.heard.lock().entry(group.node).or_insert(now);
            let (owner, heard, record, group) =
                (self.owner.clone(), self.heard.clone(), record.clone(), group.clone());
            let spawner = self.owner.replicas.node().env.spawner.clone();
            spawner.spawn(async move {
                if owner.work_of(group.node).await.is_some() {
                    heard.lock().insert(group.node, Instant::now());
                } else if since.elapsed() > patience {
                    owner.replace(&record, &group, since.elapsed(), patience).await;
                }
            });
        }
    }
}

fn has_work(group: &Group) -> bool {
    group.node != 0 && (!group.planned_all || group.done < group.planned)
}

impl Owner {
    /// While the group is read-only another replica can make the same files. After that only this node has them, and it
    /// is waited for.
    async fn replace(&self, record: &Record, group: &Group, silent: Duration, patience: Duration) {
        let frozen = record.freeze.is_some_and(|freeze| freeze.ended_ms == 0);
        let outcome = if frozen {
            warn!(
                migration = record.id,
                node = group.node,
                gid = group.gid,
                "a silent node's work goes to another one"
            );
            self.assign(record, group.gid, group.node).await
        } else if silent > patience.saturating_mul(ALONE_TIMES) {
            let message = format!(
                "node {} has been silent for {} s, and it alone holds files of group {}",
                group.node,
                silent.as_secs(),
                group.gid
            );
            Outcome::Fail(failure("node_lost", record, message, true))
        } else {
            return;
        };
        if let Outcome::Fail(failure) = outcome
            && let Err(error) = self.propose(Kind::Fail(failure)).await
        {
            tracing::debug!(%error, "failure not recorded");
        }
    }
}
