//! openraft's face of a replica's applied state.

use std::io;
use std::sync::Arc;

use flotilla_types::Machine;
use futures::{Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{RaftSnapshotBuilder, Snapshot};

use super::apply::Round;
use super::snapshot::SnapshotHandle;
use super::view::Replica;
use crate::blocking::blocking;
use crate::error::engine_io;
use crate::raft_types::{C, LogId, SnapshotMeta, StoredMembership};

type RaftSnapshot = openraft::alias::SnapshotOf<C, SnapshotHandle>;

/// A replica's applied state, as openraft drives it. Cheap to clone.
pub(crate) struct StateMachine<M: Machine>(pub Arc<Replica<M>>);

impl<M: Machine> RaftStateMachine<C> for StateMachine<M> {
    type SnapshotData = SnapshotHandle;
    type SnapshotBuilder = Builder<M>;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        let applied = self.0.view.read().applied.clone();
        Ok((applied.last, applied.membership))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<C>, io::Error>> + Unpin + Send,
    {
        loop {
            let mut round = Round::default();
            while !round.is_full()
                && let Some(item) = entries.next().await
            {
                round.push(item?);
            }
            if round.entries.is_empty() {
                return Ok(());
            }
            let replica = &self.0;
            let applied = match round.is_small() && !replica.is_write_stopped() {
                true => replica.apply(round),
                false => blocking(|| replica.apply(round)),
            };
            applied.map_err(engine_io)?;
        }
    }

    async fn get_snapshot_builder(&mut self) -> Builder<M> {
        Builder(self.0.clone())
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, data: SnapshotHandle) -> Result<(), io::Error> {
        blocking(|| self.0.install_snapshot(meta, &data))
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<RaftSnapshot>, io::Error> {
        let current = self.0.snapshot.lock().clone();
        Ok(current.map(|snapshot| Snapshot { meta: snapshot.meta.clone(), snapshot }))
    }
}

/// Builds one snapshot, in a task of its own.
pub(crate) struct Builder<M: Machine>(Arc<Replica<M>>);

impl<M: Machine> RaftSnapshotBuilder<C> for Builder<M> {
    type SnapshotData = SnapshotHandle;

    async fn build_snapshot(&mut self) -> Result<RaftSnapshot, io::Error> {
        let snapshot = blocking(|| self.0.build_snapshot())?;
        Ok(Snapshot { meta: snapshot.meta.clone(), snapshot })
    }
}
