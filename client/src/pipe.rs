//! One long-lived stream of operations to one node, shared by all callers.
//!
//! ```text
//!   callers --queue--> worker --outbox--> CommandStream --> node
//!      ^                 |
//!      +---- by tag -----+<--------------------------------- replies
//! ```
//!
//! The worker puts all that waits into one message, so the busier the client, the fewer messages per operation. When
//! the stream breaks, everything in flight fails at once, each operation knowing whether it may have reached the node;
//! the next operation opens a new stream.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use flotilla_proto::env::Spawner;
use flotilla_proto::identity::stamp;
use flotilla_proto::kv_v1::{CommandRequest, CommandStreamRequest, CommandStreamResponse, Reply};
use flotilla_types::ClusterId;
use futures::StreamExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, timeout_at};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::failure::{Failure, FailureKind};
use crate::flight::{Flight, Queued};
use crate::links::KvClient;

/// How many operations may wait for the worker; past this callers wait.
const QUEUE: usize = 1024;
/// One message is with HTTP/2 while the next one fills.
const OUTBOX: usize = 1;
/// How often the worker looks for a stream that has fallen silent.
const SILENCE_CHECK: Duration = Duration::from_millis(500);

/// A handle to the stream of one node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Pipe {
    address: Arc<str>,
    queue: mpsc::Sender<Queued>,
}

impl Pipe {
    /// Starts the worker. It connects when there is something to send.
    pub fn open(
        address: Arc<str>,
        client: KvClient,
        cluster: Arc<OnceLock<ClusterId>>,
        spawner: &Spawner,
    ) -> Self {
        let (queue, incoming) = mpsc::channel(QUEUE);
        let worker = Worker { address: address.clone(), client, cluster, queue: incoming };
        spawner.spawn(worker.run());
        Self { address, queue }
    }

    /// Sends one operation and waits for its reply until `deadline`.
    pub async fn call(&self, command: CommandRequest, deadline: Instant) -> Result<Reply, Failure> {
        let (reply, answer) = oneshot::channel();
        let queued = Queued { command, deadline, reply };
        let unsent = |kind, detail: &str| Err(Failure::unsent(&self.address, kind, detail));
        match timeout_at(deadline, self.queue.send(queued)).await {
            Err(_) => return unsent(FailureKind::TimedOut, "too many operations wait to be sent there"),
            Ok(Err(_)) => return unsent(FailureKind::Broken, "the client was stopped"),
            Ok(Ok(())) => {}
        }
        let lost = |kind, detail: &str| Err(Failure::sent(&self.address, kind, detail));
        match timeout_at(deadline, answer).await {
            Err(_) => lost(FailureKind::TimedOut, "no answer in time"),
            Ok(Err(_)) => lost(FailureKind::Broken, "the client was stopped"),
            Ok(Ok(result)) => result,
        }
    }
}

struct Worker {
    address: Arc<str>,
    client: KvClient,
    cluster: Arc<OnceLock<ClusterId>>,
    queue: mpsc::Receiver<Queued>,
}

impl Worker {
    async fn run(mut self) {
        while let Some(first) = self.queue.recv().await {
            let mut flight = Flight::new(self.address.clone());
            flight.add(first);
            let (status, taken) = self.stream(&mut flight).await;
            let mut failure = Failure::from_status(&self.address, &status);
            // Unless HTTP/2 asked for the first message, nothing left.
            failure.sent &= taken;
            tracing::debug!(node = %self.address, %failure, in_flight = flight.len(), "operation stream ended");
            flight.fail(&failure);
        }
    }

    /// Runs one stream until it breaks; says why, and whether anything of it was sent.
    async fn stream(&mut self, flight: &mut Flight) -> (Status, bool) {
        let (outbox, body) = mpsc::channel::<CommandStreamRequest>(OUTBOX);
        let taken = Arc::new(AtomicBool::new(false));
        let mark = taken.clone();
        let body = ReceiverStream::new(body).inspect(move |_| mark.store(true, Ordering::Relaxed));
        let mut client = self.client.clone();
        let mut opening = pin!(client.command_stream(stamp(body, self.cluster.get().copied())));
        let mut replies: Option<Streaming<CommandStreamResponse>> = None;
        let mut check = tokio::time::interval(SILENCE_CHECK);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let status = loop {
            // Biased: the same in every run. Replies come first since they end waits; sending comes last so that all
            // that waits travels together.
            tokio::select! {
                biased;
                opened = &mut opening, if replies.is_none() => match opened {
                    Ok(response) => replies = Some(response.into_inner()),
                    Err(status) => break status,
                },
                message = next(&mut replies) => match message {
                    Ok(Some(message)) => flight.answer(message),
                    Ok(None) => break Status::unavailable("the node ended the stream"),
                    Err(status) => break status,
                },
                queued = self.queue.recv(), if !flight.batch_is_full() => match queued {
                    Some(queued) => flight.add(queued),
                    None => break Status::cancelled("the client was stopped"),
                },
                permit = outbox.reserve(), if flight.has_batch() => match permit {
                    Ok(permit) => permit.send(flight.take_batch()),
                    Err(_) => break Status::unavailable("the node reset the stream"),
                },
                _ = check.tick(), if flight.len() > 0 => {
                    if flight.is_stuck() {
                        break Status::deadline_exceeded("no answer in time, and none to anything else");
                    }
                }
            }
        };
        (status, taken.load(Ordering::Relaxed))
    }
}

async fn next(
    replies: &mut Option<Streaming<CommandStreamResponse>>,
) -> Result<Option<CommandStreamResponse>, Status> {
    match replies {
        Some(replies) => replies.message().await,
        None => std::future::pending().await,
    }
}
