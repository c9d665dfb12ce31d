//! What a client hears from a group that does not serve a shard: whom to ask instead. Clients must always be able to
//! find the server when there is one.

use flotilla_types::planted::{self, Bug};
use flotilla_types::{GroupId, ShardId};

use crate::api::{Code, Hint, Reply};
use crate::kv::ShardKv;
use crate::state::{Phase, ShardState};

/// When to ask again a group that is about to have the shard.
const SOON_MS: u64 = 10;

impl ShardKv {
    /// Why a shard is not served here; none: it is.
    pub(crate) fn refusal(&self, shard: ShardId) -> Option<Reply> {
        let Some(state) = self.shards.get(shard) else {
            let message = format!("shard {shard}: this cluster has shards 0 to {}", self.options.shards - 1);
            return Some(self.signed(Reply::refused(Code::Invalid, message)));
        };
        if state.serves() {
            return self.restoring();
        }
        let gid = self.whom_to_ask(shard, state);
        let mut reply = match gid {
            GroupId::NOBODY => Reply::refused(Code::NotReady, format!("shard {shard} has no owner yet")),
            _ if self.is_awaited(state) => {
                // The old owner has sealed, or is about to: it would send the client back here. So the circle
                // S -> T -> S is cut at T, where the shard will be in a moment.
                Reply::refused(
                    Code::NotReady,
                    format!("shard {shard} is about to arrive here from group {gid}"),
                )
            }
            _ => {
                Reply::refused(Code::WrongGroup, format!("shard {shard} is not served here: ask group {gid}"))
            }
        };
        if gid != GroupId::NOBODY {
            reply.hint = Some(Hint { gid: gid.get(), ..Hint::default() });
        }
        if reply.code() == Code::NotReady {
            reply.retry_after_ms = SOON_MS;
        }
        reply.config = self.at(shard).get();
        Some(self.signed(reply))
    }

    fn whom_to_ask(&self, shard: ShardId, state: &ShardState) -> GroupId {
        match &state.phase {
            Some(Phase::BePulling(moving)) => GroupId(moving.to),
            Some(Phase::Pulling(moving)) if state.handed_to == 0 => GroupId(moving.from),
            None if state.handed_to == 0 => self.owner(self.config(), shard),
            // Given away, and maybe handed on from there: the group it was given to knows more than any configuration.
            _ => GroupId(state.handed_to),
        }
    }

    fn is_awaited(&self, state: &ShardState) -> bool {
        matches!(&state.phase, Some(Phase::Pulling(pulling)) if self.wants_seal(pulling))
    }

    /// Puts the group's name under a reply.
    pub(crate) fn signed(&self, reply: Reply) -> Reply {
        Reply { gid: self.options.gid.get(), ..reply }
    }

    /// Puts name, configuration and time under a served reply: the last configuration at which this group owned the
    /// shard. While it is leaving at `n` that is `n - 1`, or two groups would seem to serve at `n`.
    pub(crate) fn served(&self, shard: ShardId, reply: Reply) -> Reply {
        let state = self.state(shard);
        let config = match &state.phase {
            Some(Phase::BePulling(moving)) if planted::is(Bug::NewConfigInAnswer) => moving.config,
            Some(Phase::BePulling(moving)) => moving.config.saturating_sub(1),
            _ => self.config().get(),
        };
        Reply { config, time_ms: state.time_ms, ..self.signed(reply) }
    }
}
