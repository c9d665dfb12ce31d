//! The log in RocksDB, WAL on.

use std::io;
use std::path::Path;

use bytes::Bytes;
use flotilla_types::WriteBatch;
use rocksdb::{
    DB, DBCompressionType, DBRecoveryMode, Direction, IteratorMode, Options, ReadOptions, WriteOptions,
};

use super::engine::{LogEngine, Visit};
use crate::rocks::{open_patiently, rocks_batch, rocks_io};

/// Small write buffers: only a rotated WAL is recycled, and overwriting a file syncs twice as fast as growing one.
const WRITE_BUFFER_BYTES: usize = 16 * 1024 * 1024;
const WRITE_BUFFERS: i32 = 4;
/// Entries are purged before compaction would pay off.
const LEVEL_ZERO_FILES: i32 = 50;

/// A log database.
pub(crate) struct RocksLog {
    db: DB,
    fsync: bool,
}

impl RocksLog {
    /// Opens or creates it. Without `fsync` a power cut loses acknowledged writes.
    pub fn open(dir: &Path, fsync: bool) -> io::Result<Self> {
        let db = open_patiently(|| DB::open(&options(), dir)).map_err(rocks_io)?;
        Ok(Self { db, fsync })
    }
}

fn options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_max_write_buffer_number(WRITE_BUFFERS);
    options.set_level_zero_file_num_compaction_trigger(LEVEL_ZERO_FILES);
    options.set_level_zero_slowdown_writes_trigger(4 * LEVEL_ZERO_FILES);
    options.set_level_zero_stop_writes_trigger(8 * LEVEL_ZERO_FILES);
    options.set_recycle_log_file_num(WRITE_BUFFERS as usize);
    // What follows the first bad record was never acknowledged, or the mark tells (see `mark`).
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_paranoid_checks(true);
    options.set_max_background_jobs(2);
    options.set_keep_log_file_num(4);
    options.set_stats_dump_period_sec(0);
    options
}

impl LogEngine for RocksLog {
    fn get(&self, key: &[u8]) -> io::Result<Option<Bytes>> {
        Ok(self.db.get(key).map_err(rocks_io)?.map(Bytes::from))
    }

    fn scan(&self, start: &[u8], end: &[u8], visit: Visit<'_>) -> io::Result<()> {
        let mut bounds = ReadOptions::default();
        bounds.set_iterate_upper_bound(end);
        for row in self.db.iterator_opt(IteratorMode::From(start, Direction::Forward), bounds) {
            let (key, value) = row.map_err(rocks_io)?;
            if !visit(&key, &value)? {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, batch: WriteBatch) -> io::Result<()> {
        let mut options = WriteOptions::default();
        options.set_sync(self.fsync);
        self.db.write_opt(rocks_batch(&batch), &options).map_err(rocks_io)
    }

    fn bytes(&self) -> u64 {
        crate::rocks::size_bytes(&self.db)
    }
}
