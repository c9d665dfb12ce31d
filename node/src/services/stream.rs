//! The long-lived stream of operations that the client library uses: many in flight, answered by tag as they finish,
//! several answers to a message when several are ready.

use std::collections::VecDeque;

use flotilla_proto::kv_v1::{CommandStreamRequest, CommandStreamResponse, TaggedCommand, TaggedReply};
use flotilla_types::limits::BATCH_OPS_MAX;
use futures::stream::{FuturesUnordered, Stream, StreamExt};
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use super::commands::Commands;

/// Messages waiting for the connection to take them. Full: no new operation is read, so the client is slowed down. Few,
/// as each may hold the largest value there is.
const ANSWERS_MAX: usize = 4;
/// About how many bytes of answers one stream may have in work. A thousand reads of the largest value would be more than a
/// node has; so when answers are large, fewer operations are started at a time.
const IN_WORK_BYTES: usize = 32 * 1024 * 1024;
/// How large an answer is expected to be before the first one is seen.
const ANSWER_BYTES_FIRST: usize = 4 * 1024 * 1024;
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
    let mut waiting = VecDeque::new();
    let mut in_flight = FuturesUnordered::new();
    let mut pace = Pace { answer_bytes: ANSWER_BYTES_FIRST, in_flight_max };
    let mut open = true;
    while open || !in_flight.is_empty() {
        tokio::select! {
            message = requests.message(), if open && waiting.is_empty() && in_flight.len() < pace.room() => match message {
                Ok(Some(message)) if message.commands.len() > BATCH_OPS_MAX => {
                    let many = message.commands.len();
                    let message = format!("{many} commands in one message, the limit is {BATCH_OPS_MAX}: send several");
                    // If nobody takes the refusal, nobody is there.
                    let _ = answers.send(Err(Status::invalid_argument(message))).await;
                    return;
                }
                Ok(Some(message)) => waiting.extend(message.commands),
                Ok(None) => open = false,
                // The connection is gone: nobody waits for answers any more.
                Err(_) => return,
            },
            Some(first) = in_flight.next() => {
                let replies = coalesce(first, &mut in_flight);
                replies.iter().for_each(|reply| pace.saw(size(reply)));
                if answers.send(Ok(CommandStreamResponse { replies })).await.is_err() {
                    return;
                }
            }
        }
        let room = pace.room().saturating_sub(in_flight.len()).min(waiting.len());
        in_flight.extend(waiting.drain(..room).map(|command| answer(&commands, command)));
    }
}

/// How many operations may be in work, from how large their answers were lately.
struct Pace {
    /// The largest answer seen lately; smaller ones bring it down by and by.
    answer_bytes: usize,
    in_flight_max: usize,
}

impl Pace {
    fn room(&self) -> usize {
        (IN_WORK_BYTES / self.answer_bytes).clamp(1, self.in_flight_max)
    }

    fn saw(&mut self, bytes: usize) {
        self.answer_bytes = bytes.max(self.answer_bytes - self.answer_bytes / 4).max(1);
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
    let mut bytes = size(&first);
    let mut replies = vec![first];
    while replies.len() < COALESCE_MAX && bytes < COALESCE_BYTES {
        let Some(Some(next)) = futures::FutureExt::now_or_never(in_flight.next()) else { break };
        bytes += size(&next);
        replies.push(next);
    }
    replies
}

fn size(tagged: &TaggedReply) -> usize {
    tagged.reply.as_ref().map_or(0, prost::Message::encoded_len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_types::limits::VALUE_BYTES_MAX;

    #[test]
    fn large_answers_slow_a_stream_and_small_ones_let_it_run() {
        let mut pace = Pace { answer_bytes: ANSWER_BYTES_FIRST, in_flight_max: 4096 };
        assert_eq!(pace.room(), 8);
        (0..40).for_each(|_| pace.saw(60));
        assert_eq!(pace.room(), 4096);
        pace.saw(VALUE_BYTES_MAX);
        assert_eq!(pace.room(), 4);
        pace.saw(2 * IN_WORK_BYTES);
        assert_eq!(pace.room(), 1, "there is always room for one");
        (0..80).for_each(|_| pace.saw(0));
        assert_eq!(pace.room(), 4096);
    }
}
