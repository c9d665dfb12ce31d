//! A small file, in one piece.

use super::parts::Sending;
use crate::error::BackupError;
use crate::target::Op;

impl Sending<'_> {
    /// Sends the file in one request. Answers the object's ETag.
    pub(super) async fn whole(&self) -> Result<String, BackupError> {
        let op = Op::Put;
        let sent = Box::pin(self.part(op, 1, 0, self.job.length)).await;
        let etag = sent.map_err(|failure| self.uploader.target.error(failure, &op, &self.job.key))?;
        self.check_object().await?;
        Ok(etag)
    }
}
