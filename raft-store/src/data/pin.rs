//! A pin: a replica's machine and rows of one moment, kept beside the live ones for as long as somebody reads them.
//!
//! A checkpoint and not a held engine snapshot: hard links cost one flush of what is in memory, reading them takes nothing from
//! the live database, and they outlast an installed snapshot, which replaces that database. Its directory is one of the
//! unfinished things of a replica, so what a crash leaves goes with the next start.

use std::sync::Arc;

use flotilla_types::{EngineError, Machine, Reader};

use super::dir::Db;
use super::view::{Applied, MachineRows, Replica};
use crate::blocking::blocking;
use crate::error::StoreError;
use crate::group::Group;
use crate::ids::ReplicaId;

/// One moment of one replica. Its files go with it.
pub struct Pin<M: Machine> {
    replica: ReplicaId,
    machine: Arc<M>,
    db: Db,
    applied: Applied,
}

impl<M: Machine> std::fmt::Debug for Pin<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pin").field("replica", &self.replica).field("index", &self.index()).finish()
    }
}

impl<M: Machine> Pin<M> {
    /// Of which replica.
    pub fn replica(&self) -> ReplicaId {
        self.replica
    }

    /// The machine of that moment.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// The index of the last entry applied at that moment; 0: none.
    pub fn index(&self) -> u64 {
        self.applied.last.as_ref().map_or(0, |id| id.index)
    }

    /// Calls `read` with the machine and its rows.
    pub fn read<T>(&self, read: impl FnOnce(&M, &dyn Reader) -> T) -> T {
        let rows = MachineRows(self.db.engine.snapshot());
        read(&self.machine, &rows)
    }
}

impl<M: Machine> Group<M> {
    /// Pins some moment between the call and its return, while applies go on.
    pub fn pin(&self) -> Result<Pin<M>, StoreError> {
        let replica = &self.inner.replica;
        blocking(|| replica.pin())
            .map_err(|error| StoreError::engine(format!("pin of {}", replica.id), error))
    }
}

impl<M: Machine> Replica<M> {
    fn pin(&self) -> Result<Pin<M>, EngineError> {
        let live = self.view.read().db.clone();
        let path = self.dir.temporary();
        let guard = self.dir.guard(path.clone());
        guard.doom();
        live.engine.checkpoint(&path)?;
        let engine = self.dir.disk().open_data_read_only(&path)?;
        // The checkpoint itself knows which moment it is of.
        let (applied, machine) = {
            let rows = MachineRows(engine.snapshot());
            (Applied::read(&*rows.0)?, M::open(&self.options, &rows)?)
        };
        Ok(Pin { replica: self.id, machine: Arc::new(machine), db: Db { engine, guard }, applied })
    }
}
