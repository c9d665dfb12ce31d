//! The seam to the disk: production opens RocksDB databases beside the system's files, a simulation its own.

use std::io;
use std::path::Path;
use std::sync::Arc;

use flotilla_types::EngineError;
use futures::future::BoxFuture;

use crate::data::engine::DataEngine;
use crate::data::rocks::{RocksData, SharedMemory};
use crate::files::{Files, SystemFiles};
use crate::log::engine::LogEngine;
use crate::log::rocks::RocksLog;

/// Everything that a node keeps.
pub trait Disk: Send + Sync + 'static {
    /// Opens or creates a node's log database.
    fn open_log(&self, dir: &Path) -> io::Result<Arc<dyn LogEngine>>;

    /// Opens or creates a replica's data database.
    fn open_data(&self, dir: &Path) -> Result<Arc<dyn DataEngine>, EngineError>;

    /// Opens a checkpoint without changing a byte of it.
    fn open_data_read_only(&self, dir: &Path) -> Result<Arc<dyn DataEngine>, EngineError>;

    /// The small files beside the databases (identity, mark, `CURRENT`), and the files that databases are made of when
    /// they are copied, sent and received.
    fn files(&self) -> &dyn Files {
        &SystemFiles
    }

    /// What a write to the log must wait for, before it and again before it is acknowledged, if the writer is a task
    /// ([`crate::Writer::Task`]): a simulation's slow or stalled sync.
    fn ready(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// How much memory the databases of a node share, and whether they keep their promises.
#[derive(Clone, Debug)]
pub struct RocksOptions {
    /// Cache of table blocks, all data databases together.
    pub cache_bytes: usize,
    /// Rows not yet in tables, all data databases together.
    pub write_buffer_bytes: usize,
    /// Acknowledges writes that a power cut would lose. For tests.
    pub unsafe_no_fsync: bool,
}

impl Default for RocksOptions {
    fn default() -> Self {
        Self { cache_bytes: 256 << 20, write_buffer_bytes: 256 << 20, unsafe_no_fsync: false }
    }
}

/// RocksDB databases.
pub struct RocksDisk {
    memory: SharedMemory,
    fsync: bool,
}

impl RocksDisk {
    /// Databases that share memory as `options` say.
    pub fn new(options: &RocksOptions) -> Self {
        let memory = SharedMemory::new(options.cache_bytes, options.write_buffer_bytes);
        Self { memory, fsync: !options.unsafe_no_fsync }
    }
}

impl Disk for RocksDisk {
    fn open_log(&self, dir: &Path) -> io::Result<Arc<dyn LogEngine>> {
        Ok(Arc::new(RocksLog::open(dir, self.fsync)?))
    }

    fn open_data(&self, dir: &Path) -> Result<Arc<dyn DataEngine>, EngineError> {
        Ok(Arc::new(RocksData::open(dir, &self.memory)?))
    }

    fn open_data_read_only(&self, dir: &Path) -> Result<Arc<dyn DataEngine>, EngineError> {
        Ok(Arc::new(RocksData::open_read_only(dir, &self.memory)?))
    }
}
