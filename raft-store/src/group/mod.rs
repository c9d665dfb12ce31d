//! A Raft group, as its node uses it: one replica of it, here.
//!
//! ```text
//!   Group::open -> follower of an unknown leader -> initialize (once in the group's life), or added as a learner
//!       |                                                                     |
//!       |      propose, read, members ...  (only the leader)                  |
//!       |      read_local, machine, watch  (every replica)                    |
//!       '-> shutdown: hands over, drains, closes    |   stopped(): died by itself, and why
//! ```
//!
//! * [`options`]: patience and bounds. [`open`]: from the disk to a running replica.
//! * [`propose`] and [`read`]: the two ways in. [`members`]: who belongs to it.
//! * [`keeper`]: keeps the log short. [`progress`]: what may be watched.

use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::env::{Clock, Spawner};
use flotilla_proto::faults::Faults;
use flotilla_types::Machine;
use openraft::Raft;
use openraft::async_runtime::watch::WatchReceiver;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::blocking::blocking;
use crate::data::state_machine::StateMachine;
use crate::data::view::Replica;
use crate::error::{Leader, ProposeError, ReadError, StoreError};
use crate::ids::{Peer, ReplicaId};
use crate::log::replica::ReplicaLog;
use crate::net::clocks::{Clocks, Opinion};
use crate::net::handler::GroupHandler;
use crate::raft_types::C;
use crate::store::{Claim, Store};

mod keeper;
pub mod members;
mod open;
pub mod options;
pub mod progress;
mod propose;
mod read;

use keeper::Keeper;
use members::Members;
use options::{GroupLimits, RaftTimings};
use progress::{Progress, Role};
use propose::Proposals;
use read::Reads;

/// A handle to one replica of a group. Cheap to clone.
pub struct Group<M: Machine> {
    pub(crate) inner: Arc<Inner<M>>,
}

impl<M: Machine> Clone for Group<M> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<M: Machine> std::fmt::Debug for Group<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").field("replica", &self.id()).finish_non_exhaustive()
    }
}

pub(crate) struct Inner<M: Machine> {
    pub raft: Raft<C, StateMachine<M>>,
    pub replica: Arc<Replica<M>>,
    pub log: Arc<ReplicaLog>,
    pub timings: RaftTimings,
    limits: GroupLimits,
    proposals: Proposals<M>,
    reads: Reads<M>,
    handler: Arc<GroupHandler<M>>,
    clock: Arc<dyn Clock>,
    clocks: Arc<Clocks>,
    progress: watch::Receiver<Progress>,
    stopped: watch::Receiver<Option<String>>,
    spawner: Spawner,
    faults: Faults,
    store: Arc<Store>,
    claim: Mutex<Option<Claim>>,
}

/// What a replica can say of itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReplicaStatus {
    /// What it is, how far it has got, and whom it follows.
    pub progress: Progress,
    /// The index of the last entry of its log.
    pub last_log: Option<u64>,
    /// The index of its last snapshot.
    pub snapshot: Option<u64>,
    /// The index up to which its log was purged.
    pub purged: Option<u64>,
    /// Who belongs to the group.
    pub members: Members,
    /// What its data database takes, about.
    pub data_bytes: u64,
    /// How many bytes were appended to its log since the last snapshot or restart.
    pub log_bytes_since_snapshot: u64,
}

impl<M: Machine> Group<M> {
    /// Which replica this is.
    pub fn id(&self) -> ReplicaId {
        self.inner.replica.id
    }

    /// Replicates a command and answers what applying it answered.
    pub async fn propose(&self, command: M::Command) -> Result<M::Response, ProposeError> {
        let mut responses = self.propose_many(vec![command]).await?;
        responses.pop().ok_or_else(|| ProposeError::Unknown("no response".to_owned()))
    }

    /// Replicates commands in one log entry, applied one after the other with nothing in between.
    pub async fn propose_many(&self, commands: Vec<M::Command>) -> Result<Vec<M::Response>, ProposeError> {
        self.inner.proposals.propose(commands).await
    }

    /// Reads what is true now: the answer holds at some moment between the call and its return.
    pub async fn read(&self, query: M::Query) -> Result<M::Answer, ReadError> {
        self.inner.reads.read(query).await
    }

    /// Reads what this replica has applied, which may be old.
    pub fn read_local(&self, query: M::Query) -> Result<M::Answer, ReadError> {
        let replica = &self.inner.replica;
        replica.read(|machine, rows| read::query(replica, machine, rows, query))
    }

    /// As [`Group::read_local`], with the index of the last entry applied at that moment: equal on two replicas, the
    /// answers must be equal too.
    pub fn read_local_at(&self, query: M::Query) -> Result<(u64, M::Answer), ReadError> {
        let replica = &self.inner.replica;
        let answer = |applied, machine: &M, rows: &dyn flotilla_types::Reader| {
            read::query(replica, machine, rows, query).map(|answer| (applied, answer))
        };
        replica.read_at(answer)
    }

    /// The machine of this replica's applied state.
    pub fn machine(&self) -> Arc<M> {
        self.inner.replica.machine()
    }

    /// What this replica's applied state calls for.
    pub fn actions(&self) -> Vec<M::Action> {
        self.machine().actions()
    }

    /// Whether this replica believes that it leads.
    pub fn is_leader(&self) -> bool {
        self.inner.progress.borrow().role == Role::Leader
    }

    /// The time to stamp into a command: what this node's clock shows, in milliseconds since 1970 UTC. 0, which lets no
    /// time pass, on a replica that does not lead, and while a majority of the members does not agree. A new leader waits
    /// here for the first answers of the others, which it needs for the command as well, but not for long.
    pub async fn stamp(&self) -> u64 {
        let opinion = || {
            let now_ms = self.inner.clock.now_ms();
            match self.opinion(now_ms) {
                Opinion::Right => Some(now_ms),
                Opinion::Wrong => Some(0),
                Opinion::Unheard => None,
            }
        };
        if !self.is_leader() {
            return 0;
        }
        if let Some(now_ms) = opinion() {
            return now_ms;
        }
        let patience = Duration::from_millis(self.inner.timings.election_ms_max);
        tokio::time::timeout(patience, self.inner.clocks.until(opinion)).await.unwrap_or(0)
    }

    fn opinion(&self, now_ms: u64) -> Opinion {
        let metrics = self.raft().metrics();
        let metrics = metrics.borrow_watched();
        let voters = metrics.membership_config.membership().voter_ids();
        let opinion = self.inner.clocks.opinion(voters, self.id().member, now_ms);
        if self.inner.clocks.is_news(opinion) {
            tracing::warn!(
                replica = %self.id(),
                "the clocks of most members differ from this leader's by more than 10 s: nothing expires until they \
                 agree; correct this node's clock, or the others'"
            );
        }
        opinion
    }

    /// Who leads, if known: this replica, or a leader that was heard not long ago. [`Progress::leader`] stays while
    /// nothing newer is known, also on a replica that is cut off.
    pub fn leader(&self) -> Option<Leader> {
        let patience = Duration::from_millis(2 * self.inner.timings.election_ms_max);
        let present = self.is_leader() || self.inner.handler.heard.within(patience);
        present.then(|| self.inner.progress.borrow().leader.clone()).flatten()
    }

    /// The replica's state, present and to come.
    pub fn watch(&self) -> watch::Receiver<Progress> {
        self.inner.progress.clone()
    }

    /// What the replica can say of itself.
    pub fn status(&self) -> ReplicaStatus {
        let metrics = self.raft().metrics();
        let metrics = metrics.borrow_watched().clone();
        let index = |id: &Option<crate::raft_types::LogId>| id.as_ref().map(|id| id.index);
        ReplicaStatus {
            progress: Progress { leader: self.leader(), ..self.inner.progress.borrow().clone() },
            last_log: metrics.last_log_index,
            snapshot: index(&metrics.snapshot),
            purged: index(&metrics.purged),
            members: Members::of(metrics.membership_config.membership()),
            data_bytes: self.inner.replica.view.read().db.engine.bytes(),
            log_bytes_since_snapshot: self.inner.log.appended_bytes(),
        }
    }

    /// Builds a snapshot now and purges the log as the limits say.
    pub async fn snapshot_now(&self) -> Result<(), StoreError> {
        let keeper = Keeper {
            raft: self.raft().clone(),
            log: self.inner.log.clone(),
            limits: self.inner.limits.clone(),
            faults: self.inner.faults.clone(),
        };
        // Raft's own numbers lag behind what was answered; the replica's do not.
        let news = *self.inner.replica.applied_next.borrow() > keeper.snapshot_next();
        let running = if news { keeper.snapshot_and_purge().await } else { keeper.purge().await };
        match running {
            true => Ok(()),
            false => Err(StoreError::Stopped { replica: self.id(), reason: self.reason() }),
        }
    }

    /// Asks this replica to stand for election now.
    pub async fn campaign(&self) -> Result<(), StoreError> {
        let stopped = |_| StoreError::Stopped { replica: self.id(), reason: self.reason() };
        self.raft().trigger().elect(true).await.map_err(stopped)
    }

    /// Waits until the replica has stopped, and says why: shut down, or a failure of its storage, after which it
    /// neither serves nor votes.
    pub async fn stopped(&self) -> String {
        let mut stopped = self.inner.stopped.clone();
        let reason = stopped.wait_for(Option::is_some).await.map(|reason| reason.clone());
        reason.ok().flatten().unwrap_or_else(|| "the replica is gone".to_owned())
    }

    /// Whether it stopped because its stored bytes contradict themselves. Opening them again would not mend them.
    pub fn is_corrupt(&self) -> bool {
        self.inner.replica.failure.borrow().as_ref().is_some_and(|failure| failure.corrupt)
    }

    /// Hands leadership over if others can take it, stops, and closes the replica's files. The data stays; reads fail
    /// from then on.
    pub async fn shutdown(&self) {
        if self.is_leader() && self.hand_over().await == Ok(false) {
            tracing::info!(replica = %self.id(), "nobody took over in time");
        }
        self.halt().await;
        self.flush();
        self.close();
    }

    /// Stops and closes without handing over or flushing: what a simulation calls a crash, after it has cut the replica
    /// off from its disk and its peers.
    pub async fn crash(&self) {
        self.halt().await;
        self.close();
    }

    async fn halt(&self) {
        self.inner.handler.stop.cancel();
        if let Err(error) = self.raft().shutdown().await {
            tracing::warn!(replica = %self.id(), %error, "raft did not stop cleanly");
        }
        self.inner.spawner.stop().await;
    }

    fn close(&self) {
        self.inner.replica.close();
        self.inner.claim.lock().take();
    }

    /// So that the next start has little to apply again.
    fn flush(&self) {
        let db = self.inner.replica.view.read().db.clone();
        if let Err(error) = blocking(|| db.engine.flush()) {
            tracing::warn!(replica = %self.id(), error = %crate::error::describe(&error), "cannot flush");
        }
    }

    /// The node's storage below this replica.
    pub fn store(&self) -> &Arc<Store> {
        &self.inner.store
    }

    /// Waits until this replica knows a leader, at most so long.
    pub async fn wait_for_leader(&self, patience: Duration) -> Option<(flotilla_types::MemberId, Peer)> {
        let mut progress = self.watch();
        let known = tokio::time::timeout(patience, progress.wait_for(|progress| progress.leader.is_some()));
        known.await.ok()?.ok()?.leader.clone()
    }

    fn reason(&self) -> String {
        self.inner.stopped.borrow().clone().unwrap_or_else(|| "it does not answer".to_owned())
    }

    pub(crate) fn raft(&self) -> &Raft<C, StateMachine<M>> {
        &self.inner.raft
    }

    pub(crate) fn handler(&self) -> Arc<GroupHandler<M>> {
        self.inner.handler.clone()
    }
}
