//! Any sequence of commands, sensible or not, and any bytes at all: nothing panics, and the invariants of `common` hold at
//! every step.

mod common;

use common::{CLUSTER, World, bootstrap};
use flotilla_shardctrler::api::command::{
    Bootstrap, Command, Join, Kind, Leave, Lock, Move, NewGroup, Register, Report, Unlock,
};
use flotilla_shardctrler::api::{GroupState, Replica};
use flotilla_shardctrler::{Answer, Code, Options, Query, RowKey};
use flotilla_types::{Bytes, Engine, Wire, WriteBatch};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

/// Bounds so small that short sequences reach them.
fn small() -> Options {
    Options { configs_kept_min: 3, configs_kept_max: 8, requests_kept: 4, torn_down_kept: 2, locks_max: 2 }
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![Just("a".to_owned()), Just("b".to_owned()), Just("c".to_owned()), any::<String>()]
}

fn register() -> impl Strategy<Value = Kind> {
    let cluster = prop_oneof![9 => Just(CLUSTER.to_owned()), 1 => Just("f".repeat(32)), 1 => any::<String>()];
    let address = prop_oneof![9 => (1u64..9).prop_map(|n| format!("h{n}:1")), 1 => any::<String>()];
    (cluster, 0u64..6, 0u64..4, address, word()).prop_map(|(cluster, node, disk, address, zone)| {
        Kind::Register(Register { cluster, node, disk, address, zone })
    })
}

fn join() -> impl Strategy<Value = Kind> {
    let group = (0u64..9, vec(0u64..6, 0..4)).prop_map(|(gid, nodes)| NewGroup { gid, nodes });
    vec(group, 0..3).prop_map(|groups| Kind::Join(Join { groups }))
}

fn good_join() -> impl Strategy<Value = Kind> {
    (1u64..9).prop_map(|gid| Kind::Join(Join { groups: vec![NewGroup { gid, nodes: vec![1, 2] }] }))
}

/// Reports of plausible lives; `settled` is often the latest configuration or near it.
fn report() -> impl Strategy<Value = Kind> {
    let member = 1000u64..1040;
    (0u64..9, 0u64..30, any::<bool>(), 0u64..40, member).prop_map(
        |(gid, incarnation, initialised, settled, member)| {
            Kind::Report(Report { gid, incarnation, initialised, settled, member })
        },
    )
}

fn lock() -> impl Strategy<Value = Kind> {
    let ttl = prop_oneof![0u64..100, any::<u64>()];
    (word(), word(), ttl).prop_map(|(name, holder, ttl_ms)| Kind::Lock(Lock { name, holder, ttl_ms }))
}

/// Commands of owners, nodes and people, mostly of numbers that exist.
fn migration() -> impl Strategy<Value = Kind> {
    use flotilla_cloud_migration::command::{self as c, Kind as M};
    use flotilla_cloud_migration::{Ack, Failure, Part, Target};
    let empty = c::Empty {};
    // Mostly the first of everything, or hardly a sequence would get anywhere.
    let first = |rest: std::ops::Range<u64>| prop_oneof![9 => Just(1u64), 1 => rest];
    let (id, gid, node, file) = (first(0..4), first(1..9), 1u64..4, 0u32..3);
    let create = Just(M::Create(c::Create {
        target: Some(Target { url: "s3://b".to_owned(), credentials_file: String::new() }),
        options: None,
    }));
    let go = (prop_oneof![9 => 1i32..5, 1 => 0i32..8], prop_oneof![5 => Just(0u32), 1 => 0u32..101])
        .prop_map(|(state, progress)| {
            M::SetProgress(c::SetProgress { state, progress, detail: String::new() })
        });
    let frozen = (gid.clone(), first(0..4)).prop_map(|(gid, freeze)| {
        M::Frozen(c::Frozen { gid, freeze, ack: Some(Ack { index: 1, term: 1, counters: 1 }) })
    });
    let code = prop_oneof![Just("pin_lost".to_owned()), Just("x".to_owned())];
    let failure = code.prop_map(|code| Failure { code, ..Failure::default() });
    let plan = (
        gid.clone(),
        prop_oneof![4 => Just(0u32), 1 => 0u32..3],
        vec((0u32..12, 0u64..100), 0..3),
        any::<bool>(),
    )
        .prop_map(|(gid, from, files, last)| {
            let cut = |(shard, bytes)| c::Planned { shard, bytes, ..c::Planned::default() };
            M::FilesPlanned(c::FilesPlanned { gid, from, files: files.into_iter().map(cut).collect(), last })
        });
    let dumped = (file.clone(), 0u64..3).prop_map(|(file, length)| {
        let (blake3, rows) = (vec![1; 32].into(), 1);
        let dumped = flotilla_cloud_migration::Dumped { length, rows, blake3, ..Default::default() };
        M::FileDumped(c::FileDumped { file, dumped: Some(dumped) })
    });
    let upload = (file.clone(), word(), word(), 0u64..3).prop_map(|(file, replaces, upload, part_bytes)| {
        M::UploadCreated(c::UploadCreated { file, replaces, upload, part_bytes })
    });
    let parts = (file.clone(), word(), vec(0u32..4, 0..3)).prop_map(|(file, upload, numbers)| {
        let part = |number| Part { number, etag: "e".to_owned() };
        M::PartsDone(c::PartsDone { file, upload, parts: numbers.into_iter().map(part).collect() })
    });
    let kind = prop_oneof![
        3 => create,
        1 => Just(M::Cancel(empty)),
        1 => Just(M::Retry(empty)),
        1 => Just(M::Forget(empty)),
        3 => node.clone().prop_map(|node| M::Claim(c::OfNode { node })),
        2 => Just(M::Renew(empty)),
        1 => Just(M::Release(empty)),
        6 => go,
        3 => Just(M::Pin(empty)),
        6 => frozen,
        4 => gid.clone().prop_map(|gid| M::Proven(c::OfGroup { gid })),
        1 => failure.clone().prop_map(M::Fail),
        1 => (gid.clone(), failure).prop_map(|(gid, failure)| M::GroupFailed(c::GroupFailed { gid, failure: Some(failure) })),
        4 => (gid, node, prop_oneof![4 => Just(0u32), 1 => 0u32..3]).prop_map(|(gid, node, after)| M::Assign(c::Assign { gid, node, after })),
        4 => plan,
        4 => dumped,
        2 => upload,
        2 => parts,
        3 => (file, word()).prop_map(|(file, etag)| M::FileDone(c::FileDone { file, etag })),
        2 => (0i32..4, 0u64..9).prop_map(|(undo, of)| M::CompensationDone(c::CompensationDone { undo, of })),
    ];
    (id, first(0..4), prop::option::weighted(0.98, kind))
        .prop_map(|(id, epoch, kind)| Kind::Migration(flotilla_cloud_migration::Command { id, epoch, kind }))
}

fn kind() -> impl Strategy<Value = Kind> {
    let wild = (any::<u32>(), vec(any::<u64>(), 0..3)).prop_map(|(shards, numbers)| {
        let controllers = numbers.iter().map(|n| Replica { node: *n, member: *n, disk: *n }).collect();
        Kind::Bootstrap(Bootstrap { cluster: CLUSTER.into(), shards: shards % 20_000, controllers })
    });
    prop_oneof![
        1 => wild,
        3 => register(),
        2 => join(),
        4 => good_join(),
        3 => vec(0u64..9, 0..3).prop_map(|gids| Kind::Leave(Leave { gids })),
        3 => (0u32..12, 0u64..9).prop_map(|(shard, gid)| Kind::Move(Move { shard, gid })),
        4 => report(),
        6 => migration(),
        3 => lock(),
        1 => (word(), 0u64..9).prop_map(|(name, token)| Kind::Unlock(Unlock { name, token })),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    let now = prop_oneof![9 => 0u64..1000, 1 => any::<u64>()];
    (prop_oneof![3 => Just(0u64), 1 => 1u64..9], now, prop::option::weighted(0.98, kind()))
        .prop_map(|(request_id, now_ms, kind)| Command { request_id, now_ms, kind })
}

/// What every present group says once all is settled.
fn settle_all(world: &mut World) {
    let settled = world.machine.latest().num;
    for group in world.machine.directory().groups.clone() {
        if group.state() != GroupState::TornDown {
            let (gid, incarnation) = (group.gid, group.incarnation);
            let report =
                Report { gid, incarnation, initialised: true, settled, member: group.replicas[0].member };
            assert_eq!(world.apply(Kind::Report(report)).code(), Code::Ok);
        }
    }
}

/// Nothing is left of what all have settled.
fn check_tidy(world: &World) {
    let groups = &world.machine.directory().groups;
    assert!(groups.iter().all(|group| group.state() != GroupState::Leaving));
    let torn_down = groups.iter().filter(|group| group.state() == GroupState::TornDown);
    assert!(torn_down.count() <= small().torn_down_kept);
    let Answer::Status(status) = world.query(Query::Status) else { panic!("not a status") };
    assert!(status.config + 1 - status.config_oldest <= small().configs_kept_min);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_sequence_keeps_the_invariants(
        shards in 1u32..12, steps in vec((command(), prop::bool::weighted(0.05)), 1..60),
    ) {
        let mut world = World::cluster(small(), shards, 3);
        for (command, settle) in steps {
            let response = world.command(command.clone());
            if command.request_id != 0 {
                prop_assert_eq!(world.command(command), response, "the same id answers the same");
            }
            if settle {
                settle_all(&mut world);
            }
            let Answer::Status(status) = world.query(Query::Status) else { panic!("not a status") };
            prop_assert!(status.config + 1 - status.config_oldest <= small().configs_kept_max);
        }
        settle_all(&mut world);
        if !world.live().is_empty() {
            check_tidy(&world);
        }
    }

    /// Sequences about one migration of one group, with somebody who moves shards meanwhile.
    #[test]
    fn migrations_keep_the_invariants(
        steps in vec(prop_oneof![12 => migration(), 1 => good_join(), 1 => (0u32..4, 1u64..9)
            .prop_map(|(shard, gid)| Kind::Move(Move { shard, gid }))], 1..120),
    ) {
        let mut world = World::cluster(small(), 4, 3);
        world.apply(Kind::Join(Join { groups: vec![NewGroup { gid: 1, nodes: vec![1, 2] }] }));
        settle_all(&mut world);
        for kind in steps {
            world.apply(kind);
        }
    }

    #[test]
    fn commands_before_birth_are_refused_and_store_nothing(commands in vec(command(), 1..20)) {
        let mut world = World::new(small());
        for command in commands {
            if !matches!(command.kind, Some(Kind::Bootstrap(_))) {
                prop_assert_ne!(world.command(command).code(), Code::Ok);
            }
        }
        prop_assert_eq!(world.digest(), World::new(small()).digest());
    }

    #[test]
    fn any_bytes_are_a_command_or_not(inputs in vec(vec(any::<u8>(), 0..80), 1..20)) {
        let mut world = World::cluster(small(), 4, 2);
        for input in inputs {
            if let Ok(command) = Command::decode_from(Bytes::from(input)) {
                world.command(command);
            }
        }
    }

    /// Bytes that begin as a real command and then go wrong reach deeper than noise.
    #[test]
    fn damaged_commands_do_no_harm(
        commands in vec((command(), any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let mut world = World::cluster(small(), 4, 2);
        for (command, at, byte) in commands {
            let mut bytes = command.to_bytes().to_vec();
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Ok(command) = Command::decode_from(bytes.into()) {
                world.command(command);
            }
        }
    }
}

#[test]
fn a_cluster_is_born_once() {
    let mut world = World::new(Options::default());
    assert_eq!(world.apply(bootstrap(8, 3)).code(), Code::Ok);
    let digest = world.digest();
    assert_eq!(world.apply(bootstrap(8, 3)).code(), Code::Ok);
    assert_eq!(world.apply(bootstrap(9, 3)).code(), Code::Refused);
    assert_eq!(world.digest(), digest);
}

/// The sequences above are no idle talk: they reach what they are meant to reach.
#[test]
fn sequences_reach_every_corner() {
    let mut runner = TestRunner::deterministic();
    let sequence = vec((command(), prop::bool::weighted(0.05)), 60);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let steps = sequence.new_tree(&mut runner).expect("a strategy without filters").current();
        let mut world = World::cluster(small(), 5, 3);
        for (command, settle) in steps {
            let name = command.kind.as_ref().map_or("none".to_owned(), |kind| format!("{kind:?}"));
            let name = name.split('(').next().unwrap_or_default().to_owned();
            let fresh = command.request_id == 0;
            let code = world.command(command).code();
            seen.extend(fresh.then(|| format!("{name} {code:?}")));
            if settle {
                settle_all(&mut world);
            }
            let groups = &world.machine.directory().groups;
            seen.extend(groups.iter().map(|group| format!("{:?}", group.state())));
            let lives = groups.windows(2).any(|pair| pair[0].gid == pair[1].gid);
            seen.extend(lives.then(|| "rejoined".to_owned()));
        }
    }
    for corner in [
        "none Invalid",
        "Register Ok",
        "Register Invalid",
        "Register WrongCluster",
        "Register AlreadyExists",
        "Join Ok",
        "Join AlreadyExists",
        "Join NotFound",
        "Join TooMany",
        "Leave Ok",
        "Leave Refused",
        "Move Ok",
        "Move NotFound",
        "Move TooMany",
        "Report Ok",
        "Report NotFound",
        "Lock Ok",
        "Lock Refused",
        "Lock TooMany",
        "Unlock Ok",
        "Unlock Refused",
        "Leaving",
        "TornDown",
        "rejoined",
    ] {
        assert!(seen.contains(corner), "never reached: {corner}; reached: {seen:?}");
    }
}

/// The saboteur: a row that vanishes behind the machine's back does not go unnoticed.
#[test]
#[should_panic(expected = "rows and mirror differ")]
fn a_lost_row_is_caught() {
    let mut world = World::cluster(Options::default(), 4, 2);
    let mut batch = WriteBatch::default();
    batch.delete(RowKey::Node(2).encode());
    world.engine.write(batch).expect("memory");
    world.apply(common::register(1, 101));
}
