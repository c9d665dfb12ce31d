//! Examples to begin with, for targets whose inputs are not found by chance: valid messages and commands.

use bytes::Bytes;
use flotilla_proto::raft_v1 as raft;
use flotilla_proto::{ctrl_v1, kv_v1};
use flotilla_shardctrler::api::command as ctrl;
use flotilla_shardkv::api::command::{AtConfig, Kind, Reported, Seal, Tick, Write};
use flotilla_shardkv::api::{Chunk, Command, Last, Row, TransferCursor, WriteId};
use flotilla_shardkv::rows::{Home, RowKey};
use flotilla_shardkv::values::{DataRow, SessionRow};
use flotilla_types::{ClientId, ConfigNum, ShardConfig, ShardId, Wire};

use super::choices::join;
use super::controller::{CLUSTER, bootstrap, register};
use super::world;

/// Every example, with the name of its target.
pub fn all() -> Vec<(&'static str, Vec<u8>)> {
    let mut found = Vec::new();
    found.extend(wire().into_iter().map(|input| ("wire", input)));
    found.extend(rows().into_iter().map(|input| ("rows", input)));
    found.extend(raft().into_iter().map(|input| ("raft", input)));
    found.extend(log().into_iter().map(|input| ("log", input)));
    found.push((
        "cursor",
        flotilla_proto::cursor::Cursor { shard: 7, key: b"key".to_vec() }.encode().expect("short"),
    ));
    found.push(("settings", b"heartbeat_ms = 100\nelection_min_ms = 300\nunsafe_no_fsync = true\n".to_vec()));
    for text in [
        "\0a\tb\\\u{e9}",
        "\x01127.0.0.1:7101,7102, [::1]:3",
        "\x021.5s",
        "\x033=1,2,30",
        "\x04g1-i2-m3",
        "\x057",
    ] {
        found.push(("text", text.as_bytes().to_vec()));
    }
    found.extend(history().into_iter().map(|line| ("history", line.as_bytes().to_vec())));
    found.push(("kv", join(kv().into_iter().map(|kind| Command { kind: Some(kind) }.to_bytes()))));
    found.push(("ctrler", [vec![3], join(controller().iter().map(Wire::to_bytes))].concat()));
    found.push(("schedule", schedule()));
    found.extend(snapshots().into_iter().map(|input| ("snapshot", input)));
    found
}

fn message(kind: u8, message: &impl Wire) -> Vec<u8> {
    [&[kind][..], &message.to_bytes()].concat()
}

fn id() -> WriteId {
    WriteId { client: 7, lane: 1, seq: 1, issued_at_ms: 3 }
}

fn request() -> kv_v1::CommandRequest {
    let op = kv_v1::Op { kind: Some(world::put(b"a", b"value", 9)) };
    kv_v1::CommandRequest { gid: 1, id: Some(id()), op: Some(op), timeout_ms: 5, ..Default::default() }
}

fn wire() -> Vec<Vec<u8>> {
    let scan = kv_v1::ScanRequest {
        gid: 1,
        shard: 2,
        prefix: Bytes::from_static(b"p"),
        limit: 3,
        ..Default::default()
    };
    let tagged = kv_v1::TaggedCommand { tag: 9, command: Some(request()) };
    let group = ctrl::NewGroup { gid: 3, nodes: vec![1, 2, 3] };
    let join = ctrl_v1::JoinRequest { request_id: 1, join: Some(ctrl::Join { groups: vec![group] }) };
    vec![
        message(0, &request()),
        message(2, &kv_v1::CommandBatchRequest { commands: vec![request()] }),
        message(4, &kv_v1::CommandStreamRequest { commands: vec![tagged] }),
        message(6, &scan),
        message(16, &chunk()),
        message(19, &join),
        message(34, &ShardConfig { num: 4, shards: vec![1, 2, 1] }),
    ]
}

fn rows() -> Vec<Vec<u8>> {
    let home = Home { shard: ShardId(1), acquired: ConfigNum(2) };
    let keys = [
        RowKey::Group,
        RowKey::Debt { config: ConfigNum(1), shard: ShardId(2) },
        RowKey::Data { home, key: Bytes::from_static(b"key") },
        RowKey::SessionAge { home, bucket: 1, client: ClientId(2), lane: 3 },
        RowKey::Expiry { home, at_ms: 4, key: Bytes::from_static(b"key") },
    ];
    let mut found: Vec<_> = keys.iter().map(|key| [vec![0], key.encode()].concat()).collect();
    found.push([vec![1], data().encode()].concat());
    found.push([vec![2], session().encode()].concat());
    found
}

fn data() -> DataRow {
    DataRow { version: 3, expires_at_ms: 9, value: Bytes::from_static(b"value") }
}

fn session() -> SessionRow {
    let batch = vec![kv_v1::Reply { value: Some(Bytes::from_static(b"old")), ..Default::default() }];
    SessionRow::of(1, 3, &kv_v1::Reply { version: 5, batch, ..Default::default() })
}

// The first and last piece of shard 1, which comes to group 1 at configuration 2 (see the kv target).
fn chunk() -> Chunk {
    let data = Row { kind: 0, key: Bytes::from_static(b"b"), value: Some(data().encode().into()) };
    let lane = [&7u64.to_be_bytes()[..], &[0, 0, 0, 1]].concat();
    let session = Row { kind: 1, key: lane.into(), value: Some(session().encode().into()) };
    let next = Some(TransferCursor { phase: 2, counter: 1, ..Default::default() });
    Chunk { shard: 1, config: 2, next, rows: vec![data, session], remaining_bytes: 5, ..Default::default() }
}

fn kv() -> Vec<Kind> {
    let mut found: Vec<Kind> = [b"a", b"b", b"c", b"d"]
        .iter()
        .zip(1..)
        .flat_map(|(key, seq)| {
            let shard = flotilla_types::shard_of_key(*key, 3).get();
            let ops = [
                world::put(*key, b"v", 2),
                world::append(*key, b"w"),
                world::delete(*key),
                world::cas(*key, None, Some(b"x")),
            ];
            ops.into_iter().zip(4 * seq..).map(move |(op, seq)| {
                let op = Some(kv_v1::Op { kind: Some(op) });
                Kind::Write(Write { shard, id: Some(WriteId { seq, ..id() }), op, now_ms: seq })
            })
        })
        .collect();
    found.push(Kind::InsertShards(chunk()));
    let last = Some(Last { counter: 9, time_ms: 9, floor_ms: 1 });
    let cursor = chunk().next;
    found.push(Kind::InsertShards(Chunk { cursor: cursor.clone(), last, rows: Vec::new(), ..chunk() }));
    found.push(Kind::Seal(Seal { shard: 2, config: 2, cursor, now_ms: 20 }));
    found.push(Kind::DeleteShards(AtConfig { shard: 2, config: 2 }));
    found.push(Kind::Acknowledge(AtConfig { shard: 1, config: 2 }));
    found.push(Kind::Reported(Reported { settled: 2 }));
    found.push(Kind::Adopt(ShardConfig { num: 3, shards: vec![2, 1, 1] }));
    found.push(Kind::Tick(Tick { shard: 1, now_ms: 30 }));
    found.push(Kind::Expire(Tick { shard: 1, now_ms: 40 }));
    found
}

fn controller() -> Vec<ctrl::Command> {
    let group = |gid| ctrl::NewGroup { gid, nodes: vec![1, 2] };
    let kinds = [
        bootstrap(4, 1),
        register(4, 104),
        ctrl::Kind::Join(ctrl::Join { groups: vec![group(1)] }),
        ctrl::Kind::Join(ctrl::Join { groups: vec![group(2), group(3)] }),
        ctrl::Kind::Move(ctrl::Move { shard: 0, gid: 2 }),
        ctrl::Kind::Report(ctrl::Report {
            gid: 1,
            incarnation: 1,
            initialised: true,
            settled: 2,
            member: 1000,
        }),
        ctrl::Kind::Leave(ctrl::Leave { gids: vec![2] }),
        ctrl::Kind::Lock(ctrl::Lock { name: "l".into(), holder: "h".into(), ttl_ms: 9 }),
        ctrl::Kind::Unlock(ctrl::Unlock { name: "l".into(), token: 1 }),
        ctrl::Kind::Register(ctrl::Register {
            cluster: CLUSTER.into(),
            node: 1,
            disk: 7,
            address: "h:1".into(),
            zone: "z".into(),
        }),
    ];
    let command = |(kind, id)| ctrl::Command { request_id: id % 3, now_ms: id, kind: Some(kind) };
    kinds.into_iter().zip(0..).map(command).collect()
}

// Two writes, a retry, a configuration that swaps the shards, then steps that carry the moves through.
fn schedule() -> Vec<u8> {
    let mut found =
        vec![1, 1, 0, 0, 0, 0, 0, 0, 2, 65, 66, 0, 1, 0, 0, 0, 1, 1, 67, 2, 0, 0, 0, 6, 1, 0, 7, 0];
    (0..24).for_each(|index| found.extend([19, index]));
    found.extend([2, 0, 0, 0, 4, 0, 0, 5, 9]);
    found
}

fn log_id(index: u64) -> raft::LogId {
    raft::LogId { term: 1, index }
}

fn membership() -> raft::Membership {
    let peer = Some(raft::Peer { node: 1, address: "h:1".into() });
    let members = vec![raft::Member { member: 1, peer: peer.clone() }, raft::Member { member: 2, peer }];
    raft::Membership {
        configs: vec![raft::MemberSet { members: vec![1] }, raft::MemberSet { members: vec![1, 2] }],
        members,
    }
}

fn stored() -> raft::StoredMembership {
    raft::StoredMembership { log_id: Some(log_id(3)), membership: Some(membership()) }
}

fn blank() -> raft::entry::Payload {
    raft::entry::Payload::Blank(raft::Blank {})
}

fn raft() -> Vec<Vec<u8>> {
    let vote = Some(raft::Vote { term: 1, member: 1, committed: true });
    let entry = |index, payload| raft::Entry { log_id: Some(log_id(index)), payload: Some(payload) };
    let entries = vec![
        entry(5, blank()),
        entry(6, raft::entry::Payload::Commands(Bytes::from_static(b"x"))),
        entry(7, raft::entry::Payload::Membership(membership())),
    ];
    let append = raft::AppendRequest {
        vote,
        previous: Some(log_id(4)),
        entries,
        committed: Some(log_id(5)),
        ..Default::default()
    };
    let reply = |result| raft::AppendReply { result: Some(result), clock_ms: 1_800_000_000_000 };
    vec![
        message(0, &append),
        // Entries after the last index that there can be.
        message(
            0,
            &raft::AppendRequest {
                previous: Some(log_id(u64::MAX)),
                entries: vec![entry(u64::MAX, blank())],
                ..append
            },
        ),
        message(1, &reply(raft::append_reply::Result::Conflict(log_id(4)))),
        message(1, &reply(raft::append_reply::Result::Matched(raft::Matched { log_id: None }))),
        message(2, &raft::SnapshotMeta { last: Some(log_id(9)), membership: Some(stored()) }),
    ]
}

fn log() -> Vec<Vec<u8>> {
    let numbers = |many: u64| (1..=many).flat_map(u64::to_be_bytes).collect::<Vec<u8>>();
    vec![
        [vec![0, 0x02], numbers(3)].concat(),
        [vec![0, 0x10], numbers(4)].concat(),
        message(
            4,
            &raft::AppendRequest {
                previous: Some(log_id(4)),
                committed: Some(log_id(5)),
                ..Default::default()
            },
        ),
        message(5, &raft::SnapshotMeta { last: Some(log_id(9)), membership: Some(stored()) }),
        [&[6][..], b"flotmark", &[0; 12]].concat(),
        vec![7, 0x08, 1, 0x20, 3],
    ]
}

// A whole snapshot; one that ends at once though it announced more bytes than there are numbers; one that would
// overwrite the file that says what a snapshot holds.
fn snapshots() -> [Vec<u8>; 3] {
    [
        snapshot(&[("a.sst", 3), ("empty", 0), ("b.sst", 2)], 5),
        snapshot(&[("a.sst", u64::MAX), ("b.sst", u64::MAX)], 0),
        snapshot(&[("a.sst", 3), ("empty", 0), ("META", 2)], 5),
    ]
}

fn snapshot(files: &[(&str, u64)], bytes: u64) -> Vec<u8> {
    let meta = Some(raft::SnapshotMeta { last: Some(log_id(9)), membership: Some(stored()) });
    let file = |(name, bytes): &(&str, u64)| raft::SnapshotFile { name: (*name).into(), bytes: *bytes };
    let begin = raft::SnapshotBegin { meta, files: files.iter().map(file).collect(), ..Default::default() };
    let chunk = |file, data: &'static [u8]| {
        let data = Bytes::from_static(data);
        raft::snapshot_frame::Frame::Chunk(raft::SnapshotChunk { file, offset: 0, data, checksum: 0 })
    };
    let end = raft::snapshot_frame::Frame::End(raft::SnapshotEnd { bytes });
    let chunks = if bytes > 0 { vec![chunk(0, b"abc"), chunk(2, b"xy")] } else { Vec::new() };
    let frames = chunks.into_iter().chain([end]);
    let frames = frames.map(|frame| raft::SnapshotFrame { frame: Some(frame) }.to_bytes());
    join([begin.to_bytes()].into_iter().chain(frames))
}

fn history() -> [&'static str; 3] {
    [
        r#"{"line":"op","client":1,"key":"k","action":{"do":"swap","expected":{"version":3},"new":"v"},"called_ns":1,"returned_ns":2,"outcome":{"ok":{"done":true,"version":4}}}"#,
        r#"{"line":"run","kind":"sim","seed":7,"again":"x","version":"1","choices":{"a":"b"}}"#,
        r#"{"line":"op","client":1,"key":"\u0000ff","action":{"do":"get"},"called_ns":1,"outcome":{"unknown":{"why":"t"}}}"#,
    ]
}
