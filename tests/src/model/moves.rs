//! The model's rules, and how a group follows the configs.

use super::omission::Omission;
use super::schedule::{Gid, NOBODY, Schedule};
use super::shard::{Cursor, Phase, Shard};
use super::state::State;

/// The move protocol under one schedule, whole or with one guard taken out.
#[derive(Clone, Debug)]
pub struct Moves {
    /// The bounds.
    pub schedule: Schedule,
    /// The guard taken out.
    pub omission: Option<Omission>,
}

impl Moves {
    pub(super) fn omits(&self, omission: Omission) -> bool {
        self.omission == Some(omission)
    }

    pub(super) fn owner(&self, shard: usize, num: u8) -> Gid {
        self.schedule.owner(shard, num)
    }

    /// AdoptConfig(m): every number in order, none skipped.
    pub(super) fn adopt(&self, state: &State, gid: Gid, num: u8) -> Option<State> {
        let cfg = state.groups[usize::from(gid)].cfg;
        if num <= cfg || num != cfg + 1 && !self.omits(Omission::SkipConfigs) {
            return None;
        }
        let mut next = state.clone();
        next.groups[usize::from(gid)].cfg = num;
        for shard in 0..self.schedule.chains.len() {
            self.advance(&mut next, gid, shard);
        }
        Some(next)
    }

    /// Takes a settled shard through the configs that its group has adopted, up to the next change of owner.
    pub(super) fn advance(&self, state: &mut State, gid: Gid, number: usize) {
        let cfg = state.groups[usize::from(gid)].cfg;
        let shard = state.shard_mut(gid, number);
        while shard.at < cfg {
            let settled = match shard.phase {
                Phase::Absent => true,
                Phase::Serving => shard.debts == 0 || !self.omits(Omission::HandOnWaits),
                Phase::Pulling { .. } | Phase::BePulling { .. } => false,
            };
            if !settled {
                return;
            }
            let next = if self.omits(Omission::SkipConfigs) { cfg } else { shard.at + 1 };
            let (before, after) = (self.owner(number, shard.at), self.owner(number, next));
            shard.at = next;
            let gives = shard.phase == Phase::Serving || self.omits(Omission::DroppedIsGivenAway);
            if before != after && before == gid && gives {
                shard.phase = Phase::BePulling { sealed: false };
            } else if before != after && after == gid {
                self.enter_pulling(shard, before);
            }
        }
    }

    fn enter_pulling(&self, shard: &mut Shard, from: Gid) {
        shard.phase = if from == NOBODY { Phase::Serving } else { Phase::Pulling { from } };
        shard.cursor = Cursor::Base(0);
    }
}
