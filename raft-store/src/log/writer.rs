//! Group commit: one thread takes everything that all groups have queued, writes it as one batch, syncs once and
//! then completes the callbacks in the order of the queue. The next batch forms during the sync; there is no timer.
//!
//! * First in, first out through one WAL: a vote is on disk before an append that was queued after it.
//! * After a failed write nothing is written any more: the failure is every later caller's answer, and each replica
//!   stops. (A failed fsync may have dropped the data; a second one that succeeds would prove nothing.)
//! * The queue is bounded by who fills it: each group has two proposals and 64 requests of its leader in flight.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use flotilla_types::{WriteBatch, WriteOp};
use openraft::storage::IOFlushed;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::engine::LogEngine;
use super::keys::LogKey;
use super::mark::Mark;
use super::record::{Round, seal};
use crate::raft_types::C;

/// Where a round stops taking more.
const ROUND_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Who waits for an operation to be on disk.
pub(crate) enum Done {
    /// Nobody.
    Nobody,
    /// openraft's append.
    Flushed(IOFlushed<C>),
    /// A task.
    Signal(oneshot::Sender<io::Result<()>>),
}

/// Rows to write, in order.
pub(crate) struct LogOp {
    pub rows: Vec<WriteOp>,
    pub done: Done,
    /// Where to say that the operation with this number is on disk.
    pub durable: Option<(Arc<AtomicU64>, u64)>,
}

impl LogOp {
    fn bytes(&self) -> usize {
        let size = |op: &WriteOp| match op {
            WriteOp::Put { key, value } => key.len() + value.len(),
            _ => 64,
        };
        self.rows.iter().map(size).sum()
    }
}

/// The handle to the writer.
pub(crate) struct LogWriter {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    rounds: Mutex<Rounds>,
    /// Write in the caller's thread: a simulation must not depend on when a thread runs.
    inline: bool,
}

#[derive(Default)]
struct Queue {
    ops: VecDeque<LogOp>,
    closed: bool,
}

/// What one round needs.
struct Rounds {
    engine: Arc<dyn LogEngine>,
    mark: Option<Mark>,
    number: u64,
    poison: Option<(io::ErrorKind, String)>,
}

impl LogWriter {
    /// Starts after round `number`.
    pub fn start(
        engine: Arc<dyn LogEngine>,
        mark: Option<Mark>,
        number: u64,
        inline: bool,
    ) -> io::Result<Self> {
        let rounds = Mutex::new(Rounds { engine, mark, number, poison: None });
        let shared = Shared { queue: Mutex::default(), wake: Condvar::new(), rounds, inline };
        let shared = Arc::new(shared);
        let run = shared.clone();
        let thread = match inline {
            true => None,
            false => {
                let name = "flotilla-log".to_owned();
                Some(std::thread::Builder::new().name(name).spawn(move || run.run())?)
            }
        };
        Ok(Self { shared, thread: Mutex::new(thread) })
    }

    /// Queues an operation.
    pub fn submit(&self, op: LogOp) {
        {
            let mut queue = self.shared.queue.lock();
            if queue.closed {
                drop(queue);
                return complete(op, &Err((io::ErrorKind::BrokenPipe, "the log is closed".to_owned())));
            }
            queue.ops.push_back(op);
        }
        if self.shared.inline {
            self.shared.drain();
        } else {
            self.shared.wake.notify_one();
        }
    }

    /// Queues rows and waits until they are on disk.
    pub async fn write(&self, rows: Vec<WriteOp>) -> io::Result<()> {
        let (done, wait) = oneshot::channel();
        self.submit(LogOp { rows, done: Done::Signal(done), durable: None });
        wait.await.unwrap_or_else(|_| Err(io::Error::other("the log's writer died")))
    }

    /// Writes what is queued, makes the mark durable and stops.
    pub fn close(&self) {
        self.shared.queue.lock().closed = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the log's writer panicked");
        }
        if let Some(mark) = &self.shared.rounds.lock().mark
            && let Err(error) = mark.sync()
        {
            tracing::warn!(%error, "cannot sync the log's mark");
        }
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn run(&self) {
        while let Some(ops) = self.take() {
            self.rounds.lock().write(ops);
        }
    }

    /// Everything queued, up to a bound; waits for the first; none once closed and empty.
    fn take(&self) -> Option<Vec<LogOp>> {
        let mut queue = self.queue.lock();
        while queue.ops.is_empty() {
            if queue.closed {
                return None;
            }
            self.wake.wait(&mut queue);
        }
        Some(queue.take())
    }

    fn drain(&self) {
        let mut rounds = self.rounds.lock();
        loop {
            let ops = self.queue.lock().take();
            if ops.is_empty() {
                return;
            }
            rounds.write(ops);
        }
    }
}

impl Queue {
    fn take(&mut self) -> Vec<LogOp> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        while bytes < ROUND_BYTES_MAX
            && let Some(op) = self.ops.pop_front()
        {
            bytes += op.bytes();
            taken.push(op);
        }
        taken
    }
}

impl Rounds {
    fn write(&mut self, mut ops: Vec<LogOp>) {
        let rows = ops.iter_mut().flat_map(|op| std::mem::take(&mut op.rows)).collect::<Vec<_>>();
        let result = match &self.poison {
            Some(poison) => Err(poison.clone()),
            None if rows.is_empty() => Ok(()),
            None => self.sync(rows).map_err(|error| (error.kind(), error.to_string())),
        };
        if let Err(poison) = &result
            && self.poison.is_none()
        {
            tracing::error!(error = %poison.1, "the log cannot be written: every replica of this node stops");
            self.poison = Some(poison.clone());
        }
        for op in ops {
            complete(op, &result);
        }
    }

    fn sync(&mut self, rows: Vec<WriteOp>) -> io::Result<()> {
        let round = self.number + 1;
        let mut batch = WriteBatch { ops: rows };
        let key = LogKey::Round.encode();
        let value = seal(&key, &Round { number: round });
        batch.put(key, value);
        self.engine.write(batch)?;
        self.number = round;
        self.mark.as_ref().map_or(Ok(()), |mark| mark.write(round))
    }
}

fn complete(op: LogOp, result: &Result<(), (io::ErrorKind, String)>) {
    if let (Ok(()), Some((durable, number))) = (result, op.durable) {
        durable.store(number, Ordering::Release);
    }
    let result = result.clone().map_err(|(kind, text)| io::Error::new(kind, text));
    match op.done {
        Done::Nobody => {}
        Done::Flushed(callback) => callback.io_completed(result),
        // A waiter that has gone needs no answer.
        Done::Signal(done) => drop(done.send(result)),
    }
}
