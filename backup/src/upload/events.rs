//! What happens during an upload, for whoever keeps its record and shows its progress.

use async_trait::async_trait;

use crate::class::Class;

/// An upload in parts that has begun.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Started {
    /// What the store calls it.
    pub upload_id: String,
    /// The length of each part but the last.
    pub part_bytes: u64,
    /// How many parts there are.
    pub parts: u32,
}

/// Hears of an upload. All but `created` are called often and must return at once.
#[async_trait]
pub trait UploadEvents: Send + Sync + 'static {
    /// An upload has begun at the store, and no part is sent before this returns. An error ends the upload, and it is aborted.
    async fn created(&self, started: &Started) -> Result<(), String>;

    /// A part is at the store. The same part may be told of more than once.
    fn part_done(&self, number: u32, etag: &str, bytes: u64);

    /// So many bytes went out; bytes that are sent again count again.
    fn sent(&self, _bytes: u64) {}

    /// A request failed and is tried again.
    fn retried(&self, _class: Class) {}

    /// So many requests with data are under way now, over all files.
    fn in_flight(&self, _requests: usize) {}
}

/// Nobody listens.
#[derive(Clone, Copy, Debug)]
pub struct NoEvents;

#[async_trait]
impl UploadEvents for NoEvents {
    async fn created(&self, _: &Started) -> Result<(), String> {
        Ok(())
    }

    fn part_done(&self, _: u32, _: &str, _: u64) {}
}
