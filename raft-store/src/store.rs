//! What a node has on disk, opened once: its identity, the log of all its groups, its replicas' directories.
//!
//! ```text
//!   DIR/LOCK         held while a process uses the directory
//!   DIR/identity     whose directory this is; written once
//!   DIR/log/         the log database
//!   DIR/mark         how far the log was synced
//!   DIR/data/g1-i1-m3/   one replica's data
//! ```

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use flotilla_proto::env::Environment;
use flotilla_types::{ClusterId, DiskId, NodeId, WriteOp};
use parking_lot::Mutex;

use crate::data::dir::ReplicaDir;
use crate::disk::{Disk, RocksDisk, RocksOptions};
use crate::error::StoreError;
use crate::files::{Files, Lock, SystemFiles, create_dir_durably, sync_name, tree_bytes, write_durably};
use crate::ids::ReplicaId;
use crate::log::engine::LogEngine;
use crate::log::keys::LogKey;
use crate::log::mark::Mark;
use crate::log::record::{Destroyed, Format, Round, seal, unseal};
use crate::log::writer::{LogWriter, Writer};

/// The newest layout this software knows.
const FORMAT: u32 = 1;
const IDENTITY: &str = "identity";

/// How to open a node's directory.
#[derive(Clone)]
pub struct StoreOptions {
    /// The directory.
    pub dir: PathBuf,
    /// The cluster that the node belongs to.
    pub cluster: ClusterId,
    /// The node.
    pub node: NodeId,
    /// The databases and files; RocksDB and the system's with default options if not said otherwise.
    pub disk: Arc<dyn Disk>,
    /// Who writes the log.
    pub writer: Writer,
}

impl StoreOptions {
    /// RocksDB in `dir`.
    pub fn new(dir: impl Into<PathBuf>, cluster: ClusterId, node: NodeId) -> Self {
        let disk = Arc::new(RocksDisk::new(&RocksOptions::default()));
        Self { dir: dir.into(), cluster, node, disk, writer: Writer::Thread }
    }
}

/// Whose directory it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DiskIdentity {
    /// The layout's version.
    pub format: u32,
    /// The cluster.
    pub cluster: ClusterId,
    /// The node.
    pub node: NodeId,
    /// This life of the directory: a wiped one gets another.
    pub disk: DiskId,
}

/// [`DiskIdentity`] on disk.
#[derive(Clone, PartialEq, prost::Message)]
struct StoredIdentity {
    #[prost(uint32, tag = "1")]
    format: u32,
    #[prost(fixed64, tag = "2")]
    cluster_high: u64,
    #[prost(fixed64, tag = "3")]
    cluster_low: u64,
    #[prost(uint64, tag = "4")]
    node: u64,
    #[prost(fixed64, tag = "5")]
    disk: u64,
}

/// A node's storage. One for a process and directory; shared by all its groups.
pub struct Store {
    dir: PathBuf,
    identity: DiskIdentity,
    pub(crate) disk: Arc<dyn Disk>,
    // The writer stops before the log closes, and the directory is given up last.
    pub(crate) writer: Arc<LogWriter>,
    pub(crate) log: Arc<dyn LogEngine>,
    open: Mutex<BTreeSet<ReplicaId>>,
    _lock: Lock,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("dir", &self.dir)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

impl Store {
    /// Opens the directory, or makes it if it is new or empty.
    pub fn open(options: StoreOptions, env: &Environment) -> Result<Arc<Self>, StoreError> {
        let dir = options.dir.clone();
        let failed = |what: &str| {
            let what = format!("{what} {}", dir.display());
            move |source| StoreError::io(what, source)
        };
        let files = options.disk.files();
        create_dir_durably(files, &dir).map_err(failed("create data directory"))?;
        let lock = lock(files, &dir)?;
        let identity = match read_identity(files, &dir)? {
            Some(identity) => check_identity(&dir, identity, &options)?,
            None => create_identity(&dir, &options, DiskId(env.random.next_u64()))?,
        };
        let (log, mark, round) = open_log(&dir, &*options.disk)?;
        let writer = LogWriter::start(log.clone(), Some(mark), round, options.writer, &options.disk, env)
            .map_err(failed("start the log's writer for"))?;
        let data = dir.join("data");
        files.create_dir_all(&data).map_err(failed("create the replicas' directory in"))?;
        sync_name(files, &data).map_err(failed("sync"))?;
        let (disk, writer, open) = (options.disk, Arc::new(writer), Mutex::default());
        Ok(Arc::new(Self { dir, identity, disk, writer, log, open, _lock: lock }))
    }

    /// Whose directory this is.
    pub fn identity(&self) -> &DiskIdentity {
        &self.identity
    }

    /// The identity in `dir` without opening it; none if the directory is new.
    pub fn peek(dir: &Path) -> Result<Option<DiskIdentity>, StoreError> {
        read_identity(&SystemFiles, dir)
    }

    /// The replicas that were made on this disk and not destroyed.
    pub fn replicas(&self) -> Result<Vec<ReplicaId>, StoreError> {
        let (start, end) = LogKey::states();
        let mut found = Vec::new();
        let scan = self.log.scan(&start, &end, &mut |key, _| {
            if let Some(LogKey::State(replica)) = LogKey::decode(key) {
                found.push(replica);
            }
            Ok(true)
        });
        scan.map_err(|source| StoreError::io("list the replicas in the log", source))?;
        Ok(found)
    }

    /// Whether a replica was removed from this disk: then it is never made again. The log says so, for all else that
    /// knows of members may be older than the removal, the caller's own notes after a power cut included.
    pub fn is_destroyed(&self, replica: ReplicaId) -> Result<bool, StoreError> {
        let key = LogKey::Destroyed(replica).encode();
        let stored = self.log.get(&key).and_then(|stored| match stored {
            Some(stored) => unseal::<Destroyed>(&key, &stored).map(|_| true),
            None => Ok(false),
        });
        stored.map_err(|error| StoreError::stored(format!("the log's note on replica {replica}"), error))
    }

    /// Removes what a replica has on this disk, and leaves a note that it was here. It must have been shut down. A
    /// member id is never used again, so there is no way back.
    pub async fn destroy_replica(self: &Arc<Self>, replica: ReplicaId) -> Result<(), StoreError> {
        // Held to the end: nobody may open what is half gone.
        let _claim = self.claim(replica)?;
        let failed = |source| StoreError::io(format!("destroy replica {replica}"), source);
        // Data first, and durably: a crash in between leaves a replica that is still listed.
        let path = self.replica_path(replica);
        match self.disk.files().remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => sync_name(self.disk.files(), &path).map_err(failed)?,
        }
        let (start, end) = LogKey::entries(replica);
        let note = LogKey::Destroyed(replica).encode();
        let value = seal(&note, &Destroyed {});
        let rows = vec![
            WriteOp::Put { key: note.into(), value },
            WriteOp::DeleteRange { start: start.into(), end: end.into() },
            WriteOp::Delete { key: LogKey::State(replica).encode().into() },
        ];
        self.writer.write(rows).await.map_err(failed)
    }

    /// How many bytes the log takes on disk, about.
    pub fn log_bytes(&self) -> u64 {
        self.log.bytes()
    }

    /// How many bytes all files of the directory take together.
    pub fn directory_bytes(&self) -> u64 {
        tree_bytes(self.disk.files(), &self.dir)
    }

    /// Whether a write to the log has failed: then no replica of this node will ever be of use, until the directory is
    /// opened again.
    pub fn is_poisoned(&self) -> bool {
        self.writer.is_poisoned()
    }

    /// Resolves, with the reason, once [`Store::is_poisoned`]. An idle replica would not notice by itself.
    pub async fn poisoned(&self) -> String {
        self.writer.poisoned().await
    }

    /// The disk below.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// Writes what is queued and stops the log. Shut the groups down first.
    pub fn close(&self) {
        self.writer.close();
    }

    pub(crate) fn replica_path(&self, replica: ReplicaId) -> PathBuf {
        self.dir.join("data").join(replica.to_string())
    }

    /// Whether a replica's data is on this disk.
    pub(crate) fn has_data(&self, replica: ReplicaId) -> bool {
        ReplicaDir::exists(self.disk.files(), &self.replica_path(replica))
    }

    /// Claims a replica for one `Group`.
    pub(crate) fn claim(self: &Arc<Self>, replica: ReplicaId) -> Result<Claim, StoreError> {
        match self.open.lock().insert(replica) {
            true => Ok(Claim { store: self.clone(), replica }),
            false => Err(StoreError::Open(replica)),
        }
    }
}

/// A replica that is open; given up when dropped.
pub(crate) struct Claim {
    store: Arc<Store>,
    replica: ReplicaId,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.store.open.lock().remove(&self.replica);
    }
}

fn lock(files: &dyn Files, dir: &Path) -> Result<Lock, StoreError> {
    let path = dir.join("LOCK");
    let held = files.lock(&path);
    let held = held.map_err(|source| StoreError::io(format!("lock {}", path.display()), source))?;
    held.ok_or_else(|| StoreError::Locked { dir: dir.to_owned() })
}

fn read_identity(files: &dyn Files, dir: &Path) -> Result<Option<DiskIdentity>, StoreError> {
    let path = dir.join(IDENTITY);
    let corrupt = |error| StoreError::stored(path.display(), error);
    let stored = match files.read(&path) {
        Ok(bytes) => Bytes::from(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StoreError::io(format!("read {}", path.display()), source)),
    };
    let stored: StoredIdentity = unseal(IDENTITY.as_bytes(), &stored).map_err(corrupt)?;
    if stored.format > FORMAT {
        return Err(StoreError::Format { dir: dir.to_owned(), found: stored.format, known: FORMAT });
    }
    Ok(Some(DiskIdentity {
        format: stored.format,
        cluster: ClusterId(u128::from(stored.cluster_high) << 64 | u128::from(stored.cluster_low)),
        node: NodeId(stored.node),
        disk: DiskId(stored.disk),
    }))
}

fn check_identity(
    dir: &Path,
    found: DiskIdentity,
    options: &StoreOptions,
) -> Result<DiskIdentity, StoreError> {
    if (found.cluster, found.node) == (options.cluster, options.node) {
        return Ok(found);
    }
    let name = |cluster, node| format!("node {node} of cluster {cluster}");
    Err(StoreError::Foreign {
        dir: dir.to_owned(),
        found: name(found.cluster, found.node),
        expected: name(options.cluster, options.node),
    })
}

fn create_identity(dir: &Path, options: &StoreOptions, disk: DiskId) -> Result<DiskIdentity, StoreError> {
    // The identity is written last but for `data`: where only that is missing, the creation was interrupted.
    let files = options.disk.files();
    if files.is_dir(&dir.join("data")) {
        let detail = format!("it holds data and no file {IDENTITY}");
        return Err(StoreError::corrupt(format!("data directory {}", dir.display()), detail));
    }
    if files.is_dir(&dir.join("log")) {
        files
            .remove_dir_all(&dir.join("log"))
            .map_err(|source| StoreError::io("remove an unfinished log", source))?;
    }
    let failed = |what: &'static str| {
        move |source| StoreError::io(format!("create {what} in {}", dir.display()), source)
    };
    options.disk.open_log(&dir.join("log")).and_then(|log| first_round(&*log)).map_err(failed("a log"))?;
    drop(Mark::create(files, &dir.join("mark")).map_err(failed("the log's mark"))?);
    let stored = StoredIdentity {
        format: FORMAT,
        cluster_high: (options.cluster.0 >> 64) as u64,
        cluster_low: options.cluster.0 as u64,
        node: options.node.get(),
        disk: disk.get(),
    };
    let sealed = seal(IDENTITY.as_bytes(), &stored);
    write_durably(files, &dir.join(IDENTITY), &sealed).map_err(failed("an identity"))?;
    Ok(DiskIdentity { format: FORMAT, cluster: options.cluster, node: options.node, disk })
}

fn first_round(log: &dyn LogEngine) -> io::Result<()> {
    let mut batch = flotilla_types::WriteBatch::default();
    let key = LogKey::Format.encode();
    let value = seal(&key, &Format { version: FORMAT });
    batch.put(key, value);
    log.write(batch)
}

type OpenLog = (Arc<dyn LogEngine>, Mark, u64);

/// Opens the log and compares it with its mark.
fn open_log(dir: &Path, disk: &dyn Disk) -> Result<OpenLog, StoreError> {
    let path = dir.join("log");
    let corrupt = |error: io::Error| StoreError::stored(format!("the log in {}", path.display()), error);
    // The mark was made before the identity: a directory without it is incomplete.
    let mark_failed = |error: io::Error| {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => io::ErrorKind::InvalidData,
            kind => kind,
        };
        StoreError::stored(format!("the log's mark in {}", dir.display()), io::Error::new(kind, error))
    };
    let (mark, marked) = Mark::open(disk.files(), &dir.join("mark")).map_err(mark_failed)?;
    let log = disk.open_log(&path).map_err(corrupt)?;
    let key = LogKey::Format.encode();
    let format = log.get(&key).map_err(corrupt)?;
    let key_round = LogKey::Round.encode();
    let round = log.get(&key_round).map_err(corrupt)?;
    let recovered = match round {
        Some(stored) => unseal::<Round>(&key_round, &stored).map_err(corrupt)?.number,
        None => 0,
    };
    let version = format.map(|stored| unseal::<Format>(&key, &stored)).transpose().map_err(corrupt)?;
    if recovered < marked || version.is_none() {
        return Err(StoreError::Rot { dir: path.clone(), recovered, marked });
    }
    match version.map_or(0, |format| format.version) {
        FORMAT => {
            mark.repair(recovered).map_err(mark_failed)?;
            Ok((log, mark, recovered))
        }
        found => Err(StoreError::Format { dir: path.clone(), found, known: FORMAT }),
    }
}
