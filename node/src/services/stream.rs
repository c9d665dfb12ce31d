//! The long-lived stream of operations that the client library uses: many in flight, answered by tag as they finish,
//! several answers to a message when several are ready.

use flotilla_proto::kv_v1::{CommandStreamRequest, CommandStreamResponse, TaggedCommand, TaggedReply};
use flotilla_types::limits::BATCH_OPS_MAX;
use futures::stream::{FuturesUnordered, Stream, StreamExt};
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use super::commands::Commands;

/// Answers waiting for the connection to take them. Full: no new operation is read, so the client is slowed down.
const ANSWERS_MAX: usize = 64;
/// The most answers in one message.
const COALESCE_MAX: usize = 256;
/// And about how many bytes of values, so that a message stays well below the limit.
const COALESCE_BYTES: usize = 1024 * 1024;

/// Serves one stream until the client ends it.
pub fn serve(
    commands: Commands,
    requests: Streaming<CommandStreamRequest>,
    in_flight_max: usize,
) -> impl Stream<Item = Result<CommandStreamResponse, Status>> + Send {
    let (sender, receiver) = mpsc::channel(ANSWERS_MAX);
    let spawner = commands.replicas().node().env.spawner.clone();
    spawner.spawn(run(commands, requests, in_flight_max, sender));
    tokio_stream::wrappers::ReceiverStream::new(receiver)
}

type Answers = mpsc::Sender<Result<CommandStreamResponse, Status>>;

async fn run(
    commands: Commands,
    mut requests: Streaming<CommandStreamRequest>,
    in_flight_max: usize,
    answers: Answers,
) {
    let mut in_flight = FuturesUnordered::new();
    let mut open = true;
    while open || !in_flight.is_empty() {
        tokio::select! {
            message = requests.message(), if open && in_flight.len() < in_flight_max => match message {
                Ok(Some(message)) if message.commands.len() > BATCH_OPS_MAX => {
                    let many = message.commands.len();
                    let message = format!("{many} commands in one message, the limit is {BATCH_OPS_MAX}: send several");
                    // If nobody takes the refusal, nobody is there.
                    let _ = answers.send(Err(Status::invalid_argument(message))).await;
                    return;
                }
                Ok(Some(message)) => {
                    in_flight.extend(message.commands.into_iter().map(|command| answer(&commands, command)));
                }
                Ok(None) => open = false,
                // The connection is gone: nobody waits for answers any more.
                Err(_) => return,
            },
            Some(first) = in_flight.next() => {
                let replies = coalesce(first, &mut in_flight);
                if answers.send(Ok(CommandStreamResponse { replies })).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn answer(commands: &Commands, tagged: TaggedCommand) -> TaggedReply {
    let request = tagged.command.unwrap_or_default();
    TaggedReply { tag: tagged.tag, reply: Some(commands.command(request).await) }
}

// Takes what else is ready right now.
fn coalesce<F>(first: TaggedReply, in_flight: &mut FuturesUnordered<F>) -> Vec<TaggedReply>
where
    F: Future<Output = TaggedReply>,
{
    let size = |tagged: &TaggedReply| tagged.reply.as_ref().map_or(0, prost::Message::encoded_len);
    let mut bytes = size(&first);
    let mut replies = vec![first];
    while replies.len() < COALESCE_MAX && bytes < COALESCE_BYTES {
        let Some(Some(next)) = futures::FutureExt::now_or_never(in_flight.next()) else { break };
        bytes += size(&next);
        replies.push(next);
    }
    replies
}
