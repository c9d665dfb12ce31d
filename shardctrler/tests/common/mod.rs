//! A controller in memory that checks its invariants at every step. What it does not check: that the assignment is
//! minimal (see `rebalance.rs`), and anything of openraft or RocksDB.

#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::{BTreeMap, BTreeSet};

use flotilla_shardctrler::api::command::{Bootstrap, Command, Kind, Register};
use flotilla_shardctrler::api::{Directory, GroupState, Replica};
use flotilla_shardctrler::{Answer, Code, ConfigAnswer, Options, Query, Response, ShardCtrler};
use flotilla_types::{ConfigNum, Engine, Machine, MemEngine, ShardConfig, Txn, Wire};

pub const CLUSTER: &str = "0123456789abcdef0123456789abcdef";

pub struct World {
    pub machine: ShardCtrler,
    pub engine: MemEngine,
    options: Options,
    /// Every configuration ever seen.
    configs: BTreeMap<u64, ShardConfig>,
    /// Every member id ever seen, with (gid, incarnation, node, disk).
    members: BTreeMap<u64, (u64, u64, u64, u64)>,
}

impl World {
    pub fn new(options: Options) -> Self {
        let engine = MemEngine::default();
        let machine = ShardCtrler::open(&options, &engine.view()).expect("memory");
        Self { machine, engine, options, configs: BTreeMap::new(), members: BTreeMap::new() }
    }

    /// A cluster with `nodes` registered nodes, the first of them the controller.
    pub fn cluster(options: Options, shards: u32, nodes: u64) -> Self {
        let mut world = Self::new(options);
        assert_eq!(world.apply(bootstrap(shards, 1)).code(), Code::Ok);
        for node in 1..=nodes {
            assert_eq!(world.apply(register(node, 100 + node)).code(), Code::Ok);
        }
        world
    }

    pub fn apply(&mut self, kind: Kind) -> Response {
        self.command(Command { request_id: 0, now_ms: 0, kind: Some(kind) })
    }

    pub fn command(&mut self, command: Command) -> Response {
        let (before, digest) = (self.machine.clone(), self.digest());
        let response = self.write(&command);
        if response.code() != Code::Ok && command.request_id == 0 {
            assert_eq!(self.digest(), digest, "a refusal wrote something: {command:?}");
        }
        self.check_step(&before, &command);
        let reopened = ShardCtrler::open(&self.options, &self.engine.view()).expect("its own rows");
        assert_eq!(reopened, self.machine, "rows and mirror differ after {command:?}");
        response
    }

    fn write(&mut self, command: &Command) -> Response {
        let command = Command::decode_from(command.to_bytes()).expect("its own bytes");
        let view = self.engine.view();
        let mut txn = Txn::new(&view);
        let response = self.machine.apply(&mut txn, command).expect("memory");
        self.engine.write(txn.into_batch()).expect("memory");
        response
    }

    pub fn reopen(&mut self) {
        self.machine = ShardCtrler::open(&self.options, &self.engine.view()).expect("its own rows");
    }

    pub fn query(&self, query: Query) -> Answer {
        self.machine.query(&self.engine.view(), query).expect("its own rows")
    }

    pub fn config(&self, num: Option<u64>) -> ConfigAnswer {
        match self.query(Query::Config(num.map(ConfigNum))) {
            Answer::Config(answer) => answer,
            other => panic!("not a configuration: {other:?}"),
        }
    }

    pub fn digest(&self) -> u64 {
        match self.query(Query::Digest) {
            Answer::Digest(digest) => digest,
            other => panic!("not a digest: {other:?}"),
        }
    }

    pub fn live(&self) -> BTreeSet<u64> {
        let groups = self.machine.directory().groups.iter();
        groups.filter(|group| group.gid != 0 && group.state() == GroupState::Live).map(|g| g.gid).collect()
    }

    fn check_step(&mut self, before: &ShardCtrler, command: &Command) {
        let (old, new) = (before.latest(), self.machine.latest());
        let born = self.machine.is_born() && !before.is_born();
        assert!(new.num == old.num || new.num == old.num + 1, "numbers grow by one");
        assert!(born || new.num != old.num || new == old, "a configuration changed under its number");
        check_directory(before.directory(), self.machine.directory());
        self.check_owners();
        let balancing = matches!(command.kind, Some(Kind::Join(_) | Kind::Leave(_)));
        if balancing && new.num > old.num {
            assert_balanced(&new.shards, &self.live());
        }
        self.check_members();
        self.check_history();
        check_migrations(before, &self.machine);
    }

    fn check_owners(&self) {
        let (live, latest) = (self.live(), self.machine.latest());
        let legal = |gid: &u64| if latest.num == 0 { *gid == 0 } else { live.contains(gid) };
        assert!(latest.shards.iter().all(legal), "a shard belongs to nobody alive: {latest:?}");
        assert_eq!(latest.shards.len(), self.machine.directory().shards as usize);
    }

    fn check_members(&mut self) {
        for group in &self.machine.directory().groups {
            for replica in &group.replicas {
                let identity = (group.gid, group.incarnation, replica.node, replica.disk);
                let known = self.members.entry(replica.member).or_insert(identity);
                // A first controller's disk, unknown at the birth, is bound once.
                if (known.0, known.3) == (0, 0) {
                    known.3 = replica.disk;
                }
                let known = *known;
                assert_eq!(known, identity, "member id {} was issued twice", replica.member);
            }
        }
    }

    /// Each configuration that is kept is the one that was once the latest; the numbers kept have no gap.
    fn check_history(&mut self) {
        if !self.machine.is_born() {
            return;
        }
        let latest = self.machine.latest().as_ref().clone();
        let num = latest.num;
        self.configs.insert(num, latest);
        for (num, config) in &self.configs {
            match self.config(Some(*num)) {
                ConfigAnswer::Found(found) => assert_eq!(found, *config),
                ConfigAnswer::Compacted(oldest) => {
                    assert!(oldest.get() > *num && oldest <= self.settled_by_all());
                }
                ConfigAnswer::NotYet(_) => panic!("configuration {num} vanished"),
            }
        }
        assert_eq!(self.config(Some(num + 1)), ConfigAnswer::NotYet(ConfigNum(num)));
    }

    fn settled_by_all(&self) -> ConfigNum {
        let groups = self.machine.directory().groups.iter();
        let present = groups.filter(|group| group.gid != 0 && group.state() != GroupState::TornDown);
        ConfigNum(present.map(|group| group.settled).min().unwrap_or(u64::MAX))
    }
}

fn check_directory(old: &Directory, new: &Directory) {
    assert_eq!(new.revision, old.revision + u64::from(old != new), "one revision for each change");
    assert!(new.groups.is_sorted_by_key(|group| (group.gid, group.incarnation)));
    assert!(new.nodes.is_sorted_by_key(|node| node.node));
    for group in new.groups.iter().filter(|group| group.state() == GroupState::TornDown) {
        assert!(group.left > group.incarnation && group.settled >= group.left, "torn down too early");
    }
    for was in &old.groups {
        let same = |group: &&_| (was.gid, was.incarnation) == life(group);
        match new.groups.iter().find(same) {
            None => assert_eq!(was.state(), GroupState::TornDown, "forgotten before it was torn down"),
            Some(is) => {
                assert!(is.state() >= was.state() && is.settled >= was.settled && is.left >= was.left);
                assert!(is.initialised || !was.initialised);
            }
        }
    }
}

fn life(group: &flotilla_shardctrler::api::GroupRecord) -> (u64, u64) {
    (group.gid, group.incarnation)
}

pub fn counts(shards: &[u64], live: &BTreeSet<u64>) -> BTreeMap<u64, usize> {
    live.iter().map(|gid| (*gid, shards.iter().filter(|owner| *owner == gid).count())).collect()
}

pub fn assert_balanced(shards: &[u64], live: &BTreeSet<u64>) {
    let counts = counts(shards, live);
    let floor = shards.len() / live.len();
    assert!(counts.values().all(|count| *count == floor || *count == floor + 1), "unbalanced: {counts:?}");
    assert_eq!(counts.values().sum::<usize>(), shards.len(), "a shard has no live owner");
}

pub fn bootstrap(shards: u32, controllers: u64) -> Kind {
    let controllers =
        (1..=controllers).map(|node| Replica { node, member: node, disk: 100 + node }).collect();
    Kind::Bootstrap(Bootstrap { cluster: CLUSTER.into(), shards, controllers })
}

pub fn register(node: u64, disk: u64) -> Kind {
    Kind::Register(Register {
        cluster: CLUSTER.into(),
        node,
        disk,
        address: format!("10.0.0.{node}:7100"),
        zone: String::new(),
    })
}

/// At most one migration goes on; states go forward, progress never falls, nothing leaves a terminal state, epochs grow,
/// and a configuration that is held still does not move.
fn check_migrations(before: &ShardCtrler, after: &ShardCtrler) {
    let alive = after.migrations().values().filter(|record| !record.state().is_terminal());
    assert!(alive.count() <= 1, "two migrations at a time");
    for (id, old) in before.migrations().iter() {
        let Some(new) = after.migrations().get(id) else {
            assert!(!old.is_owed(), "migration {id} was forgotten with work left");
            continue;
        };
        let (was, is) = (old.state(), new.state());
        assert!(
            was == is || was.step(is) == flotilla_shardctrler::migration::Step::Forward,
            "m{id}: {was} -> {is}"
        );
        assert!(new.progress >= old.progress && new.epoch() >= old.epoch(), "m{id}: progress or epoch fell");
        assert!(new.revision > old.revision || new == old, "m{id}: changed under its revision");
        let badly = matches!(
            is,
            flotilla_shardctrler::migration::State::Error | flotilla_shardctrler::migration::State::Cancelled
        );
        let thaws = new.freeze.is_none_or(|freeze| freeze.ended_ms > 0);
        assert!(!badly || thaws, "m{id} ended without a thaw");
    }
    let held = before.migrations().values().any(|record| record.pauses);
    assert!(!held || before.latest().num == after.latest().num, "a held configuration moved");
}
