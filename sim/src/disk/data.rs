//! A data database: rows in memory over tables.

use std::io;
use std::path::Path;

use bytes::Bytes;
use flotilla_raft_store::DataEngine;
use flotilla_types::engine::Rows;
use flotilla_types::{Engine, EngineError, Reader, WriteBatch};
use parking_lot::Mutex;

use super::access::Access;
use super::base::{Base, View};

/// One in so many writes of rows is followed by a flush that nobody asked for.
const FLUSH_ODDS: u64 = 48;

/// A data database.
pub struct DataDatabase {
    base: Mutex<Base>,
    read_only: bool,
}

fn engine(what: &str) -> impl Fn(io::Error) -> EngineError + '_ {
    move |error| EngineError::new(what, error)
}

impl DataDatabase {
    /// Opens or makes it.
    pub fn open(access: &Access, dir: &Path) -> Result<Self, EngineError> {
        let base = Base::open(access, dir, true).map_err(engine("open a data database"))?;
        Ok(Self { base: Mutex::new(base), read_only: false })
    }

    /// Opens it without changing a byte.
    pub fn open_read_only(access: &Access, dir: &Path) -> Result<Self, EngineError> {
        let base = Base::open(access, dir, false).map_err(engine("open a snapshot"))?;
        Ok(Self { base: Mutex::new(base), read_only: true })
    }

    fn change<T>(&self, what: &str, work: impl FnOnce(&mut Base) -> io::Result<T>) -> Result<T, EngineError> {
        if self.read_only {
            return Err(EngineError::new(
                what,
                io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "open to read"),
            ));
        }
        self.base.lock().once(work).map_err(engine(what))
    }
}

impl Engine for DataDatabase {
    fn snapshot(&self) -> Box<dyn Reader + '_> {
        Box::new(DataReader(self.base.lock().view.clone()))
    }

    fn write(&self, batch: WriteBatch) -> Result<(), EngineError> {
        self.change("write rows", |base| {
            base.apply(batch);
            Ok(())
        })?;
        let mut base = self.base.lock();
        if base.access.chance(FLUSH_ODDS) {
            // In the background: only the next write hears of its failure.
            let flushed = base.once(|base| base.flush(false));
            if let Err(error) = flushed {
                tracing::debug!(%error, "a flush in the background failed");
            }
        }
        Ok(())
    }
}

impl DataEngine for DataDatabase {
    fn flush(&self) -> Result<(), EngineError> {
        self.change("flush rows", |base| base.flush(false))
    }

    fn checkpoint(&self, dir: &Path) -> Result<(), EngineError> {
        self.flush()?;
        // Its failure harms nothing but itself.
        self.base.lock().link_to(dir).map_err(engine("write a checkpoint"))
    }

    fn bytes(&self) -> u64 {
        self.base.lock().bytes()
    }
}

struct DataReader(View);

impl Reader for DataReader {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.0.get(key).map_err(engine("read a row"))
    }

    fn scan<'a>(&'a self, start: &[u8], end: &[u8]) -> Rows<'a> {
        if !end.is_empty() && start >= end {
            return Box::new(std::iter::empty());
        }
        match self.0.range(start, end) {
            Ok(rows) => Box::new(rows.map(|(key, value)| Ok((key.clone(), value.clone())))),
            Err(error) => Box::new(std::iter::once(Err(engine("scan rows")(error)))),
        }
    }
}
