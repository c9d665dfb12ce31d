//! What the log and the data databases share of RocksDB.

use std::io;

use flotilla_types::{EngineError, WriteBatch, WriteOp};
use rocksdb::DB;

/// RocksDB's failure, as one of the bytes or one of the system.
pub(crate) fn rocks_io(error: rocksdb::Error) -> io::Error {
    let kind = match error.kind() {
        rocksdb::ErrorKind::Corruption => io::ErrorKind::InvalidData,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

/// Opens a database again for a while if this very process has not quite closed it yet.
pub(crate) fn open_patiently<T>(
    mut open: impl FnMut() -> Result<T, rocksdb::Error>,
) -> Result<T, rocksdb::Error> {
    for _ in 0..OPEN_ATTEMPTS {
        match open() {
            Err(error) if error.to_string().contains("lock hold by current process") => {
                std::thread::sleep(OPEN_PAUSE);
            }
            opened => return opened,
        }
    }
    open()
}

const OPEN_ATTEMPTS: usize = 300;
const OPEN_PAUSE: std::time::Duration = std::time::Duration::from_millis(10);

pub(crate) fn rocks_engine(what: &str) -> impl Fn(rocksdb::Error) -> EngineError + '_ {
    move |error| EngineError::new(what, rocks_io(error))
}

pub(crate) fn rocks_batch(batch: &WriteBatch) -> rocksdb::WriteBatch {
    let mut rows = rocksdb::WriteBatch::default();
    for op in &batch.ops {
        match op {
            WriteOp::Put { key, value } => rows.put(key, value),
            WriteOp::Delete { key } => rows.delete(key),
            WriteOp::DeleteRange { start, end } => rows.delete_range(start, end),
        }
    }
    rows
}

/// What the database takes: files, and what is still in memory.
pub(crate) fn size_bytes(db: &DB) -> u64 {
    let property = |name: &str| db.property_int_value(name).ok().flatten().unwrap_or(0);
    property("rocksdb.total-sst-files-size") + property("rocksdb.cur-size-all-mem-tables")
}
