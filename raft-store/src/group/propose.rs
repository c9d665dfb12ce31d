//! Proposing: commands that arrive while entries are under way share the next entry; an idle group makes none wait.
//!
//! ```text
//!   propose -> bounded queue -> coalescer: drain -> one entry (at most `entries_in_flight` under way) -> openraft
//!      ^                                                                                                  |
//!      '----------------------------------- responses, in the entry's order <-----------------------------'
//! ```

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotilla_proto::faults::{Faults, site};
use flotilla_proto::raft_v1 as pb;
use flotilla_types::{Machine, Wire};
use futures::stream::{FuturesUnordered, StreamExt};
use openraft::Raft;
use openraft::errors::{ClientWriteError, ForwardToLeader};
use openraft::impls::ProgressResponder;
use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::Instant;

use super::options::{GroupLimits, RaftTimings};
use super::progress::{Progress, Role};
use crate::data::state_machine::StateMachine;
use crate::error::{Leader, ProposeError, describe};
use crate::raft_types::{C, Commands};

/// What an overloaded caller is told to wait.
const RETRY_AFTER_MS: u64 = 20;

type Reply<M> = Result<Vec<<M as Machine>::Response>, ProposeError>;

/// Commands that travel in one entry, and who waits for them.
struct Proposal<M: Machine> {
    commands: Vec<Bytes>,
    bytes: usize,
    queued: Instant,
    reply: oneshot::Sender<Reply<M>>,
    _room: OwnedSemaphorePermit,
}

/// The way into a group's queue.
pub(crate) struct Proposals<M: Machine> {
    queue: mpsc::Sender<Proposal<M>>,
    room: Arc<Semaphore>,
    progress: watch::Receiver<Progress>,
    limits: GroupLimits,
    faults: Faults,
}

impl<M: Machine> Proposals<M> {
    /// The queue, and the task that must run.
    pub fn new(
        raft: Raft<C, StateMachine<M>>,
        progress: watch::Receiver<Progress>,
        limits: &GroupLimits,
        timings: &RaftTimings,
        faults: Faults,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (queue, queued) = mpsc::channel(limits.queue_proposals_max.max(1));
        let room = Arc::new(Semaphore::new(limits.queue_bytes_max.min(Semaphore::MAX_PERMITS)));
        let patience = Duration::from_millis(timings.propose_ms_max);
        let limits = limits.clone();
        let proposals = Self { queue, room, progress, limits: limits.clone(), faults: faults.clone() };
        let coalescer = Coalescer { raft, queued, waiting: None, limits, patience, faults };
        (proposals, coalescer.run())
    }

    /// Proposes commands that are to be applied one after the other, all in one entry.
    pub async fn propose(&self, commands: Vec<M::Command>) -> Reply<M> {
        self.check_leader()?;
        let commands: Vec<Bytes> = commands.iter().map(Wire::to_bytes).collect();
        let bytes = commands.iter().map(|command| command.len() + 8).sum::<usize>();
        let limit = self.limits.command_bytes_max.min(self.limits.queue_bytes_max);
        if bytes > limit {
            return Err(ProposeError::TooLarge { bytes, limit });
        }
        check_readable::<M>(&commands)?;
        let full = || ProposeError::Overloaded { retry_after_ms: RETRY_AFTER_MS };
        if self.faults.fires(site::REFUSED_PROPOSAL) {
            return Err(full());
        }
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        let _room = self.room.clone().try_acquire_many_owned(permits).map_err(|_| full())?;
        let (reply, wait) = oneshot::channel();
        let proposal = Proposal { commands, bytes, queued: Instant::now(), reply, _room };
        match self.queue.try_send(proposal) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => return Err(full()),
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(ProposeError::Stopped),
        }
        let answer =
            wait.await.unwrap_or_else(|_| Err(ProposeError::Unknown("the replica stopped".to_owned())));
        match answer {
            Ok(_) if self.faults.fires(site::LOST_PROPOSAL_ANSWER) => {
                Err(ProposeError::Unknown("the answer was lost".to_owned()))
            }
            answer => answer,
        }
    }

    /// Spares what would be refused anyway. openraft has the last word.
    fn check_leader(&self) -> Result<(), ProposeError> {
        let progress = self.progress.borrow();
        match progress.role {
            Role::Leader => Ok(()),
            Role::Stopped => Err(ProposeError::Stopped),
            _ => Err(ProposeError::NotLeader { leader: progress.leader.clone() }),
        }
    }
}

/// A committed command that cannot be decoded would stop every replica of the group for good. An encoder may write
/// what its decoder refuses, such as messages nested too deeply.
fn check_readable<M: Machine>(commands: &[Bytes]) -> Result<(), ProposeError> {
    let unreadable = commands.iter().find_map(|command| M::Command::decode_from(command.clone()).err());
    match unreadable {
        Some(error) => Err(ProposeError::Invalid(describe(&error))),
        None => Ok(()),
    }
}

struct Coalescer<M: Machine> {
    raft: Raft<C, StateMachine<M>>,
    queued: mpsc::Receiver<Proposal<M>>,
    /// Taken from the queue, for the next entry: it did not fit into the last.
    waiting: Option<Proposal<M>>,
    limits: GroupLimits,
    patience: Duration,
    faults: Faults,
}

impl<M: Machine> Coalescer<M> {
    async fn run(mut self) {
        let mut under_way = FuturesUnordered::new();
        let in_flight = self.limits.entries_in_flight.max(1);
        loop {
            let free = under_way.len() < in_flight;
            tokio::select! {
                biased;
                Some(()) = under_way.next() => {}
                first = next(&mut self.waiting, &mut self.queued), if free => match first {
                    Some(first) => {
                        let entry = self.entry(first);
                        if !entry.is_empty() {
                            under_way.push(write(self.raft.clone(), entry, self.patience));
                        }
                    }
                    None => break,
                },
            }
        }
        while under_way.next().await.is_some() {}
    }

    /// What is queued, up to the bounds of an entry. Proposals nobody waits for any more are dropped.
    fn entry(&mut self, first: Proposal<M>) -> Vec<Proposal<M>> {
        let (mut entry, mut bytes, mut commands) = (Vec::new(), 0, 0);
        let tiny = self.faults.fires(site::TINY_ENTRY);
        let mut next = Some(first);
        while let Some(proposal) = next {
            if proposal.queued.elapsed() > self.patience {
                let _ = proposal.reply.send(Err(ProposeError::Overloaded { retry_after_ms: RETRY_AFTER_MS }));
            } else if !proposal.reply.is_closed() {
                let fits = !tiny
                    && bytes + proposal.bytes <= self.limits.entry_bytes
                    && commands + proposal.commands.len() <= self.limits.entry_commands_max;
                if !fits && !entry.is_empty() {
                    self.waiting = Some(proposal);
                    break;
                }
                bytes += proposal.bytes;
                commands += proposal.commands.len();
                entry.push(proposal);
            }
            next = self.queued.try_recv().ok();
        }
        entry
    }
}

async fn next<M: Machine>(
    waiting: &mut Option<Proposal<M>>,
    queued: &mut mpsc::Receiver<Proposal<M>>,
) -> Option<Proposal<M>> {
    match waiting.take() {
        Some(proposal) => Some(proposal),
        None => queued.recv().await,
    }
}

/// Writes one entry and answers its proposals.
async fn write<M: Machine>(raft: Raft<C, StateMachine<M>>, mut entry: Vec<Proposal<M>>, patience: Duration) {
    let commands = entry.iter_mut().flat_map(|proposal| {
        let commands = proposal.commands.iter_mut();
        commands.map(std::mem::take)
    });
    let batch = pb::CommandBatch { commands: commands.collect() };
    let written = tokio::time::timeout(patience, submit::<M>(raft, batch)).await;
    let late = || Err(ProposeError::Unknown("no commit in time".to_owned()));
    match written.unwrap_or_else(|_| late()) {
        Ok(responses) => answer(entry, responses),
        Err(error) => {
            for proposal in entry {
                let _ = proposal.reply.send(Err(error.clone()));
            }
        }
    }
}

async fn submit<M: Machine>(raft: Raft<C, StateMachine<M>>, batch: pb::CommandBatch) -> Reply<M> {
    let count = batch.commands.len();
    let (responder, applied) = ProgressResponder::<C, _>::complete_only();
    let commands = Commands(batch.encode_to_vec().into());
    if raft.write(commands).responder(responder).await.is_err() {
        return Err(ProposeError::Stopped);
    }
    let unknown = |reason: &str| ProposeError::Unknown(reason.to_owned());
    let applied = applied.await.map_err(|_| unknown("the replica stopped"))?;
    let responses = match applied {
        Ok(applied) => applied.data.take::<M::Response>(),
        Err(ClientWriteError::ForwardToLeader(forward)) => {
            return Err(ProposeError::NotLeader { leader: leader(forward) });
        }
        Err(error) => return Err(unknown(&error.to_string())),
    };
    let whole = responses.filter(|responses| responses.len() == count);
    whole.ok_or_else(|| unknown("the entry was applied without responses"))
}

fn answer<M: Machine>(entry: Vec<Proposal<M>>, responses: Vec<M::Response>) {
    let mut responses = responses.into_iter();
    for proposal in entry {
        let own = responses.by_ref().take(proposal.commands.len()).collect();
        // Whoever has gone needs no answer.
        let _ = proposal.reply.send(Ok(own));
    }
}

pub(crate) fn leader(forward: ForwardToLeader<C>) -> Option<Leader> {
    forward.leader_id.zip(forward.leader_node)
}
