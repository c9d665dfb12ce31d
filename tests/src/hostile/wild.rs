//! One valid request of every method of every service, and mutations of them.

use bytes::Bytes;
use flotilla_proto::kv_v1::op::Kind;
use flotilla_proto::{ctrl_v1 as ctrl, kv_v1 as kv, raft_v1 as raft};
use flotilla_types::Wire;
use rand::rngs::StdRng;
use rand::{Rng, RngCore};

use crate::raw;

/// A method's path, and a request that it takes.
pub struct Valid {
    /// `/package.Service/Method`.
    pub path: String,
    /// A request's bytes.
    pub body: Bytes,
}

fn valid(service: &str, method: &str, request: &impl Wire) -> Valid {
    Valid { path: format!("/flotilla.{service}/{method}"), body: request.to_bytes() }
}

/// A request for every method. None of them harms a cluster whose group 1 is live: joins and leaves name groups and nodes
/// that are not there, and Raft messages a group that is not.
pub fn requests() -> Vec<Valid> {
    [kv_requests(), ctrl_requests(), raft_requests()].into_iter().flatten().collect()
}

fn kv_requests() -> Vec<Valid> {
    let service = "kv.v1.ShardKvService";
    let put = raw::put(raw::write_id(0xbad, 1), "wild", "value");
    let get = Kind::Get(kv::Get { key: Bytes::from_static(b"wild") });
    let batch =
        Kind::Batch(kv::Batch { ops: vec![kv::Op { kind: Some(get) }, put.op.clone().unwrap_or_default()] });
    let batch = kv::CommandRequest { gid: 1, timeout_ms: 500, ..raw::command(put.id, batch) };
    let put = kv::CommandRequest { gid: 1, timeout_ms: 500, ..put };
    let tagged = kv::TaggedCommand { tag: 1, command: Some(put.clone()) };
    let scan = kv::ScanRequest {
        gid: 1,
        shard: 1,
        limit: 9,
        cursor: Bytes::from_static(b"\x01cursor"),
        timeout_ms: 500,
        ..Default::default()
    };
    let cursor = Some(kv::TransferCursor { phase: 2, key: Bytes::from_static(b"k"), counter: 9, rounds: 2 });
    let pull = kv::GetShardsDataRequest {
        gid: 1,
        shard: 1,
        config: 1,
        cursor,
        seal: true,
        bytes_max: 99,
        chunks_max: 2,
    };
    vec![
        valid(service, "Command", &put),
        valid(service, "Command", &batch),
        valid(service, "CommandBatch", &kv::CommandBatchRequest { commands: vec![put.clone(), batch] }),
        valid(service, "CommandStream", &kv::CommandStreamRequest { commands: vec![tagged] }),
        valid(service, "Scan", &scan),
        valid(service, "GetShardsData", &pull),
        valid(service, "DeleteShardsData", &kv::DeleteShardsDataRequest { gid: 1, shard: 1, config: 1 }),
        valid(service, "GetStatus", &kv::GetStatusRequest { gid: Some(1) }),
        valid(service, "GetDigest", &kv::GetDigestRequest { gid: 1 }),
    ]
}

fn ctrl_requests() -> Vec<Valid> {
    let service = "ctrl.v1.ShardCtrlerService";
    let group = ctrl::NewGroup { gid: 1, nodes: vec![900, 901] };
    let register = ctrl::Register {
        cluster: "f".repeat(32),
        node: 900,
        disk: 3,
        address: "h:1".into(),
        zone: "z".into(),
    };
    let lock = ctrl::Lock { name: "wild".into(), holder: "h".into(), ttl_ms: 50 };
    vec![
        valid(
            service,
            "Join",
            &ctrl::JoinRequest { request_id: 1, join: Some(ctrl::Join { groups: vec![group] }) },
        ),
        valid(
            service,
            "Leave",
            &ctrl::LeaveRequest { request_id: 2, leave: Some(ctrl::Leave { gids: vec![900] }) },
        ),
        valid(
            service,
            "Move",
            &ctrl::MoveRequest { request_id: 3, r#move: Some(ctrl::Move { shard: 1, gid: 900 }) },
        ),
        valid(service, "Query", &ctrl::QueryRequest { num: Some(1), directory: true, stale: true }),
        valid(service, "WatchConfig", &ctrl::WatchConfigRequest { config: 1, revision: 1 }),
        valid(service, "Register", &ctrl::RegisterRequest { register: Some(register) }),
        valid(
            service,
            "Report",
            &ctrl::ReportRequest { report: Some(ctrl::Report { gid: 900, ..Default::default() }) },
        ),
        valid(service, "Lock", &ctrl::LockRequest { request_id: 4, lock: Some(lock) }),
        valid(
            service,
            "Unlock",
            &ctrl::UnlockRequest {
                request_id: 5,
                unlock: Some(ctrl::Unlock { name: "wild".into(), token: 1 }),
            },
        ),
        valid(service, "GetStatus", &ctrl::GetStatusRequest {}),
    ]
}

fn raft_requests() -> Vec<Valid> {
    let service = "raft.v1.RaftService";
    // A stranger's cluster: whatever mutation does, it does not become ours.
    let route = Some(raft::Route {
        cluster_high: 1,
        cluster_low: 2,
        gid: 1,
        incarnation: 1,
        from_member: 3,
        to_member: 4,
    });
    let vote = Some(raft::Vote { term: 9, member: 3, committed: true });
    let last = Some(raft::LogId { term: 9, index: u64::MAX });
    let entry = raft::Entry { log_id: last, payload: Some(raft::entry::Payload::Blank(raft::Blank {})) };
    let append = raft::AppendRequest { route, vote, previous: last, entries: vec![entry], committed: last };
    let files = vec![raft::SnapshotFile { name: "../x".into(), bytes: u64::MAX }; 2];
    let begin = raft::SnapshotBegin { route, vote, files, ..Default::default() };
    let frame = raft::SnapshotFrame { frame: Some(raft::snapshot_frame::Frame::Begin(begin)) };
    vec![
        valid(service, "StreamAppend", &append),
        valid(service, "Append", &append),
        valid(service, "Vote", &raft::VoteRequest { route, vote, last, ..Default::default() }),
        valid(
            service,
            "TransferLeader",
            &raft::TransferLeaderRequest { route, from_leader: vote, to_leader: 1, last },
        ),
        valid(service, "InstallSnapshot", &frame),
    ]
}

/// A few of the request's bytes changed, removed, repeated or made up.
pub fn mutated(request: &[u8], rng: &mut StdRng) -> Vec<u8> {
    let mut out = request.to_vec();
    for _ in 0..rng.random_range(1..6) {
        let at = rng.random_range(0..=out.len());
        match rng.random_range(0..6) {
            0 => out.truncate(at),
            1 => out.insert(at, rng.random()),
            2 => out.extend_from_within(at..),
            3 => out.splice(at..at, [255; 9]).for_each(drop),
            4 => {
                let mut noise = vec![0; rng.random_range(0..64)];
                rng.fill_bytes(&mut noise);
                out.splice(at.., noise).for_each(drop);
            }
            _ => out.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << rng.random_range(0..8)),
        }
    }
    out
}
