//! Everything at one moment.

use std::collections::BTreeSet;

use flotilla_cloud_migration::State;

use super::group::Group;
use super::record::{Command, Record};
use super::{GROUPS, NODES};

/// What a node believes that claimed the job.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Owner {
    /// The epoch of its claim.
    pub epoch: u8,
    /// The record's state when it last looked.
    pub seen: State,
    /// Whether it crashed since.
    pub crashed: bool,
}

/// Something sent. It may arrive at any later time, any number of times, or never.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Message {
    /// A command to the record, with its sender's epoch.
    Command(u8, Command),
    /// Freeze, to a group.
    Freeze(usize),
    /// Thaw, to a group.
    Thaw(usize),
    /// The manifest, with each group's write counter, to the store.
    Manifest([u8; GROUPS]),
}

/// What was seen and must not be forgotten: it takes no part in any step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Witness {
    /// Every pair of write counters that was ever the cluster's at one moment, as bits.
    pub cuts: u16,
    /// The first terminal state.
    pub terminal: Option<State>,
    /// The record went backward.
    pub backward: bool,
    /// A command of an epoch that was over changed the record.
    pub stale_write: bool,
    /// A write was applied in a frozen group.
    pub frozen_write: bool,
}

/// The whole model's state.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct World {
    /// The record.
    pub record: Record,
    /// The groups.
    pub groups: [Group; GROUPS],
    /// The nodes, where they claimed the job.
    pub owners: [Option<Owner>; NODES],
    /// Everything sent that can still have an effect.
    pub sent: BTreeSet<Message>,
    /// The manifest in the store, written once.
    pub manifest: Option<[u8; GROUPS]>,
    /// The oracle.
    pub witness: Witness,
}

/// The bit of a pair of write counters.
fn cut(counters: [u8; GROUPS]) -> u16 {
    1 << (counters[0] * 4 + counters[1])
}

impl World {
    /// A new record, nobody's yet.
    pub fn first() -> Self {
        let witness = Witness {
            cuts: cut([0; GROUPS]),
            terminal: None,
            backward: false,
            stale_write: false,
            frozen_write: false,
        };
        Self {
            record: Record::new(),
            groups: [Group::default(); GROUPS],
            owners: [None; NODES],
            sent: BTreeSet::new(),
            manifest: None,
            witness,
        }
    }

    /// The groups' write counters now.
    pub fn counters(&self) -> [u8; GROUPS] {
        self.groups.map(|group| group.counter)
    }

    /// Whether these counters were ever the cluster's at one moment.
    pub fn was_cut(&self, counters: [u8; GROUPS]) -> bool {
        self.witness.cuts & cut(counters) != 0
    }

    /// Notes what a step showed.
    pub(super) fn witness(&mut self, last: &World) {
        self.witness.cuts |= cut(self.counters());
        for (new, old) in self.groups.iter().zip(&last.groups) {
            self.witness.frozen_write |= old.frozen && new.counter > old.counter;
        }
        let (old, new) = (last.record.state, self.record.state);
        self.witness.backward |= new < old;
        if new.is_terminal() {
            self.witness.terminal.get_or_insert(new);
        }
    }

    /// What every step raises: the state graph has no cycle.
    pub fn progress(&self) -> u32 {
        let record = &self.record;
        let some = |all: [Option<u8>; GROUPS]| all.iter().flatten().count() as u32;
        let yes = |all: [bool; GROUPS]| all.iter().filter(|set| **set).count() as u32;
        let record = record.state as u32 * 20
            + u32::from(record.epoch) * 40
            + u32::from(!record.leased) * 20
            + some(record.acks)
            + some(record.files)
            + yes(record.uploaded)
            - yes(record.thaws);
        let group = |group: &Group| {
            u32::from(group.counter + group.refused) * 2
                + u32::from(group.entered)
                + u32::from(group.frozen)
                + 2 * u32::from(group.thawed)
        };
        let owner =
            |owner: &Owner| u32::from(owner.epoch) * 20 + owner.seen as u32 + 10 * u32::from(owner.crashed);
        record
            + self.groups.iter().map(group).sum::<u32>()
            + self.owners.iter().flatten().map(owner).sum::<u32>()
            + u32::from(self.manifest.is_some())
    }
}
