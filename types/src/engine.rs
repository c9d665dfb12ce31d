//! The small ordered store a machine keeps its data in: RocksDB in production, memory in simulation.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

/// The storage below a machine failed. Never a response: it stops the replica (design, section 4).
#[derive(Debug, thiserror::Error)]
#[error("storage engine: {what}")]
pub struct EngineError {
    /// What was being done.
    pub what: String,
    /// What went wrong below.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl EngineError {
    /// A failure with its cause.
    pub fn new(what: impl Into<String>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { what: what.into(), source: Some(source.into()) }
    }

    /// Stored bytes that break the store's own format.
    pub fn corrupt(what: impl Into<String>) -> Self {
        Self { what: what.into(), source: None }
    }
}

impl From<crate::wire::WireError> for EngineError {
    fn from(error: crate::wire::WireError) -> Self {
        Self::new("a stored row does not decode", error)
    }
}

/// One step of [`Reader::scan`]: a row, or the end.
pub type Row = (Bytes, Bytes);

/// Rows in ascending key order.
pub type Rows<'a> = Box<dyn Iterator<Item = Result<Row, EngineError>> + 'a>;

/// One consistent view of the rows. Reads through one view see one moment.
pub trait Reader {
    /// The value stored under `key`.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError>;

    /// The rows with `start <= key < end`, ascending. `end` empty means: to the end.
    fn scan<'a>(&'a self, start: &[u8], end: &[u8]) -> Rows<'a>;
}

/// An ordered store. `write` is atomic; what it wrote is visible to every later `snapshot`.
///
/// Durability is not the engine's business: in a replica the Raft log is the write-ahead log.
pub trait Engine: Send + Sync + 'static {
    /// A view of this moment, independent of later writes.
    fn snapshot(&self) -> Box<dyn Reader + '_>;

    /// Applies the operations in order, all or none.
    fn write(&self, batch: WriteBatch) -> Result<(), EngineError>;
}

/// One operation of a [`WriteBatch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteOp {
    /// Stores `value` under `key`.
    Put {
        /// Where.
        key: Bytes,
        /// What.
        value: Bytes,
    },
    /// Removes `key`, if it is there.
    Delete {
        /// Which.
        key: Bytes,
    },
    /// Removes the rows with `start <= key < end`.
    DeleteRange {
        /// The first key that goes.
        start: Bytes,
        /// The first key that stays; never empty.
        end: Bytes,
    },
}

/// Operations applied together, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteBatch {
    /// The operations.
    pub ops: Vec<WriteOp>,
}

impl WriteBatch {
    /// Adds a put.
    pub fn put(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.ops.push(WriteOp::Put { key: key.into(), value: value.into() });
    }

    /// Adds a delete.
    pub fn delete(&mut self, key: impl Into<Bytes>) {
        self.ops.push(WriteOp::Delete { key: key.into() });
    }

    /// Adds a range delete of `start <= key < end`.
    pub fn delete_range(&mut self, start: impl Into<Bytes>, end: impl Into<Bytes>) {
        self.ops.push(WriteOp::DeleteRange { start: start.into(), end: end.into() });
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }
}

/// The first key after every key that starts with `prefix`; empty (no bound) if there is none.
pub fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    end
}

/// An engine in memory, for simulation and for the tests of pure machines. A snapshot is a cheap clone of
/// a shared map that is copied on the next write.
#[derive(Debug, Default)]
pub struct MemEngine {
    rows: std::sync::RwLock<Arc<BTreeMap<Bytes, Bytes>>>,
}

/// A view of a [`MemEngine`].
#[derive(Clone, Debug)]
pub struct MemReader(Arc<BTreeMap<Bytes, Bytes>>);

impl MemEngine {
    /// A view of this moment.
    pub fn view(&self) -> MemReader {
        MemReader(self.rows.read().expect("no panic holds this lock").clone())
    }
}

impl Reader for MemReader {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        Ok(self.0.get(key).cloned())
    }

    fn scan<'a>(&'a self, start: &[u8], end: &[u8]) -> Rows<'a> {
        if !end.is_empty() && start >= end {
            return Box::new(std::iter::empty());
        }
        let upper = if end.is_empty() { Bound::Unbounded } else { Bound::Excluded(end) };
        let rows = self.0.range::<[u8], _>((Bound::Included(start), upper));
        Box::new(rows.map(|(key, value)| Ok((key.clone(), value.clone()))))
    }
}

impl Engine for MemEngine {
    fn snapshot(&self) -> Box<dyn Reader + '_> {
        Box::new(self.view())
    }

    fn write(&self, batch: WriteBatch) -> Result<(), EngineError> {
        let mut guard = self.rows.write().expect("no panic holds this lock");
        let rows = Arc::make_mut(&mut *guard);
        for op in batch.ops {
            match op {
                WriteOp::Put { key, value } => {
                    rows.insert(key, value);
                }
                WriteOp::Delete { key } => {
                    rows.remove(&key);
                }
                WriteOp::DeleteRange { start, end } => {
                    let doomed = rows.range(start..end).map(|(key, _)| key.clone()).collect::<Vec<_>>();
                    doomed.iter().for_each(|key| drop(rows.remove(key)));
                }
            }
        }
        Ok(())
    }
}
