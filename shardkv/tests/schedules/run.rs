//! A schedule being run: the groups against the model.

use std::collections::BTreeMap;

use bytes::Bytes;
use flotilla_shardkv::api::command::{AtConfig, Kind, Seal, Tick};
use flotilla_shardkv::api::op::Kind as OpKind;
use flotilla_shardkv::api::{Answer, Code, Query, ShardPhase, TransferAnswer, WriteId};
use flotilla_shardkv::{Action, Options};
use flotilla_types::{ConfigNum, GroupId, Machine, ShardConfig, ShardId, shard_of_key};

use super::steps::{GROUPS, KEYS, SHARDS, Step, key_of, shard_of};
use super::world;
use super::world::model::{Model, Said};
use super::world::{Group, Message, World};

/// The world, the model, and what has been said and sent so far.
pub struct Run {
    world: World,
    models: Vec<Model>,
    /// Each client's writes so far, by sequence number from 1.
    writes: Vec<Vec<(WriteId, OpKind)>>,
    deletes: Vec<(GroupId, AtConfig)>,
    acknowledgements: Vec<(GroupId, AtConfig)>,
    seals: Vec<(GroupId, Seal)>,
    /// How many moves have ended.
    pub arrivals: usize,
    /// Which group has answered for a shard at a configuration.
    answered: BTreeMap<(ShardId, u64), u64>,
}

/// How far each group's clock is behind: only the shard's own time, which moves along, may be seen by clients.
const BEHIND_MS: [u64; GROUPS as usize] = [0, 30, 10];

impl Run {
    pub fn new(chunk_bytes: usize, seal_when_bytes: u64) -> Self {
        let mut world = World::new(SHARDS);
        world.chunk_bytes = chunk_bytes;
        for gid in 1..=GROUPS {
            let mut options = Options::new(GroupId(gid), ConfigNum(1), SHARDS);
            options.limits.seal_when_bytes = seal_when_bytes;
            options.limits.delta_rounds_max = 4;
            options.limits.expire_keys_max = 2;
            world.groups.push(Group::new(options));
        }
        world.configs.push(ShardConfig { num: 1, shards: vec![1, 2] });
        Self {
            world,
            models: vec![Model::default(); SHARDS as usize],
            writes: vec![Vec::new(); 3],
            deletes: Vec::new(),
            acknowledgements: Vec::new(),
            seals: Vec::new(),
            arrivals: 0,
            answered: BTreeMap::new(),
        }
    }

    fn group(&mut self, gid: u64) -> &mut Group {
        self.world.group(GroupId(gid)).expect("the group exists")
    }

    fn clock(&self, gid: u64) -> u64 {
        self.world.now_ms - BEHIND_MS[gid as usize - 1]
    }

    fn serves(&mut self, gid: u64, shard: ShardId) -> bool {
        let phase = self.group(gid).leader.kv.phase(shard);
        matches!(phase, ShardPhase::Serving | ShardPhase::Gcing | ShardPhase::BePulling)
    }

    pub fn step(&mut self, step: Step) {
        match step {
            Step::Write { client, gid, op } => {
                let writes = &mut self.writes[client as usize];
                let seq = writes.len() as u64 + 1;
                let id = WriteId { client, lane: 0, seq, issued_at_ms: self.world.now_ms };
                writes.push((id, op));
                self.send(client, gid, 0);
            }
            Step::Retry { client, gid, back } => self.send(client, gid, back),
            Step::Read { gid, key } => self.read(gid, KEYS[key]),
            Step::Pass { ms } => self.world.now_ms += ms,
            Step::Config { owners } => {
                let num = self.world.configs.len() as u64;
                self.world.configs.push(ShardConfig { num, shards: owners });
            }
            Step::Adopt { gid: 0 } => (1..=GROUPS).for_each(|gid| self.step(Step::Adopt { gid })),
            Step::Adopt { gid } => {
                let num = self.group(gid).leader.kv.config().next().get() as usize;
                if let Some(config) = self.world.configs.get(num).cloned() {
                    self.group(gid).commit(Kind::Adopt(config));
                }
            }
            Step::Restart { gid } => self.group(gid).leader.restart(),
            Step::Lag { gid } => {
                let group = self.group(gid);
                group.lagging = Some(group.leader.copy());
            }
            Step::Sweep { gid } => {
                self.group(gid).leader.sweep();
            }
            Step::Expire { gid, shard } => {
                let now_ms = self.clock(gid);
                if self.serves(gid, ShardId(shard)) {
                    self.models[shard as usize].pass(now_ms);
                }
                self.group(gid).commit(Kind::Expire(Tick { shard, now_ms }));
            }
            other => self.travel(other),
        }
        self.check_owners();
    }

    // What travels between groups.
    fn travel(&mut self, step: Step) {
        match step {
            Step::Pull { gid, shard, lagging } => self.pull(gid, ShardId(shard), lagging),
            Step::Deliver { message } if !self.world.messages.is_empty() => {
                let index = message % self.world.messages.len();
                let (to, chunk) = (self.world.messages[index].to, self.world.messages[index].chunk.clone());
                self.group(to.get()).commit(Kind::InsertShards(chunk));
            }
            Step::Progress { index } => self.progress(index),
            Step::Seal { gid, shard } => {
                if let Some(Action::Pull { shard, config, from, cursor, seal: true }) =
                    self.world.pull_of(GroupId(gid), ShardId(shard))
                {
                    let now_ms = self.world.now_ms;
                    let seal =
                        Seal { shard: shard.get(), config: config.get(), cursor: Some(cursor), now_ms };
                    self.seal(from, seal.clone());
                    self.seals.push((from, seal));
                }
            }
            Step::Delete { gid, answered } => {
                let actions = self.group(gid).leader.kv.actions();
                for action in actions {
                    let Action::DeleteAtSource { shard, config, from } = action else { continue };
                    let at = AtConfig { shard: shard.get(), config: config.get() };
                    let reply = self.group(from.get()).commit(Kind::DeleteShards(at));
                    assert_eq!(reply.code(), Code::Ok, "who has everything may have it deleted");
                    self.deletes.push((from, at));
                    self.acknowledgements.push((GroupId(gid), at));
                    if answered {
                        self.group(gid).commit(Kind::Acknowledge(at));
                    }
                }
            }
            Step::LateDelete { index } if !self.deletes.is_empty() => {
                let (to, at) = self.deletes[index % self.deletes.len()];
                self.group(to.get()).commit(Kind::DeleteShards(at));
            }
            Step::LateSeal { index } if !self.seals.is_empty() => {
                let (to, seal) = self.seals[index % self.seals.len()].clone();
                self.seal(to, seal);
            }
            Step::LateAcknowledge { index } if !self.acknowledgements.is_empty() => {
                let (to, at) = self.acknowledgements[index % self.acknowledgements.len()];
                self.group(to.get()).commit(Kind::Acknowledge(at));
            }
            _ => {}
        }
    }

    // A seal that takes effect moves the shard's time on.
    fn seal(&mut self, to: GroupId, seal: Seal) {
        let (shard, now_ms) = (ShardId(seal.shard), seal.now_ms);
        let before = self.serves(to.get(), shard);
        self.group(to.get()).commit(Kind::Seal(seal));
        if before && !self.serves(to.get(), shard) {
            self.models[shard.get() as usize].pass(now_ms);
        }
    }

    fn send(&mut self, client: u64, gid: u64, back: u64) {
        let writes = &self.writes[client as usize];
        let Some(index) = writes.len().checked_sub(1 + back as usize) else { return };
        let (id, op) = writes[index].clone();
        let shard = shard_of(&op);
        let serving = (1..=GROUPS).find(|gid| self.serves(*gid, shard));
        let gid = if gid == 0 { serving.unwrap_or(1) } else { gid };
        let serves = serving == Some(gid);
        let now_ms = self.clock(gid);
        let reply = self.world.write_at(GroupId(gid), &key_of(&op), id, op.clone(), now_ms);
        if serves {
            let model = &mut self.models[shard.get() as usize];
            model.pass(now_ms);
            assert_eq!(
                Said::from(&reply),
                model.write(id, &op),
                "client {client} write {} at g{gid}",
                id.seq
            );
            let first = *self.answered.entry((shard, reply.config)).or_insert(gid);
            assert_eq!(first, gid, "two groups serve shard {shard} at configuration {}", reply.config);
            assert_eq!(reply.time_ms, model.time_ms(), "the shard's time moves along");
        } else {
            assert!(matches!(reply.code(), Code::WrongGroup | Code::NotReady), "not served: {reply:?}");
        }
    }

    pub fn read(&mut self, gid: u64, key: &[u8]) {
        let shard = shard_of_key(key, SHARDS);
        let (serves, now_ms) = (self.serves(gid, shard), self.clock(gid));
        let reply = self.group(gid).get(&world::copy(key), now_ms);
        if serves {
            // The group ticks only if some answer depends on it; the model may always.
            self.models[shard.get() as usize].pass(reply.time_ms);
            let mut late = self.models[shard.get() as usize].clone();
            assert_eq!(Said::from(&reply), late.get(key), "read of {key:?} at g{gid}");
            late.pass(now_ms);
            assert_eq!(Said::from(&reply), late.get(key), "the leader's clock agrees");
        } else {
            assert!(matches!(reply.code(), Code::WrongGroup | Code::NotReady), "not served: {reply:?}");
        }
    }

    fn progress(&mut self, index: usize) {
        let wanted: Vec<(u64, Action)> = (1..=GROUPS)
            .flat_map(|gid| self.group(gid).leader.kv.actions().into_iter().map(move |action| (gid, action)))
            .filter(|(_, action)| matches!(action, Action::Pull { .. } | Action::DeleteAtSource { .. }))
            .collect();
        let Some((gid, action)) = wanted.get(index % wanted.len().max(1)) else { return };
        let Action::Pull { shard, .. } = action else {
            return self.travel(Step::Delete { gid: *gid, answered: true });
        };
        self.travel(Step::Seal { gid: *gid, shard: shard.get() });
        let messages = self.world.messages.len();
        self.pull(*gid, *shard, false);
        if self.world.messages.len() > messages {
            self.travel(Step::Deliver { message: messages });
        }
        self.arrivals += usize::from(self.group(*gid).leader.kv.phase(*shard) != ShardPhase::Pulling);
    }

    fn pull(&mut self, gid: u64, shard: ShardId, lagging: bool) {
        let Some(action) = self.world.pull_of(GroupId(gid), shard) else { return };
        let Action::Pull { from, .. } = &action else { return };
        let source = self.world.groups.iter().find(|group| group.leader.kv.gid() == *from).expect("a source");
        let replica = source.lagging.as_ref().filter(|_| lagging).unwrap_or(&source.leader);
        if let TransferAnswer::Chunk(chunk) = self.world.ask(replica, &action) {
            self.world.messages.push(Message { to: GroupId(gid), chunk });
        }
    }

    // At most one group serves a shard.
    fn check_owners(&mut self) {
        for shard in (0..SHARDS).map(ShardId) {
            let serving = (1..=GROUPS).filter(|gid| self.serves(*gid, shard)).count();
            assert!(serving <= 1, "shard {shard} is served {serving} times");
        }
    }

    /// Every fault ends; everything must arrive, and be as the model says.
    pub fn heal(&mut self) {
        self.world.now_ms += 1;
        let now_ms = self.world.now_ms;
        self.world.settle();
        let last = self.world.configs.last().expect("there is one").clone();
        for (shard, gid) in last.owners() {
            assert!(self.serves(gid.get(), shard), "shard {shard} is served by its owner");
            self.group(gid.get()).tick(shard.get(), now_ms);
            self.models[shard.get() as usize].pass(now_ms);
            let expected = self.models[shard.get() as usize].all();
            assert_eq!(scan(self.group(gid.get()), shard, now_ms), expected, "shard {shard}");
        }
        for group in &mut self.world.groups {
            let Answer::Status(status) = group.leader.query(Query::Status) else { panic!("not a status") };
            assert_eq!((status.settled, status.debts), (last.num, 0), "everything settles");
            let digest = group.leader.digest();
            group.leader.sweep();
            assert_eq!(group.leader.digest(), digest, "sweeping changes no digest");
            assert_eq!(group.leader.sweep(), 0, "a sweep leaves nothing to sweep");
            assert_eq!(group.leader.copy().digest(), digest, "a copy of the rows is a replica");
        }
    }
}

fn scan(group: &Group, shard: ShardId, now_ms: u64) -> Vec<(Vec<u8>, Vec<u8>, u64)> {
    let (mut rows, mut start) = (Vec::new(), Bytes::new());
    loop {
        let end = Bytes::new();
        let query = Query::Scan { shard, start, end, rows_max: 2, keys_only: false, now_ms };
        let Answer::Page(page) = group.leader.query(query) else { panic!("not a page") };
        rows.extend(page.rows.iter().map(|row| (row.key.to_vec(), row.value.to_vec(), row.version)));
        match page.next {
            Some(next) => start = next,
            None => return rows,
        }
    }
}
