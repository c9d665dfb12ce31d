//! The record and its commands: each a compare-and-set, decided when it is applied.

use flotilla_cloud_migration::{State, Step};

use super::omission::Omission;
use super::{GROUPS, Migration};

/// The replicated record of one migration.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Record {
    /// How far it is.
    pub state: State,
    /// The number of the latest claim; 0 before the first.
    pub epoch: u8,
    /// Whether the latest claim's lease stands.
    pub leased: bool,
    /// The write counter at which each group became read-only.
    pub acks: [Option<u8>; GROUPS],
    /// The write counter of each group's file.
    pub files: [Option<u8>; GROUPS],
    /// Whose objects are in the store.
    pub uploaded: [bool; GROUPS],
    /// Compensations: groups that are to be thawed, and are not known to be.
    pub thaws: [bool; GROUPS],
}

/// A command to the record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Command {
    /// On to this state, or to error.
    Advance {
        /// The state to come to.
        to: State,
    },
    /// A group is read-only, at this write counter.
    Frozen {
        /// The group.
        group: usize,
        /// Its write counter.
        counter: u8,
    },
    /// A group's file is made.
    Dumped {
        /// The group.
        group: usize,
        /// The write counter that it holds.
        counter: u8,
    },
    /// A group's file is in the store.
    Uploaded {
        /// The group.
        group: usize,
    },
    /// A group is thawed.
    Thawed {
        /// The group.
        group: usize,
    },
}

impl Record {
    /// Just created.
    pub fn new() -> Self {
        Self {
            state: State::Init,
            epoch: 0,
            leased: false,
            acks: [None; GROUPS],
            files: [None; GROUPS],
            uploaded: [false; GROUPS],
            thaws: [false; GROUPS],
        }
    }

    /// Whether an owner has anything to do.
    pub fn is_owed(&self) -> bool {
        !self.state.is_terminal() || self.thaws.contains(&true)
    }
}

impl Default for Record {
    fn default() -> Self {
        Self::new()
    }
}

impl Migration {
    /// Claim: the next epoch, if nobody's lease stands.
    pub(super) fn claim(&self, record: &Record) -> Option<Record> {
        let owed = if self.omits(Omission::TerminalIsNotClaimed) {
            !record.state.is_terminal()
        } else {
            record.is_owed()
        };
        let free = !record.leased && owed && record.epoch < self.epochs;
        free.then(|| Record { epoch: record.epoch + 1, leased: true, ..*record })
    }

    /// Cancel: every living job becomes cancelled, and its compensations are queued in the same command.
    pub(super) fn cancel(&self, record: &Record) -> Option<Record> {
        self.enter(record, State::Cancelled)
    }

    /// A command of the owner with this epoch.
    pub(super) fn apply(&self, record: &Record, epoch: u8, command: Command) -> Option<Record> {
        if epoch != record.epoch && !self.omits(Omission::EpochNotCompared) {
            return None;
        }
        let mut next = *record;
        match command {
            Command::Advance { to } => return self.advance(record, to),
            Command::Frozen { group, counter } if record.state == State::Setup => {
                next.acks[group].get_or_insert(counter);
            }
            Command::Dumped { group, counter } if record.state == State::Dump => {
                next.files[group].get_or_insert(counter);
            }
            Command::Uploaded { group } if record.state == State::Upload => next.uploaded[group] = true,
            Command::Thawed { group } => next.thaws[group] = false,
            _ => return None,
        }
        (next != *record).then_some(next)
    }

    fn advance(&self, record: &Record, to: State) -> Option<Record> {
        let acked = self.omits(Omission::DumpBeforeAcks) || !record.acks.contains(&None);
        let complete = match to {
            State::Dump => acked,
            State::Upload => !record.files.contains(&None),
            State::Done => !record.uploaded.contains(&false),
            _ => true,
        };
        if complete { self.enter(record, to) } else { None }
    }

    fn enter(&self, record: &Record, to: State) -> Option<Record> {
        let may = match record.state.step(to) {
            Step::Forward => true,
            Step::Repeat => false,
            Step::Terminal => self.omits(Omission::TerminalOverwritten) && to.is_terminal(),
            Step::Backward => self.omits(Omission::StateNotCompared),
        };
        let forgets = to == State::Error && self.omits(Omission::ErrorForgetsThaw)
            || to == State::Cancelled && self.omits(Omission::CancelForgetsThaw);
        // The freeze ends with the dump, and with the job.
        let thaws = (to == State::Upload || to.is_terminal() && to != State::Done) && !forgets;
        may.then_some(Record {
            state: to,
            thaws: if thaws { [true; GROUPS] } else { record.thaws },
            ..*record
        })
    }
}
