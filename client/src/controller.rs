//! Asking the controller for configurations and the directory.

use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::ctrl_v1::{QueryRequest, QueryResponse, ShardConfig};
use flotilla_types::ShardId;
use tokio::time::Instant;

use crate::drive::{Exchange, drive, rpc};
use crate::error::ClientError;
use crate::failure::{Failure, FailureKind};
use crate::shared::Shared;
use crate::trip::{ATTEMPT, Manner, Place, Target};
use crate::verdict::{Verdict, of_leader};

/// The first attempt to learn something of the cluster is short: the next endpoint may well be better.
const FIRST_ATTEMPT: Duration = Duration::from_millis(500);
/// How many configurations one look for an earlier owner goes through.
const WALK_STEPS: u64 = 16;

/// A question to the controller.
pub(crate) struct Question {
    pub request: QueryRequest,
}

impl Question {
    /// The latest configuration and directory.
    pub fn latest(stale: bool) -> Self {
        Self { request: QueryRequest { num: None, directory: true, stale } }
    }
}

impl Exchange for Question {
    type Answer = QueryResponse;

    fn describe(&self) -> String {
        match self.request.num {
            Some(num) => format!("the query for config {num}"),
            None => "the query for the latest config".to_owned(),
        }
    }

    async fn attempt(&self, shared: &Shared, target: &Target) -> Verdict<QueryResponse> {
        match self.ask(shared, target).await {
            Ok(answer) => self.judge(shared, target, answer),
            Err(failure) => Verdict::Failed(failure),
        }
    }
}

impl Question {
    async fn ask(&self, shared: &Shared, target: &Target) -> Result<QueryResponse, Failure> {
        let mut client = shared.links.ctrl(&target.address)?;
        let request = shared.links.request(self.request, target.budget());
        rpc(target, client.query(request)).await
    }

    fn judge(&self, shared: &Shared, target: &Target, answer: QueryResponse) -> Verdict<QueryResponse> {
        if let Some(leader) = answer.leader {
            shared.topology.controllers(&leader.controllers);
            return of_leader(leader);
        }
        let born = answer.directory.as_ref().is_some_and(|directory| !directory.cluster.is_empty());
        if self.request.directory && !born {
            let why = "the cluster is not there yet: its controller has not started".to_owned();
            return Verdict::Later { after: Duration::ZERO, elsewhere: true, why };
        }
        let of_cluster = answer.directory.as_ref().map_or(Ok(()), |it| shared.same_cluster(&it.cluster));
        match of_cluster {
            Ok(()) => Verdict::Done(answer),
            Err(said) => Verdict::Failed(Failure::unsent(&target.address, FailureKind::WrongCluster, said)),
        }
    }
}

/// How a question is asked.
pub(crate) fn manner(stale: bool, deadline: Instant) -> Manner {
    let attempt = if stale { FIRST_ATTEMPT } else { ATTEMPT };
    Manner { place: Place::Controller, writes: false, any_replica: stale, attempt, deadline }
}

/// Learns the latest configuration and directory: as good as any replica knows them.
pub(crate) async fn learn(shared: &Shared, stale: bool, deadline: Instant) -> Result<(), ClientError> {
    let answer = drive(shared, &Question::latest(stale), manner(stale, deadline)).await?;
    // The exchange has checked the cluster.
    drop(shared.learn(&answer));
    Ok(())
}

/// The newest configuration below `below` in which somebody else than at `below` owned the shard, with that owner.
pub(crate) async fn earlier_owner(
    shared: &Shared,
    shard: ShardId,
    below: u64,
    deadline: Instant,
) -> Option<(u64, u64)> {
    let mut owner = None;
    for num in (below.saturating_sub(WALK_STEPS)..=below).rev() {
        let earlier = config(shared, num, deadline).await?.owner(shard).get();
        match owner {
            None => owner = Some(earlier),
            Some(owner) if earlier != owner && earlier != 0 => return Some((num, earlier)),
            Some(_) => {}
        }
    }
    None
}

/// A configuration by number, from memory or from any controller.
async fn config(shared: &Shared, num: u64, deadline: Instant) -> Option<Arc<ShardConfig>> {
    let view = shared.topology.view();
    if view.config.num == num {
        return Some(view.config);
    }
    if let Some(config) = shared.topology.old_config(num) {
        return Some(config);
    }
    let question = Question { request: QueryRequest { num: Some(num), directory: false, stale: true } };
    let answer = drive(shared, &question, manner(true, deadline)).await.ok()?;
    let config = Arc::new(answer.config?);
    shared.topology.remember_config(config.clone());
    Some(config)
}
