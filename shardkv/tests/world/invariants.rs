//! What must hold after every command, whatever the commands: what memory mirrors, counts and indexes, monotone numbers.
//! Does not check what any answer was.

use std::collections::BTreeMap;

use bytes::Bytes;
use flotilla_shardkv::ShardKv;
use flotilla_shardkv::api::{Answer, GroupStatus, Query, RowKind};
use flotilla_shardkv::rows::{Home, RowKey};
use flotilla_shardkv::state::ShardState;
use flotilla_shardkv::values::{ChangeRow, DataRow, SessionRow};
use flotilla_types::{Machine, Reader, ShardId, Wire};

use super::Replica;

/// The rows in a range.
pub fn rows(replica: &Replica, start: &[u8], end: &[u8]) -> Vec<(Bytes, Bytes)> {
    let view = replica.engine.view();
    view.scan(start, end).map(|row| row.expect("memory does not fail")).collect()
}

/// The rows of one home, counted and compared with each other.
#[derive(Default)]
struct Census {
    keys: u64,
    bytes: u64,
    expiries: BTreeMap<Bytes, u64>,
    expiry_index: BTreeMap<Bytes, u64>,
    sessions: BTreeMap<(u64, u32), u64>,
    session_index: BTreeMap<(u64, u32), u64>,
    changes: BTreeMap<(RowKind, Bytes), u64>,
    change_index: BTreeMap<(RowKind, Bytes), u64>,
}

impl Census {
    fn of(replica: &Replica, home: Home) -> Self {
        let mut census = Self::default();
        let prefix = home.prefix();
        for (key, value) in rows(replica, &prefix, &flotilla_types::engine::prefix_end(&prefix)) {
            census.count(RowKey::decode(&key).expect("every key is a row key"), &value);
        }
        census
    }

    fn count(&mut self, key: RowKey, value: &Bytes) {
        match key {
            RowKey::Data { key, .. } => {
                let row = DataRow::decode(value).expect("a data row");
                self.keys += 1;
                self.bytes += (key.len() + row.value.len()) as u64;
                if row.expires_at_ms != 0 {
                    self.expiries.insert(key, row.expires_at_ms);
                }
            }
            RowKey::Expiry { at_ms, key, .. } => {
                assert!(self.expiry_index.insert(key, at_ms).is_none(), "one expiry row for a key");
            }
            RowKey::Session { client, lane, .. } => {
                let row = SessionRow::decode(value).expect("a session row");
                self.sessions.insert((client.get(), lane), row.issued_at_ms >> 7);
            }
            RowKey::SessionAge { bucket, client, lane, .. } => {
                let old = self.session_index.insert((client.get(), lane), bucket);
                assert!(old.is_none(), "one age row for a session");
            }
            RowKey::Change { number, .. } => {
                let change = ChangeRow::decode(value).expect("a change row");
                let old = self.changes.insert((change.kind, change.key), number);
                assert!(old.is_none(), "one change row for a row");
            }
            RowKey::ChangeOf { kind, key, .. } => {
                let number = u64::from_be_bytes(value.as_ref().try_into().expect("8 bytes"));
                self.change_index.insert((kind, key), number);
            }
            other => panic!("{other:?} is not in a home"),
        }
    }
}

/// Checks everything about one replica.
pub fn check(replica: &Replica) {
    let view = replica.engine.view();
    let reopened = ShardKv::open(&replica.options, &view).expect("own rows open");
    assert_eq!(reopened, replica.kv, "a machine opened over the rows is the machine");
    let Answer::Status(status) = replica.query(Query::Status) else { panic!("not a status") };
    for shard in &status.shards {
        let key = RowKey::Shard { shard: ShardId(shard.shard) }.encode();
        let state = view.get(&key).expect("memory").expect("a present shard has a row");
        check_shard(replica, ShardId(shard.shard), &ShardState::decode_from(state).expect("a state row"));
    }
    check_garbage(replica, &status);
}

fn check_shard(replica: &Replica, shard: ShardId, state: &ShardState) {
    let census = Census::of(replica, state.home(shard));
    assert_eq!((state.keys, state.bytes), (census.keys, census.bytes), "keys and bytes of shard {shard}");
    assert_eq!(state.sessions, census.sessions.len() as u64, "sessions of shard {shard}");
    assert_eq!(census.sessions, census.session_index, "sessions by age");
    assert_eq!(census.expiries, census.expiry_index, "keys by expiry");
    assert_eq!(census.changes, census.change_index, "changes by row");
    let oldest = census.session_index.values().min();
    assert!(oldest.is_none_or(|oldest| state.oldest_bucket <= *oldest), "eviction starts at the oldest");
    match census.expiry_index.values().min() {
        None => {}
        Some(first) => assert!((1..=*first).contains(&state.next_expiry_ms), "the next expiry is not late"),
    }
}

// Every home is alive or garbage, and none is both.
fn check_garbage(replica: &Replica, status: &GroupStatus) {
    let garbage = replica.kv.garbage(&replica.engine.view()).expect("memory does not fail");
    let is_garbage = |key: &Bytes| garbage.iter().any(|(start, end)| start <= key && key < end);
    for (key, _) in rows(replica, &RowKey::HOMES, b"") {
        let home = RowKey::home_of(&key).expect("a home");
        let state = rows(replica, &RowKey::Shard { shard: home.shard }.encode(), &RowKey::DEBTS);
        let present = status.shards.iter().any(|shard| shard.shard == home.shard.get());
        let state = state.into_iter().next().map(|row| ShardState::decode_from(row.1).expect("a state row"));
        let alive = present && state.is_some_and(|state| state.acquired == home.acquired.get());
        assert_eq!(alive, !is_garbage(&key), "row {:?}", RowKey::decode(&key));
    }
}

/// What a dump would hold: the shards' states and every row of their homes, dead ones included.
pub fn cut(replica: &Replica) -> Vec<(Bytes, Bytes)> {
    let mut all = rows(replica, &RowKey::SHARDS, &flotilla_types::engine::prefix_end(&RowKey::SHARDS));
    all.extend(rows(replica, &RowKey::HOMES, b""));
    all
}

/// Checks what one command may not do: numbers only grow.
pub fn check_step(before: &ShardKv, after: &ShardKv) {
    let (Answer::Status(old), Answer::Status(new)) = (status(before), status(after)) else {
        panic!("not a status")
    };
    assert!(old.config <= new.config && new.config <= old.config + 1, "configurations grow one by one");
    assert!(old.settled <= new.settled, "what is settled stays settled: {} -> {}", old.settled, new.settled);
    assert!(new.settled <= new.config, "nothing settles early");
    for shard in &new.shards {
        let was = old.shards.iter().find(|was| was.shard == shard.shard);
        assert!(was.is_none_or(|was| was.version <= shard.version), "versions only grow");
        assert!(was.is_none_or(|was| was.config <= shard.config), "a shard's configuration only grows");
    }
}

fn status(kv: &ShardKv) -> Answer {
    let empty = flotilla_types::MemEngine::default();
    kv.query(&empty.view(), Query::Status).expect("a status reads no rows")
}
