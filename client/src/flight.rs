//! What is under way on one stream: operations waiting to be sent, and replies waited for, by tag.

use std::collections::BTreeMap;
use std::sync::Arc;

use flotilla_proto::kv_v1::{
    CommandRequest, CommandStreamRequest, CommandStreamResponse, Reply, TaggedCommand,
};
use prost::Message;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::failure::{Failure, FailureKind};

/// A message takes at most so many operations, ...
const BATCH_COMMANDS_MAX: usize = 256;
/// ... and stops growing at so many bytes; one operation always fits, and with it stays under the wire's limit.
const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// An operation on its way to the stream.
pub(crate) struct Queued {
    pub command: CommandRequest,
    /// When its caller gives up.
    pub deadline: Instant,
    pub reply: oneshot::Sender<Result<Reply, Failure>>,
}

struct Waiting {
    since: Instant,
    deadline: Instant,
    reply: oneshot::Sender<Result<Reply, Failure>>,
}

pub(crate) struct Flight {
    address: Arc<str>,
    next_tag: u64,
    waiting: BTreeMap<u64, Waiting>,
    batch: Vec<TaggedCommand>,
    batch_bytes: usize,
    /// When the node last answered anything.
    heard_at: Option<Instant>,
}

impl Flight {
    pub fn new(address: Arc<str>) -> Self {
        Self {
            address,
            next_tag: 1,
            waiting: BTreeMap::new(),
            batch: Vec::new(),
            batch_bytes: 0,
            heard_at: None,
        }
    }

    /// How many operations wait for their replies.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn has_batch(&self) -> bool {
        !self.batch.is_empty()
    }

    pub fn batch_is_full(&self) -> bool {
        self.batch.len() >= BATCH_COMMANDS_MAX || self.batch_bytes >= BATCH_BYTES_MAX
    }

    /// Puts an operation into the next message, unless its caller has gone.
    pub fn add(&mut self, queued: Queued) {
        let Queued { command, deadline, reply } = queued;
        if reply.is_closed() {
            return;
        }
        let tag = self.next_tag;
        self.next_tag += 1;
        self.waiting.insert(tag, Waiting { since: Instant::now(), deadline, reply });
        self.batch_bytes += command.encoded_len();
        self.batch.push(TaggedCommand { tag, command: Some(command) });
    }

    /// The next message.
    pub fn take_batch(&mut self) -> CommandStreamRequest {
        self.batch_bytes = 0;
        CommandStreamRequest { commands: std::mem::take(&mut self.batch) }
    }

    /// Hands replies to their callers; a tag that nobody waits for is a caller that gave up.
    pub fn answer(&mut self, message: CommandStreamResponse) {
        self.heard_at = Some(Instant::now());
        for tagged in message.replies {
            let Some(waiting) = self.waiting.remove(&tagged.tag) else { continue };
            let empty = || Failure::sent(&self.address, FailureKind::Broken, "an answer without a reply");
            // The caller may have gone meanwhile.
            drop(waiting.reply.send(tagged.reply.ok_or_else(empty)));
        }
    }

    /// Whether an operation ran out of time while nothing at all was answered: the node, or the way to it, hangs.
    /// Forgets operations whose callers have gone.
    pub fn is_stuck(&mut self) -> bool {
        let now = Instant::now();
        let heard_at = self.heard_at;
        let silent = |waiting: &Waiting| heard_at.is_none_or(|heard_at| heard_at < waiting.since);
        if self.waiting.values().any(|waiting| waiting.deadline <= now && silent(waiting)) {
            return true;
        }
        self.waiting.retain(|_, waiting| !waiting.reply.is_closed());
        false
    }

    /// The stream broke: everybody learns it. What was still in the next message was not sent.
    pub fn fail(mut self, failure: &Failure) {
        for tagged in std::mem::take(&mut self.batch) {
            let failure = Failure { sent: false, ..failure.clone() };
            if let Some(waiting) = self.waiting.remove(&tagged.tag) {
                drop(waiting.reply.send(Err(failure)));
            }
        }
        for waiting in self.waiting.into_values() {
            drop(waiting.reply.send(Err(failure.clone())));
        }
    }
}
