//! The disk of one machine, for all its lives: what the nemesis may do to it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flotilla_proto::env::Random as _;
use flotilla_raft_store::Disk;

use crate::dice::Dice;
use crate::disk::{DiskCounts, DiskFaults, SimDisk, Target};

/// The disk of one machine.
pub struct Drive {
    disk: SimDisk,
    dir: PathBuf,
    usual: DiskFaults,
}

/// What may rot.
const TARGETS: [Target; 4] = [Target::Log, Target::Data, Target::Snapshot, Target::Mark];

impl Drive {
    /// An empty disk. Each sync takes as long as `sync_ms` says.
    pub fn new(dir: PathBuf, dice: Dice, sync_ms: (u64, u64), lying: bool) -> Self {
        let usual = DiskFaults { sync_ms, lying, ..DiskFaults::default() };
        let disk = SimDisk::new(dice);
        disk.set_faults(usual.clone());
        Self { disk, dir, usual }
    }

    /// The node's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The disk for a new life.
    pub fn open(&self) -> Arc<dyn Disk> {
        self.disk.open()
    }

    /// The present life is over, with all that it has not synced if the power failed.
    pub fn cut(&self, power: bool) {
        match power {
            true => self.disk.power_cut(),
            false => self.disk.kill(),
        }
    }

    /// After so many more operations nothing reaches the disk any more: a crash in the middle of something.
    pub fn cut_after(&self, operations: u64) {
        self.disk.fence_after(operations);
    }

    /// Trouble: its class and what it is.
    pub fn spoil(&self, dice: &Dice) -> (&'static str, String) {
        let usual = self.usual.clone();
        let (kind, faults) = match dice.below(6) {
            0 | 1 => ("slow_disk", DiskFaults { sync_ms: (5, dice.of(&[20, 100, 400])), ..usual }),
            2 => ("stalled_disk", DiskFaults { stalled: true, ..usual }),
            3 => ("full_disk", DiskFaults { full: true, ..usual }),
            4 => ("failing_writes", DiskFaults { write_errors_permille: dice.of(&[1, 20, 200]), ..usual }),
            _ => ("failing_syncs", DiskFaults { sync_errors_permille: dice.of(&[1, 20, 200]), ..usual }),
        };
        let detail = format!("{faults:?}");
        self.disk.set_faults(faults);
        (kind, detail)
    }

    /// No trouble any more.
    pub fn mend(&self) {
        self.disk.set_faults(self.usual.clone());
    }

    /// What it did so far.
    pub fn counts(&self) -> DiskCounts {
        self.disk.counts()
    }

    /// Everything on it is gone.
    pub fn wipe(&self) -> String {
        self.disk.set_image(SimDisk::new(Dice::new(0)).image());
        "everything is gone".to_owned()
    }

    /// Something on it rots; says what, or nothing if there is nothing to rot.
    pub fn rot(&self, dice: &Dice) -> String {
        let target = *dice.pick(&TARGETS).unwrap_or(&Target::Log);
        let done = match dice.permille(700) {
            true => self.disk.rot(target),
            false => self.disk.truncate(target),
        };
        done.unwrap_or_default()
    }

    /// Holds every sync, or lets them go.
    pub fn hold(&self, hold: bool) {
        let faults = DiskFaults { stalled: hold, ..self.disk.faults() };
        self.disk.set_faults(faults);
    }
}

/// How long a sync takes on a disk that works, in milliseconds from and to.
pub fn usual_sync(dice: &Dice) -> (u64, u64) {
    let slowest = dice.of(&[0, 0, 1, 5]);
    (0, slowest)
}
