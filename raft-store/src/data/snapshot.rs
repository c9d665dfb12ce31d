//! Snapshots: checkpoints of a data database, kept as directories of files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use flotilla_proto::faults::mark;
use flotilla_proto::raft_v1 as pb;
use flotilla_types::planted::{self, Bug};
use flotilla_types::{EngineError, Machine};

use super::dir::{DirGuard, ReplicaDir, TEMPORARY, copy_database, remove};
use super::view::{Applied, MachineRows, Replica};
use crate::convert;
use crate::error::StoreError;
use crate::files::{Files, sync_name, write_durably};
use crate::log::record::{seal, unseal};
use crate::raft_types::SnapshotMeta;

/// The file beside a snapshot's own that says what it holds.
pub(crate) const META: &str = "META";
const PREFIX: &str = "snapshot-";

/// A snapshot on disk. Shared by Raft and by whoever sends it; a superseded one goes with its last user.
#[derive(Debug)]
pub(crate) struct StoredSnapshot {
    pub meta: SnapshotMeta,
    pub guard: DirGuard,
}

/// The type openraft passes around as a snapshot's data: a handle, never the data.
pub(crate) type SnapshotHandle = Arc<StoredSnapshot>;

impl StoredSnapshot {
    pub fn path(&self) -> &Path {
        self.guard.path()
    }

    /// The files that its directory is one of.
    pub fn disk_files(&self) -> &dyn Files {
        self.guard.files()
    }

    /// The name of its directory.
    fn name(meta: &SnapshotMeta) -> String {
        match &meta.last_log_id {
            Some(id) => format!("{PREFIX}{}-{}", id.index, id.leader_id.term),
            None => format!("{PREFIX}empty"),
        }
    }

    /// The newest whole snapshot in a replica's directory. Older ones are removed.
    pub fn find(dir: &ReplicaDir) -> Result<Option<SnapshotHandle>, StoreError> {
        let failed = |source| StoreError::io(format!("list {}", dir.path().display()), source);
        let mut found: Option<SnapshotHandle> = None;
        let files = dir.disk().files();
        let all = files.list(dir.path()).map_err(failed)?.into_iter();
        for entry in all.filter(|entry| entry.name.starts_with(PREFIX)) {
            let path = dir.path().join(entry.name);
            let meta = match read_meta(files, &path) {
                Ok(meta) => meta,
                // The meta is there before the name is: this one was being removed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    dir.guard(path).doom();
                    continue;
                }
                Err(error) => return Err(StoreError::stored(path.display(), error)),
            };
            let this = Arc::new(Self { meta, guard: dir.guard(path) });
            let newer = found.as_ref().is_none_or(|other| other.meta.last_log_id < this.meta.last_log_id);
            let older = if newer { found.replace(this) } else { Some(this) };
            older.iter().for_each(|older| older.guard.doom());
        }
        Ok(found)
    }

    /// Gives the finished database in `from` its name as a snapshot.
    fn keep(dir: &ReplicaDir, from: &Path, meta: SnapshotMeta) -> io::Result<SnapshotHandle> {
        let sealed = seal(META.as_bytes(), &convert::snapshot_meta(&meta));
        let files = dir.disk().files();
        write_durably(files, &from.join(META), &sealed)?;
        let path = dir.path().join(Self::name(&meta));
        if files.is_dir(&path) {
            remove(files, &path)?;
        }
        files.rename(from, &path)?;
        sync_name(files, &path)?;
        Ok(Arc::new(Self { meta, guard: dir.guard(path) }))
    }

    /// The names and sizes of the files to send.
    pub fn files(&self) -> io::Result<Vec<(String, u64)>> {
        let all = self.disk_files().list(self.path())?.into_iter();
        let own = all.filter(|entry| entry.name != META && !entry.is_dir);
        Ok(own.map(|entry| (entry.name, entry.bytes)).collect())
    }
}

fn read_meta(files: &dyn Files, path: &Path) -> io::Result<SnapshotMeta> {
    let stored = Bytes::from(files.read(&path.join(META))?);
    let meta = unseal::<pb::SnapshotMeta>(META.as_bytes(), &stored)?;
    convert::snapshot_meta_from(meta).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

impl<M: Machine> Replica<M> {
    /// Builds a snapshot of some moment between the call and its return, while applies go on.
    pub fn build_snapshot(&self) -> io::Result<SnapshotHandle> {
        let db = self.view.read().db.clone();
        let path = self.dir.temporary();
        let rubbish = self.dir.guard(path.clone());
        rubbish.doom();
        db.engine.checkpoint(&path).map_err(crate::error::engine_io)?;
        // The checkpoint itself knows which moment it is of.
        let applied = self.read_checkpoint(&path).map_err(crate::error::engine_io)?;
        let meta = SnapshotMeta { last_log_id: applied.last, last_membership: applied.membership };
        if let Some(same) = self.current_snapshot(&meta) {
            return Ok(same);
        }
        let snapshot = StoredSnapshot::keep(&self.dir, &path, meta)?;
        rubbish.spare();
        self.faults.seen(mark::SNAPSHOT_BUILT);
        Ok(self.supersede(snapshot))
    }

    /// The current snapshot if it is of this very moment: its directory may be in use and must not be replaced.
    fn current_snapshot(&self, meta: &SnapshotMeta) -> Option<SnapshotHandle> {
        self.snapshot.lock().as_ref().filter(|snapshot| snapshot.meta == *meta).cloned()
    }

    fn read_checkpoint(&self, path: &Path) -> Result<Applied, EngineError> {
        let engine = self.dir.disk().open_data_read_only(path)?;
        let applied = Applied::read(&*engine.snapshot())?;
        Ok(applied)
    }

    /// Makes `snapshot` the current one unless a newer one is there already; returns the current one.
    fn supersede(&self, snapshot: SnapshotHandle) -> SnapshotHandle {
        let mut current = self.snapshot.lock();
        match current.as_ref() {
            Some(other) if other.meta.last_log_id > snapshot.meta.last_log_id => {
                snapshot.guard.doom();
                other.clone()
            }
            other => {
                // The same snapshot built twice has one directory: it must not go with its older handle.
                other
                    .filter(|other| other.path() != snapshot.path())
                    .iter()
                    .for_each(|other| other.guard.doom());
                *current = Some(snapshot.clone());
                snapshot
            }
        }
    }

    /// Makes the snapshot in `data` the replica's state: everything before it is gone, readers that hold the old
    /// database keep it until they are done.
    pub fn install_snapshot(&self, meta: &SnapshotMeta, data: &StoredSnapshot) -> io::Result<()> {
        let snapshot = self.own_snapshot(meta, data)?;
        let db = self.dir.adopt(snapshot.path()).map_err(io::Error::other)?;
        planted::forget_sessions(&*db.engine);
        let mut view = Self::load(&self.options, db).map_err(crate::error::engine_io)?;
        if planted::is(Bug::StaleAfterSnapshot) {
            view.machine = self.machine();
        }
        let found =
            SnapshotMeta { last_log_id: view.applied.last, last_membership: view.applied.membership.clone() };
        if found != *meta {
            let text = format!("the snapshot says {meta} and holds {found}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        self.dir.make_live().map_err(io::Error::other)?;
        let old = self.view.read().db.clone();
        self.publish(view).map_err(crate::error::engine_io)?;
        old.guard.doom();
        drop(old);
        self.supersede(snapshot);
        self.faults.seen(mark::SNAPSHOT_INSTALLED);
        Ok(())
    }

    /// Whether a received snapshot holds what it says and the machine can be opened from it. To be asked before it is
    /// installed: an installed one that cannot be opened would stop the replica at every start.
    pub fn verify_snapshot(&self, snapshot: &StoredSnapshot) -> Result<(), EngineError> {
        let engine = self.dir.disk().open_data_read_only(snapshot.path())?;
        let rows = MachineRows(engine.snapshot());
        let applied = Applied::read(&*rows.0)?;
        if (&applied.last, &applied.membership)
            != (&snapshot.meta.last_log_id, &snapshot.meta.last_membership)
        {
            let text = format!("the snapshot says {} and holds {:?}", snapshot.meta, applied.last);
            return Err(EngineError::corrupt(text));
        }
        M::open(&self.options, &rows).map(drop)
    }

    /// The snapshot under its final name in this replica's directory.
    fn own_snapshot(&self, meta: &SnapshotMeta, data: &StoredSnapshot) -> io::Result<SnapshotHandle> {
        if let Some(same) = self.current_snapshot(meta) {
            return Ok(same);
        }
        let from = match data.path().parent() == Some(self.dir.path()) && is_temporary(data.path()) {
            true => data.path().to_owned(),
            false => self.copied(data.path())?,
        };
        StoredSnapshot::keep(&self.dir, &from, meta.clone())
    }

    fn copied(&self, from: &Path) -> io::Result<PathBuf> {
        let path = self.dir.temporary();
        copy_database(self.dir.disk().files(), from, &path)?;
        Ok(path)
    }
}

fn is_temporary(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(TEMPORARY))
}
