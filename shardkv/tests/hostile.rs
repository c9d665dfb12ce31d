//! Whatever a command holds, applying it does not panic, and every invariant holds afterwards: nothing a peer or a client
//! can send harms a replica.

mod world;

use bytes::Bytes;
use flotilla_shardkv::Options;
use flotilla_shardkv::api::command::{AtConfig, Kind, Reported, Seal, Tick, Write};
use flotilla_shardkv::api::freeze::{Freeze, LapseFreeze, RenewFreeze, Thaw};
use flotilla_shardkv::api::op::{self, Op};
use flotilla_shardkv::api::restore::{OpenRestore, PublishRestore, RestoreRows};
use flotilla_shardkv::api::{Chunk, Command, Last, Query, Row, TransferCursor, WriteId};
use flotilla_types::{ConfigNum, GroupId, ShardConfig, ShardId, Wire};
use proptest::prelude::*;
use world::{Group, invariants};

const KEYS: [&[u8]; 4] = [b"a", b"b", b"", b"{foo}1"];

fn bytes() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        4 => (0..KEYS.len()).prop_map(|key| Bytes::from_static(KEYS[key])),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from),
    ]
}

fn number() -> impl Strategy<Value = u64> + Clone {
    prop_oneof![8 => 0u64..6, 1 => Just(u64::MAX), 1 => any::<u64>()]
}

fn small() -> impl Strategy<Value = u32> + Clone {
    prop_oneof![8 => 0u32..4, 1 => any::<u32>()]
}

// Boxed, here and below, or the value trees would fill the stack.
fn single() -> BoxedStrategy<op::Kind> {
    prop_oneof![
        bytes().prop_map(|key| op::Kind::Get(op::Get { key })),
        (bytes(), bytes(), number()).prop_map(|(key, value, ttl_ms)| op::Kind::Put(op::Put {
            key,
            value,
            ttl_ms
        })),
        (bytes(), bytes()).prop_map(|(key, suffix)| op::Kind::Append(op::Append { key, suffix })),
        bytes().prop_map(|key| op::Kind::Delete(op::Delete { key })),
        (bytes(), prop::option::of(bytes()), number(), number()).prop_map(|(key, new, version, ttl_ms)| {
            let expected = (version > 2).then_some(op::Expected::Version(version));
            op::Kind::CompareAndSet(op::CompareAndSet { key, expected, new, ttl_ms })
        }),
    ]
    .boxed()
}

fn any_op() -> BoxedStrategy<Option<Op>> {
    let kinds = prop_oneof![
        4 => single(),
        1 => prop::collection::vec(prop::option::weighted(0.9, single()), 0..4).prop_map(|kinds| {
            op::Kind::Batch(op::Batch { ops: kinds.into_iter().map(|kind| Op { kind }).collect() })
        }),
        1 => single().prop_map(|inner| world::batch(vec![world::batch(vec![inner])])),
    ];
    prop::option::weighted(0.95, prop::option::weighted(0.95, kinds).prop_map(|kind| Op { kind })).boxed()
}

fn id() -> impl Strategy<Value = Option<WriteId>> {
    let id = (number(), small(), number(), number()).prop_map(|(client, lane, seq, issued_at_ms)| WriteId {
        client,
        lane,
        seq,
        issued_at_ms,
    });
    prop::option::weighted(0.95, id)
}

fn cursor() -> impl Strategy<Value = Option<TransferCursor>> {
    let cursor = (0i32..4, bytes(), number(), small())
        .prop_map(|(phase, key, counter, rounds)| TransferCursor { phase, key, counter, rounds });
    prop::option::weighted(0.7, cursor)
}

// Rows that are right, nearly right, or anything.
fn row() -> BoxedStrategy<Row> {
    let data = (number(), number(), bytes()).prop_map(|(version, expiry, value)| {
        let (version, expiry) = (version.to_be_bytes(), expiry.to_be_bytes());
        Bytes::from([&[1][..], &version, &expiry, &value].concat())
    });
    let session = (number(), number(), 0u8..4, 0u8..2).prop_map(|(seq, issued, code, batch)| {
        let (seq, issued) = (seq.to_be_bytes(), issued.to_be_bytes());
        Bytes::from([&[1][..], &seq, &issued, &[code], &[0; 8], &[0, batch]].concat())
    });
    let lane = number().prop_map(|client| Bytes::from([&client.to_be_bytes()[..], &[0; 4]].concat()));
    prop_oneof![
        4 => (bytes(), prop::option::weighted(0.8, data)).prop_map(|(key, value)| Row { kind: 0, key, value }),
        2 => (lane, prop::option::weighted(0.8, session)).prop_map(|(key, value)| Row { kind: 1, key, value }),
        1 => (0i32..3, bytes(), prop::option::of(bytes())).prop_map(|(kind, key, value)| Row { kind, key, value }),
    ]
    .boxed()
}

fn chunk() -> BoxedStrategy<Chunk> {
    let last = prop::option::weighted(
        0.3,
        (number(), number(), number()).prop_map(|(counter, time_ms, floor_ms)| Last {
            counter,
            time_ms,
            floor_ms,
        }),
    );
    let parts = (small(), number(), cursor(), cursor(), prop::collection::vec(row(), 0..5), last, number());
    parts
        .prop_map(|(shard, config, cursor, next, rows, last, remaining_bytes)| Chunk {
            shard,
            config,
            cursor,
            next,
            rows,
            last,
            remaining_bytes,
        })
        .boxed()
}

fn kind() -> BoxedStrategy<Kind> {
    let at = (small(), number()).prop_map(|(shard, config)| AtConfig { shard, config });
    let tick = (small(), number()).prop_map(|(shard, now_ms)| Tick { shard, now_ms });
    prop_oneof![
        6 => (small(), id(), any_op(), number())
            .prop_map(|(shard, id, op, now_ms)| Kind::Write(Write { shard, id, op, now_ms })),
        3 => (number(), prop::collection::vec(0u64..3, 0..4)).prop_map(|(num, shards)| Kind::Adopt(ShardConfig { num, shards })),
        5 => chunk().prop_map(Kind::InsertShards),
        2 => (small(), number(), cursor(), number())
            .prop_map(|(shard, config, cursor, now_ms)| Kind::Seal(Seal { shard, config, cursor, now_ms })),
        2 => at.clone().prop_map(Kind::DeleteShards),
        1 => at.prop_map(Kind::Acknowledge),
        1 => tick.clone().prop_map(Kind::Tick),
        1 => tick.prop_map(Kind::Expire),
        1 => number().prop_map(|settled| Kind::Reported(Reported { settled })),
        4 => (small(), number(), number(), number(), number()).prop_map(|(freeze, migration, config, lease_ms, now_ms)|
            Kind::Freeze(Freeze { freeze: freeze.into(), migration, config, lease_ms, now_ms })),
        1 => small().prop_map(|freeze| Kind::Thaw(Thaw { freeze: freeze.into() })),
        1 => small().prop_map(|freeze| Kind::RenewFreeze(RenewFreeze { freeze: freeze.into() })),
        2 => (small(), number()).prop_map(|(restore, config)| Kind::OpenRestore(OpenRestore { restore: restore.into(), config })),
        1 => small().prop_map(|restore| Kind::PublishRestore(PublishRestore { restore: restore.into() })),
        2 => ((small(), small(), small(), number()), any::<bool>(), prop::collection::vec(row(), 0..5), number(), number()).prop_map(
            |((restore, shard, file, piece), last, rows, counter, time_ms)| Kind::RestoreRows(RestoreRows {
                restore: restore.into(), shard, file, piece, last, rows, counter, time_ms, floor_ms: time_ms,
            })),
        1 => (small(), small()).prop_map(|(freeze, beat)|
            Kind::LapseFreeze(LapseFreeze { freeze: freeze.into(), beat: beat.into() })),
    ]
    .boxed()
}

fn group() -> Group {
    let mut options = Options::new(GroupId(1), ConfigNum(1), 3);
    options.limits.session_rows_max = 3;
    options.limits.session_window_ms = 4;
    options.limits.expire_keys_max = 1;
    let mut group = Group::new(options);
    group.commit(Kind::Adopt(ShardConfig { num: 1, shards: vec![1, 2, 1] }));
    group.commit(Kind::Adopt(ShardConfig { num: 2, shards: vec![1, 1, 2] }));
    group
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_command_is_survived(kinds in prop::collection::vec(kind(), 1..60)) {
        let mut group = group();
        for kind in kinds {
            group.commit(kind);
        }
    }

    // `Group::commit` compares what a dump would hold before and after each command while the group is frozen.
    #[test]
    fn a_frozen_group_changes_nothing(
        before in prop::collection::vec(kind(), 0..12),
        frozen in prop::collection::vec(kind(), 1..40),
    ) {
        let mut options = Options::new(GroupId(1), ConfigNum(1), 3);
        options.limits.session_rows_max = 3;
        let mut group = Group::new(options);
        group.commit(Kind::Adopt(ShardConfig { num: 1, shards: vec![1, 1, 1] }));
        for kind in before.into_iter().filter(|kind| !matches!(kind, Kind::Adopt(_) | Kind::OpenRestore(_))) {
            group.commit(kind);
        }
        let freeze = Freeze { freeze: 1 << 40, migration: 1, config: 1, lease_ms: 1, now_ms: 5 };
        group.commit(Kind::Freeze(freeze));
        prop_assert!(group.leader.kv.is_frozen());
        let first = group.leader.kv.proof(freeze.freeze).expect("in force");
        for kind in frozen {
            group.commit(kind);
        }
        let last = group.leader.kv.proof(freeze.freeze).expect("nobody thawed this one");
        prop_assert!(last.writes == first.writes);
    }

    #[test]
    fn a_group_that_is_restored_survives_anything(kinds in prop::collection::vec(kind(), 1..60)) {
        let mut group = Group::new(Options::new(GroupId(1), ConfigNum(1), 3));
        group.commit(Kind::Adopt(ShardConfig { num: 1, shards: vec![1, 1, 1] }));
        group.commit(Kind::OpenRestore(OpenRestore { restore: 1, config: 1 }));
        prop_assert!(group.leader.kv.is_restoring());
        for kind in kinds {
            group.commit(kind);
        }
    }

    #[test]
    fn any_bytes_are_survived(kind in kind(), flips in prop::collection::vec((any::<usize>(), any::<u8>()), 1..6)) {
        let mut bytes = Command { kind: Some(kind) }.to_bytes().to_vec();
        for (at, to) in flips {
            if !bytes.is_empty() {
                let index = at % bytes.len();
                bytes[index] = to;
            }
        }
        let mut group = group();
        if let Ok(command) = Command::decode_from(bytes.into()) {
            group.leader.apply(&command);
            invariants::check(&group.leader);
        }
    }

    #[test]
    fn any_question_is_survived(
        kinds in prop::collection::vec(kind(), 1..20),
        (shard, config, cursor, seal, bytes_max) in (small(), number(), cursor(), any::<bool>(), any::<usize>()),
        (start, end, now_ms) in (bytes(), bytes(), number()),
    ) {
        let mut group = group();
        for kind in kinds {
            group.commit(kind);
        }
        let (shard, config) = (ShardId(shard), ConfigNum(config));
        group.leader.query(Query::Transfer { shard, config, cursor, seal, bytes_max });
        group.leader.query(Query::Scan { shard, start: start.clone(), end, rows_max: bytes_max, keys_only: seal, now_ms });
        group.leader.query(Query::Get { shard, key: start, now_ms });
    }
}
