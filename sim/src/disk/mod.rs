//! A node's disk in memory, which crashes honestly.
//!
//! ```text
//!   SimDisk                 outlives its node; the nemesis holds it
//!      | open()             one incarnation: what a started node gets (raft-store's `Disk`)
//!      |    |-- files       identity, mark, CURRENT, snapshots: writes are unsynced until they are synced
//!      |    |-- log         a WAL and tables, each write synced            \  made of files of the same image,
//!      |    '-- data        rows in memory until a flush or a checkpoint   /  so that copies and rot are real
//!      | fence()            the incarnation's every call fails from now on
//!      | kill()             fence; what the system was given stays, what only the process held is gone
//!      | power_cut()        fence; what was not synced is kept in part: a prefix for each file and directory
//!      '-- rot, wipe, older images, and faults while it runs
//! ```
//!
//! * [`image`]: durable and volatile bytes and names. `access`: an incarnation's files, and the faults.
//! * `table`, `base`, `log` and `data`: the databases. [`rot`]: damage at rest.
//!
//! What it does not model: reordering of writes within one file, reads that fail, a disk that is slow to read, and
//! anything that RocksDB does on its own but for the time of a flush.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flotilla_raft_store::{DataEngine, Disk, Files, LogEngine};
use flotilla_types::EngineError;
use futures::future::BoxFuture;
use parking_lot::Mutex;

mod access;
mod base;
mod change;
mod data;
pub mod image;
mod log;
#[cfg(test)]
mod node_test;
pub mod rot;
mod table;
#[cfg(test)]
mod tests;

use access::{Access, State};
use data::DataDatabase;
use image::Image;
use log::LogDatabase;

use crate::dice::Dice;

pub use rot::Target;

/// What goes wrong while the disk is in use.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DiskFaults {
    /// So many writes in a thousand fail with an I/O error.
    pub write_errors_permille: u64,
    /// So many syncs in a thousand fail, and what they should have written is lost at the next power cut.
    pub sync_errors_permille: u64,
    /// Only such files are concerned by failing writes and syncs; all, if there is nothing here.
    pub only: Option<Target>,
    /// There is no space: nothing can be written or made.
    pub full: bool,
    /// The shortest and the longest wait before a log write, and again before its acknowledgement, in milliseconds.
    pub sync_ms: (u64, u64),
    /// Log writes wait until this is over.
    pub stalled: bool,
    /// Syncs say that they succeeded and do nothing. The harness must find out.
    pub lying: bool,
}

/// A node's disk. Cheap to clone; all clones are the same disk.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

impl std::fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimDisk").finish_non_exhaustive()
    }
}

impl SimDisk {
    /// An empty disk whose accidents follow from `dice`.
    pub fn new(dice: Dice) -> Self {
        Self { state: Arc::new(Mutex::new(State::new(dice))) }
    }

    /// What a node is started with. Every earlier incarnation is fenced.
    pub fn open(&self) -> Arc<dyn Disk> {
        let mut state = self.state.lock();
        state.fence();
        let access = Access { state: self.state.clone(), incarnation: state.incarnation };
        Arc::new(Incarnation { access })
    }

    /// From now on every call of the running incarnation fails, as if the device had been pulled out.
    pub fn fence(&self) {
        self.state.lock().fence();
    }

    /// The same after `operations` more calls: a crash in the middle of whatever they belong to. Follow it up with
    /// [`SimDisk::kill`] or [`SimDisk::power_cut`].
    pub fn fence_after(&self, operations: u64) {
        self.state.lock().operations_left = Some(operations);
    }

    /// The process dies: what it had written is in the system's hands and stays.
    pub fn kill(&self) {
        let mut state = self.state.lock();
        state.fence();
        state.image.collect();
    }

    /// The power goes: what was not synced may be lost.
    pub fn power_cut(&self) {
        let mut state = self.state.lock();
        state.fence();
        let State { image, dice, counts, .. } = &mut *state;
        counts.torn += image.power_cut(dice);
    }

    /// What goes wrong from now on.
    pub fn set_faults(&self, faults: DiskFaults) {
        self.state.lock().faults = faults;
    }

    /// What goes wrong at the moment.
    pub fn faults(&self) -> DiskFaults {
        self.state.lock().faults.clone()
    }

    /// Everything on the disk at this moment. Take it while the node is down.
    pub fn image(&self) -> Image {
        self.state.lock().image.clone()
    }

    /// Puts another image in the place of everything: an older one of this node, one of another node, an empty one.
    pub fn set_image(&self, image: Image) {
        let mut state = self.state.lock();
        state.fence();
        state.image = image;
    }

    /// Damages something of a kind while the node is down; says what, or nothing if there is no such thing.
    pub fn rot(&self, target: Target) -> Option<String> {
        let mut state = self.state.lock();
        let State { image, dice, .. } = &mut *state;
        rot::flip(image, target, dice)
    }

    /// Cuts a file of a kind short while the node is down; says which.
    pub fn truncate(&self, target: Target) -> Option<String> {
        let mut state = self.state.lock();
        let State { image, dice, .. } = &mut *state;
        rot::truncate(image, target, dice)
    }

    /// How many syncs there were, how many faults were made, and a running hash over every change: part of a trace.
    pub fn counts(&self) -> DiskCounts {
        self.state.lock().counts
    }

    /// How many bytes the files take.
    pub fn bytes(&self) -> u64 {
        self.state.lock().image.total_bytes()
    }
}

/// What a disk has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DiskCounts {
    /// Syncs of files and directories that succeeded.
    pub syncs: u64,
    /// Calls that failed by an injected fault.
    pub errors: u64,
    /// Changes that a power cut left in part.
    pub torn: u64,
    /// A hash over every change so far.
    pub hash: u64,
}

/// One start of a node on a disk.
struct Incarnation {
    access: Access,
}

impl Disk for Incarnation {
    fn open_log(&self, dir: &Path) -> io::Result<Arc<dyn LogEngine>> {
        Ok(Arc::new(LogDatabase::open(&self.access, dir)?))
    }

    fn open_data(&self, dir: &Path) -> Result<Arc<dyn DataEngine>, EngineError> {
        Ok(Arc::new(DataDatabase::open(&self.access, dir)?))
    }

    fn open_data_read_only(&self, dir: &Path) -> Result<Arc<dyn DataEngine>, EngineError> {
        Ok(Arc::new(DataDatabase::open_read_only(&self.access, dir)?))
    }

    fn files(&self) -> &dyn Files {
        &self.access
    }

    fn ready(&self) -> BoxFuture<'static, ()> {
        let access = self.access.clone();
        Box::pin(async move {
            loop {
                let (wait, stalled) = access.pause();
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
                if !stalled {
                    return;
                }
                tokio::time::sleep(STALL_LOOK).await;
            }
        })
    }
}

/// How often a stalled write looks whether the stall is over.
const STALL_LOOK: Duration = Duration::from_millis(10);
