//! One owner's life.

use std::sync::Arc;
use std::time::Duration;

use flotilla_cloud_migration::command::{Empty, Kind, OfNode};
use flotilla_cloud_migration::work::{self, Task};
use flotilla_cloud_migration::{Command, Record, State};
use flotilla_raft_store::Group;
use flotilla_shardctrler::ShardCtrler;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, interval, sleep};
use tracing::{debug, info, warn};

use super::needs_owner;
use super::nodes::Nodes;
use super::perform::{Outcome, Owner};
use crate::migration::reporter::Unreported;
use crate::replicas::Replicas;

/// How long a lease may stand still before somebody else ends it.
const LEASE: Duration = Duration::from_secs(3);
/// How often a lease is renewed.
const RENEW_INTERVAL: Duration = Duration::from_secs(1);
/// How often the record is looked at when nothing else wakes the owner.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How long a task that came to nothing waits.
const TASK_PAUSE: Duration = Duration::from_millis(250);

/// Owns a migration until nothing is left to do, the record says that somebody else does, or this node leads no more.
pub(super) async fn own(replicas: Replicas, id: u64) {
    let Some(epoch) = claim(&replicas, id).await else { return };
    info!(migration = id, epoch, "migration claimed");
    let owner = Arc::new(Owner::new(replicas.clone(), id, epoch));
    let mut run = Run {
        owner: owner.clone(),
        running: FuturesUnordered::new(),
        started: Vec::new(),
        resting: Vec::new(),
        state: None,
        since: Instant::now(),
    };
    run.drive(&replicas).await;
    // A courtesy: whoever comes next need not wait for the lease to end.
    let _ = owner.propose(Kind::Release(Empty {})).await;
    info!(migration = id, epoch, "migration let go");
}

/// The next epoch, once no lease stands; none if that is not for this node to have.
async fn claim(replicas: &Replicas, id: u64) -> Option<u64> {
    let node = replicas.node().options.node.get();
    let mut seen: Option<(u64, u64, Instant)> = None;
    loop {
        let record = record(replicas, id)?;
        if !needs_owner(&record) {
            return None;
        }
        let owner = record.owner.unwrap_or_default();
        let command = |epoch, kind| Command { id, epoch, kind: Some(kind) };
        if !owner.leased {
            let answer = propose(replicas, command(0, Kind::Claim(OfNode { node }))).await.ok()?;
            return Some(answer);
        }
        let unchanged =
            seen.filter(|(epoch, renewals, _)| (*epoch, *renewals) == (owner.epoch, owner.renewals));
        let (_, _, since) = *seen.insert(unchanged.unwrap_or((owner.epoch, owner.renewals, Instant::now())));
        // A lease of this very node is of its earlier life, or of one that has just let go.
        if owner.node == node || since.elapsed() >= LEASE {
            info!(
                migration = id,
                epoch = owner.epoch,
                node = owner.node,
                "the lease on the migration is over"
            );
            let _ = propose(replicas, command(owner.epoch, Kind::Release(Empty {}))).await;
        }
        sleep(LOOK_INTERVAL).await;
    }
}

/// A command through the local replica, which leads; what it answers stands in the record too.
async fn propose(replicas: &Replicas, command: Command) -> Result<u64, Unreported> {
    let answer = crate::migration::reporter::Reporter::new(replicas.clone()).propose(command).await?;
    Ok(answer.token)
}

/// The record as the local replica has it, if that one leads.
fn record(replicas: &Replicas, id: u64) -> Option<Record> {
    let group = replicas.controller().filter(Group::<ShardCtrler>::is_leader)?;
    group.machine().migrations().get(&id).cloned()
}

type Running = BoxFuture<'static, (Task, Outcome)>;

struct Run {
    owner: Arc<Owner>,
    running: FuturesUnordered<Running>,
    started: Vec<Task>,
    resting: Vec<(Task, Instant)>,
    state: Option<State>,
    /// When this owner first saw the present state: what deadlines count from.
    since: Instant,
}

impl Run {
    async fn drive(&mut self, replicas: &Replicas) {
        let mut lease = interval(RENEW_INTERVAL);
        let nodes = Nodes::new(self.owner.clone());
        let mut progress = replicas.controller().map(|group| group.watch());
        loop {
            let Some(record) = record(replicas, self.owner.id) else { return };
            if record.epoch() != self.owner.epoch || !needs_owner(&record) {
                return;
            }
            self.look(&record);
            tokio::select! {
                _ = lease.tick() => {
                    if let Err(error) = self.owner.propose(Kind::Renew(Empty {})).await
                        && error.is_over()
                    {
                        return warn!(migration = record.id, %error, "the migration has another owner");
                    }
                    self.owner.renew_freezes(&record);
                    nodes.look(&record);
                }
                Some((task, outcome)) = self.running.next() => self.ended(task, outcome).await,
                () = changed(&mut progress) => {}
                () = sleep(LOOK_INTERVAL) => {}
            }
        }
    }

    /// Starts what the record calls for. What it no longer calls for is dropped with the state it belonged to.
    fn look(&mut self, record: &Record) {
        if self.state != Some(record.state()) {
            self.running.clear();
            self.started.clear();
            self.resting.clear();
            (self.state, self.since) = (Some(record.state()), Instant::now());
            self.owner.entered(record);
        }
        let now = Instant::now();
        self.resting.retain(|(_, until)| *until > now);
        for task in work::of_owner(record) {
            let rests = self.resting.iter().any(|(resting, _)| *resting == task);
            if rests || self.started.contains(&task) {
                continue;
            }
            self.started.push(task.clone());
            let (owner, record, waited) = (self.owner.clone(), record.clone(), self.since.elapsed());
            self.running.push(Box::pin(async move {
                let outcome = owner.perform(&record, &task, waited).await;
                (task, outcome)
            }));
        }
    }

    async fn ended(&mut self, task: Task, outcome: Outcome) {
        self.started.retain(|started| *started != task);
        match outcome {
            Outcome::Done => {}
            Outcome::Again(why) => {
                debug!(migration = self.owner.id, ?task, why, "not yet");
                self.resting.push((task, Instant::now() + TASK_PAUSE));
            }
            Outcome::Fail(failure) => {
                warn!(
                    migration = self.owner.id,
                    code = failure.code,
                    message = failure.message,
                    "the migration fails"
                );
                if let Err(error) = self.owner.propose(Kind::Fail(failure)).await {
                    debug!(migration = self.owner.id, %error, "failure not recorded");
                    self.resting.push((task, Instant::now() + TASK_PAUSE));
                }
            }
        }
    }
}

async fn changed(progress: &mut Option<tokio::sync::watch::Receiver<flotilla_raft_store::Progress>>) {
    let gone = match progress {
        Some(progress) => progress.changed().await.is_err(),
        None => true,
    };
    if gone {
        *progress = None;
        std::future::pending::<()>().await;
    }
}
