//! The bounds of one exploration: who owns each shard at each config, and what the clients want.

use super::data::{LATER, NOW};

/// A group. The model counts from 0: S, T, U.
pub type Gid = u8;

/// The owner of a shard before the first Join.
pub const NOBODY: Gid = u8::MAX;
/// The first owner in most schedules.
pub const S: Gid = 0;
/// The second owner.
pub const T: Gid = 1;
/// The third owner.
pub const U: Gid = 2;

/// What a write does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OpKind {
    /// Append the write's own token.
    Append,
    /// Replace the value by the token; it expires when replicated time passes.
    PutWithTtl,
    /// Remove the key.
    Delete,
    /// Append to a key that must be absent: a compare that may fail. The failure is an outcome like any
    /// other.
    AppendIfAbsent,
}

/// One write of a client.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Op {
    /// The shard it goes to.
    pub shard: usize,
    /// The key within the shard.
    pub key: usize,
    /// What it does.
    pub kind: OpKind,
    /// The client's clock when it first sent the write; retries repeat it.
    pub issued_at: u8,
}

/// When a group may die: relative to the move at a config.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Death {
    /// At any time once the move is installed: its old owner.
    Installed(u8),
    /// During the base copy: its new owner. (Later a Seal may be under way, and it seals whoever is dead then.)
    InBase(u8),
}

/// One bounded world to explore.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Number of groups.
    pub groups: usize,
    /// For each shard its owners at config 1, 2, ...
    pub chains: Vec<Vec<Gid>>,
    /// For each client its writes, in order: one at a time, retried until answered.
    pub scripts: Vec<Vec<Op>>,
    /// Whether replicated time passes (once per shard, at any moment, perhaps with the seal).
    pub ticks: bool,
    /// Whether a source that is not yet sealed may abort a move that a later config takes back.
    pub cancels: bool,
    /// A group that may die for good, and when.
    pub mortal: Option<(Gid, Death)>,
    /// A group that never does anything at all.
    pub absent: Option<Gid>,
}

impl Schedule {
    /// One shard with this chain of owners, and no writes yet.
    pub fn chain(owners: &[Gid]) -> Self {
        Self::chains(&[owners])
    }

    /// Several shards, each with its chain of owners; the chains are equally long.
    pub fn chains(chains: &[&[Gid]]) -> Self {
        let groups =
            1 + chains.iter().flat_map(|c| c.iter()).filter(|g| **g != NOBODY).max().map_or(0, |g| *g);
        Self {
            groups: usize::from(groups),
            chains: chains.iter().map(|c| c.to_vec()).collect(),
            scripts: Vec::new(),
            ticks: false,
            cancels: false,
            mortal: None,
            absent: None,
        }
    }

    /// Adds a client with these writes.
    pub fn client(mut self, ops: &[Op]) -> Self {
        self.scripts.push(ops.to_vec());
        self
    }

    /// Lets replicated time pass.
    pub fn ticking(mut self) -> Self {
        self.ticks = true;
        self
    }

    /// Lets sources abort moves that a later config takes back.
    pub fn cancelling(mut self) -> Self {
        self.cancels = true;
        self
    }

    /// Makes `gid` dead from the start.
    pub fn without(mut self, gid: Gid) -> Self {
        self.absent = Some(gid);
        self
    }

    /// Lets `gid` die once the move at config `num`, from it, has been installed.
    pub fn dies_after_the_install(mut self, gid: Gid, num: u8) -> Self {
        assert_ne!(self.owner(0, num), gid, "the mortal group hands the shard on");
        self.mortal = Some((gid, Death::Installed(num)));
        self
    }

    /// Lets `gid` die during the base copy of the move at config `num`, to it.
    pub fn dies_in_the_base_copy(mut self, gid: Gid, num: u8) -> Self {
        assert_eq!(self.owner(0, num), gid, "the mortal group is to get the shard");
        self.mortal = Some((gid, Death::InBase(num)));
        self
    }

    /// Adds one more group that is dead from the start.
    pub fn with_dead_bystander(mut self) -> Self {
        self.absent = Some(self.groups as Gid);
        self.groups += 1;
        self
    }

    /// The newest config.
    pub fn last(&self) -> u8 {
        self.chains[0].len() as u8
    }

    /// The config at which a move of `shard` at `num` is taken back: its target's time ends and the source is
    /// owner again.
    pub fn taken_back(&self, shard: usize, num: u8) -> Option<u8> {
        let (from, to) = (self.owner(shard, num - 1), self.owner(shard, num));
        let end = (num..=self.last()).find(|n| self.owner(shard, *n) != to)?;
        (self.owner(shard, end) == from).then_some(end)
    }

    /// Who owns `shard` at config `num`.
    pub fn owner(&self, shard: usize, num: u8) -> Gid {
        self.chains[shard][usize::from(num) - 1]
    }

    /// The configs at which `shard` moves from one group to another.
    pub fn moves(&self, shard: usize) -> impl Iterator<Item = u8> + '_ {
        (2..=self.last()).filter(move |n| {
            let (from, to) = (self.owner(shard, n - 1), self.owner(shard, *n));
            from != to && from != NOBODY
        })
    }
}

/// An append to `key` of shard 0.
pub fn append(key: usize) -> Op {
    Op { shard: 0, key, kind: OpKind::Append, issued_at: NOW }
}

/// A delete of `key` of shard 0.
pub fn delete(key: usize) -> Op {
    Op { kind: OpKind::Delete, ..append(key) }
}

/// An append to `key` of shard 0 that fails if there is a row.
pub fn append_if_absent(key: usize) -> Op {
    Op { kind: OpKind::AppendIfAbsent, ..append(key) }
}

/// A put of `key` of shard 0 that expires.
pub fn put_with_ttl(key: usize) -> Op {
    Op { kind: OpKind::PutWithTtl, ..append(key) }
}

impl Op {
    /// The same write to another shard.
    pub fn at_shard(self, shard: usize) -> Self {
        Self { shard, ..self }
    }

    /// The same write, first sent so late that the floor never reaches it (and raises it itself).
    pub fn late(self) -> Self {
        Self { issued_at: LATER, ..self }
    }
}
