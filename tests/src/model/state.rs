//! A state of the whole model: every group's log applied, and what the network remembers.

use std::collections::BTreeSet;

use super::data::{CLIENTS, Data};
use super::promise::Promise;
use super::schedule::{Gid, NOBODY, Schedule};
use super::shard::{Cursor, Phase, Shard};

/// A GetShardsData that was sent at some time: (shard, to, asked of, config, cursor).
pub type Request = (usize, Gid, Gid, u8, Cursor);

/// One group: a deterministic machine behind its log.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Group {
    /// The latest config adopted.
    pub cfg: u8,
    /// Its shards.
    pub shards: Vec<Shard>,
}

/// Everything.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State {
    /// The groups by gid.
    pub groups: Vec<Group>,
    /// Earlier states of shards that are copied away: what lagging replicas may still answer from, and what
    /// answers still under way were read from. By shard; (group, state).
    pub past: Vec<Vec<(Gid, Shard)>>,
    /// For each shard the configs (as bits) at which a Seal was sent; it may arrive at any later time.
    pub seals: Vec<u8>,
    /// Requests sent, where an omission makes old ones matter.
    pub requests: BTreeSet<Request>,
    /// How many answers each client has heard.
    pub heard: [u8; CLIENTS],
    /// What the clients were promised, by shard.
    pub promises: Vec<Promise>,
    /// Whether the mortal group has died.
    pub dead: bool,
}

impl State {
    /// Everybody at config 1; its owner serves filled shards.
    pub fn first(schedule: &Schedule) -> Self {
        let shards = schedule.chains.len();
        let group = Group { cfg: 1, shards: vec![Shard::absent(); shards] };
        let mut state = Self {
            groups: vec![group; schedule.groups],
            past: vec![Vec::new(); shards],
            seals: vec![0; shards],
            requests: BTreeSet::new(),
            heard: [0; CLIENTS],
            promises: vec![Promise::default(); shards],
            dead: false,
        };
        for shard in 0..shards {
            let owner = schedule.owner(shard, 1);
            if owner != NOBODY {
                let first = state.shard_mut(owner, shard);
                first.phase = Phase::Serving;
                first.data = Data::filled();
                state.promises[shard] = Promise::new(Data::filled());
                state.promises[shard].serve(owner, 1);
            }
        }
        state
    }

    /// `shard` at group `gid`.
    pub fn shard(&self, gid: Gid, shard: usize) -> &Shard {
        &self.groups[usize::from(gid)].shards[shard]
    }

    /// `shard` at group `gid`, to change it.
    pub fn shard_mut(&mut self, gid: Gid, shard: usize) -> &mut Shard {
        &mut self.groups[usize::from(gid)].shards[shard]
    }

    /// The groups' ids.
    pub fn gids(&self) -> impl Iterator<Item = Gid> + use<> {
        0..self.groups.len() as Gid
    }

    /// Every (group, shard number, shard).
    pub fn all(&self) -> impl Iterator<Item = (Gid, usize, &Shard)> {
        self.gids().flat_map(move |gid| {
            let shards = self.groups[usize::from(gid)].shards.iter();
            shards.enumerate().map(move |(number, shard)| (gid, number, shard))
        })
    }

    /// The groups that serve `shard` now.
    pub fn servers(&self, shard: usize) -> impl Iterator<Item = Gid> + '_ {
        self.gids().filter(move |gid| self.shard(*gid, shard).serves())
    }

    /// A number that every step raises: the state graph has no cycle, so whatever can still happen does
    /// happen in the end, and a state without steps is where every fair run ends.
    pub fn progress(&self) -> u32 {
        let shards = self.all().map(|(_, _, shard)| shard_progress(shard)).sum::<u32>();
        let groups = self.groups.iter().map(|group| u32::from(group.cfg)).sum::<u32>();
        let heard = self.heard.iter().map(|n| u32::from(*n)).sum::<u32>();
        let promises = self.promises.iter().map(Promise::progress).sum::<u32>();
        shards + groups + heard + promises + u32::from(self.dead)
    }
}

/// Grows along the life of a shard: config by config, within a config phase by phase.
fn shard_progress(shard: &Shard) -> u32 {
    let cursor = match shard.cursor {
        Cursor::Base(index) => u32::from(index),
        Cursor::Delta(counter) => 10 + u32::from(counter),
    };
    let phase = match shard.phase {
        Phase::Pulling { .. } => 1 + cursor,
        Phase::BePulling { sealed } => 1 + u32::from(sealed),
        Phase::Absent => 70,
        Phase::Serving => 80,
    };
    let floor = u32::from(shard.data.floor);
    u32::from(shard.at) * 100 + phase + floor + 2 * shard.installed.count_ones() - shard.debts.count_ones()
}
