//! Linearizable reads: reads that wait share one confirmation of leadership, and a read only joins a confirmation
//! that begins after it arrived.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::env::Spawner;
use flotilla_types::Machine;
use flotilla_types::planted::{self, Bug};
use openraft::errors::{LinearizableReadError, RaftError};
use openraft::{Raft, ReadPolicy};
use tokio::sync::{mpsc, oneshot, watch};

use super::options::{GroupLimits, RaftTimings};
use super::progress::{Progress, Role};
use super::propose::leader;
use crate::data::state_machine::StateMachine;
use crate::data::view::Replica;
use crate::error::{ReadError, describe};
use crate::raft_types::C;

const RETRY_AFTER_MS: u64 = 20;
/// The most reads that share one snapshot of the rows.
const BATCH_MAX: usize = 256;

type Reply<M> = Result<<M as Machine>::Answer, ReadError>;

struct Read<M: Machine> {
    query: M::Query,
    reply: oneshot::Sender<Reply<M>>,
}

/// The way into a group's queue of reads.
pub(crate) struct Reads<M: Machine> {
    queue: mpsc::Sender<Read<M>>,
    progress: watch::Receiver<Progress>,
}

impl<M: Machine> Reads<M> {
    /// The queue, and the task that must run.
    pub fn new(
        raft: Raft<C, StateMachine<M>>,
        replica: Arc<Replica<M>>,
        progress: watch::Receiver<Progress>,
        limits: &GroupLimits,
        timings: &RaftTimings,
        spawner: Spawner,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (queue, queued) = mpsc::channel(limits.queue_reads_max.max(1));
        let patience = Duration::from_millis(timings.read_ms_max);
        let reader = Reader { raft, replica, patience };
        (Self { queue, progress }, run(Arc::new(reader), queued, spawner))
    }

    pub async fn read(&self, query: M::Query) -> Reply<M> {
        {
            let progress = self.progress.borrow();
            match progress.role {
                Role::Leader => {}
                Role::Stopped => return Err(ReadError::Stopped),
                _ => return Err(ReadError::NotLeader { leader: progress.leader.clone() }),
            }
        }
        let (reply, wait) = oneshot::channel();
        match self.queue.try_send(Read { query, reply }) {
            Ok(()) => wait.await.unwrap_or(Err(ReadError::Stopped)),
            Err(mpsc::error::TrySendError::Full(_)) => {
                Err(ReadError::Overloaded { retry_after_ms: RETRY_AFTER_MS })
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(ReadError::Stopped),
        }
    }
}

/// One confirmation at a time; what arrives meanwhile waits for the next. The queries of a batch run in a task of
/// their own, so that the next confirmation need not wait for them.
async fn run<M: Machine>(reader: Arc<Reader<M>>, mut queued: mpsc::Receiver<Read<M>>, spawner: Spawner) {
    let mut batch = Vec::new();
    while queued.recv_many(&mut batch, usize::MAX).await > 0 {
        let confirmed = reader.confirm().await;
        let reads = std::mem::take(&mut batch);
        match confirmed {
            Ok(()) => {
                let reader = reader.clone();
                spawner.spawn(async move { reader.answer(reads) });
            }
            Err(error) => {
                for read in reads {
                    let _ = read.reply.send(Err(error.clone()));
                }
            }
        }
    }
}

struct Reader<M: Machine> {
    raft: Raft<C, StateMachine<M>>,
    replica: Arc<Replica<M>>,
    patience: Duration,
}

impl<M: Machine> Reader<M> {
    /// Returns when this replica was the leader after the call and has applied all that was committed before it.
    async fn confirm(&self) -> Result<(), ReadError> {
        if planted::is(Bug::StaleRead) {
            return Ok(());
        }
        let confirmed = tokio::time::timeout(self.patience, async {
            let (read, _) = self.raft.get_read_log_id(ReadPolicy::ReadIndex).await.map_err(read_error)?;
            let mut applied = self.replica.applied_next.subscribe();
            let reached = applied.wait_for(|next| *next > read.index()).await;
            reached.map(drop).map_err(|_| ReadError::Stopped)
        });
        confirmed.await.unwrap_or(Err(ReadError::NoQuorum))
    }

    fn answer(&self, reads: Vec<Read<M>>) {
        let mut reads = reads.into_iter().peekable();
        while reads.peek().is_some() {
            let some = reads.by_ref().take(BATCH_MAX).collect();
            answer_some(&self.replica, some);
        }
    }
}

fn answer_some<M: Machine>(replica: &Replica<M>, reads: Vec<Read<M>>) {
    replica.read(|machine, rows| {
        for read in reads {
            let answer = query(replica, machine, rows, read.query);
            // Whoever has gone needs no answer.
            let _ = read.reply.send(answer);
        }
    });
}

/// Runs one query. A panic in it is the query's failure, not the replica's; rows that cannot be read are the replica's.
pub(crate) fn query<M: Machine>(
    replica: &Replica<M>,
    machine: &M,
    rows: &dyn flotilla_types::Reader,
    query: M::Query,
) -> Reply<M> {
    match catch_unwind(AssertUnwindSafe(|| machine.query(rows, query))) {
        Ok(answer) => answer.map_err(|error| {
            replica.fail(&error);
            ReadError::Failed(describe(&error))
        }),
        Err(_) => Err(ReadError::Failed("the query panicked".to_owned())),
    }
}

fn read_error(error: RaftError<C, LinearizableReadError<C>>) -> ReadError {
    match error {
        RaftError::APIError(LinearizableReadError::ForwardToLeader(forward)) => {
            ReadError::NotLeader { leader: leader(forward) }
        }
        RaftError::APIError(LinearizableReadError::QuorumNotEnough(_)) => ReadError::NoQuorum,
        RaftError::Fatal(_) => ReadError::Stopped,
    }
}
