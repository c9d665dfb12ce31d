//! Replication to one peer: one long gRPC stream, requests in flight without waiting for each other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flotilla_proto::faults::site;
use flotilla_proto::net::Lane;
use flotilla_proto::raft_v1 as pb;
use flotilla_types::MemberId;
use futures::{Stream, StreamExt, stream};
use openraft::RPCTypes;
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{RPCError, Timeout};
use openraft::raft::{AppendEntriesRequest, StreamAppendResult};
use parking_lot::Mutex;
use tokio::time::Instant;
use tonic::Streaming;

use super::clocks::Clocks;
use super::link::{Link, malformed, rpc_error};
use crate::convert;
use crate::raft_types::{C, LogId};

type Answer = Result<StreamAppendResult<C>, RPCError<C>>;

/// When each request without an answer was sent.
type InFlight = Arc<Mutex<VecDeque<Instant>>>;

/// Between streams that get no answer.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// Opens a stream that carries `input`.
pub(crate) async fn open<'s, S>(link: &'s mut Link, input: S) -> Result<BoxStream<'s, Answer>, RPCError<C>>
where
    S: Stream<Item = AppendEntriesRequest<C>> + Send + Unpin + 'static,
{
    tokio::time::sleep(link.pause).await;
    link.pause = (link.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
    let in_flight = InFlight::default();
    let sent = in_flight.clone();
    let stuck = Arc::new(AtomicBool::new(false));
    let mut stalls = Stalls { same: None, count: 0, stuck: stuck.clone() };
    // The first message says only who speaks to whom: the first request may be long in coming.
    let hello = pb::AppendRequest { route: Some(link.route().into()), ..pb::AppendRequest::default() };
    let outbound = stream::iter([hello]).chain(input.map(move |request| {
        sent.lock().push_back(Instant::now());
        stalls.see(&request);
        convert::append(&request, None)
    }));
    let patience = Duration::from_millis(link.timings().append_ms_max);
    let patience = link.links.faults.choose(site::EARLY_APPEND_TIMEOUT, patience, PAUSE_MIN);
    let mut client = link.client(Lane::Append)?;
    let late = link.timeout(RPCTypes::AppendEntries, patience);
    let opening: BoxFuture<'static, _> = Box::pin(async move { client.stream_append(outbound).await });
    let opened = tokio::time::timeout(patience, opening).await;
    let inbound = match opened {
        Ok(opened) => opened.map_err(|status| rpc_error(&status))?.into_inner(),
        Err(_) => return Err(late.into()),
    };
    let clocks = (link.links.clocks.clone(), link.to);
    let answers = Answers { inbound, clocks, stuck, in_flight, patience, late, pause: &mut link.pause };
    Ok(stream::unfold(Some(answers), next).boxed())
}

/// Notices a stream that will never carry an entry again.
///
/// openraft streams the entries after some `prev` until the log ends, and looks for other orders only when it has sent
/// everything. If that part of the log is purged meanwhile (the peer was given a snapshot instead), it finds nothing to
/// send, and says nothing, for ever: the order to go on after the snapshot is never read. Ending the stream with a failure
/// makes it read its orders anew. Found by the simulation: a follower that was never brought up to date.
struct Stalls {
    same: Option<LogId>,
    count: u32,
    stuck: Arc<AtomicBool>,
}

impl Stalls {
    /// A single request without entries before what is committed is a probe.
    const MAX: u32 = 2;

    fn see(&mut self, request: &AppendEntriesRequest<C>) {
        let behind = request.entries.is_empty() && request.prev_log_id < request.leader_commit;
        self.count = match behind {
            true if self.same == request.prev_log_id => self.count + 1,
            true => 1,
            false => 0,
        };
        self.same = request.prev_log_id;
        if self.count >= Self::MAX {
            self.stuck.store(true, Ordering::Relaxed);
        }
    }
}

struct Answers<'s> {
    inbound: Streaming<pb::AppendReply>,
    clocks: (Arc<Clocks>, MemberId),
    /// Set by [`Stalls`].
    stuck: Arc<AtomicBool>,
    in_flight: InFlight,
    patience: Duration,
    late: Timeout<C>,
    pause: &'s mut Duration,
}

/// The next answer. After anything but a match the stream is over: openraft starts another.
async fn next(answers: Option<Answers<'_>>) -> Option<(Answer, Option<Answers<'_>>)> {
    let mut answers = answers?;
    let answer = answers.receive().await?;
    let go_on = matches!(answer, Ok(Ok(_)));
    Some((answer, go_on.then_some(answers)))
}

impl Answers<'_> {
    async fn receive(&mut self) -> Option<Answer> {
        loop {
            let oldest = self.in_flight.lock().front().copied();
            let deadline = oldest.unwrap_or_else(Instant::now) + self.patience;
            tokio::select! {
                biased;
                reply = self.inbound.message() => return self.take(reply),
                () = tokio::time::sleep_until(deadline) => {
                    // Only the oldest unanswered request counts: an idle stream may be silent for ever.
                    if oldest.is_some() && self.in_flight.lock().front().copied() == oldest {
                        return Some(Err(self.late.clone().into()));
                    }
                }
            }
        }
    }

    fn take(&mut self, reply: Result<Option<pb::AppendReply>, tonic::Status>) -> Option<Answer> {
        let sent = self.in_flight.lock().pop_front();
        match reply {
            Ok(None) => None,
            Ok(Some(_)) if self.stuck.load(Ordering::Relaxed) => {
                Some(Err(malformed("the entries to send were purged: what to send is asked anew")))
            }
            Ok(Some(reply)) => {
                *self.pause = Duration::ZERO;
                if let Some(sent) = sent {
                    let (clocks, member) = &self.clocks;
                    clocks.heard(*member, reply.clock_ms, sent);
                }
                Some(convert::append_reply_from(reply).map_err(malformed))
            }
            Err(status) => Some(Err(rpc_error(&status))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft_types::{Entry, Payload};

    fn id(index: u64) -> LogId {
        convert::log_id_from(&pb::LogId { term: 1, index })
    }

    /// What the leader sends after `prev`, of a log that is committed up to `committed`.
    fn request(prev: u64, entries: u64, committed: u64) -> AppendEntriesRequest<C> {
        let entry = |index| Entry { log_id: id(index), payload: Payload::Blank };
        AppendEntriesRequest {
            vote: convert::vote_from(&pb::Vote { term: 1, committed: true, ..pb::Vote::default() }),
            prev_log_id: Some(id(prev)),
            entries: (prev + 1..=prev + entries).map(entry).collect(),
            leader_commit: Some(id(committed)),
        }
    }

    fn is_stuck(requests: &[AppendEntriesRequest<C>]) -> bool {
        let stuck = Arc::new(AtomicBool::new(false));
        let mut stalls = Stalls { same: None, count: 0, stuck: stuck.clone() };
        requests.iter().for_each(|request| stalls.see(request));
        stuck.load(Ordering::Relaxed)
    }

    #[test]
    fn a_stream_that_has_nothing_to_send_before_the_logs_end_is_stuck() {
        assert!(is_stuck(&[request(140, 0, 208), request(140, 0, 209)]));
        assert!(is_stuck(&[request(130, 10, 150), request(140, 0, 208), request(140, 0, 209)]));
    }

    #[test]
    fn a_probe_and_news_of_commits_at_the_logs_end_are_not() {
        assert!(!is_stuck(&[request(140, 0, 208)]), "a probe");
        assert!(
            !is_stuck(&[request(140, 0, 139), request(140, 0, 140), request(140, 0, 140)]),
            "all is sent"
        );
        assert!(!is_stuck(&[request(140, 0, 208), request(140, 3, 208), request(143, 0, 208)]));
    }
}
