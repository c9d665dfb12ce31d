//! What an answer means for the call: it is over, or whom to ask next and when.

use std::time::Duration;

use flotilla_proto::ctrl_v1::Leader;
use flotilla_proto::kv_v1::{Code, Hint, Reply};

use crate::failure::Failure;

/// What one attempt came to.
pub(crate) enum Verdict<T> {
    /// Done, or decided.
    Done(T),
    /// Refused for good; nothing was done.
    Refused { code: Code, gid: u64, message: String },
    /// The controller refused for good.
    AdminRefused { code: flotilla_proto::ctrl_v1::Code, message: String },
    /// Another replica of the group leads.
    WrongLeader { hint: Hint, why: String },
    /// Another group has the shard; `config` is the newest that the answering group knows of.
    WrongGroup { hint: Hint, config: u64, why: String },
    /// Not now. `elsewhere`: another replica may know better.
    Later { after: Duration, elsewhere: bool, why: String },
    /// It ran out of time, and may have been done.
    Unknown { why: String },
    /// No answer.
    Failed(Failure),
}

impl<T> Verdict<T> {
    /// The same verdict in a call that is answered otherwise. (`Done` here is a refusal that refuses nothing.)
    pub fn without_answer<U>(self) -> Verdict<U> {
        match self {
            Self::Done(_) => {
                let why = "a refusal without a reason".to_owned();
                Verdict::Later { after: Duration::ZERO, elsewhere: true, why }
            }
            Self::Refused { code, gid, message } => Verdict::Refused { code, gid, message },
            Self::AdminRefused { code, message } => Verdict::AdminRefused { code, message },
            Self::WrongLeader { hint, why } => Verdict::WrongLeader { hint, why },
            Self::WrongGroup { hint, config, why } => Verdict::WrongGroup { hint, config, why },
            Self::Later { after, elsewhere, why } => Verdict::Later { after, elsewhere, why },
            Self::Unknown { why } => Verdict::Unknown { why },
            Self::Failed(failure) => Verdict::Failed(failure),
        }
    }
}

/// Reads a reply of a shard group; `Ok` for those that end the call as intended.
pub(crate) fn of_reply(reply: Reply) -> Verdict<Reply> {
    if reply.is_outcome() {
        return Verdict::Done(reply);
    }
    let why = why(&reply);
    let hint = reply.hint.clone().unwrap_or_default();
    match reply.code() {
        Code::WrongLeader => Verdict::WrongLeader { hint, why },
        Code::WrongGroup | Code::OutDated => Verdict::WrongGroup { hint, config: reply.config, why },
        // The shard is on its way, and its old owner may still serve it.
        Code::NotReady if hint.gid != 0 && hint.gid != reply.gid => {
            Verdict::WrongGroup { hint, config: reply.config, why }
        }
        Code::NotReady | Code::Overloaded => Verdict::Later {
            after: Duration::from_millis(reply.retry_after_ms),
            elsewhere: reply.code() == Code::NotReady,
            why,
        },
        Code::Timeout => Verdict::Unknown { why },
        code => Verdict::Refused { code, gid: reply.gid, message: why },
    }
}

/// Where the controller says it is led from.
pub(crate) fn of_leader<T>(leader: Leader) -> Verdict<T> {
    let why = match leader.node {
        0 => "the controller has no leader just now".to_owned(),
        node => format!("node {node} leads the controller"),
    };
    Verdict::WrongLeader { hint: Hint { gid: 0, node: leader.node, address: leader.address }, why }
}

fn why(reply: &Reply) -> String {
    if reply.message.is_empty() {
        format!("group {} says {:?}", reply.gid, reply.code())
    } else {
        reply.message.clone()
    }
}
