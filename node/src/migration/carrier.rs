//! What a node holds of migrations: pins of its groups, and dump files that are not sent yet.
//!
//! ```text
//!   DIR/migration/m7/          mode 0700
//!     f00012.kvd               file 12 of migration 7, whole; mode 0600
//!     f00013.part              being written; removed at the next start
//! ```
//!
//! Pins are in memory, their files among the unfinished things of their replica: both go with the process. So all that a crash
//! leaves behind is in one directory, under the id of the migration that may still want it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flotilla_cloud_migration::record::Record;
use flotilla_raft_store::Pin;
use flotilla_shardkv::ShardKv;
use flotilla_types::GroupId;
use parking_lot::Mutex;

use super::pace::Pace;

/// A node's part in migrations; cheap to clone.
#[derive(Clone)]
pub struct Carrier(Arc<Inner>);

struct Inner {
    dir: PathBuf,
    pins: Mutex<BTreeMap<(u64, GroupId), Arc<Pin<ShardKv>>>>,
    /// The rate of the newest migration that was dumped.
    pace: Mutex<(u64, Pace)>,
}

/// The end of the name of a file that is being written.
const UNFINISHED: &str = "part";

impl Carrier {
    /// The part of the node whose data is in `dir`. Removes what a crash left unfinished.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let dir = dir.join("migration");
        let pace = Mutex::new((0, Pace::new(0)));
        let carrier = Self(Arc::new(Inner { dir, pins: Mutex::default(), pace }));
        for id in carrier.local()? {
            for entry in fs::read_dir(carrier.folder(id))? {
                let path = entry?.path();
                if path.extension().is_some_and(|extension| extension == UNFINISHED) {
                    fs::remove_file(path)?;
                }
            }
        }
        Ok(carrier)
    }

    /// The migrations of which there are files here.
    pub fn local(&self) -> io::Result<Vec<u64>> {
        let entries = match fs::read_dir(&self.0.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            found.extend(name.to_str().and_then(|name| name.strip_prefix('m')?.parse::<u64>().ok()));
        }
        found.extend(self.0.pins.lock().keys().map(|(id, _)| *id));
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// The folder of a migration's files.
    pub fn folder(&self, id: u64) -> PathBuf {
        self.0.dir.join(format!("m{id}"))
    }

    /// Where a file is, once it is whole.
    pub fn path(&self, id: u64, index: u32) -> PathBuf {
        self.folder(id).join(format!("f{index:06}.kvd"))
    }

    /// Where a file is while it is being written.
    pub(super) fn unfinished(&self, id: u64, index: u32) -> PathBuf {
        self.path(id, index).with_extension(UNFINISHED)
    }

    /// Makes the folder of a migration, for this user alone.
    pub(super) fn make_folder(&self, id: u64) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(self.folder(id))
    }

    /// Whether a whole file of this length is here.
    pub fn has(&self, id: u64, index: u32, length: u64) -> bool {
        fs::metadata(self.path(id, index)).is_ok_and(|found| found.is_file() && found.len() == length)
    }

    /// Removes one file: it has been sent.
    pub fn remove(&self, id: u64, index: u32) -> io::Result<()> {
        match fs::remove_file(self.path(id, index)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes everything of a migration: its pins and its files. Whoever still reads one of them keeps it until the end.
    pub fn discard(&self, id: u64) -> io::Result<()> {
        let pins = {
            let mut pins = self.0.pins.lock();
            let later = pins.split_off(&(id + 1, GroupId(0)));
            let own = pins.split_off(&(id, GroupId(0)));
            pins.extend(later);
            own
        };
        drop(pins);
        match fs::remove_dir_all(self.folder(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Lets go of the pin of a group: everything of it is dumped.
    pub fn unpin(&self, id: u64, gid: GroupId) {
        let pin = self.0.pins.lock().remove(&(id, gid));
        drop(pin);
    }

    /// The rate at which this node dumps, all its groups together.
    pub(super) fn pace(&self, record: &Record) -> Pace {
        let mut held = self.0.pace.lock();
        if held.0 != record.id {
            let rate = record.options.as_ref().map_or(0, |options| options.dump_bytes_per_second);
            *held = (record.id, Pace::new(rate));
        }
        held.1.clone()
    }

    pub(super) fn pin(&self, id: u64, gid: GroupId) -> Option<Arc<Pin<ShardKv>>> {
        self.0.pins.lock().get(&(id, gid)).cloned()
    }

    /// Keeps a pin, unless there is one: the first one counts.
    pub(super) fn keep(&self, id: u64, gid: GroupId, pin: Pin<ShardKv>) -> Arc<Pin<ShardKv>> {
        self.0.pins.lock().entry((id, gid)).or_insert_with(|| Arc::new(pin)).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_removes_what_was_unfinished_and_keeps_what_was_whole() {
        let dir = tempfile::tempdir().expect("a directory");
        let carrier = Carrier::open(dir.path()).expect("opens");
        assert_eq!(carrier.local().expect("lists"), Vec::<u64>::new());
        carrier.make_folder(7).expect("makes");
        fs::write(carrier.path(7, 1), b"whole").expect("writes");
        fs::write(carrier.unfinished(7, 2), b"torn").expect("writes");
        let carrier = Carrier::open(dir.path()).expect("opens");
        assert!(carrier.has(7, 1, 5) && !carrier.has(7, 1, 6) && !carrier.has(7, 2, 4));
        assert!(!carrier.unfinished(7, 2).exists());
        assert_eq!(carrier.local().expect("lists"), vec![7]);
        carrier.discard(7).expect("discards");
        carrier.discard(7).expect("again");
        assert_eq!(carrier.local().expect("lists"), Vec::<u64>::new());
    }
}
