//! Carries out clients' operations on the local replica of the group they name.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotilla_proto::env::Environment;
use flotilla_proto::faults::mark;
use flotilla_proto::kv_v1::op::Kind as OpKind;
use flotilla_proto::kv_v1::{
    Code, Command as KvCommand, CommandRequest, Consistency, Op, Reply, ScanPage, command,
};
use flotilla_raft_store::Group;
use flotilla_shardkv::api::{Answer, Query};
use flotilla_shardkv::{Action, ShardKv};
use flotilla_types::{GroupId, ShardId, Wire, planted, shard_of_key};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use super::{propose_refusal, read_refusal};
use crate::replicas::Replicas;

/// How long the server works on a request that names no time.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
/// The longest it works on any.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// How long a request waits for a shard that is about to arrive.
const PARK_MAX: Duration = Duration::from_secs(1);
/// The most requests that wait so, on this node.
const PARKED_MAX: usize = 4096;

/// Carries out operations; cheap to clone.
#[derive(Clone)]
pub struct Commands {
    replicas: Replicas,
    env: Environment,
    parked: Arc<Semaphore>,
}

/// A scan of one shard, decoded.
#[derive(Clone)]
pub struct Scan {
    /// The shard.
    pub shard: ShardId,
    /// The first key.
    pub start: Bytes,
    /// The first key that is out; empty: none.
    pub end: Bytes,
    /// At most so many rows.
    pub rows_max: usize,
    /// Leave the values out.
    pub keys_only: bool,
}

impl Commands {
    /// Operations on the replicas of one node.
    pub fn new(replicas: Replicas, env: Environment) -> Self {
        Self { replicas, env, parked: Arc::new(Semaphore::new(PARKED_MAX)) }
    }

    /// The replicas.
    pub fn replicas(&self) -> &Replicas {
        &self.replicas
    }

    /// Carries out one operation.
    pub async fn command(&self, request: CommandRequest) -> Reply {
        let gid = GroupId(request.gid);
        let deadline = self.deadline(request.timeout_ms);
        let Some(group) = self.replicas.shards(gid) else { return self.not_here(gid) };
        let Some(key) = request.op.as_ref().and_then(routing_key).cloned() else {
            return Reply { gid: gid.get(), ..Reply::refused(Code::Invalid, "the operation names no key") };
        };
        if is_nested(request.op.as_ref()) {
            let message = "a batch inside a batch: put its operations into the outer one";
            return Reply { gid: gid.get(), ..Reply::refused(Code::Invalid, message) };
        }
        let Some(shard) = self.shard_of(&key) else { return self.not_here(gid) };
        match timeout_at(deadline, self.attempts(&group, shard, request, deadline)).await {
            Ok(reply) => self.marked(reply),
            Err(_) => Reply {
                gid: gid.get(),
                ..Reply::refused(
                    Code::Timeout,
                    format!("group {gid} did not answer in time: the outcome is unknown"),
                )
            },
        }
    }

    /// Counts that `mark` was passed.
    pub fn seen(&self, mark: &'static str) {
        self.env.faults.seen(mark);
    }

    fn marked(&self, reply: Reply) -> Reply {
        match reply.code() {
            Code::WrongGroup => self.seen(mark::WRONG_GROUP_ANSWERED),
            Code::SessionExpired => self.seen(mark::SESSION_EXPIRED_REFUSED),
            _ => {}
        }
        reply
    }

    // The version of the key that a write names, if anybody counts: an answer that is no newer was remembered.
    fn version_before(&self, group: &Group<ShardKv>, shard: ShardId, op: Option<&Op>) -> Option<u64> {
        let key = op.filter(|_| self.env.faults.counts()).and_then(routing_key)?.clone();
        match group.read_local(Query::Get { shard, key, now_ms: 0 }) {
            Ok(Answer::Reply(reply)) if matches!(reply.code(), Code::Ok | Code::NoKey) => Some(reply.version),
            _ => None,
        }
    }

    /// One page of one shard.
    pub async fn scan(
        &self,
        gid: GroupId,
        scan: Scan,
        consistency: Consistency,
        timeout_ms: u32,
    ) -> Result<ScanPage, Reply> {
        let group = self.replicas.shards(gid).ok_or_else(|| self.not_here(gid))?;
        let query = |now_ms| Query::Scan {
            shard: scan.shard,
            start: scan.start.clone(),
            end: scan.end.clone(),
            rows_max: scan.rows_max,
            keys_only: scan.keys_only,
            now_ms,
        };
        let read = self.read(&group, query, consistency);
        match timeout_at(self.deadline(timeout_ms), read).await {
            Ok(Ok(Answer::Page(page))) => Ok(page),
            Ok(Ok(Answer::Reply(reply)) | Err(reply)) => Err(reply),
            Ok(Ok(_)) => Err(Reply::refused(Code::NotReady, "the page is not ready: ask again")),
            Err(_) => Err(Reply::refused(Code::Timeout, format!("group {gid} did not answer in time"))),
        }
    }

    fn deadline(&self, timeout_ms: u32) -> Instant {
        let asked = Duration::from_millis(timeout_ms.into());
        let wait = if asked.is_zero() { TIMEOUT_DEFAULT } else { asked.min(TIMEOUT_MAX) };
        Instant::now() + wait
    }

    fn shard_of(&self, key: &[u8]) -> Option<ShardId> {
        let shards = self.replicas.node().topology.now().directory.shards;
        (shards > 0).then(|| shard_of_key(key, shards))
    }

    fn not_here(&self, gid: GroupId) -> Reply {
        let node = self.replicas.node().options.node;
        let message = format!("node {node} hosts no replica of group {gid}: ask the group's nodes");
        Reply { gid: gid.get(), ..Reply::refused(Code::WrongLeader, message) }
    }

    // Tries, and tries again after a shard that is about to arrive has arrived.
    async fn attempts(
        &self,
        group: &Group<ShardKv>,
        shard: ShardId,
        request: CommandRequest,
        deadline: Instant,
    ) -> Reply {
        loop {
            let reply = self.attempt(group, shard, &request).await;
            let waits = matches!(reply.code(), Code::WrongGroup | Code::NotReady) && arriving(group, shard);
            if !waits || Instant::now() >= deadline || !self.park(group, shard).await {
                return reply;
            }
        }
    }

    async fn attempt(&self, group: &Group<ShardKv>, shard: ShardId, request: &CommandRequest) -> Reply {
        match request.op.as_ref().and_then(|op| op.kind.as_ref()) {
            Some(OpKind::Get(get)) => {
                let query = |now_ms| Query::Get { shard, key: get.key.clone(), now_ms };
                match self.read(group, query, request.consistency()).await {
                    Ok(Answer::Reply(reply)) | Err(reply) => reply,
                    Ok(_) => Reply::refused(Code::NotReady, "the answer is not ready: ask again"),
                }
            }
            _ => self.write(group, shard, request).await,
        }
    }

    async fn write(&self, group: &Group<ShardKv>, shard: ShardId, request: &CommandRequest) -> Reply {
        let write = command::Write {
            shard: shard.get(),
            id: request.id,
            op: request.op.clone(),
            now_ms: group.stamp().await,
        };
        let gid = group.id().gid;
        let edge = self.edge_key(request);
        if let Some(reply) = planted::recall(edge).and_then(|reply| Reply::decode_from(reply.into()).ok()) {
            return reply;
        }
        if let Some(refusal) = frozen_out(group, &write) {
            return refusal;
        }
        let before = self.version_before(group, shard, request.op.as_ref());
        match group.propose(KvCommand { kind: Some(command::Kind::Write(write)) }).await {
            Ok(response) => {
                let reply = response.reply.unwrap_or_default();
                if reply.code() == Code::Ok && before.is_some_and(|before| reply.version <= before) {
                    self.seen(mark::DEDUP_HIT);
                }
                planted::remember(edge, || reply.to_bytes().to_vec());
                reply
            }
            Err(error) => propose_refusal(gid, error),
        }
    }

    fn edge_key(&self, request: &CommandRequest) -> planted::EdgeKey {
        let id = request.id.unwrap_or_default();
        [self.replicas.node().options.node.get(), id.client, id.lane.into(), id.seq]
    }

    // A read that would see a key expire commits a tick first; once is enough, time does not go back.
    async fn read(
        &self,
        group: &Group<ShardKv>,
        query: impl Fn(u64) -> Query,
        consistency: Consistency,
    ) -> Result<Answer, Reply> {
        let gid = group.id().gid;
        let stale = consistency == Consistency::Stale;
        let now_ms = if stale { 0 } else { group.stamp().await };
        let ask = || async {
            let answer =
                if stale { group.read_local(query(now_ms)) } else { group.read(query(now_ms)).await };
            answer.map_err(|error| read_refusal(gid, error))
        };
        let shard = match ask().await? {
            Answer::TickFirst(shard) => shard,
            answer => return Ok(answer),
        };
        let tick = command::Tick { shard: shard.get(), now_ms };
        let tick = KvCommand { kind: Some(command::Kind::Tick(tick)) };
        group.propose(tick).await.map_err(|error| propose_refusal(gid, error))?;
        ask().await
    }

    // Waits until the shard has arrived, or not for ever. False: there is no room to wait, or it took too long.
    async fn park(&self, group: &Group<ShardKv>, shard: ShardId) -> bool {
        let Ok(_place) = self.parked.try_acquire() else { return false };
        let mut progress = group.watch();
        let arrived = async {
            while arriving(group, shard) {
                if progress.changed().await.is_err() {
                    return false;
                }
            }
            true
        };
        timeout(PARK_MAX, arrived).await.unwrap_or(false)
    }
}

// What a leader refuses because of a freeze it refuses before the log as well. A replica that follows may not have heard of
// the thaw, so it says what it always says: who leads.
fn frozen_out(group: &Group<ShardKv>, write: &command::Write) -> Option<Reply> {
    if !group.is_leader() || !group.machine().is_frozen() {
        return None;
    }
    match group.read_local(Query::RefusalAhead(write.clone())) {
        Ok(Answer::Reply(refusal)) => Some(refusal),
        _ => None,
    }
}

// The last piece of the shard has been asked for: it is a matter of two commits.
fn arriving(group: &Group<ShardKv>, shard: ShardId) -> bool {
    let sealing = |action: &Action| matches!(action, Action::Pull { shard: moving, seal: true, .. } if *moving == shard);
    group.is_leader() && group.actions().iter().any(sealing)
}

fn routing_key(op: &Op) -> Option<&Bytes> {
    match op.kind.as_ref()? {
        OpKind::Get(get) => Some(&get.key),
        OpKind::Put(put) => Some(&put.key),
        OpKind::Append(append) => Some(&append.key),
        OpKind::Delete(delete) => Some(&delete.key),
        OpKind::CompareAndSet(cas) => Some(&cas.key),
        OpKind::Batch(batch) => batch.ops.first().and_then(inner_key),
    }
}

// Refused before the log: a command that nests deeper in the log than on the wire might not decode again there.
fn is_nested(op: Option<&Op>) -> bool {
    match op.and_then(|op| op.kind.as_ref()) {
        Some(OpKind::Batch(batch)) => batch.ops.iter().any(|op| matches!(op.kind, Some(OpKind::Batch(_)))),
        _ => false,
    }
}

// Batches do not nest.
fn inner_key(op: &Op) -> Option<&Bytes> {
    match op.kind.as_ref()? {
        OpKind::Batch(_) => None,
        _ => routing_key(op),
    }
}
