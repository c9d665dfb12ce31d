//! What was read out of one cluster and restored into another with other shards is the same to clients: keys, versions,
//! expiries, and the answers to retries.

mod world;

use std::collections::BTreeMap;

use bytes::Bytes;
use flotilla_shardkv::Options;
use flotilla_shardkv::api::command::Kind;
use flotilla_shardkv::api::restore::{OpenRestore, PublishRestore, RestoreRows, RestoreState};
use flotilla_shardkv::api::{Answer, Code, Query, Row, RowKind, WriteId};
use flotilla_shardkv::export::{ExportRow, heirs};
use flotilla_types::slot::SLOTS;
use flotilla_types::{ConfigNum, GroupId, ShardConfig, ShardId, shard_of_key};
use proptest::prelude::*;
use world::{Group, World, append, delete, put};

const RESTORE: u64 = 77;

/// A cluster whose shards are spread over its groups.
fn cluster(shards: u32, groups: u64) -> World {
    let mut world = World::new(shards);
    let owners = (0..u64::from(shards)).map(|shard| shard % groups + 1).collect();
    world.configs.push(ShardConfig { num: 1, shards: owners });
    for gid in 1..=groups {
        let mut group = Group::new(Options::new(GroupId(gid), ConfigNum(1), shards));
        group.commit(Kind::Adopt(world.configs[1].clone()));
        world.groups.push(group);
    }
    world
}

fn owner(world: &World, key: &[u8]) -> GroupId {
    world.configs[1].owner(shard_of_key(key, world.shards))
}

fn export(group: &Group) -> Vec<(ShardId, Vec<ExportRow>)> {
    let (kv, view) = (&group.leader.kv, group.leader.engine.view());
    let shards = kv.exports().into_iter().map(|exported| exported.shard);
    let rows = |shard| kv.export(&view, shard, b"", b"").map(|row| row.expect("memory")).collect();
    shards.map(|shard| (shard, rows(shard))).collect()
}

fn restored(group: &Group, file: u32, shard: ShardId) -> RestoreState {
    match group.leader.query(Query::Restore { restore: RESTORE, file, shard }) {
        Answer::Restore(state) => state,
        other => panic!("{other:?}"),
    }
}

/// The commands that carry one shard of the old cluster, two rows to a piece: for each heir its own.
fn pieces(from: &Group, shard: ShardId, rows: Vec<ExportRow>, shards: (u32, u32)) -> Vec<RestoreRows> {
    let exported = from.leader.kv.export_of(shard).expect("it serves");
    let mut all = Vec::new();
    for heir in heirs(shard, shards.0, shards.1) {
        let goes =
            |row: &&ExportRow| row.kind == RowKind::Session || shard_of_key(&row.key, shards.1) == heir;
        let rows: Vec<Row> = rows.iter().filter(goes).cloned().map(ExportRow::into_stored).collect();
        let count = rows.chunks(2).count();
        let mut piece = |piece: usize, last: bool, rows: &[Row]| {
            all.push(RestoreRows {
                restore: RESTORE,
                shard: heir.get(),
                file: shard.get(),
                piece: piece as u64,
                last,
                rows: rows.to_vec(),
                counter: exported.counter,
                time_ms: exported.time_ms,
                floor_ms: exported.floor_ms,
            });
        };
        rows.chunks(2).enumerate().for_each(|(index, rows)| piece(index, false, rows));
        piece(count, true, &[]);
    }
    all
}

/// Restores `old` into `new`; every piece comes twice, and the pieces of the files mingle.
fn restore(old: &World, new: &mut World) {
    for group in &mut new.groups {
        let open = Kind::OpenRestore(OpenRestore { restore: RESTORE, config: 1 });
        assert_eq!(group.commit(open.clone()).code(), Code::Ok);
        assert_eq!(group.commit(open).code(), Code::Ok);
    }
    let mut all = Vec::new();
    for group in &old.groups {
        for (shard, rows) in export(group) {
            all.push(pieces(group, shard, rows, (old.shards, new.shards)).into_iter());
        }
    }
    while !all.is_empty() {
        let next: Vec<_> = all.iter_mut().filter_map(Iterator::next).collect();
        for piece in next {
            let gid = new.configs[1].owner(ShardId(piece.shard));
            let group = new.group(gid).expect("the owner exists");
            for _ in 0..2 {
                assert_eq!(group.commit(Kind::RestoreRows(piece.clone())).code(), Code::Ok, "{piece:?}");
            }
            assert!(
                matches!(restored(group, piece.file, ShardId(piece.shard)), RestoreState::Open { whole, .. } if whole == piece.last)
            );
        }
        all.retain(|pieces| pieces.len() > 0);
    }
}

fn keys(world: &World) -> BTreeMap<Bytes, ExportRow> {
    let rows = world.groups.iter().flat_map(export).flat_map(|(_, rows)| rows);
    rows.filter(|row| row.kind == RowKind::Data).map(|row| (row.key.clone(), row)).collect()
}

#[test]
fn every_slot_of_a_shard_is_in_one_of_its_heirs() {
    for (old, new) in [(1, 1), (3, 5), (5, 3), (64, 64), (64, 100), (SLOTS, 7), (7, SLOTS)] {
        let mut slots = 0;
        for slot in 0..SLOTS {
            let (shard, heir) = (slot * old / SLOTS, slot * new / SLOTS);
            slots += u32::from(heirs(ShardId(shard), old, new).any(|found| found.get() == heir));
        }
        assert_eq!(slots, SLOTS, "{old} shards to {new}");
        let heirs = (0..old).flat_map(|shard| heirs(ShardId(shard), old, new)).count() as u32;
        assert!(heirs <= old + new, "{old} shards to {new}: no more heirs than needed");
    }
}

#[test]
fn nothing_is_served_before_it_is_published_and_only_an_empty_group_restores() {
    let (old, mut new) = (cluster(1, 1), cluster(2, 1));
    restore(&old, &mut new);
    let group = &mut new.groups[0];
    assert_eq!(group.get(&Bytes::from_static(b"a"), 5).code(), Code::NotReady);
    let id = WriteId { client: 1, lane: 0, seq: 1, issued_at_ms: 1_000_000 };
    assert_eq!(new.write(GroupId(1), b"a", Some(id), put(b"a", b"1", 0)).code(), Code::NotReady);
    let group = &mut new.groups[0];
    let other = OpenRestore { restore: 78, config: 1 };
    assert_eq!(group.commit(Kind::OpenRestore(other)).code(), Code::Invalid);
    assert_eq!(group.commit(Kind::PublishRestore(PublishRestore { restore: 78 })).code(), Code::OutDated);
    for _ in 0..2 {
        assert_eq!(group.commit(Kind::PublishRestore(PublishRestore { restore: RESTORE })).code(), Code::Ok);
    }
    assert_eq!(restored(group, 0, ShardId(0)), RestoreState::Published);
    assert_eq!(group.commit(Kind::OpenRestore(other)).code(), Code::Invalid);
    assert_eq!(new.write(GroupId(1), b"a", Some(id), put(b"a", b"1", 0)).code(), Code::Ok);

    let mut used = cluster(1, 1);
    used.write(GroupId(1), b"a", None, put(b"a", b"1", 0));
    assert_eq!(used.groups[0].commit(Kind::OpenRestore(other)).code(), Code::Invalid);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_restored_cluster_is_the_old_one_to_its_clients(
        (old_shards, new_shards) in (1u32..6, 1u32..6),
        (old_groups, new_groups) in (1u64..4, 1u64..4),
        writes in prop::collection::vec((0u8..12, 0u8..5, 0u64..3, 0u64..200), 1..60),
    ) {
        let (old_groups, new_groups) = (old_groups.min(old_shards.into()), new_groups.min(new_shards.into()));
        let (mut old, mut new) = (cluster(old_shards, old_groups), cluster(new_shards, new_groups));
        let mut last = BTreeMap::new();
        for (index, (key, what, client, later)) in writes.into_iter().enumerate() {
            old.now_ms += later;
            let key = format!("key{key}");
            let key = key.as_bytes();
            let id = WriteId { client, lane: 0, seq: index as u64 + 1, issued_at_ms: old.now_ms };
            let op = match what {
                0 => delete(key),
                1 => put(key, b"short", 150),
                2 => put(key, b"long", 1 << 40),
                _ => append(key, b"x"),
            };
            let gid = owner(&old, key);
            let reply = old.write(gid, key, Some(id), op.clone());
            last.insert(client, (key.to_vec(), id, op, reply));
        }
        restore(&old, &mut new);
        prop_assert_eq!(keys(&old), keys(&new));
        new.now_ms = old.now_ms;
        for group in &mut new.groups {
            prop_assert_eq!(group.commit(Kind::PublishRestore(PublishRestore { restore: RESTORE })).code(), Code::Ok);
        }
        for (key, id, op, reply) in last.into_values() {
            let gid = owner(&new, &key);
            let again = new.write(gid, &key, Some(id), op);
            prop_assert_eq!((again.code(), again.version), (reply.code(), reply.version), "a retry hears the first answer");
        }
        for row in keys(&old).into_values() {
            let gid = owner(&new, &row.key);
            let reply = new.write(gid, &row.key, None, put(&row.key, b"new", 0));
            prop_assert!(reply.version > row.version, "versions only grow: {} after {}", reply.version, row.version);
        }
    }
}
