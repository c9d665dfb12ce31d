//! Group commit: one writer takes everything that all groups have queued, writes it as one batch, syncs once and
//! then completes the callbacks in the order of the queue. The next batch forms during the sync; there is no timer.
//!
//! * First in, first out through one WAL: a vote is on disk before an append that was queued after it.
//! * After a failed write nothing is written any more: the failure is every later caller's answer, and each replica
//!   stops. (A failed fsync may have dropped the data; a second one that succeeds would prove nothing.)
//! * The queue is bounded by who fills it: each group has two proposals and 64 requests of its leader in flight.
//!
//! In production the writer is a thread. In a simulation it is a task, which waits for the disk before it writes and
//! again before it completes: so a crash may fall before or after durability, and always before the acknowledgement.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use flotilla_proto::env::Environment;
use flotilla_types::planted::{self, Bug};
use flotilla_types::{WriteBatch, WriteOp};
use openraft::storage::IOFlushed;
use parking_lot::{Condvar, Mutex};
use tokio::sync::{Notify, oneshot, watch};

use super::engine::LogEngine;
use super::keys::LogKey;
use super::mark::Mark;
use super::record::{Round, seal};
use crate::disk::Disk;
use crate::raft_types::C;

/// Where a round stops taking more.
const ROUND_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Who writes the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Writer {
    /// A thread of its own: production.
    #[default]
    Thread,
    /// A task on the runtime that opens the store, which waits as the disk says: a simulation.
    Task,
}

/// Who waits for an operation to be on disk.
pub(crate) enum Done {
    /// Nobody.
    Nobody,
    /// openraft's append.
    Flushed(IOFlushed<C>),
    /// A task.
    Signal(oneshot::Sender<io::Result<()>>),
}

impl Done {
    /// Says that it is on disk, whether it is or not: what is left is nobody's.
    pub fn hasten(self) -> Self {
        match self {
            Done::Flushed(callback) => callback.io_completed(Ok(())),
            other => return other,
        }
        Done::Nobody
    }
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
    /// Wakes the thread, or the task.
    wake: Condvar,
    notify: Notify,
    rounds: Mutex<Rounds>,
    /// There is no writer (any more) to wake: whoever queues something writes it.
    alone: AtomicBool,
    /// What the first failed write failed on.
    poisoned: watch::Sender<Option<String>>,
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
    /// Written, and not yet acknowledged.
    written: Vec<(LogOp, Written)>,
}

type Written = Result<(), (io::ErrorKind, String)>;

impl LogWriter {
    /// Starts after round `number`.
    pub fn start(
        engine: Arc<dyn LogEngine>,
        mark: Option<Mark>,
        number: u64,
        writer: Writer,
        disk: &Arc<dyn Disk>,
        env: &Environment,
    ) -> io::Result<Self> {
        let rounds = Mutex::new(Rounds { engine, mark, number, poison: None, written: Vec::new() });
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            notify: Notify::new(),
            rounds,
            alone: AtomicBool::new(false),
            poisoned: watch::Sender::default(),
        });
        let run = shared.clone();
        let thread = match writer {
            Writer::Thread => {
                let name = "flotilla-log".to_owned();
                Some(std::thread::Builder::new().name(name).spawn(move || run.run())?)
            }
            Writer::Task => {
                let task = Task(run);
                let disk = disk.clone();
                env.spawner.spawn(async move { task.run(&*disk).await });
                None
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
        if self.shared.alone.load(Ordering::Acquire) {
            return self.shared.drain();
        }
        self.shared.wake.notify_one();
        self.shared.notify.notify_one();
    }

    /// Queues rows and waits until they are on disk.
    pub async fn write(&self, rows: Vec<WriteOp>) -> io::Result<()> {
        let (done, wait) = oneshot::channel();
        self.submit(LogOp { rows, done: Done::Signal(done), durable: None });
        wait.await.unwrap_or_else(|_| Err(io::Error::other("the log's writer died")))
    }

    /// Whether a write has failed, after which none will succeed.
    pub fn is_poisoned(&self) -> bool {
        self.shared.poisoned.borrow().is_some()
    }

    /// Resolves, with the reason, once a write has failed.
    pub async fn poisoned(&self) -> String {
        let mut poisoned = self.shared.poisoned.subscribe();
        let why = poisoned.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        why.unwrap_or_default()
    }

    /// Writes what is queued, makes the mark durable and stops.
    pub fn close(&self) {
        self.shared.queue.lock().closed = true;
        self.shared.wake.notify_one();
        self.shared.notify.notify_one();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the log's writer panicked");
        }
        // What a task has left; a thread leaves nothing.
        self.shared.drain();
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

/// The writer as a task. However it ends, nobody waits for ever.
struct Task(Arc<Shared>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.alone.store(true, Ordering::Release);
        self.0.drain();
    }
}

impl Task {
    async fn run(&self, disk: &dyn Disk) {
        let shared = &self.0;
        loop {
            let woken = shared.notify.notified();
            let (empty, closed) = {
                let queue = shared.queue.lock();
                (queue.ops.is_empty(), queue.closed)
            };
            match (empty, closed) {
                (true, true) => return,
                (true, false) => woken.await,
                (false, _) => {
                    disk.ready().await;
                    shared.write(shared.queue.lock().take());
                    disk.ready().await;
                    shared.acknowledge();
                }
            }
        }
    }
}

impl Shared {
    fn run(&self) {
        while let Some(ops) = self.take() {
            self.write(ops);
            self.acknowledge();
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

    fn write(&self, ops: Vec<LogOp>) {
        let mut rounds = self.rounds.lock();
        self.write_round(&mut rounds, ops);
    }

    fn write_round(&self, rounds: &mut Rounds, ops: Vec<LogOp>) {
        rounds.write(ops);
        let Some((_, why)) = &rounds.poison else { return };
        self.poisoned.send_if_modified(|known| {
            let news = known.is_none();
            known.get_or_insert_with(|| why.clone());
            news
        });
    }

    /// Completes what was written. Outside the lock: a callback may queue more.
    fn acknowledge(&self) {
        let written = std::mem::take(&mut self.rounds.lock().written);
        for (op, result) in written {
            complete(op, &result);
        }
    }

    fn drain(&self) {
        loop {
            self.acknowledge();
            let mut rounds = self.rounds.lock();
            let ops = self.queue.lock().take();
            if ops.is_empty() {
                return;
            }
            self.write_round(&mut rounds, ops);
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
        let result = if planted::is(Bug::FsyncErrorSwallowed) { Ok(()) } else { result };
        if let Err(poison) = &result
            && self.poison.is_none()
        {
            tracing::error!(error = %poison.1, "the log cannot be written: every replica of this node stops");
            self.poison = Some(poison.clone());
        }
        self.written.extend(ops.into_iter().map(|op| (op, result.clone())));
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

fn complete(op: LogOp, result: &Written) {
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
