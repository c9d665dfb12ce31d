//! The I/O of a shard group's leader: fetches configurations, pulls shards, tells old owners to delete, reports.

use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::ctrl_v1::{Code as CtrlCode, Directory, Report, ShardConfig};
use flotilla_proto::env::Environment;
use flotilla_proto::faults::{mark, site};
use flotilla_proto::kv_v1::{
    Chunk, Code, DeleteShardsDataRequest, DeleteShardsDataResponse, GetShardsDataRequest,
    GetShardsDataResponse, Hint, TransferAnswer, TransferCursor, TransferPhase,
};
use flotilla_raft_store::{Group, ReplicaId};
use flotilla_shardkv::{Action, Outcome, ShardKv};
use flotilla_types::planted::{self, Bug};
use flotilla_types::{ConfigNum, GroupId, ShardId, Wire};
use futures::future::BoxFuture;
use tokio::time::{sleep, timeout};

use crate::controller::ControllerClient;
use crate::moves::Moves;
use crate::peers::{Asked, Peers};
use crate::reconcile::{Failure, Performer};
use crate::topology::Topology;

/// How long to wait for news of the next configuration before asking for it.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How often one piece of work asks; then it begins anew.
const POLLS: u32 = 30;

/// Performs for one replica of one shard group.
#[derive(Clone)]
pub struct KvPerformer(Arc<Inner>);

struct Inner {
    replica: ReplicaId,
    group: Group<ShardKv>,
    env: Environment,
    topology: Topology,
    controller: ControllerClient,
    peers: Peers,
    moves: Moves,
    chunk_bytes: usize,
}

impl KvPerformer {
    /// A performer for the replica that `group` is a handle to.
    pub fn new(
        group: Group<ShardKv>,
        env: Environment,
        topology: Topology,
        controller: ControllerClient,
        peers: Peers,
        moves: Moves,
        chunk_bytes: usize,
    ) -> Self {
        let replica = group.id();
        Self(Arc::new(Inner { replica, group, env, topology, controller, peers, moves, chunk_bytes }))
    }
}

impl Performer<ShardKv> for KvPerformer {
    fn perform(&self, action: Action) -> BoxFuture<'static, Result<Outcome, Failure>> {
        let inner = self.0.clone();
        Box::pin(async move {
            match action {
                Action::FetchConfig { num } => inner.fetch_config(num).await,
                Action::Pull { shard, config, from, cursor, seal } => {
                    inner.pull(shard, config, from, cursor, seal).await
                }
                Action::DeleteAtSource { shard, config, from } => {
                    inner.delete_at_source(shard, config, from).await
                }
                Action::Report { settled } => inner.report(settled).await,
                Action::Expire { .. } => Ok(Outcome::Now(inner.group.stamp().await)),
                Action::AwaitFreeze { lease_ms, .. } => {
                    sleep(Duration::from_millis(lease_ms)).await;
                    Ok(Outcome::Lapsed)
                }
            }
        })
    }

    fn comes_again(&self, action: &Action) -> bool {
        matches!(action, Action::Expire { .. })
    }

    fn mark(&self, action: &Action, outcome: &Outcome) -> Option<&'static str> {
        match (action, outcome) {
            (Action::FetchConfig { .. }, Outcome::Config(Some(_))) => Some(mark::MOVE_ADOPTED),
            (Action::Pull { cursor, .. }, Outcome::Transfer(TransferAnswer::Chunk(chunk))) => {
                Some(step(cursor, chunk))
            }
            (Action::DeleteAtSource { .. }, Outcome::SourceDeleted) => Some(mark::MOVE_ACKNOWLEDGED),
            _ => None,
        }
    }

    fn failed(&self, action: &Action, _failures: u32, failure: &Failure) {
        if let Action::Pull { shard, config, .. } | Action::DeleteAtSource { shard, config, .. } = action {
            self.0.moves.failed(self.0.replica.gid, *shard, *config, &failure.0);
        }
    }
}

// The step of a move that a chunk is.
fn step(cursor: &TransferCursor, chunk: &Chunk) -> &'static str {
    match cursor.phase() {
        _ if chunk.last.is_some() => mark::MOVE_INSTALLED,
        TransferPhase::Delta => mark::MOVE_DELTA,
        TransferPhase::Rows if cursor.key.is_empty() => mark::MOVE_FIRST_CHUNK,
        TransferPhase::Rows | TransferPhase::Sessions => mark::MOVE_MID_COPY,
    }
}

impl Inner {
    // Nothing is adopted, so nothing is served, before the controller has recorded that the group exists: until then a
    // member that comes up with an empty disk may still initialise it anew, and must not be able to lose anything.
    fn is_recorded(&self) -> bool {
        let known = self.topology.now();
        let mut records = known.directory.groups.iter();
        records.any(|record| {
            let same =
                (record.gid, record.incarnation) == (self.replica.gid.get(), self.replica.incarnation.get());
            same && record.initialised && !record.is_void(self.replica.member.get())
        })
    }

    // The topology is pushed, so waiting for it to say that the number exists costs nothing; the interval makes it a poll.
    async fn fetch_config(&self, num: ConfigNum) -> Result<Outcome, Failure> {
        if !self.is_recorded() {
            return Err(Failure("the controller has not recorded yet that this group exists".to_owned()));
        }
        for _ in 0..POLLS {
            let mut known = self.topology.watch();
            let there = known.wait_for(|known| known.config.num >= num.get());
            match timeout(POLL_INTERVAL, there).await {
                Ok(Ok(known)) if known.config.num == num.get() => {
                    return self.own((*known.config).clone(), &known.directory);
                }
                // Beyond it already; or nobody pushed: a push may be lost, so ask.
                _ => {}
            }
            let answer = self.controller.config(num).await;
            let answer = answer.map_err(|status| Failure(format!("controller: {}", status.message())))?;
            if let Some((config, directory)) = answer {
                return self.own(config, &directory);
            }
        }
        Ok(Outcome::Config(None))
    }

    // A group that left may join again under its gid, and lives on here until this node has heard of its end. What a
    // configuration gives to the new life is not the old one's: both would serve it. The directory is as new as the
    // configuration, so it knows the life that is meant.
    fn own(&self, config: ShardConfig, directory: &Directory) -> Result<Outcome, Failure> {
        // A group begins with the configuration before its Join, in which it has nothing.
        let own = self.replica.incarnation.get();
        let life = directory.group_at(self.replica.gid.get(), config.num.max(own));
        match life.filter(|life| life.incarnation == own) {
            Some(_) => Ok(Outcome::Config(Some(config))),
            None => Err(Failure(format!("configuration {} is for another life of this group", config.num))),
        }
    }

    async fn pull(
        &self,
        shard: ShardId,
        config: ConfigNum,
        from: GroupId,
        cursor: TransferCursor,
        seal: bool,
    ) -> Result<Outcome, Failure> {
        let gid = self.replica.gid;
        // A source that does not answer must not hold the turns of those that do.
        if self.peers.is_silent(from) {
            return Err(Failure(format!("group {from} did not answer a moment ago")));
        }
        // Writers wait for the last piece: it takes no turn.
        let _slot = if seal { None } else { self.moves.slot().await };
        if seal {
            self.moves.sealing(gid, shard, config);
        }
        let request = GetShardsDataRequest {
            gid: from.get(),
            shard: shard.get(),
            config: config.get(),
            cursor: Some(cursor),
            seal,
            bytes_max: self.env.faults.choose(site::TINY_TRANSFER_CHUNK, self.chunk_bytes as u64, 1),
            chunks_max: 1,
        };
        let answer =
            self.peers.ask(from, config.previous(), |peer| peer.get_shards_data(request.clone())).await?;
        let transfer = self.transfer(from, answer).await?;
        if let TransferAnswer::Chunk(chunk) = &transfer
            && chunk.last.is_some()
        {
            if planted::is(Bug::DeleteBeforeInstall) {
                drop(self.delete_at_source(shard, config, from).await);
            }
            self.moves.arrived(gid, shard, config);
        }
        Ok(Outcome::Transfer(transfer))
    }

    async fn transfer(
        &self,
        from: GroupId,
        answer: GetShardsDataResponse,
    ) -> Result<TransferAnswer, Failure> {
        match answer.code() {
            Code::Ok => {}
            Code::NotReady => return Err(Failure(format!("group {from} is not ready: {}", answer.message))),
            Code::OutDated => return Ok(TransferAnswer::OutDated),
            code => return Err(Failure(format!("group {from} answered {code:?}: {}", answer.message))),
        }
        if crc32c::crc32c(&answer.chunk) != answer.crc32c {
            return Err(Failure(format!("a chunk from group {from} arrived damaged")));
        }
        let bytes = answer.chunk.len();
        let chunk = Chunk::decode_from(answer.chunk).map_err(|error| Failure(error.to_string()))?;
        self.moves.received(self.replica.gid, ShardId(chunk.shard), ConfigNum(chunk.config), bytes);
        self.moves.pace(bytes).await;
        Ok(TransferAnswer::Chunk(chunk))
    }

    async fn delete_at_source(
        &self,
        shard: ShardId,
        config: ConfigNum,
        from: GroupId,
    ) -> Result<Outcome, Failure> {
        // A group is torn down only once it has settled everything, this deletion included.
        if self.topology.now().directory.departed(from.get(), config.previous().get()) {
            return Ok(Outcome::SourceDeleted);
        }
        let request = DeleteShardsDataRequest { gid: from.get(), shard: shard.get(), config: config.get() };
        let answer = self.peers.ask(from, config.previous(), |peer| peer.delete_shards_data(request)).await?;
        match answer.code() {
            Code::Ok => Ok(Outcome::SourceDeleted),
            code => Err(Failure(format!("group {from} answered {code:?}: {}", answer.message))),
        }
    }

    async fn report(&self, settled: ConfigNum) -> Result<Outcome, Failure> {
        let report = Report {
            gid: self.replica.gid.get(),
            incarnation: self.replica.incarnation.get(),
            initialised: true,
            settled: settled.get(),
            member: self.replica.member.get(),
        };
        let response = self.controller.report(report).await;
        let response = response.map_err(|status| Failure(format!("controller: {}", status.message())))?;
        match response.code() {
            CtrlCode::Ok => Ok(Outcome::Reported),
            _ => Err(Failure(format!("controller: {}", response.message))),
        }
    }
}

impl Asked for GetShardsDataResponse {
    fn parts(&self) -> (Code, Option<&Hint>, &str) {
        (self.code(), self.hint.as_ref(), &self.message)
    }
}

impl Asked for DeleteShardsDataResponse {
    fn parts(&self) -> (Code, Option<&Hint>, &str) {
        (self.code(), self.hint.as_ref(), &self.message)
    }
}
