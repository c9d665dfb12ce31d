//! From the disk to a running replica.

use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::env::Environment;
use flotilla_proto::faults::Faults;
use flotilla_types::Machine;
use openraft::Raft;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::keeper::Keeper;
use super::options::{GroupOptions, raft_config};
use super::progress::{Progress, watch_metrics};
use super::propose::Proposals;
use super::read::Reads;
use super::{Group, Inner};
use crate::blocking::blocking;
use crate::data::dir::ReplicaDir;
use crate::data::state_machine::StateMachine;
use crate::data::sweep::sweep_forever;
use crate::data::view::Replica;
use crate::error::{StoreError, describe};
use crate::ids::ReplicaId;
use crate::log::replica::{ReplicaLog, next, read_state};
use crate::log::store::LogStore;
use crate::net::clocks::Clocks;
use crate::net::handler::{GroupHandler, Heard};
use crate::net::link::Links;
use crate::raft_types::{C, Runtime};
use crate::store::Store;

impl<M: Machine> Group<M> {
    /// Opens a replica, or makes a new one if this disk never had it, and starts it. It takes part once peers can
    /// reach it: see [`crate::RaftServer::register`].
    pub async fn open(
        options: GroupOptions<M>,
        store: &Arc<Store>,
        env: &Environment,
    ) -> Result<Self, StoreError> {
        let GroupOptions { replica: id, machine, timings, limits } = options;
        let config = Arc::new(raft_config(id.to_string(), &timings)?);
        let claim = store.claim(id)?;
        let faults = env.faults.clone();
        let (log, replica) = open_storage::<M>(id, machine, store, limits.tail_bytes_max, &faults).await?;
        let clocks = Arc::new(Clocks::default());
        let links = Links {
            clocks: clocks.clone(),
            network: env.network.clone(),
            cluster: store.identity().cluster,
            own: id,
            timings: timings.clone(),
            faults: faults.clone(),
        };
        let state_machine = StateMachine(replica.clone());
        let raft = Raft::new(id.member, config, links, LogStore(log.clone()), state_machine);
        let raft = Runtime::scope(env.random.next_u64(), Box::pin(raft)).await;
        let raft = raft.map_err(|error| StoreError::Stopped { replica: id, reason: describe(&error) })?;
        let (progress, stopped) = watch_over(env, &raft, &replica);
        let spawner = env.spawner.child();
        let (proposals, coalesce) =
            Proposals::new(raft.clone(), progress.clone(), &limits, &timings, faults.clone());
        spawner.spawn(coalesce);
        let (reads, read) =
            Reads::new(raft.clone(), replica.clone(), progress.clone(), &limits, &timings, spawner.clone());
        spawner.spawn(read);
        spawner.spawn(sweep_forever(replica.clone()));
        let keeper =
            Keeper { raft: raft.clone(), log: log.clone(), limits: limits.clone(), faults: faults.clone() };
        spawner.spawn(keeper.run(progress.clone()));
        let handler = Arc::new(GroupHandler {
            raft: raft.clone(),
            replica: replica.clone(),
            clock: env.clock.clone(),
            random: env.random.clone(),
            stop: spawner.token().child_token(),
            receiving: tokio::sync::Mutex::new(()),
            chunk_patience: Duration::from_millis(timings.snapshot_chunk_ms_max),
            heard: Heard::default(),
        });
        let (store, claim) = (store.clone(), Mutex::new(Some(claim)));
        let inner = Inner {
            raft,
            replica,
            log,
            timings,
            limits,
            proposals,
            reads,
            handler,
            clock: env.clock.clone(),
            clocks,
            progress,
            stopped,
            spawner,
            faults,
            store,
            claim,
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

type Watched = (watch::Receiver<Progress>, watch::Receiver<Option<String>>);

/// What the replica is, as others may watch it, and why it has stopped. Not under the group's spawner: this must live to
/// say so.
fn watch_over<M: Machine>(
    env: &Environment,
    raft: &Raft<C, StateMachine<M>>,
    replica: &Arc<Replica<M>>,
) -> Watched {
    let (progress_sender, progress) = watch::channel(Progress::default());
    let (stopped_sender, stopped) = watch::channel(None);
    let (metrics, failure) = (raft.metrics(), replica.failure.subscribe());
    env.spawner.spawn(watch_metrics(metrics, progress_sender, stopped_sender, failure, env.faults.clone()));
    env.spawner.spawn(stop_when_failed(raft.clone(), replica.clone()));
    (progress, stopped)
}

/// Ends a replica whose rows have failed: it neither serves nor votes any more.
async fn stop_when_failed<M: Machine>(raft: Raft<C, StateMachine<M>>, replica: Arc<Replica<M>>) {
    let (id, mut failure) = (replica.id, replica.failure.subscribe());
    // Not to outlive the replica.
    drop(replica);
    if let Ok(failure) = failure.wait_for(Option::is_some).await.map(|failure| failure.clone())
        && let Some(failure) = failure
    {
        let next = match failure.corrupt {
            true => "its rows are corrupt: wipe this node's data directory and start it again as a new disk",
            false => "its node opens it again",
        };
        tracing::error!(replica = %id, reason = failure.reason, next, "the rows of a replica have failed: it stops");
        drop(raft.shutdown().await);
    }
}

type Storage<M> = (Arc<ReplicaLog>, Arc<Replica<M>>);

/// Opens the log and the data of a replica and checks that they belong together.
async fn open_storage<M: Machine>(
    id: ReplicaId,
    machine: M::Options,
    store: &Arc<Store>,
    tail_bytes_max: usize,
    faults: &Faults,
) -> Result<Storage<M>, StoreError> {
    let name = || format!("replica {id}");
    let known = read_state(&*store.log, id).map_err(|error| StoreError::stored(name(), error))?.is_some();
    if store.is_destroyed(id)? {
        return Err(StoreError::Destroyed(id));
    }
    if !known && store.has_data(id) {
        return Err(StoreError::corrupt(name(), "its data is here and the log has forgotten it"));
    }
    let mut log = ReplicaLog::open(id, store.log.clone(), store.writer.clone(), tail_bytes_max)?;
    log.faults = faults.clone();
    let purged = log.bounds().purged;
    if purged.is_some() && !store.has_data(id) {
        return Err(StoreError::corrupt(
            name(),
            "its data is missing and its log does not reach back to the start",
        ));
    }
    if !known {
        let failed = |source| StoreError::io(format!("register {}", name()), source);
        log.register().await.map_err(failed)?;
    }
    let mut replica = blocking(|| {
        let (dir, db) = ReplicaDir::open(store.replica_path(id), store.disk.clone())?;
        Replica::<M>::open(id, machine, dir, db)
    })?;
    replica.faults = faults.clone();
    // A snapshot that was received but not yet installed counts: opening Raft installs it.
    let applied = replica.view.read().applied.last;
    let snapshot = replica.snapshot.lock().as_ref().and_then(|snapshot| snapshot.meta.last_log_id);
    if applied.max(snapshot) < purged {
        let detail =
            format!("its log starts after entry {}, its data ends before", next(&purged).saturating_sub(1));
        return Err(StoreError::corrupt(name(), detail));
    }
    Ok((Arc::new(log), Arc::new(replica)))
}
