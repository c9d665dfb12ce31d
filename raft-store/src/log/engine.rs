//! What the log needs of the store below it.

use std::io;

use bytes::Bytes;
use flotilla_types::WriteBatch;

/// Looks at one row of a scan; `false` ends it.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> io::Result<bool>;

/// An ordered store whose writes are on disk when they return. One thread writes, many read.
pub trait LogEngine: Send + Sync + 'static {
    /// The value stored under `key`.
    fn get(&self, key: &[u8]) -> io::Result<Option<Bytes>>;

    /// Visits the rows with `start <= key < end`, ascending.
    fn scan(&self, start: &[u8], end: &[u8], visit: Visit<'_>) -> io::Result<()>;

    /// Applies the operations in order, all or none, and returns when they would survive a power cut.
    /// After an error the engine is never written again.
    fn write(&self, batch: WriteBatch) -> io::Result<()>;

    /// How many bytes it takes on disk, about.
    fn bytes(&self) -> u64;
}
