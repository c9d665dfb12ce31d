//! The log database: a WAL, one record and one sync for each write, over tables.

use std::io;
use std::path::Path;

use bytes::{Buf, BufMut, Bytes};
use flotilla_raft_store::{File, Files, LogEngine, OpenMode, Visit};
use flotilla_types::{WriteBatch, WriteOp};
use parking_lot::Mutex;

use super::access::Access;
use super::base::Base;
use super::table;

const WAL_BYTES_MAX: u64 = 64 * 1024;

/// A log database.
pub struct LogDatabase(Mutex<Log>);

struct Log {
    base: Base,
    wal: Box<dyn File>,
    length: u64,
}

impl LogDatabase {
    /// Opens or makes it: reads the WAL up to its first bad record.
    pub fn open(access: &Access, dir: &Path) -> io::Result<Self> {
        let mut base = Base::open(access, dir, true)?;
        let wal = base.wal_path(base.manifest.wal);
        // A WAL that is missing is an empty one: RocksDB does not miss it either.
        for batch in records(access.read(&wal).unwrap_or_default().into()) {
            base.apply(batch);
        }
        base.flush(true)?;
        let wal = access.open(&base.wal_path(base.manifest.wal), OpenMode::Update)?;
        Ok(Self(Mutex::new(Log { base, wal, length: 0 })))
    }
}

impl LogEngine for LogDatabase {
    fn get(&self, key: &[u8]) -> io::Result<Option<Bytes>> {
        self.0.lock().base.view.get(key)
    }

    fn scan(&self, start: &[u8], end: &[u8], visit: Visit<'_>) -> io::Result<()> {
        let view = self.0.lock().base.view.clone();
        for (key, value) in view.range(start, end)? {
            if !visit(key, value)? {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, batch: WriteBatch) -> io::Result<()> {
        let mut log = self.0.lock();
        let Log { base, wal, length } = &mut *log;
        base.once(|base| {
            let record = record(&batch);
            wal.write_all_at(&record, *length)?;
            wal.sync()?;
            *length += record.len() as u64;
            base.apply(batch);
            if *length > WAL_BYTES_MAX {
                base.flush(true)?;
                *wal = base.access.open(&base.wal_path(base.manifest.wal), OpenMode::Update)?;
                *length = 0;
            }
            Ok(())
        })
    }

    fn bytes(&self) -> u64 {
        let log = self.0.lock();
        log.base.bytes() + log.length
    }
}

/// A batch in the WAL. A range stands there as itself: what it covers is known when the WAL is read.
fn record(batch: &WriteBatch) -> Vec<u8> {
    let mut body = Vec::new();
    for op in &batch.ops {
        let (kind, row) = match op {
            WriteOp::Put { key, value } => (0, (key.clone(), Some(value.clone()))),
            WriteOp::Delete { key } => (0, (key.clone(), None)),
            WriteOp::DeleteRange { start, end } => (1, (start.clone(), Some(end.clone()))),
        };
        let mut bytes = Vec::new();
        table::put_row(&mut bytes, &row);
        body.put_u8(kind);
        body.put_u32_le(bytes.len() as u32);
        body.extend_from_slice(&bytes);
    }
    let mut record = Vec::with_capacity(body.len() + 8);
    record.put_u32_le(body.len() as u32);
    record.put_u32_le(crc32c::crc32c(&body) ^ body.len() as u32);
    record.extend_from_slice(&body);
    record
}

/// The batches of a WAL up to the first bad record.
fn records(mut wal: Bytes) -> Vec<WriteBatch> {
    let mut batches = Vec::new();
    while let Some(batch) = next_record(&mut wal) {
        batches.push(batch);
    }
    batches
}

fn next_record(wal: &mut Bytes) -> Option<WriteBatch> {
    let (length, crc) = (wal.try_get_u32_le().ok()?, wal.try_get_u32_le().ok()?);
    if length == 0 || length as usize > wal.remaining() {
        return None;
    }
    let mut body = wal.split_to(length as usize);
    if crc32c::crc32c(&body) ^ length != crc {
        return None;
    }
    let mut batch = WriteBatch::default();
    while body.has_remaining() {
        let (kind, length) = (body.get_u8(), body.get_u32_le() as usize);
        let (key, value) = table::get_rows(body.split_to(length))?.pop()?;
        match (kind, value) {
            (0, Some(value)) => batch.put(key, value),
            (0, None) => batch.delete(key),
            (_, end) => batch.delete_range(key, end.unwrap_or_default()),
        }
    }
    Some(batch)
}
