//! The gRPC service: finds the replica a request is meant for, and refuses every other request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::raft_v1 as pb;
use flotilla_proto::raft_v1::raft_service_server::{RaftService, RaftServiceServer};
use flotilla_types::{ClusterId, Machine, MemberId};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use openraft::raft::{TransferLeaderRequest, VoteRequest};
use parking_lot::RwLock;
use tonic::{Request, Response, Status, Streaming};

use super::handler::Handler;
use super::link::RAFT_MESSAGE_BYTES_MAX;
use crate::convert::{self, Malformed, Route};
use crate::group::Group;
use crate::ids::ReplicaId;

/// The service `flotilla.raft.v1.RaftService` of one node: all its groups behind one port. Cheap to clone.
#[derive(Clone)]
pub struct RaftServer {
    cluster: ClusterId,
    groups: Arc<RwLock<BTreeMap<ReplicaId, Arc<dyn Handler>>>>,
}

impl std::fmt::Debug for RaftServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RaftServer").field("replicas", &self.replicas()).finish_non_exhaustive()
    }
}

impl RaftServer {
    /// A server without groups. Requests from other clusters are refused.
    pub fn new(cluster: ClusterId) -> Self {
        Self { cluster, groups: Arc::default() }
    }

    /// Lets requests reach a group.
    pub fn register<M: Machine>(&self, group: &Group<M>) {
        self.groups.write().insert(group.id(), group.handler());
    }

    /// Refuses requests to a replica from now on.
    pub fn unregister(&self, replica: ReplicaId) {
        self.groups.write().remove(&replica);
    }

    /// The replicas that requests can reach.
    pub fn replicas(&self) -> Vec<ReplicaId> {
        self.groups.read().keys().copied().collect()
    }

    /// The service to add to a server's routes.
    pub fn service(&self) -> RaftServiceServer<Self> {
        RaftServiceServer::new(self.clone())
            .max_decoding_message_size(RAFT_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(RAFT_MESSAGE_BYTES_MAX)
    }

    /// The replica on the route, and who speaks.
    fn find(&self, route: Option<pb::Route>) -> Result<(Arc<dyn Handler>, MemberId), Status> {
        let route = Route::from(route.ok_or_else(|| Status::invalid_argument("route is missing"))?);
        if route.cluster != self.cluster {
            let text = format!("this is cluster {}, not {}", self.cluster, route.cluster);
            return Err(Status::failed_precondition(text));
        }
        let handler = self.groups.read().get(&route.to).cloned();
        let unknown = || Status::failed_precondition(format!("replica {} is not here", route.to));
        Ok((handler.ok_or_else(unknown)?, route.from))
    }
}

fn malformed(error: Malformed) -> Status {
    Status::invalid_argument(error.to_string())
}

/// Members vote and lead for themselves only.
fn check_from(vote: Option<&pb::Vote>, from: MemberId) -> Result<pb::Vote, Status> {
    match vote {
        Some(vote) if vote.member == from.get() => Ok(*vote),
        Some(vote) => {
            Err(Status::permission_denied(format!("member {from} speaks for member {}", vote.member)))
        }
        None => Err(Status::invalid_argument("a vote is missing")),
    }
}

/// How long a stream may be open without saying whom it is for.
const HELLO_PATIENCE: Duration = Duration::from_secs(10);

type AppendReplies = BoxStream<'static, Result<pb::AppendReply, Status>>;

#[tonic::async_trait]
impl RaftService for RaftServer {
    type StreamAppendStream = AppendReplies;

    async fn stream_append(
        &self,
        request: Request<Streaming<pb::AppendRequest>>,
    ) -> Result<Response<AppendReplies>, Status> {
        let server = self.clone();
        let mut requests = request.into_inner();
        // The answer's headers go out at once; who is meant comes with the first message.
        let replies = async move {
            let hello = tokio::time::timeout(HELLO_PATIENCE, requests.message()).await;
            let hello = hello.map_err(|_| Status::deadline_exceeded("no route in time"))??;
            let (handler, from) = server.find(hello.and_then(|hello| hello.route))?;
            // The stream ends at a request that cannot be read, and the leader starts another.
            let requests = stream::unfold(requests, move |mut requests| async move {
                let request = requests.message().await.ok()??;
                check_from(request.vote.as_ref(), from).ok()?;
                Some((convert::append_from(request).ok()?, requests))
            });
            Ok::<_, Status>(handler.stream(requests.boxed()))
        };
        Ok(Response::new(stream::once(replies).try_flatten().boxed()))
    }

    async fn append(&self, request: Request<pb::AppendRequest>) -> Result<Response<pb::AppendReply>, Status> {
        let mut request = request.into_inner();
        let (handler, from) = self.find(request.route.take())?;
        check_from(request.vote.as_ref(), from)?;
        let request = convert::append_from(request).map_err(malformed)?;
        Ok(Response::new(handler.append(request).await?))
    }

    async fn vote(&self, request: Request<pb::VoteRequest>) -> Result<Response<pb::VoteReply>, Status> {
        let request = request.into_inner();
        let (handler, from) = self.find(request.route)?;
        let vote = convert::vote_from(&check_from(request.vote.as_ref(), from)?);
        let mut rpc = VoteRequest::new(vote, request.last.as_ref().map(convert::log_id_from));
        rpc.leadership_transfer = request.leadership_transfer;
        Ok(Response::new(handler.vote(rpc, request.pre_vote).await?))
    }

    async fn transfer_leader(
        &self,
        request: Request<pb::TransferLeaderRequest>,
    ) -> Result<Response<pb::TransferLeaderReply>, Status> {
        let request = request.into_inner();
        let (handler, from) = self.find(request.route)?;
        let leader = convert::vote_from(&check_from(request.from_leader.as_ref(), from)?);
        // The leader tells every member who shall follow it, not only that one.
        let chosen = MemberId(request.to_leader);
        let last = request.last.as_ref().map(convert::log_id_from);
        let rpc = TransferLeaderRequest::new(leader, chosen, last);
        Ok(Response::new(handler.transfer_leader(rpc).await?))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<pb::SnapshotFrame>>,
    ) -> Result<Response<pb::SnapshotReply>, Status> {
        let mut frames = request.into_inner();
        let first = tokio::time::timeout(HELLO_PATIENCE, frames.message()).await;
        let first = first.map_err(|_| Status::deadline_exceeded("no begin frame in time"))??;
        let first = first.and_then(|frame| frame.frame);
        let Some(pb::snapshot_frame::Frame::Begin(mut begin)) = first else {
            return Err(Status::invalid_argument("a snapshot starts with its begin frame"));
        };
        let (handler, from) = self.find(begin.route.take())?;
        check_from(begin.vote.as_ref(), from)?;
        Ok(Response::new(handler.install_snapshot(begin, frames).await?))
    }
}
