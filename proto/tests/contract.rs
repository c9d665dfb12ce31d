//! The `.proto` files and the messages that the pure crates derive by hand say the same: every message, with every
//! field filled in, is read by a decoder that knows only the `.proto` files, without an unknown field, and written
//! back byte for byte.

use std::collections::BTreeSet;

use bytes::Bytes;
use flotilla_proto::{DESCRIPTORS, ctrl_v1 as ctrl, kv_v1 as kv, migration_v1 as migration};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage};

fn pool() -> DescriptorPool {
    DescriptorPool::decode(DESCRIPTORS).expect("own descriptors")
}

/// Decodes `message` by the `.proto` alone. Gives what differs, or nothing.
fn differs(name: &str, message: &impl Message) -> Option<String> {
    let descriptor = pool().get_message_by_name(name).unwrap_or_else(|| panic!("{name} is in no .proto"));
    let bytes = message.encode_to_vec();
    let dynamic = match DynamicMessage::decode(descriptor.clone(), bytes.as_slice()) {
        Ok(dynamic) => dynamic,
        Err(error) => return Some(format!("{name}: {error}")),
    };
    if dynamic.unknown_fields().next().is_some() {
        return Some(format!("{name}: the .proto lacks a field"));
    }
    let set: BTreeSet<u32> = dynamic.fields().map(|(field, _)| field.number()).collect();
    let in_oneofs: BTreeSet<u32> = dynamic
        .descriptor()
        .oneofs()
        .filter(|oneof| !oneof.is_synthetic())
        .flat_map(|oneof| oneof.fields().map(|field| field.number()).collect::<Vec<_>>())
        .collect();
    let missing = descriptor
        .fields()
        .find(|field| !set.contains(&field.number()) && !in_oneofs.contains(&field.number()));
    if let Some(field) = missing {
        return Some(format!("{name}: field {} of the .proto is not written", field.name()));
    }
    (dynamic.encode_to_vec() != bytes).then(|| format!("{name}: another encoding"))
}

fn same(name: &str, message: &impl Message) {
    assert_eq!(differs(name, message), None);
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

#[test]
fn operations_are_as_the_contract_says() {
    use kv::op::{Expected, Kind};
    let get = kv::Get { key: bytes("k") };
    let put = kv::Put { key: bytes("k"), value: bytes("v"), ttl_ms: 1 };
    let append = kv::Append { key: bytes("k"), suffix: bytes("v") };
    let delete = kv::Delete { key: bytes("k") };
    let cas = |expected| kv::CompareAndSet { key: bytes("k"), expected, new: Some(bytes("n")), ttl_ms: 1 };
    same("flotilla.kv.v1.Get", &get);
    same("flotilla.kv.v1.Put", &put);
    same("flotilla.kv.v1.Append", &append);
    same("flotilla.kv.v1.Delete", &delete);
    let kinds = [
        Kind::Get(get),
        Kind::Put(put),
        Kind::Append(append),
        Kind::Delete(delete),
        Kind::CompareAndSet(cas(Some(Expected::Value(bytes("v"))))),
        Kind::CompareAndSet(cas(Some(Expected::Version(7)))),
        Kind::CompareAndSet(cas(None)),
    ];
    let ops: Vec<kv::Op> = kinds.into_iter().map(|kind| kv::Op { kind: Some(kind) }).collect();
    ops.iter().for_each(|op| same("flotilla.kv.v1.Op", op));
    let batch = kv::Batch { ops };
    same("flotilla.kv.v1.Batch", &batch);
    same("flotilla.kv.v1.Op", &kv::Op { kind: Some(Kind::Batch(batch)) });
    same("flotilla.kv.v1.WriteId", &kv::WriteId { client: 1, lane: 2, seq: 3, issued_at_ms: 4 });
}

#[test]
fn answers_are_as_the_contract_says() {
    let hint = kv::Hint { gid: 1, node: 2, address: "a:1".to_owned() };
    same("flotilla.kv.v1.Hint", &hint);
    let reply = kv::Reply {
        code: kv::Code::WrongGroup.into(),
        value: Some(bytes("v")),
        version: 1,
        config: 2,
        gid: 3,
        batch: vec![kv::Reply::default()],
        hint: Some(hint),
        message: "m".to_owned(),
        retry_after_ms: 4,
        time_ms: 5,
        migration: 6,
    };
    same("flotilla.kv.v1.Reply", &reply);
    same("flotilla.kv.v1.ScanRow", &kv::ScanRow { key: bytes("k"), value: bytes("v"), version: 1 });
    let cursor = kv::TransferCursor { phase: 2, key: bytes("k"), counter: 1, rounds: 2 };
    same("flotilla.kv.v1.TransferCursor", &cursor);
}

#[test]
fn status_is_as_the_contract_says() {
    let moving =
        kv::MoveStatus { peer: 1, config: 2, bytes_done: 3, bytes_remaining: 4, step: "rows".to_owned() };
    same("flotilla.kv.v1.MoveStatus", &moving);
    let shard = kv::ShardStatus {
        shard: 1,
        phase: 2,
        config: 3,
        keys: 4,
        bytes: 5,
        sessions: 6,
        version: 7,
        moving: Some(moving),
    };
    same("flotilla.kv.v1.ShardStatus", &shard);
    let freeze = kv::FreezeProof {
        freeze: 1,
        migration: 2,
        config: 3,
        thaws: 4,
        writes: 5,
        beat: 6,
        at_ms: 7,
        lease_ms: 8,
    };
    same("flotilla.kv.v1.FreezeProof", &freeze);
    same(
        "flotilla.kv.v1.GroupStatus",
        &kv::GroupStatus { config: 1, settled: 2, shards: vec![shard], debts: 3, freezes: vec![freeze] },
    );
}

#[test]
fn the_controllers_words_are_as_the_contract_says() {
    same("flotilla.ctrl.v1.ShardConfig", &ctrl::ShardConfig { num: 1, shards: vec![1, 2] });
    let group = ctrl::NewGroup { gid: 1, nodes: vec![1, 2] };
    same("flotilla.ctrl.v1.NewGroup", &group);
    same("flotilla.ctrl.v1.Join", &ctrl::Join { groups: vec![group] });
    same("flotilla.ctrl.v1.Leave", &ctrl::Leave { gids: vec![1] });
    same("flotilla.ctrl.v1.Move", &ctrl::Move { shard: 1, gid: 2 });
    let (cluster, address, zone) = ("c".to_owned(), "a:1".to_owned(), "z".to_owned());
    same("flotilla.ctrl.v1.Register", &ctrl::Register { cluster, node: 1, disk: 2, address, zone });
    same(
        "flotilla.ctrl.v1.Report",
        &ctrl::Report { gid: 1, incarnation: 2, initialised: true, settled: 3, member: 4 },
    );
    same("flotilla.ctrl.v1.Lock", &ctrl::Lock { name: "n".to_owned(), holder: "h".to_owned(), ttl_ms: 1 });
    same("flotilla.ctrl.v1.Unlock", &ctrl::Unlock { name: "n".to_owned(), token: 1 });
    let response = ctrl::Response {
        code: 1,
        message: "m".to_owned(),
        config: 2,
        revision: 3,
        token: 4,
        holder: "h".to_owned(),
        expires_at_ms: 5,
        migration: 6,
        count: 7,
    };
    same("flotilla.ctrl.v1.Response", &response);
}

#[test]
fn the_directory_is_as_the_contract_says() {
    let replica = ctrl::Replica { node: 1, member: 2, disk: 3 };
    same("flotilla.ctrl.v1.Replica", &replica);
    let group = ctrl::GroupRecord {
        gid: 1,
        incarnation: 2,
        replicas: vec![replica],
        founders: vec![replica],
        state: 1,
        initialised: true,
        settled: 3,
        left: 4,
        torn_down: 5,
    };
    same("flotilla.ctrl.v1.GroupRecord", &group);
    let (address, zone) = ("a:1".to_owned(), "z".to_owned());
    let node = ctrl::NodeRecord { node: 1, address, zone, disk: 2 };
    same("flotilla.ctrl.v1.NodeRecord", &node);
    let cluster = "c".to_owned();
    let directory =
        ctrl::Directory { revision: 1, cluster, shards: 2, groups: vec![group], nodes: vec![node] };
    same("flotilla.ctrl.v1.Directory", &directory);
}

fn record() -> migration::Record {
    let text = || "t".to_owned();
    let group = migration::Group {
        gid: 1,
        incarnation: 2,
        ack: Some(migration::Ack { index: 1, term: 2, counters: 3 }),
        proven: true,
        node: 3,
        assignment: 4,
        planned: 5,
        planned_all: true,
        dumped: 6,
        done: 7,
        nodes: vec![8],
        lost: vec![9],
    };
    migration::Record {
        id: 1,
        external_id: text(),
        attempt: 2,
        retry_of: 3,
        state: 4,
        progress: 5,
        detail: text(),
        target: Some(migration::Target { url: text(), credentials_file: text() }),
        options: Some(options()),
        owner: Some(migration::Owner { node: 1, epoch: 2, leased: true, renewals: 3 }),
        freeze: Some(migration::Freeze {
            id: 1,
            config: 2,
            started_ms: 3,
            complete_ms: 4,
            ended_ms: 5,
            thawed_ms: 6,
        }),
        groups: vec![group],
        totals: Some(totals()),
        compensations: vec![migration::Compensation { undo: 2, of: 1 }],
        error: Some(migration::Failure { code: text(), phase: 1, message: text(), retryable: true }),
        created_ms: 1,
        updated_ms: 2,
        timeline: vec![migration::Event { at_ms: 1, what: text() }],
        revision: 4,
        pauses: true,
        plan_digest: 5,
        cluster: text(),
        shards: 6,
    }
}

fn totals() -> migration::Totals {
    migration::Totals {
        files: 1,
        files_dumped: 2,
        files_done: 3,
        bytes_planned: 4,
        bytes_dumped: 5,
        bytes_files: 6,
        bytes_uploaded: 7,
        rows: 8,
    }
}

fn options() -> migration::Options {
    migration::Options {
        freeze_until: 3,
        drain_timeout_ms: 1,
        freeze_timeout_ms: 2,
        node_timeout_ms: 3,
        file_bytes: 4,
        multipart_bytes: 5,
        part_bytes: 6,
        parallel_parts: 7,
        dump_bytes_per_second: 8,
        upload_bytes_per_second: 9,
        uncompressed: true,
        keep_objects: true,
    }
}

#[test]
fn migrations_are_as_the_contract_says() {
    let record = record();
    same("flotilla.migration.v1.Options", &options());
    same("flotilla.migration.v1.Totals", &totals());
    same("flotilla.migration.v1.Group", &record.groups[0]);
    same("flotilla.migration.v1.Ack", &record.groups[0].ack.expect("filled in"));
    same("flotilla.migration.v1.Owner", &record.owner.expect("filled in"));
    same("flotilla.migration.v1.Freeze", &record.freeze.expect("filled in"));
    same("flotilla.migration.v1.Target", record.target.as_ref().expect("filled in"));
    same("flotilla.migration.v1.Compensation", &record.compensations[0]);
    same("flotilla.migration.v1.Failure", record.error.as_ref().expect("filled in"));
    same("flotilla.migration.v1.Event", &record.timeline[0]);
    same("flotilla.migration.v1.Record", &record);
    let dumped = migration::Dumped {
        length: 1,
        rows: 2,
        raw_bytes: 3,
        md5: bytes("m"),
        blake3: bytes("b"),
        row_checksum: bytes("r"),
    };
    same("flotilla.migration.v1.Dumped", &dumped);
    let upload = migration::Upload { id: "u".to_owned(), part_bytes: 1, parts: 2, parts_done: 3 };
    same("flotilla.migration.v1.Upload", &upload);
    let file = migration::File {
        index: 1,
        gid: 2,
        shard: 3,
        piece: 4,
        begin: bytes("a"),
        end: bytes("b"),
        planned_bytes: 5,
        stage: 2,
        key: "k".to_owned(),
        dumped: Some(dumped),
        upload: Some(upload),
        etag: "e".to_owned(),
        made_under: 6,
    };
    same("flotilla.migration.v1.File", &file);
    same("flotilla.migration.v1.Part", &migration::Part { number: 1, etag: "e".to_owned() });
}

// `NO_KEY` of the .proto is `NoKey` in Rust.
fn named_alike<T: TryFrom<i32> + std::fmt::Debug>(name: &str) {
    let descriptor = pool().get_enum_by_name(name).expect("in the .proto");
    for value in descriptor.values() {
        let rust = T::try_from(value.number()).map(|rust| format!("{rust:?}").to_lowercase()).ok();
        assert_eq!(rust, Some(value.name().replace('_', "").to_lowercase()), "{name}");
    }
    let beyond = descriptor.values().map(|value| value.number()).max().expect("not empty") + 1;
    assert!(T::try_from(beyond).is_err(), "{name}: the .proto lacks value {beyond}");
}

#[test]
fn enumerations_are_as_the_contract_says() {
    named_alike::<kv::Code>("flotilla.kv.v1.Code");
    named_alike::<kv::ShardPhase>("flotilla.kv.v1.ShardPhase");
    named_alike::<kv::TransferPhase>("flotilla.kv.v1.TransferPhase");
    named_alike::<ctrl::Code>("flotilla.ctrl.v1.Code");
    named_alike::<ctrl::GroupState>("flotilla.ctrl.v1.GroupState");
    named_alike::<migration::State>("flotilla.migration.v1.State");
    named_alike::<migration::FreezeUntil>("flotilla.migration.v1.Options.FreezeUntil");
    named_alike::<migration::Undo>("flotilla.migration.v1.Compensation.Undo");
    named_alike::<migration::Stage>("flotilla.migration.v1.File.Stage");
}

#[test]
fn a_drifted_message_is_noticed() {
    // A replica read as a lock: other types at the same tags. And a message that leaves a field out.
    assert!(differs("flotilla.ctrl.v1.Lock", &ctrl::Replica { node: 1, member: 2, disk: 3 }).is_some());
    assert!(differs("flotilla.ctrl.v1.Replica", &ctrl::Replica { node: 1, member: 2, disk: 0 }).is_some());
}
