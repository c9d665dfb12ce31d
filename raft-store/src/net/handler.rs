//! A group behind the service: what a request does once it has been routed and checked.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flotilla_proto::env::{Clock, Random};
use flotilla_proto::raft_v1 as pb;
use flotilla_types::Machine;
use flotilla_types::planted::{self, Bug};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use openraft::async_runtime::watch::WatchReceiver;
use openraft::raft::{
    AppendEntriesRequest, StreamAppendError, StreamAppendResult, TransferLeaderRequest, VoteRequest,
};
use openraft::{Raft, Snapshot};
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use crate::blocking::blocking;
use crate::convert;
use crate::data::state_machine::StateMachine;
use crate::data::view::Replica;
use crate::raft_types::{C, Runtime};

/// One replica, without the type of its machine.
#[async_trait]
pub(crate) trait Handler: Send + Sync {
    async fn append(&self, request: AppendEntriesRequest<C>) -> Result<pb::AppendReply, Status>;

    fn stream(
        &self,
        requests: BoxStream<'static, AppendEntriesRequest<C>>,
    ) -> BoxStream<'static, Result<pb::AppendReply, Status>>;

    async fn vote(&self, request: VoteRequest<C>, pre_vote: bool) -> Result<pb::VoteReply, Status>;

    async fn transfer_leader(
        &self,
        request: TransferLeaderRequest<C>,
    ) -> Result<pb::TransferLeaderReply, Status>;

    async fn install_snapshot(
        &self,
        begin: pb::SnapshotBegin,
        frames: Streaming<pb::SnapshotFrame>,
    ) -> Result<pb::SnapshotReply, Status>;
}

/// The one implementation.
pub(crate) struct GroupHandler<M: Machine> {
    pub raft: Raft<C, StateMachine<M>>,
    pub replica: Arc<Replica<M>>,
    /// Every answer says what it shows.
    pub clock: Arc<dyn Clock>,
    /// Seeds for the tasks that openraft spawns for a stream.
    pub random: Arc<dyn Random>,
    /// Cancelled when the group shuts down: streams must not keep the server from stopping.
    pub stop: CancellationToken,
    /// Held while a snapshot is received: one at a time.
    pub receiving: tokio::sync::Mutex<()>,
    pub chunk_patience: Duration,
    pub heard: Heard,
}

/// When a leader was last heard and followed. openraft remembers a leader as long as it knows no better.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Option<Instant>>>);

impl Heard {
    /// Whether that was at most so long ago.
    pub fn within(&self, patience: Duration) -> bool {
        self.0.lock().is_some_and(|heard| heard.elapsed() <= patience)
    }

    /// Notes what an append was answered: all but the deposed are followed.
    fn note(&self, answer: &StreamAppendResult<C>) {
        if !matches!(answer, Err(StreamAppendError::HigherVote(_))) {
            *self.0.lock() = Some(Instant::now());
        }
    }
}

/// Answers what fits to the log before it is there.
fn hasty<M: Machine>(
    raft: Raft<C, StateMachine<M>>,
    requests: BoxStream<'static, AppendEntriesRequest<C>>,
) -> impl Stream<Item = Result<pb::AppendReply, Status>> {
    requests.then(move |request| {
        let raft = raft.clone();
        async move {
            let previous = request.prev_log_id;
            let last = request.entries.last().map(|entry| entry.log_id).or(previous);
            let fits = previous.map(|id| id.index) <= raft.metrics().borrow_watched().last_log_index;
            if fits {
                tokio::spawn(async move { raft.append_entries(request).await.is_ok() });
                return Ok(convert::append_reply(&Ok(last), 0));
            }
            let response = raft.append_entries(request).await.map_err(stopped)?;
            Ok(convert::append_reply(&response.into_stream_result(previous, last), 0))
        }
    })
}

fn stopped(error: impl std::fmt::Display) -> Status {
    Status::unavailable(format!("the replica has stopped: {error}"))
}

#[async_trait]
impl<M: Machine> Handler for GroupHandler<M> {
    async fn append(&self, request: AppendEntriesRequest<C>) -> Result<pb::AppendReply, Status> {
        let previous = request.prev_log_id;
        let last = request.entries.last().map(|entry| entry.log_id).or(previous);
        let response = self.raft.append_entries(request).await.map_err(stopped)?;
        let answer = response.into_stream_result(previous, last);
        self.heard.note(&answer);
        Ok(convert::append_reply(&answer, self.clock.now_ms()))
    }

    fn stream(
        &self,
        requests: BoxStream<'static, AppendEntriesRequest<C>>,
    ) -> BoxStream<'static, Result<pb::AppendReply, Status>> {
        if planted::is(Bug::AckBeforeQuorum) {
            return hasty(self.raft.clone(), requests).boxed();
        }
        // Both halves end with the group: openraft holds the requests in a task of its own.
        let requests = requests.take_until(self.stop.clone().cancelled_owned());
        let raft = self.raft.clone();
        let open = async move {
            let replies: BoxStream<'static, _> = raft.stream_append(requests).boxed();
            replies
        };
        let replies = stream::once(Runtime::scope(self.random.next_u64(), open)).flatten();
        let (heard, clock) = (self.heard.clone(), self.clock.clone());
        let replies = replies.map(move |reply| {
            let answer = reply.map_err(stopped)?;
            heard.note(&answer);
            Ok(convert::append_reply(&answer, clock.now_ms()))
        });
        replies.take_until(self.stop.clone().cancelled_owned()).boxed()
    }

    async fn vote(&self, request: VoteRequest<C>, pre_vote: bool) -> Result<pb::VoteReply, Status> {
        let response = match pre_vote {
            true => self.raft.pre_vote(request).await,
            false => self.raft.vote(request).await,
        };
        let response = response.map_err(stopped)?;
        Ok(pb::VoteReply {
            vote: Some(convert::vote(&response.vote)),
            granted: response.vote_granted,
            last: response.last_log_id.as_ref().map(convert::log_id),
        })
    }

    async fn transfer_leader(
        &self,
        request: TransferLeaderRequest<C>,
    ) -> Result<pb::TransferLeaderReply, Status> {
        let accepted = self.raft.handle_transfer_leader(request).await.map_err(stopped)?;
        Ok(pb::TransferLeaderReply {
            refusal: accepted.err().map(|error| error.to_string()).unwrap_or_default(),
        })
    }

    async fn install_snapshot(
        &self,
        begin: pb::SnapshotBegin,
        mut frames: Streaming<pb::SnapshotFrame>,
    ) -> Result<pb::SnapshotReply, Status> {
        let Ok(_receiving) = self.receiving.try_lock() else {
            return Err(Status::aborted("another snapshot is being received"));
        };
        let vote = begin.vote.as_ref().map(convert::vote_from);
        let vote = vote.ok_or_else(|| Status::invalid_argument("the leader's vote is missing"))?;
        let guard = self.replica.dir.guard(self.replica.dir.temporary());
        let receive = super::receive::receive(guard, &begin, &mut frames, self.chunk_patience);
        let data = tokio::select! {
            data = receive => data?,
            () = self.stop.cancelled() => return Err(stopped("shut down")),
        };
        blocking(|| self.replica.verify_snapshot(&data)).map_err(|error| {
            let error = crate::error::describe(&error);
            tracing::error!(replica = %self.replica.id, %error, "a received snapshot is refused");
            Status::data_loss(format!("the snapshot cannot be used: {error}"))
        })?;
        let snapshot = Snapshot { meta: data.meta.clone(), snapshot: data };
        let response = self.raft.install_full_snapshot(vote, snapshot).await.map_err(stopped)?;
        Ok(pb::SnapshotReply { vote: Some(convert::vote(&response.vote)) })
    }
}
