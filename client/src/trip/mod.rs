//! One call's way through the cluster: whom to ask next, when, and when to give up.
//!
//! A call goes in *rounds*. Within a round nobody is asked twice; hints are followed at once. When there is nobody left
//! to ask, the round ends with a pause. So two nodes that name each other cost one pause per lap, not a busy loop.

mod answers;
mod choose;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flotilla_types::ShardId;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::error::ClientError;
use crate::failure::{Failure, FailureKind};
use crate::shared::Shared;
use crate::verdict::Verdict;

/// What a call is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    Shard(ShardId),
    Controller,
}

/// How a call is to be carried out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    pub place: Place,
    /// A lost answer leaves the outcome unknown.
    pub writes: bool,
    /// Any replica will do, not only the leader.
    pub any_replica: bool,
    /// How long the first attempt may take; later rounds give more.
    pub attempt: Duration,
    pub deadline: Instant,
}

/// How long the first attempt of an ordinary call may take.
pub(crate) const ATTEMPT: Duration = Duration::from_secs(2);

/// Whom to ask, and until when to wait for the answer.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub gid: u64,
    pub address: Arc<str>,
    pub until: Instant,
}

struct Asked {
    gid: u64,
    address: Arc<str>,
    /// It said something about the shard, not only about leaders.
    useful: bool,
    failed: Option<FailureKind>,
}

pub(crate) struct Trip<'a> {
    shared: &'a Shared,
    manner: Manner,
    started: Instant,
    backoff: Backoff,
    rounds: u32,
    pause: Duration,
    /// A pause ends early when the view changes.
    until_view: bool,
    /// Where hints led; none: the owner by configuration and belief.
    gid: Option<u64>,
    preferred: Option<Arc<str>>,
    rotation: usize,
    asked: Vec<Asked>,
    /// Groups that said in this round that they do not serve the shard.
    denied: Vec<u64>,
    /// The configuration below which the next earlier owner is looked for.
    walked_to: Option<u64>,
    /// An attempt was lost on its way: the write may have been done.
    uncertain: bool,
    answered: bool,
    last: String,
    tried: BTreeMap<Arc<str>, Failure>,
}

impl<'a> Trip<'a> {
    pub fn new(shared: &'a Shared, manner: Manner) -> Self {
        // Endpoints are asked in the order they were given, replicas in any.
        let rotation = match manner.place {
            Place::Controller => 0,
            Place::Shard(_) => usize::try_from(shared.env.random.below(64)).unwrap_or(0),
        };
        Self {
            shared,
            manner,
            started: Instant::now(),
            backoff: Backoff::default(),
            rounds: 0,
            pause: Duration::ZERO,
            until_view: false,
            gid: None,
            preferred: None,
            rotation,
            asked: Vec::new(),
            denied: Vec::new(),
            walked_to: None,
            uncertain: false,
            answered: false,
            last: String::new(),
            tried: BTreeMap::new(),
        }
    }

    /// Whom to ask next, after whatever pause is due; none: give up.
    pub async fn next_target(&mut self) -> Option<Target> {
        loop {
            self.wait().await?;
            let Some(gid) = self.gid() else {
                self.nobody();
                continue;
            };
            if let Some(address) = self.pick(gid) {
                let asked = Asked { gid, address: address.clone(), useful: false, failed: None };
                self.asked.push(asked);
                return Some(Target { gid, address, until: self.attempt_until() });
            }
            if self.is_hopeless() {
                return None;
            }
            match self.earlier_owner(gid).await {
                Some(gid) => self.gid = Some(gid),
                None => {
                    self.forget_detour(gid);
                    self.end_round(Duration::ZERO);
                }
            }
        }
    }

    /// Takes an attempt's verdict; some: the call is over.
    pub fn judge<T>(
        &mut self,
        target: &Target,
        verdict: Verdict<T>,
        operation: &dyn Fn() -> String,
    ) -> Option<Result<T, ClientError>> {
        match verdict {
            Verdict::Done(answer) => {
                self.succeeded(target);
                return Some(Ok(answer));
            }
            Verdict::Refused { code, gid, message } => {
                let refused = ClientError::Refused { operation: operation(), code, gid, message };
                return Some(Err(self.refusal(refused, operation())));
            }
            Verdict::AdminRefused { code, message } => {
                return Some(Err(self.refusal(ClientError::Admin { code, message }, operation())));
            }
            Verdict::WrongLeader { hint, why } => self.wrong_leader(target, &hint, why),
            Verdict::WrongGroup { hint, config, why } => self.wrong_group(target, &hint, config, why),
            Verdict::Later { after, elsewhere, why } => {
                if elsewhere {
                    self.shared.topology.leads_not(target.gid, &target.address);
                }
                self.heard(target, why, true);
                self.end_round(after);
            }
            Verdict::Unknown { why } => {
                self.heard(target, why, false);
                self.uncertain |= self.manner.writes;
                self.shared.topology.leads_not(target.gid, &target.address);
            }
            Verdict::Failed(failure) => self.failed(target, failure),
        }
        None
    }

    /// The error to end with.
    pub fn give_up(self, operation: String) -> ClientError {
        let after = self.started.elapsed();
        if self.uncertain {
            return ClientError::Unknown { operation, after, last: self.last };
        }
        if self.shared.env.spawner.token().is_cancelled() {
            return ClientError::Stopped;
        }
        if self.is_hopeless() {
            return self.hopeless();
        }
        match self.answered {
            true => ClientError::Timeout { operation, after, last: self.last },
            false => ClientError::Unreachable { after, tried: self.tried.into_values().collect() },
        }
    }
}
