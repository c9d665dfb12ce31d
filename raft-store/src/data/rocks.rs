//! A data database in RocksDB, WAL off.

use std::path::Path;

use bytes::Bytes;
use flotilla_types::engine::{Row, Rows};
use flotilla_types::{Engine, EngineError, Reader, WriteBatch};
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, Direction, FlushOptions, IteratorMode, Options,
    ReadOptions, Snapshot, WriteBufferManager, WriteOptions,
};

use super::engine::DataEngine;
use crate::rocks::{open_patiently, rocks_batch, rocks_engine, size_bytes};

/// Memory that all the data databases of a node share.
#[derive(Clone)]
pub(crate) struct SharedMemory {
    cache: Cache,
    buffers: WriteBufferManager,
}

impl SharedMemory {
    pub fn new(cache_bytes: usize, buffer_bytes: usize) -> Self {
        let cache = Cache::new_lru_cache(cache_bytes);
        // Never stall a writer for memory: past the bound the largest buffer is flushed.
        let buffers = WriteBufferManager::new_write_buffer_manager(buffer_bytes, false);
        Self { cache, buffers }
    }
}

/// A data database.
pub(crate) struct RocksData {
    db: DB,
}

const WRITE_BUFFER_BYTES: usize = 32 * 1024 * 1024;
const BLOCK_BYTES: usize = 16 * 1024;
const BLOOM_BITS: f64 = 10.0;

impl RocksData {
    pub fn open(dir: &Path, memory: &SharedMemory) -> Result<Self, EngineError> {
        let db = open_patiently(|| DB::open(&options(memory), dir));
        Ok(Self { db: db.map_err(rocks_engine("open a data database"))? })
    }

    pub fn open_read_only(dir: &Path, memory: &SharedMemory) -> Result<Self, EngineError> {
        let db = DB::open_for_read_only(&options(memory), dir, false);
        Ok(Self { db: db.map_err(rocks_engine("open a snapshot"))? })
    }
}

fn options(memory: &SharedMemory) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&memory.cache);
    table.set_block_size(BLOCK_BYTES);
    table.set_bloom_filter(BLOOM_BITS, false);
    table.set_cache_index_and_filter_blocks(true);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&table);
    options.set_write_buffer_manager(&memory.buffers);
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_max_write_buffer_number(4);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_bottommost_compression_type(DBCompressionType::Zstd);
    options.set_bytes_per_sync(1024 * 1024);
    options.set_paranoid_checks(true);
    options.set_max_background_jobs(2);
    options.set_keep_log_file_num(2);
    options.set_stats_dump_period_sec(0);
    options
}

impl Engine for RocksData {
    fn snapshot(&self) -> Box<dyn Reader + '_> {
        Box::new(RocksReader { snapshot: self.db.snapshot() })
    }

    fn write(&self, batch: WriteBatch) -> Result<(), EngineError> {
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        self.db.write_opt(rocks_batch(&batch), &options).map_err(rocks_engine("write rows"))
    }
}

impl DataEngine for RocksData {
    fn flush(&self) -> Result<(), EngineError> {
        let mut options = FlushOptions::default();
        options.set_wait(true);
        self.db.flush_opt(&options).map_err(rocks_engine("flush rows"))
    }

    fn checkpoint(&self, dir: &Path) -> Result<(), EngineError> {
        let checkpoint = Checkpoint::new(&self.db).map_err(rocks_engine("begin a checkpoint"))?;
        checkpoint.create_checkpoint(dir).map_err(rocks_engine("write a checkpoint"))
    }

    fn is_write_stopped(&self) -> bool {
        self.db.property_int_value("rocksdb.is-write-stopped").ok().flatten() == Some(1)
    }

    fn bytes(&self) -> u64 {
        size_bytes(&self.db)
    }
}

struct RocksReader<'a> {
    snapshot: Snapshot<'a>,
}

impl Reader for RocksReader<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        Ok(self.snapshot.get(key).map_err(rocks_engine("read a row"))?.map(Bytes::from))
    }

    fn scan<'a>(&'a self, start: &[u8], end: &[u8]) -> Rows<'a> {
        if !end.is_empty() && start >= end {
            return Box::new(std::iter::empty());
        }
        let mut options = ReadOptions::default();
        if !end.is_empty() {
            options.set_iterate_upper_bound(end);
        }
        let rows = self.snapshot.iterator_opt(IteratorMode::From(start, Direction::Forward), options);
        Box::new(rows.map(|row| -> Result<Row, EngineError> {
            let (key, value) = row.map_err(rocks_engine("scan rows"))?;
            Ok((Bytes::from(key), Bytes::from(value)))
        }))
    }
}
