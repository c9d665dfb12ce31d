//! One member's way to another.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::faults::Faults;
use flotilla_proto::net::{GrpcService, Lane, Network};
use flotilla_proto::raft_v1 as pb;
use flotilla_proto::raft_v1::raft_service_client::RaftServiceClient;
use flotilla_types::{ClusterId, MemberId};
use futures::Stream;
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2, stream_append_sequential};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendError, StreamAppendResult,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{RPCTypes, Snapshot};
use tokio::time::Instant;
use tonic::{Code, Status};

use super::clocks::Clocks;
use crate::convert::{self, Route};
use crate::data::snapshot::SnapshotHandle;
use crate::group::options::RaftTimings;
use crate::ids::{Peer, ReplicaId};
use crate::raft_types::{C, Vote};

/// The largest Raft message: a full log entry that ends in the largest command, with room for framing.
pub(crate) const RAFT_MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

pub(crate) type RaftClient = RaftServiceClient<GrpcService>;

/// Makes links to the other members of one replica's group.
#[derive(Clone)]
pub(crate) struct Links {
    pub network: Arc<dyn Network>,
    pub cluster: ClusterId,
    pub own: ReplicaId,
    pub timings: RaftTimings,
    /// Where to note what the others' clocks show.
    pub clocks: Arc<Clocks>,
    pub faults: Faults,
}

impl Links {
    fn link(&self, to: MemberId, peer: &Peer, heartbeat: bool) -> Link {
        Link { links: self.clone(), to, peer: peer.clone(), heartbeat, pause: Duration::ZERO }
    }
}

impl RaftNetworkFactory<C> for Links {
    type Network = Link;

    async fn new_client(&mut self, target: MemberId, node: &Peer) -> Link {
        self.link(target, node, false)
    }

    async fn new_heartbeat_client(&mut self, target: MemberId, node: &Peer) -> Link {
        self.link(target, node, true)
    }
}

/// The way to one member.
pub(crate) struct Link {
    pub links: Links,
    pub to: MemberId,
    pub peer: Peer,
    /// Heartbeats are unary: a stream for each would cost more than it carries.
    heartbeat: bool,
    /// To wait before the next stream. Grows with every stream that gets no answer: openraft's own backoff comes
    /// before the first request, but a peer that is not there refuses the stream before that.
    pub pause: Duration,
}

impl Link {
    pub fn client(&self, lane: Lane) -> Result<RaftClient, Unreachable<C>> {
        let service = self.links.network.connect(&self.peer.address, lane);
        let service = service.map_err(|error| Unreachable::new(&error))?;
        let client = RaftServiceClient::new(service);
        Ok(client
            .max_decoding_message_size(RAFT_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(RAFT_MESSAGE_BYTES_MAX))
    }

    pub fn timings(&self) -> &RaftTimings {
        &self.links.timings
    }

    pub fn route(&self) -> Route {
        let to = ReplicaId { member: self.to, ..self.links.own };
        Route { cluster: self.links.cluster, to, from: self.links.own.member }
    }

    pub fn timeout(&self, action: RPCTypes, timeout: Duration) -> Timeout<C> {
        Timeout { action, id: self.links.own.member, target: self.to, timeout }
    }

    async fn call<T>(
        &self,
        action: RPCTypes,
        timeout: Duration,
        call: BoxFuture<'static, Result<tonic::Response<T>, Status>>,
    ) -> Result<T, RPCError<C>> {
        match tokio::time::timeout(timeout, call).await {
            Ok(answer) => Ok(answer.map_err(|status| rpc_error(&status))?.into_inner()),
            Err(_) => Err(self.timeout(action, timeout).into()),
        }
    }

    async fn ask(&self, rpc: VoteRequest<C>, pre_vote: bool) -> Result<VoteResponse<C>, RPCError<C>> {
        let request = pb::VoteRequest {
            route: Some(self.route().into()),
            vote: Some(convert::vote(&rpc.vote)),
            last: rpc.last_log_id.as_ref().map(convert::log_id),
            leadership_transfer: rpc.leadership_transfer,
            pre_vote,
        };
        let mut client = self.client(Lane::Heartbeat)?;
        let timeout = Duration::from_millis(self.links.timings.election_ms_max);
        let reply =
            self.call(RPCTypes::Vote, timeout, Box::pin(async move { client.vote(request).await })).await?;
        let vote = reply.vote.ok_or_else(|| malformed("a vote reply without a vote"))?;
        let last = reply.last.as_ref().map(convert::log_id_from);
        Ok(VoteResponse::new(convert::vote_from(&vote), last, reply.granted))
    }
}

/// A failed call as openraft wants it: after `Unreachable` it backs off.
pub(crate) fn rpc_error(status: &Status) -> RPCError<C> {
    match status.code() {
        Code::Unavailable | Code::Unknown | Code::FailedPrecondition | Code::Unimplemented => {
            RPCError::Unreachable(Unreachable::from_string(status_text(status)))
        }
        _ => RPCError::Network(NetworkError::from_string(status_text(status))),
    }
}

fn status_text(status: &Status) -> String {
    let cause = std::error::Error::source(status).map(crate::error::describe);
    format!("{}: {} {}", status.code(), status.message(), cause.unwrap_or_default())
}

pub(crate) fn malformed(what: impl ToString) -> RPCError<C> {
    RPCError::Network(NetworkError::from_string(what))
}

impl RaftNetworkV2<C> for Link {
    type SnapshotData = SnapshotHandle;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<C>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<C>, RPCError<C>> {
        let last = rpc.entries.last().map(|entry| entry.log_id).or(rpc.prev_log_id);
        let request = convert::append(&rpc, Some(self.route()));
        let mut client = self.client(Lane::Heartbeat)?;
        let timeout = Duration::from_millis(self.links.timings.append_ms_max);
        let sent = Instant::now();
        let reply = self
            .call(RPCTypes::AppendEntries, timeout, Box::pin(async move { client.append(request).await }))
            .await?;
        self.links.clocks.heard(self.to, reply.clock_ms, sent);
        Ok(match convert::append_reply_from(reply).map_err(malformed)? {
            Ok(matched) if matched == last => AppendEntriesResponse::Success,
            Ok(matched) => AppendEntriesResponse::PartialSuccess(matched),
            Err(StreamAppendError::Conflict(_)) => AppendEntriesResponse::Conflict,
            Err(StreamAppendError::HigherVote(vote)) => AppendEntriesResponse::HigherVote(vote),
        })
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Result<StreamAppendResult<C>, RPCError<C>>>, RPCError<C>>>
    where
        S: Stream<Item = AppendEntriesRequest<C>> + Send + Unpin + 'static,
    {
        match self.heartbeat {
            true => stream_append_sequential(self, input, option),
            false => Box::pin(super::stream::open(self, input)),
        }
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<C>,
        _option: RPCOption,
    ) -> Result<VoteResponse<C>, RPCError<C>> {
        self.ask(rpc, false).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<C>,
        _option: RPCOption,
    ) -> Result<VoteResponse<C>, RPCError<C>> {
        self.ask(rpc, true).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot<openraft::alias::CommittedLeaderIdOf<C>, MemberId, Peer, SnapshotHandle>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<C>, StreamingError<C>> {
        tokio::select! {
            closed = cancel => Err(closed.into()),
            sent = super::send::send(self, vote, snapshot.snapshot) => sent,
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<C>,
        _option: RPCOption,
    ) -> Result<TransferLeaderResponse<C>, RPCError<C>> {
        let request = pb::TransferLeaderRequest {
            route: Some(self.route().into()),
            from_leader: Some(convert::vote(request.from_leader())),
            last: request.last_log_id().map(convert::log_id),
            to_leader: request.to_node_id().get(),
        };
        let mut client = self.client(Lane::Heartbeat)?;
        let timeout = Duration::from_millis(self.links.timings.election_ms_max);
        let reply = self
            .call(
                RPCTypes::TransferLeader,
                timeout,
                Box::pin(async move { client.transfer_leader(request).await }),
            )
            .await?;
        match reply.refusal.as_str() {
            "" => Ok(Ok(())),
            refusal => Err(malformed(refusal)),
        }
    }
}
