//! One operation on a shard, as an exchange.

use flotilla_proto::kv_v1::op::Kind;
use flotilla_proto::kv_v1::{CommandRequest, Consistency, Op, Reply, WriteId};

use crate::check::first_key;
use crate::clock::SessionClock;
use crate::drive::Exchange;
use crate::failure::Failure;
use crate::shared::Shared;
use crate::trip::Target;
use crate::verdict::{Verdict, of_reply};

pub(crate) struct Command<'a> {
    pub op: Op,
    /// The same in every attempt; a get has none.
    pub id: Option<WriteId>,
    pub consistency: Consistency,
    pub clock: &'a SessionClock,
}

impl Exchange for Command<'_> {
    type Answer = Reply;

    fn describe(&self) -> String {
        describe(&self.op)
    }

    async fn attempt(&self, shared: &Shared, target: &Target) -> Verdict<Reply> {
        match self.ask(shared, target).await {
            Ok(reply) => {
                self.hear_the_time(&reply);
                of_reply(reply)
            }
            Err(failure) => Verdict::Failed(failure),
        }
    }
}

impl Command<'_> {
    async fn ask(&self, shared: &Shared, target: &Target) -> Result<Reply, Failure> {
        let request = CommandRequest {
            gid: target.gid,
            id: self.id,
            op: Some(self.op.clone()),
            consistency: self.consistency.into(),
            timeout_ms: target.server_ms(),
        };
        shared.links.pipe(&target.address)?.call(request, target.until).await
    }

    /// Writes are stamped with the leader's clock; the time that comes with a read may be old. A refusal may be about the time.
    fn hear_the_time(&self, reply: &Reply) {
        use flotilla_proto::kv_v1::Code::{Invalid, SessionExpired};
        if self.id.is_some() && (reply.is_outcome() || matches!(reply.code(), SessionExpired | Invalid)) {
            self.clock.heard(reply.time_ms);
        }
    }
}

/// For messages: `put "key"`.
pub(crate) fn describe(op: &Op) -> String {
    let name = match &op.kind {
        Some(Kind::Get(_)) => "get",
        Some(Kind::Put(_)) => "put",
        Some(Kind::Append(_)) => "append",
        Some(Kind::Delete(_)) => "delete",
        Some(Kind::CompareAndSet(_)) => "compare-and-set",
        Some(Kind::Batch(batch)) => return format!("a batch of {} operations", batch.ops.len()),
        None => "an operation",
    };
    format!("{name} \"{}\"", shown(first_key(op).unwrap_or_default()))
}

/// A key for people, shortened.
fn shown(key: &[u8]) -> String {
    const SHOWN_MAX: usize = 64;
    match std::str::from_utf8(key) {
        Ok(text) if text.chars().count() <= SHOWN_MAX => text.escape_debug().to_string(),
        _ if key.len() <= SHOWN_MAX => key.escape_ascii().to_string(),
        _ => format!("{}...", key[..SHOWN_MAX].escape_ascii()),
    }
}
