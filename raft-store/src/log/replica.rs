//! One replica's part of the log: its promises, the bounds of its log and its newest entries in memory, its rows in
//! the shared database.
//!
//! * Memory changes first, rows are queued under the same lock: the queue's order is the order of the changes.
//! * What is not yet on disk is in the tail; only what is on disk leaves it.
//! * A reader that went to the database while the log was truncated or purged starts again: it never mixes two logs.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flotilla_proto::faults::{Faults, mark};
use flotilla_proto::raft_v1 as pb;
use flotilla_types::WriteOp;
use flotilla_types::planted::{self, Bug};
use parking_lot::Mutex;

use super::engine::LogEngine;
use super::keys::LogKey;
use super::record::{ReplicaState, seal, unseal};
use super::tail::Tail;
use super::writer::{Done, LogOp, LogWriter};
use crate::convert;
use crate::error::StoreError;
use crate::ids::ReplicaId;
use crate::raft_types::{Entry, LogId, Vote};

/// How many bytes one read returns when the caller sets no bound of its own.
pub(crate) const READ_BYTES: usize = 1024 * 1024;
/// A purge of more entries than this is one range tombstone instead of many point ones.
const POINT_DELETES_MAX: u64 = 64;

/// One replica's log. Shared by openraft's tasks.
pub(crate) struct ReplicaLog {
    id: ReplicaId,
    engine: Arc<dyn LogEngine>,
    writer: Arc<LogWriter>,
    tail_bytes_max: usize,
    state: Mutex<State>,
    /// The last operation that is on disk.
    durable: Arc<AtomicU64>,
    pub faults: Faults,
}

#[derive(Default)]
struct State {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    last: Option<LogId>,
    tail: Tail,
    /// Where the log starts if not right after `purged`. Raft leaves no such hole; openraft's storage suite does.
    first: u64,
    /// The last operation queued.
    op: u64,
    /// Grows whenever entries disappear.
    generation: u64,
    /// Bytes appended since the last snapshot or restart.
    appended_bytes: u64,
}

/// The bounds of a log and what it has promised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub vote: Option<Vote>,
    pub committed: Option<LogId>,
    pub purged: Option<LogId>,
    pub last: Option<LogId>,
}

impl ReplicaLog {
    /// Reads what is there; nothing, for a new replica.
    pub fn open(
        id: ReplicaId,
        engine: Arc<dyn LogEngine>,
        writer: Arc<LogWriter>,
        tail_bytes_max: usize,
    ) -> Result<Self, StoreError> {
        let stored = read_state(&*engine, id).map_err(|error| StoreError::stored(describe(id), error))?;
        let stored = stored.unwrap_or_default();
        let state = State {
            vote: stored.vote.as_ref().map(convert::vote_from),
            committed: stored.committed.as_ref().map(convert::log_id_from),
            purged: stored.purged.as_ref().map(convert::log_id_from),
            last: stored.last.as_ref().map(convert::log_id_from),
            ..State::default()
        };
        let (state, durable, faults) = (state.into(), Arc::default(), Faults::none());
        let log = Self { id, engine, writer, tail_bytes_max, state, durable, faults };
        log.check_ends()?;
        Ok(log)
    }

    /// The first and the last entry that the state promises must be there.
    fn check_ends(&self) -> Result<(), StoreError> {
        let Bounds { purged, last, .. } = self.bounds();
        let (first, end) = (next(&purged), next(&last));
        if first >= end {
            return Ok(());
        }
        let corrupt = |detail: String| StoreError::corrupt(describe(self.id), detail);
        for index in [first, end - 1] {
            let found = self.read(index..index + 1, usize::MAX);
            let found = found.map_err(|error| StoreError::stored(describe(self.id), error))?;
            let found = found.last().map(|entry| entry.log_id);
            if found.is_none() || (index == end - 1 && found != last) {
                return Err(corrupt(format!("entry {index} should be {last:?} and is {found:?}")));
            }
        }
        Ok(())
    }

    pub fn bounds(&self) -> Bounds {
        let state = self.state.lock();
        Bounds { vote: state.vote, committed: state.committed, purged: state.purged, last: state.last }
    }

    /// The index after the last entry.
    pub fn next(&self) -> u64 {
        next(&self.state.lock().last)
    }

    /// The failure to find an entry that should be there.
    pub fn missing(&self, index: u64) -> io::Error {
        missing(self.id, index)
    }

    /// Makes the replica known to the log, durably.
    pub async fn register(&self) -> io::Result<()> {
        let rows = vec![self.state.lock().row(self.id)];
        self.writer.write(rows).await
    }

    pub async fn save_vote(&self, vote: Vote) -> io::Result<()> {
        let (done, wait) = tokio::sync::oneshot::channel();
        {
            let mut state = self.state.lock();
            state.vote = Some(vote);
            if planted::is(Bug::VoteNotSynced) {
                return Ok(());
            }
            self.submit(&mut state, Vec::new(), Done::Signal(done));
        }
        wait.await.unwrap_or_else(|_| Err(io::Error::other("the log's writer died")))
    }

    /// Only remembered: it rides on the next batch.
    pub fn save_committed(&self, committed: Option<LogId>) {
        self.state.lock().committed = committed;
    }

    pub fn append(&self, entries: impl IntoIterator<Item = Entry>, mut done: Done) {
        if planted::is(Bug::LogNotSynced) {
            done = done.hasten();
        }
        let mut rows = Vec::new();
        let mut kept = Vec::new();
        for entry in entries {
            let key = LogKey::Entry(self.id, entry.log_id.index).encode();
            let value = seal(&key, &convert::entry(&entry));
            kept.push((entry, value.len()));
            rows.push(WriteOp::Put { key: key.into(), value });
        }
        let mut state = self.state.lock();
        let op = state.op + 1;
        if let Some((entry, _)) = kept.first()
            && entry.log_id.index > next(&state.last)
        {
            state.first = entry.log_id.index;
        }
        for (entry, bytes) in kept {
            state.last = Some(entry.log_id);
            state.appended_bytes += bytes as u64;
            state.tail.push(entry, bytes, op);
        }
        self.submit(&mut state, rows, done);
        state.tail.evict(self.tail_bytes_max, self.durable.load(Ordering::Acquire));
    }

    /// Removes the entries after `last`.
    pub fn truncate_after(&self, last: Option<LogId>) {
        let mut state = self.state.lock();
        let (first, end) = (next(&last).max(next(&state.purged)), next(&state.last));
        let rows = self.deletes(first..end);
        state.tail.truncate(first);
        if first < end {
            state.last = last.max(state.purged);
        }
        state.generation += 1;
        self.submit(&mut state, rows, Done::Nobody);
    }

    /// Removes the entries up to `upto`, whether the log reaches that far or not.
    pub fn purge(&self, upto: LogId) {
        let mut state = self.state.lock();
        let (first, end) = (next(&state.purged), (upto.index + 1).min(next(&state.last)));
        let rows = self.deletes(first..end);
        state.tail.purge(upto.index);
        if next(&state.last) <= upto.index {
            state.last = Some(upto);
        }
        state.purged = Some(upto);
        state.generation += 1;
        self.submit(&mut state, rows, Done::Nobody);
        drop(state);
        self.faults.seen(mark::LOG_PURGED);
    }

    fn deletes(&self, range: Range<u64>) -> Vec<WriteOp> {
        let key = |index| LogKey::Entry(self.id, index).encode().into();
        match range.end.saturating_sub(range.start) {
            0 => Vec::new(),
            1..=POINT_DELETES_MAX => range.map(|index| WriteOp::Delete { key: key(index) }).collect(),
            _ => vec![WriteOp::DeleteRange { start: key(range.start), end: key(range.end) }],
        }
    }

    fn submit(&self, state: &mut State, mut rows: Vec<WriteOp>, done: Done) {
        state.op += 1;
        rows.push(state.row(self.id));
        self.writer.submit(LogOp { rows, done, durable: Some((self.durable.clone(), state.op)) });
    }

    /// The entries of the log within `range`, from its start until `bytes_max` is reached; at least one if there is
    /// one. May wait for the disk when the range begins below the tail.
    pub fn read(&self, range: Range<u64>, bytes_max: usize) -> io::Result<Vec<Entry>> {
        loop {
            let (generation, range, tail) = {
                let state = self.state.lock();
                let start = range.start.max(next(&state.purged)).max(state.first);
                let end = range.end.min(next(&state.last));
                if start >= end {
                    return Ok(Vec::new());
                }
                match state.tail.first() {
                    Some(first) if first <= start => return Ok(state.tail.range(start, end, bytes_max)),
                    first => (state.generation, start..end, first.unwrap_or(end).min(end)),
                }
            };
            let read = crate::blocking::blocking(|| self.read_rows(range.start..tail, bytes_max));
            if self.state.lock().generation != generation {
                continue;
            }
            let entries = read?;
            let reached = entries.last().map_or(range.start, |entry| entry.log_id.index + 1);
            if reached < tail || tail == range.end || bytes_max != usize::MAX {
                return Ok(entries);
            }
            return Ok(entries.into_iter().chain(self.read(tail..range.end, bytes_max)?).collect());
        }
    }

    fn read_rows(&self, range: Range<u64>, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let start = LogKey::Entry(self.id, range.start).encode();
        let end = LogKey::Entry(self.id, range.end).encode();
        let (mut entries, mut bytes) = (Vec::new(), 0);
        let mut full = false;
        self.engine.scan(&start, &end, &mut |key, value| {
            bytes += value.len();
            full = bytes > bytes_max && !entries.is_empty();
            if !full {
                let stored = bytes::Bytes::copy_from_slice(value);
                let entry = unseal::<pb::Entry>(key, &stored)?;
                let entry = convert::entry_from(entry)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                let expected = range.start + entries.len() as u64;
                if entry.log_id.index != expected {
                    return Err(missing(self.id, expected));
                }
                entries.push(entry);
            }
            Ok(!full)
        })?;
        let reached = range.start + entries.len() as u64;
        if !full && reached < range.end {
            return Err(missing(self.id, reached));
        }
        Ok(entries)
    }

    /// Bytes appended since the last call of [`ReplicaLog::snapshot_done`], or since the replica was opened.
    pub fn appended_bytes(&self) -> u64 {
        self.state.lock().appended_bytes
    }

    pub fn snapshot_done(&self) {
        self.state.lock().appended_bytes = 0;
    }

    /// Up to where the log may be purged so that at most `count` entries and about `bytes` remain; none if all of it
    /// may stay.
    pub fn purge_keeping(&self, count: u64, bytes: usize) -> Option<u64> {
        let state = self.state.lock();
        let by_count = next(&state.last).saturating_sub(count);
        // The tail does not reach back further than its own bound: a larger one would never bind.
        state.tail.newest(bytes.min(self.tail_bytes_max / 2)).unwrap_or(0).max(by_count).checked_sub(1)
    }
}

impl State {
    fn row(&self, id: ReplicaId) -> WriteOp {
        let key = LogKey::State(id).encode();
        let state = ReplicaState {
            vote: self.vote.as_ref().map(convert::vote),
            committed: self.committed.as_ref().map(convert::log_id),
            purged: self.purged.as_ref().map(convert::log_id),
            last: self.last.as_ref().map(convert::log_id),
        };
        let value = seal(&key, &state);
        WriteOp::Put { key: key.into(), value }
    }
}

/// What the log knows of a replica; nothing if it was never here.
pub(crate) fn read_state(engine: &dyn LogEngine, id: ReplicaId) -> io::Result<Option<ReplicaState>> {
    let key = LogKey::State(id).encode();
    engine.get(&key)?.map(|stored| unseal(&key, &stored)).transpose()
}

/// The index after `id`.
pub(crate) fn next(id: &Option<LogId>) -> u64 {
    id.as_ref().map_or(0, |id| id.index + 1)
}

fn missing(id: ReplicaId, index: u64) -> io::Error {
    let text = format!("entry {index} of the log of replica {id} is missing");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn describe(id: ReplicaId) -> String {
    format!("the log of replica {id}")
}
