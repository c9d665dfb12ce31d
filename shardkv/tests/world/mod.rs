//! A tiny world for tests: groups without Raft, clocks or networks. Commands are applied at once; whatever travels is
//! a value in the test's hand. After each command every law that can be checked from outside is checked.

#![allow(dead_code)] // each test binary uses its own part

pub mod invariants;
pub mod model;
pub mod show;

use bytes::Bytes;
use flotilla_shardkv::api::command::{AtConfig, Kind, Seal, Tick, Write};
use flotilla_shardkv::api::op::{self, Kind as OpKind, Op};
use flotilla_shardkv::api::{Answer, Chunk, Command, Query, Reply, TransferAnswer, WriteId};
use flotilla_shardkv::{Action, Options, Outcome, ShardKv};
use flotilla_types::{
    Engine, GroupId, Machine, MemEngine, ShardConfig, ShardId, Txn, Wire, WriteBatch, shard_of_key,
};

/// One replica: a machine over its rows.
pub struct Replica {
    pub options: Options,
    pub kv: ShardKv,
    pub engine: MemEngine,
}

impl Replica {
    pub fn new(options: Options) -> Self {
        let engine = MemEngine::default();
        let kv = ShardKv::open(&options, &engine.view()).expect("an empty engine opens");
        Self { options, kv, engine }
    }

    /// Applies one command, as it arrives from the log: in bytes.
    pub fn apply(&mut self, command: &Command) -> Reply {
        let command = Command::decode_from(command.to_bytes()).expect("what was encoded decodes");
        let view = self.engine.view();
        let mut txn = Txn::new(&view);
        let response = self.kv.apply(&mut txn, command).expect("memory does not fail");
        self.engine.write(txn.into_batch()).expect("memory does not fail");
        response.reply.expect("every response has a reply")
    }

    pub fn query(&self, query: Query) -> Answer {
        self.kv.query(&self.engine.view(), query).expect("memory does not fail")
    }

    pub fn digest(&self) -> u64 {
        match self.query(Query::Digest) {
            Answer::Digest(digest) => digest,
            other => panic!("not a digest: {other:?}"),
        }
    }

    /// The process died: only the rows remain.
    pub fn restart(&mut self) {
        self.kv = ShardKv::open(&self.options, &self.engine.view()).expect("own rows open");
    }

    /// Sweeps what is dead; gives how many ranges there were.
    pub fn sweep(&mut self) -> usize {
        let garbage = self.kv.garbage(&self.engine.view()).expect("memory does not fail");
        let mut batch = WriteBatch::default();
        garbage.iter().for_each(|(start, end)| batch.delete_range(start.clone(), end.clone()));
        self.engine.write(batch).expect("memory does not fail");
        garbage.len()
    }

    /// Another replica with a copy of the rows, as from a snapshot.
    pub fn copy(&self) -> Self {
        let engine = MemEngine::default();
        let mut batch = WriteBatch::default();
        invariants::rows(self, b"", b"").into_iter().for_each(|(key, value)| batch.put(key, value));
        engine.write(batch).expect("memory does not fail");
        let kv = ShardKv::open(&self.options, &engine.view()).expect("own rows open");
        Self { options: self.options, kv, engine }
    }
}

/// A group: a leader, and a follower that is restarted before each command.
pub struct Group {
    pub leader: Replica,
    pub follower: Replica,
    /// A replica that has stopped applying.
    pub lagging: Option<Replica>,
}

impl Group {
    pub fn new(options: Options) -> Self {
        Self { leader: Replica::new(options), follower: Replica::new(options), lagging: None }
    }

    /// Commits one command: every replica applies it, and every law is checked.
    pub fn commit(&mut self, kind: Kind) -> Reply {
        let command = Command { kind: Some(kind) };
        let before = self.leader.kv.clone();
        let cut = before.is_frozen().then(|| invariants::cut(&self.leader));
        let reply = self.leader.apply(&command);
        if let Some(cut) = cut {
            assert_eq!(invariants::cut(&self.leader), cut, "while frozen nothing changes: {command:?}");
        }
        self.follower.restart();
        assert_eq!(self.follower.apply(&command), reply, "replicas answer alike");
        assert_eq!(self.follower.kv, self.leader.kv, "replicas are alike");
        assert_eq!(self.follower.digest(), self.leader.digest(), "replicas hold the same rows");
        invariants::check(&self.leader);
        invariants::check_step(&before, &self.leader.kv);
        reply
    }

    pub fn tick(&mut self, shard: u32, now_ms: u64) -> Reply {
        self.commit(Kind::Tick(Tick { shard, now_ms }))
    }

    /// A linearizable read: ticks first if it must.
    pub fn get(&mut self, key: &Bytes, now_ms: u64) -> Reply {
        let shard = shard_of_key(key, self.leader.options.shards);
        let query = Query::Get { shard, key: key.clone(), now_ms };
        match self.leader.query(query.clone()) {
            Answer::Reply(reply) => reply,
            Answer::TickFirst(shard) => {
                self.tick(shard.get(), now_ms);
                match self.leader.query(query) {
                    Answer::Reply(reply) => reply,
                    other => panic!("after a tick: {other:?}"),
                }
            }
            other => panic!("not a reply: {other:?}"),
        }
    }
}

/// A chunk under way, to some group.
pub struct Message {
    pub to: GroupId,
    pub chunk: Chunk,
}

/// All groups, and what the controller knows.
pub struct World {
    pub shards: u32,
    pub now_ms: u64,
    /// Whether leaders trust their clocks.
    pub stamps: bool,
    pub groups: Vec<Group>,
    pub configs: Vec<ShardConfig>,
    pub messages: Vec<Message>,
    pub chunk_bytes: usize,
    pub next_client: u64,
}

impl World {
    pub fn new(shards: u32) -> Self {
        let nobody = ShardConfig { num: 0, shards: vec![0; shards as usize] };
        Self {
            shards,
            now_ms: 1_000_000,
            stamps: true,
            groups: Vec::new(),
            configs: vec![nobody],
            messages: Vec::new(),
            chunk_bytes: 1024 * 1024,
            next_client: 1000,
        }
    }

    pub fn group(&mut self, gid: GroupId) -> Option<&mut Group> {
        self.groups.iter_mut().find(|group| group.leader.kv.gid() == gid)
    }

    /// A client's write at a group.
    pub fn write(&mut self, gid: GroupId, key: &[u8], id: Option<WriteId>, op: OpKind) -> Reply {
        let id = id.unwrap_or_else(|| self.fresh_id());
        let now_ms = if self.stamps { self.now_ms } else { 0 };
        self.write_at(gid, key, id, op, now_ms)
    }

    /// A client's write at a group whose leader has a clock of its own.
    pub fn write_at(&mut self, gid: GroupId, key: &[u8], id: WriteId, op: OpKind, now_ms: u64) -> Reply {
        let shard = shard_of_key(key, self.shards).get();
        let write = Write { shard, id: Some(id), op: Some(Op { kind: Some(op) }), now_ms };
        self.group(gid).expect("the group exists").commit(Kind::Write(write))
    }

    /// The id of a client that writes once.
    pub fn fresh_id(&mut self) -> WriteId {
        self.next_client += 1;
        WriteId { client: self.next_client, lane: 0, seq: 1, issued_at_ms: self.now_ms }
    }

    /// What a source's replica answers to an action of a target.
    pub fn ask(&self, source: &Replica, action: &Action) -> TransferAnswer {
        let Action::Pull { shard, config, cursor, seal, .. } = action else {
            panic!("not a pull: {action:?}")
        };
        let query = Query::Transfer {
            shard: *shard,
            config: *config,
            cursor: Some(cursor.clone()),
            seal: *seal,
            bytes_max: self.chunk_bytes,
        };
        match source.query(query) {
            Answer::Transfer(answer) => answer,
            other => panic!("not a transfer: {other:?}"),
        }
    }

    /// A source's service: seals when asked to, then answers.
    pub fn serve(&mut self, from: GroupId, action: &Action) -> TransferAnswer {
        let Action::Pull { shard, config, cursor, .. } = action else { panic!("not a pull: {action:?}") };
        let seal = Seal {
            shard: shard.get(),
            config: config.get(),
            cursor: Some(cursor.clone()),
            now_ms: self.now_ms,
        };
        let Some(index) = self.groups.iter().position(|group| group.leader.kv.gid() == from) else {
            return TransferAnswer::NotReady;
        };
        let answer = self.ask(&self.groups[index].leader, action);
        if answer != TransferAnswer::SealFirst {
            return answer;
        }
        self.groups[index].commit(Kind::Seal(seal));
        self.ask(&self.groups[index].leader, action)
    }

    /// The pull a group wants for a shard, if it does.
    pub fn pull_of(&mut self, gid: GroupId, shard: ShardId) -> Option<Action> {
        let actions = self.group(gid)?.leader.kv.actions();
        actions.into_iter().find(|action| matches!(action, Action::Pull { shard: s, .. } if *s == shard))
    }

    /// Performs one action of a group.
    pub fn perform(&mut self, gid: GroupId, action: &Action) -> Outcome {
        match action {
            Action::FetchConfig { num } => Outcome::Config(self.configs.get(num.get() as usize).cloned()),
            Action::Pull { from, .. } => Outcome::Transfer(self.serve(*from, action)),
            Action::DeleteAtSource { shard, config, from } => {
                let at = AtConfig { shard: shard.get(), config: config.get() };
                let Some(source) = self.group(*from) else { return Outcome::Nothing };
                let reply = source.commit(Kind::DeleteShards(at));
                if reply.is_outcome() { Outcome::SourceDeleted } else { Outcome::Nothing }
            }
            Action::Report { .. } => Outcome::Reported,
            Action::Expire { .. } => {
                let _ = gid;
                Outcome::Now(self.now_ms)
            }
            // Leases run out only where a test says so.
            Action::AwaitFreeze { .. } => Outcome::Nothing,
        }
    }

    /// Performs and records one action; whether there was something to record.
    pub fn step(&mut self, gid: GroupId, action: &Action) -> bool {
        let outcome = self.perform(gid, action);
        let group = self.group(gid).expect("the group exists");
        match group.leader.kv.resolve(action, outcome) {
            Some(command) => {
                group.commit(command.kind.expect("a resolved command has a kind"));
                true
            }
            None => false,
        }
    }

    /// Lets every group act until none has anything left to do.
    pub fn settle(&mut self) -> usize {
        let gids: Vec<GroupId> = self.groups.iter().map(|group| group.leader.kv.gid()).collect();
        let mut steps = 0;
        loop {
            let before = steps;
            for gid in &gids {
                let actions = self.group(*gid).expect("the group exists").leader.kv.actions();
                steps += actions.iter().filter(|action| self.step(*gid, action)).count();
            }
            if steps == before {
                return steps;
            }
            assert!(steps < 100_000, "the world does not settle");
        }
    }
}

/// Shorthands for operations.
pub fn put(key: &[u8], value: &[u8], ttl_ms: u64) -> OpKind {
    OpKind::Put(op::Put { key: copy(key), value: copy(value), ttl_ms })
}

pub fn append(key: &[u8], suffix: &[u8]) -> OpKind {
    OpKind::Append(op::Append { key: copy(key), suffix: copy(suffix) })
}

pub fn delete(key: &[u8]) -> OpKind {
    OpKind::Delete(op::Delete { key: copy(key) })
}

pub fn get(key: &[u8]) -> OpKind {
    OpKind::Get(op::Get { key: copy(key) })
}

pub fn cas(key: &[u8], expected: Option<op::Expected>, new: Option<&[u8]>) -> OpKind {
    OpKind::CompareAndSet(op::CompareAndSet { key: copy(key), expected, new: new.map(copy), ttl_ms: 0 })
}

pub fn batch(ops: Vec<OpKind>) -> OpKind {
    OpKind::Batch(op::Batch { ops: ops.into_iter().map(|kind| Op { kind: Some(kind) }).collect() })
}

pub fn copy(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}
