//! What this node knows of the migrations: from its own controller replica if it hosts one that hears a leader, else by
//! asking some controller now and again. Knowledge only grows, so it does not matter who told it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flotilla_cloud_migration::{Record, work};
use flotilla_proto::identity::stamp;
use flotilla_proto::migration_v1::{ListRequest, ListResponse};
use flotilla_raft_store::Group;
use flotilla_shardctrler::ShardCtrler;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tonic::Status;

use super::reporter::Reporter;
use crate::replicas::Replicas;

/// Between two questions while something is going on: a cancellation is to be noticed within a second.
const BUSY_INTERVAL: Duration = Duration::from_millis(300);
/// Between two questions while nothing is.
const IDLE_INTERVAL: Duration = Duration::from_secs(2);
/// How long a local replica may be silent before the node looks whether it still hosts one.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// All migrations at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// Of two moments the greater one is later; 0: nothing was heard yet.
    pub revision: u64,
    /// Whether anything was ever heard.
    pub heard: bool,
    /// The greatest id that any migration had by then.
    pub last: u64,
    /// By id.
    pub records: Arc<BTreeMap<u64, Record>>,
}

/// What is known; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Jobs(Arc<watch::Sender<Known>>);

impl Known {
    /// Whether nobody will ask for anything of this migration again. A node that starts knows what it knew long ago: that
    /// a migration is not among the records means nothing unless its id had been given out by then.
    pub fn is_over(&self, id: u64) -> bool {
        self.records.get(&id).map_or(id <= self.last, work::may_discard)
    }
}

impl Jobs {
    /// What is known now.
    pub fn now(&self) -> Known {
        self.0.borrow().clone()
    }

    /// Follows what is known.
    pub fn watch(&self) -> watch::Receiver<Known> {
        self.0.subscribe()
    }

    fn learn(&self, revision: u64, last: u64, records: impl FnOnce() -> Arc<BTreeMap<u64, Record>>) {
        self.0.send_if_modified(|known| {
            let news = revision > known.revision || !known.heard;
            if news {
                *known = Known { revision, heard: true, last, records: records() };
            }
            news
        });
    }

    fn is_busy(&self) -> bool {
        self.0.borrow().records.values().any(Record::is_owed)
    }
}

/// Runs until the node stops.
pub async fn follow(replicas: Replicas) {
    let jobs = replicas.node().jobs.clone();
    loop {
        match replicas.controller() {
            Some(group) if group.leader().is_some() => follow_local(&group, &jobs).await,
            _ => {
                if let Ok(ListResponse { records, revision, last, .. }) = ask(&replicas).await {
                    let by_id = || Arc::new(records.into_iter().map(|record| (record.id, record)).collect());
                    jobs.learn(revision, last, by_id);
                }
                sleep(if jobs.is_busy() { BUSY_INTERVAL } else { IDLE_INTERVAL }).await;
            }
        }
    }
}

async fn follow_local(group: &Group<ShardCtrler>, jobs: &Jobs) {
    let mut progress = group.watch();
    loop {
        progress.mark_unchanged();
        let machine = group.machine();
        if machine.is_born() {
            let (revision, last) = (machine.migrations_revision(), machine.migration_last());
            jobs.learn(revision, last, || machine.migrations().clone());
        }
        let changed = timeout(LOOK_INTERVAL, progress.changed()).await;
        if matches!(changed, Ok(Err(_))) || group.leader().is_none() {
            return;
        }
    }
}

async fn ask(replicas: &Replicas) -> Result<ListResponse, Status> {
    let local = replicas.node();
    let reporter = Reporter::new(replicas.clone());
    let mut last = Err(Status::unavailable("no controller is known"));
    for address in local.controller.addresses().into_iter().filter(|address| *address != local.address) {
        last = reporter
            .at(&address, |mut grpc, cluster| async move {
                grpc.list(stamp(ListRequest { stale: true }, Some(cluster))).await
            })
            .await;
        if matches!(&last, Ok(answer) if answer.elsewhere.is_none()) {
            return last;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use flotilla_cloud_migration::State;

    use super::*;

    #[test]
    fn what_is_not_known_yet_is_not_over() {
        let mut over = Record { id: 2, ..Record::default() };
        over.set_state(State::Cancelled);
        let alive = Record { id: 3, ..Record::default() };
        let jobs = Jobs::default();
        jobs.learn(9, 3, || Arc::new(BTreeMap::from([(2, over), (3, alive)])));
        let known = jobs.now();
        assert_eq!([1, 2, 3, 4].map(|id| known.is_over(id)), [true, true, false, false]);
        jobs.learn(8, 0, || Arc::new(BTreeMap::new()));
        assert_eq!(jobs.now(), known, "older news changes nothing");
    }
}
