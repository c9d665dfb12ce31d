//! A replica's directory: which database is live, which snapshot is kept, what is rubbish.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;

use super::engine::DataEngine;
use crate::disk::Disk;
use crate::error::StoreError;
use crate::files::{Files, OpenMode, sync_name, write_durably};
use crate::log::record::{seal, unseal};

const CURRENT: &str = "CURRENT";
/// How the names of unfinished or removed things start.
pub(crate) const TEMPORARY: &str = "tmp-";

/// The name of the live database, in the file `CURRENT`.
#[derive(Clone, PartialEq, prost::Message)]
struct Current {
    #[prost(uint64, tag = "1")]
    db: u64,
}

/// A directory that is removed when the last user of it is gone, if it was doomed before.
pub(crate) struct DirGuard {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    doomed: AtomicBool,
}

impl std::fmt::Debug for DirGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DirGuard").field("path", &self.path).field("doomed", &self.doomed).finish()
    }
}

impl DirGuard {
    pub fn new(path: PathBuf, disk: Arc<dyn Disk>) -> Self {
        Self { path, disk, doomed: AtomicBool::new(false) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn files(&self) -> &dyn Files {
        self.disk.files()
    }

    pub fn doom(&self) {
        self.doomed.store(true, Ordering::Release);
    }

    /// The directory stays, or has another name now.
    pub fn spare(&self) {
        self.doomed.store(false, Ordering::Release);
    }
}

impl Drop for DirGuard {
    fn drop(&mut self) {
        if self.doomed.load(Ordering::Acquire)
            && let Err(error) = remove(self.disk.files(), &self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove a directory, the next start will");
        }
    }
}

/// Removes a directory so that a crash leaves all of it or something that is known to be rubbish. Its new name is synced
/// before anything in it goes, and with it what took its place: else a power cut could bring back the old name, empty.
pub(crate) fn remove(files: &dyn Files, path: &Path) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with(TEMPORARY) {
        return files.remove_dir_all(path);
    }
    let rubbish = path.with_file_name(format!("{TEMPORARY}gone-{name}"));
    files.rename(path, &rubbish)?;
    sync_name(files, &rubbish)?;
    files.remove_dir_all(&rubbish)
}

/// An open data database. Fields drop in order: the engine closes before its directory goes.
pub(crate) struct Db {
    pub engine: Arc<dyn DataEngine>,
    pub guard: DirGuard,
}

/// A replica's directory.
pub(crate) struct ReplicaDir {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    /// The number of the live database; the next one is greater.
    current: AtomicU64,
    /// Numbers temporary directories.
    temporary: AtomicU64,
}

impl ReplicaDir {
    /// Opens the directory, or makes it with an empty database.
    pub fn open(path: PathBuf, disk: Arc<dyn Disk>) -> Result<(Self, Db), StoreError> {
        let failed = |what: &str| {
            let what = format!("{what} {}", path.display());
            move |source| StoreError::io(what, source)
        };
        let files = disk.files();
        files.create_dir_all(&path).map_err(failed("create"))?;
        sync_name(files, &path).map_err(failed("sync"))?;
        let current =
            read_current(files, &path).map_err(|error| StoreError::stored(path.display(), error))?;
        let dir = Self {
            path: path.clone(),
            disk: disk.clone(),
            current: current.unwrap_or(0).into(),
            temporary: AtomicU64::new(0),
        };
        dir.remove_rubbish().map_err(failed("clean"))?;
        let db = match current {
            Some(number) if !files.is_dir(&dir.db_path(number)) => {
                return Err(StoreError::corrupt(path.display(), format!("db-{number} is missing")));
            }
            Some(number) => dir.open_db(number)?,
            None => {
                let db = dir.open_db(1)?;
                dir.switch(1).map_err(failed("write CURRENT in"))?;
                db
            }
        };
        Ok((dir, db))
    }

    /// Whether there is a live database at `path`.
    pub fn exists(files: &dyn Files, path: &Path) -> bool {
        files.is_file(&path.join(CURRENT))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    fn files(&self) -> &dyn Files {
        self.disk.files()
    }

    /// Guards a directory of this replica.
    pub fn guard(&self, path: PathBuf) -> DirGuard {
        DirGuard::new(path, self.disk.clone())
    }

    fn db_path(&self, number: u64) -> PathBuf {
        self.path.join(format!("db-{number}"))
    }

    fn open_db(&self, number: u64) -> Result<Db, StoreError> {
        let path = self.db_path(number);
        let engine = self.disk.open_data(&path).map_err(|error| StoreError::engine(path.display(), error))?;
        Ok(Db { engine, guard: self.guard(path) })
    }

    /// A path for something that is not finished. Rubbish after a crash.
    pub fn temporary(&self) -> PathBuf {
        self.path.join(format!("{TEMPORARY}{}", self.temporary.fetch_add(1, Ordering::Relaxed)))
    }

    /// Opens a copy of the database in `from` as the next database. Not live until [`ReplicaDir::make_live`].
    pub fn adopt(&self, from: &Path) -> Result<Db, StoreError> {
        let number = self.current.load(Ordering::Acquire) + 1;
        let path = self.db_path(number);
        let failed =
            |source| StoreError::io(format!("copy {} to {}", from.display(), path.display()), source);
        if self.files().is_dir(&path) {
            self.files().remove_dir_all(&path).map_err(failed)?;
        }
        copy_database(self.files(), from, &path).map_err(failed)?;
        self.open_db(number)
    }

    /// Makes the database that [`ReplicaDir::adopt`] opened the live one, durably.
    pub fn make_live(&self) -> Result<(), StoreError> {
        let number = self.current.load(Ordering::Acquire) + 1;
        self.switch(number)
            .map_err(|source| StoreError::io(format!("write CURRENT in {}", self.path.display()), source))
    }

    fn switch(&self, number: u64) -> io::Result<()> {
        let sealed = seal(CURRENT.as_bytes(), &Current { db: number });
        write_durably(self.files(), &self.path.join(CURRENT), &sealed)?;
        self.current.store(number, Ordering::Release);
        Ok(())
    }

    /// Removes what a crash left: databases that are not live, and everything unfinished.
    fn remove_rubbish(&self) -> io::Result<()> {
        let live = format!("db-{}", self.current.load(Ordering::Acquire));
        for entry in self.files().list(&self.path)? {
            let name = entry.name;
            if name.starts_with(TEMPORARY) || (name.starts_with("db-") && name != live) {
                self.files().remove_dir_all(&self.path.join(name))?;
            }
        }
        Ok(())
    }
}

fn read_current(files: &dyn Files, path: &Path) -> io::Result<Option<u64>> {
    match files.read(&path.join(CURRENT)) {
        Ok(bytes) => Ok(Some(unseal::<Current>(CURRENT.as_bytes(), &Bytes::from(bytes))?.db)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Copies a database that nobody writes. Table files never change, so they are linked; the rest is copied.
pub(crate) fn copy_database(files: &dyn Files, from: &Path, to: &Path) -> io::Result<()> {
    files.create_dir(to)?;
    for entry in files.list(from)? {
        let (source, target) = (from.join(&entry.name), to.join(&entry.name));
        let table = source.extension().is_some_and(|extension| extension == "sst");
        if !(table && files.hard_link(&source, &target).is_ok()) {
            files.copy(&source, &target)?;
            files.open(&target, OpenMode::Read)?.sync()?;
        }
    }
    files.sync_dir(to)?;
    sync_name(files, to)
}
