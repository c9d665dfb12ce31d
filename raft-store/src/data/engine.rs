//! What a data database must be able to do.

use std::path::Path;

use bytes::Bytes;
use flotilla_types::engine::Rows;
use flotilla_types::{Engine, EngineError, Reader, WriteBatch};

/// A replica's rows. Not durable by itself: what was written since the last [`DataEngine::flush`] or
/// [`DataEngine::checkpoint`] may be gone after a crash, but then all of it from some moment on.
pub trait DataEngine: Engine {
    /// Makes everything written so far durable.
    fn flush(&self) -> Result<(), EngineError>;

    /// Makes `dir` (which must not exist) a database that holds what this one holds now. Durable.
    fn checkpoint(&self, dir: &Path) -> Result<(), EngineError>;

    /// Whether a write would have to wait until background work has caught up.
    fn is_write_stopped(&self) -> bool {
        false
    }

    /// How many bytes it takes on disk, about.
    fn bytes(&self) -> u64;
}

/// Stands where the database of a closed replica was.
pub(crate) struct Closed;

pub(crate) fn closed() -> EngineError {
    EngineError::new("use a replica", "it is closed")
}

impl Reader for Closed {
    fn get(&self, _: &[u8]) -> Result<Option<Bytes>, EngineError> {
        Err(closed())
    }

    fn scan<'a>(&'a self, _: &[u8], _: &[u8]) -> Rows<'a> {
        Box::new(std::iter::once(Err(closed())))
    }
}

impl Engine for Closed {
    fn snapshot(&self) -> Box<dyn Reader + '_> {
        Box::new(Self)
    }

    fn write(&self, _: WriteBatch) -> Result<(), EngineError> {
        Err(closed())
    }
}

impl DataEngine for Closed {
    fn flush(&self) -> Result<(), EngineError> {
        Err(closed())
    }

    fn checkpoint(&self, _: &Path) -> Result<(), EngineError> {
        Err(closed())
    }

    fn bytes(&self) -> u64 {
        0
    }
}
