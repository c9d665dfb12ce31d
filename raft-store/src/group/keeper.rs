//! Keeping the log short: builds a snapshot when enough was appended since the last one, then purges what it made
//! superfluous, but for a little that followers may still want.
//!
//! A snapshot is a checkpoint, and a checkpoint flushes: the log is never purged beyond what the data database would
//! still hold after a crash.

use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::faults::{Faults, site};
use flotilla_types::Machine;
use flotilla_types::planted::{self, Bug};
use openraft::Raft;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::sync::watch;

use super::options::GroupLimits;
use super::progress::Progress;
use crate::data::state_machine::StateMachine;
use crate::log::replica::ReplicaLog;
use crate::raft_types::C;

/// How long to wait for a snapshot before looking again.
const BUILD_PATIENCE: Duration = Duration::from_secs(60);
/// What is enough for a snapshot on a simulation's bad days.
const EARLY_ENTRIES: u64 = 10;

pub(crate) struct Keeper<M: Machine> {
    pub raft: Raft<C, StateMachine<M>>,
    pub log: Arc<ReplicaLog>,
    pub limits: GroupLimits,
    pub faults: Faults,
}

impl<M: Machine> Keeper<M> {
    /// Looks whenever the replica has applied more.
    pub async fn run(self, mut progress: watch::Receiver<Progress>) {
        loop {
            let applied = progress.borrow_and_update().applied;
            if self.is_due(applied) && !self.snapshot_and_purge().await {
                return;
            }
            if progress.changed().await.is_err() {
                return;
            }
        }
    }

    fn is_due(&self, applied: Option<u64>) -> bool {
        let applied = applied.map_or(0, |index| index + 1);
        let entries = applied.saturating_sub(self.snapshot_next());
        entries >= self.limits.snapshot_entries.max(1)
            || (entries > 0 && self.log.appended_bytes() >= self.limits.snapshot_log_bytes)
            || (entries >= EARLY_ENTRIES && self.faults.fires(site::EARLY_SNAPSHOT))
    }

    /// The index after the last snapshot's.
    pub fn snapshot_next(&self) -> u64 {
        self.raft.metrics().borrow_watched().snapshot.as_ref().map_or(0, |id| id.index + 1)
    }

    /// Builds a snapshot of at least what is applied now, and purges. False if the replica has stopped.
    pub async fn snapshot_and_purge(&self) -> bool {
        let before = self.snapshot_next();
        self.log.snapshot_done();
        if self.raft.trigger().snapshot().await.is_err() {
            return false;
        }
        let built = async {
            let mut metrics = self.raft.metrics();
            while self.snapshot_next() <= before && metrics.changed().await.is_ok() {}
        };
        // A snapshot that takes longer is waited for by the next look.
        let _ = tokio::time::timeout(BUILD_PATIENCE, built).await;
        self.purge().await
    }

    pub async fn purge(&self) -> bool {
        if planted::is(Bug::PurgeBeforeSnapshot)
            && let Some(applied) = self.raft.metrics().borrow_watched().last_applied
        {
            self.log.purge(applied);
        }
        let keep_entries = self.faults.choose(site::GREEDY_PURGE, self.limits.keep_entries, 0);
        let keeping = self.log.purge_keeping(keep_entries, self.limits.keep_bytes);
        match self.snapshot_next().checked_sub(1).zip(keeping) {
            Some((snapshot, keeping)) => {
                let upto = snapshot.min(keeping);
                self.raft.trigger().purge_log(upto).await.is_ok()
            }
            None => true,
        }
    }
}
