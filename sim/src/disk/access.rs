//! An incarnation's way to the image: every call checks the fence and the faults, and leaves its mark on the hash.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use flotilla_raft_store::{DirEntry, File, Files, Lock, OpenMode};
use parking_lot::{Mutex, MutexGuard};

use super::image::{Entry, Image, Inode};
use super::{DiskCounts, DiskFaults};
use crate::dice::{Dice, mix};

/// How many removals there are between two clean-ups of what nobody can name any more.
const REMOVALS: u64 = 64;

/// A disk's state, shared by all its incarnations.
pub struct State {
    pub image: Image,
    pub dice: Dice,
    pub faults: DiskFaults,
    pub incarnation: u64,
    pub operations_left: Option<u64>,
    pub counts: DiskCounts,
    removals: u64,
    locks: BTreeMap<PathBuf, Weak<()>>,
}

impl State {
    pub fn new(dice: Dice) -> Self {
        Self {
            image: Image::default(),
            dice,
            faults: DiskFaults::default(),
            incarnation: 0,
            operations_left: None,
            counts: DiskCounts::default(),
            removals: 0,
            locks: BTreeMap::new(),
        }
    }

    /// Shuts out the present incarnation.
    pub fn fence(&mut self) {
        self.incarnation += 1;
        self.operations_left = None;
        self.locks.clear();
    }

    fn note(&mut self, what: &str, number: u64) {
        let word = u64::from(crc32c::crc32c(what.as_bytes()));
        self.counts.hash = mix(self.counts.hash ^ word ^ number.rotate_left(32));
    }

    fn fails(&mut self, permille: u64, what: &str, path: &Path) -> io::Result<()> {
        let concerned = self.faults.only.is_none_or(|target| target.matches(path));
        match concerned && self.dice.permille(permille) {
            true => {
                self.counts.errors += 1;
                Err(io::Error::other(format!("{what}: input/output error (injected)")))
            }
            false => Ok(()),
        }
    }

    fn sync_fails(&mut self, what: &str, path: &Path) -> io::Result<()> {
        let permille = self.faults.sync_errors_permille;
        self.fails(permille, what, path)
    }

    fn may_write(&mut self, what: &str, path: &Path) -> io::Result<()> {
        if self.faults.full {
            self.counts.errors += 1;
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                format!("{what}: no space left (injected)"),
            ));
        }
        let permille = self.faults.write_errors_permille;
        self.fails(permille, what, path)
    }
}

/// An incarnation's handle.
#[derive(Clone)]
pub struct Access {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) incarnation: u64,
}

fn fenced() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the disk is gone: this node has crashed")
}

impl Access {
    /// The state, for one call of this incarnation.
    fn look(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state.lock();
        if state.incarnation == self.incarnation && state.operations_left != Some(0) {
            return Ok(state);
        }
        Err(fenced())
    }

    /// The same for a call that changes something: a point where a crash may fall.
    fn change(&self, what: &str, number: u64) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.look()?;
        state.operations_left = state.operations_left.map(|left| left - 1);
        state.note(what, number);
        Ok(state)
    }

    /// How long a log write waits, and whether it must look again after that.
    pub fn pause(&self) -> (Duration, bool) {
        match self.look() {
            Ok(state) => {
                let (low, high) = state.faults.sync_ms;
                (state.dice.millis(low, high.max(low)), state.faults.stalled)
            }
            // Whoever is fenced learns it from the write.
            Err(_) => (Duration::ZERO, false),
        }
    }

    /// Whether something happens that has one chance in `odds`.
    pub fn chance(&self, odds: u64) -> bool {
        use flotilla_proto::env::Random;
        self.state.lock().dice.below(odds) == 0
    }

    /// Removes a file's name.
    pub fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.change("remove_file", 0)?.image.remove_file(path)
    }

    /// Creates a file that must not be there, with these bytes, synced. Its name is not.
    pub fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let file = self.open(path, OpenMode::CreateNew)?;
        file.write_all_at(bytes, 0)?;
        file.sync()
    }
}

impl Files for Access {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn File>> {
        let inode = match mode {
            OpenMode::Read | OpenMode::Update => self.look()?.image.find_file(path)?,
            OpenMode::Create | OpenMode::CreateNew => {
                let mut state = self.change("create", 0)?;
                state.may_write("create", path)?;
                match state.image.find_file(path) {
                    Ok(inode) if mode == OpenMode::Create => {
                        state.image.set_len(inode, 0)?;
                        inode
                    }
                    _ => state.image.create_file(path)?,
                }
            }
        };
        let (access, path) = (self.clone(), path.to_owned());
        Ok(Box::new(Handle { access, path, inode, writes: mode != OpenMode::Read }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.look()?;
        let inode = state.image.find_file(path)?;
        Ok(state.image.bytes(inode).to_vec())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let state = self.look()?;
        let names = state.image.names(state.image.find_dir(dir)?).into_iter();
        let entries = names.map(|(name, entry)| match entry {
            Entry::File(file) => {
                DirEntry { name, is_dir: false, bytes: state.image.bytes(file).len() as u64 }
            }
            Entry::Dir(_) => DirEntry { name, is_dir: true, bytes: 0 },
        });
        Ok(entries.collect())
    }

    fn is_file(&self, path: &Path) -> bool {
        self.look().is_ok_and(|state| state.image.find_file(path).is_ok())
    }

    fn is_dir(&self, path: &Path) -> bool {
        self.look().is_ok_and(|state| state.image.find_dir(path).is_ok())
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.change("create_dir", 0)?;
        state.may_write("create a directory", path)?;
        state.image.create_dir(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.change("create_dir", 0)?;
        if state.image.find_dir(path).is_ok() {
            return Ok(());
        }
        state.may_write("create a directory", path)?;
        state.image.create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change("rename", 0)?.image.rename(from, to)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.change("remove_dir", 0)?;
        state.image.remove_dir_all(path)?;
        state.removals += 1;
        if state.removals.is_multiple_of(REMOVALS) {
            state.image.collect();
        }
        Ok(())
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.change("link", 0)?;
        state.may_write("link", to)?;
        state.image.link(from, to)
    }

    fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        let bytes = self.read(from)?;
        self.open(to, OpenMode::Create)?.write_all_at(&bytes, 0)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.change("sync_dir", 0)?;
        let inode = state.image.find_dir(dir)?;
        state.sync_fails("sync a directory", dir)?;
        if !state.faults.lying {
            state.image.sync_dir(inode);
        }
        state.counts.syncs += 1;
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        if !self.is_file(path) {
            drop(self.open(path, OpenMode::Create)?);
        }
        let mut state = self.look()?;
        if state.locks.get(path).is_some_and(|held| held.strong_count() > 0) {
            return Ok(None);
        }
        let held = Arc::new(());
        state.locks.insert(path.to_owned(), Arc::downgrade(&held));
        Ok(Some(Box::new(held)))
    }
}

/// An open file.
struct Handle {
    access: Access,
    path: PathBuf,
    inode: Inode,
    writes: bool,
}

impl Handle {
    fn write(&self, what: &str, number: u64) -> io::Result<MutexGuard<'_, State>> {
        if !self.writes {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the file is open for reading"));
        }
        let mut state = self.access.change(what, number)?;
        state.may_write("write", &self.path)?;
        Ok(state)
    }
}

impl File for Handle {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let state = self.access.look()?;
        let bytes = state.image.bytes(self.inode);
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let short = || io::Error::new(io::ErrorKind::UnexpectedEof, "the file ends before");
        buffer.copy_from_slice(bytes[start..].get(..buffer.len()).ok_or_else(short)?);
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.write("write", u64::from(crc32c::crc32c(bytes)) ^ offset)?;
        state.image.write(self.inode, offset, bytes)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.write("set_len", bytes)?.image.set_len(self.inode, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.access.change("sync", 0)?;
        if let Err(error) = state.sync_fails("sync", &self.path) {
            state.image.forget_file(self.inode);
            return Err(error);
        }
        if !state.faults.lying {
            state.image.sync_file(self.inode);
        }
        state.counts.syncs += 1;
        Ok(())
    }
}
