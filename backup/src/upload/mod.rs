//! Sends local files to a target: each in one piece or in parts, as many at a time as the store bears, each byte checked.
//!
//! ```text
//!   read and digest the file -- is the object there already? -- yes ----------------------------------> done
//!                                            | no
//!                  in one piece <------------+-----------> in parts
//!                     |                                      create, recorded | or resume: list, keep what is right
//!                     |                                      send the rest, in any order
//!                     |                                      complete
//!                     `----> is the object there, with the right ETag and length? --> done
//! ```
//!
//! * What a part's ETag must be is known before it is sent, from the file that was checked against its own digest.
//! * An upload is recorded before its first part is sent, so that whoever comes later can find it, go on or abort it.
//! * What the store lists is what it has; the record only says where to look.
//! * No part is in memory: a request reads its part from the disk in pieces, as fast as they leave.
//! * Dropping the future, or cancelling, closes the connections at once.

mod events;
mod fingerprint;
mod gate;
mod parts;
mod piece;
mod whole;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use flotilla_cloud_migration::dump::Digest;
use tokio_util::sync::CancellationToken;

use crate::error::BackupError;
use crate::rate::RateLimit;
use crate::target::Target;

pub use events::{NoEvents, Started, UploadEvents};
use fingerprint::Fingerprint;
use gate::Gate;

/// S3's rule: no upload has more parts.
pub const PARTS_MAX: u64 = 10_000;
/// S3's rule: no part but the last is smaller.
pub const PART_BYTES_MIN: u64 = 5 << 20;
/// S3's rule: no part is larger.
pub const PART_BYTES_MAX: u64 = 5 << 30;

/// How much is sent how fast.
#[derive(Clone, Debug)]
pub struct Limits {
    /// A file of more bytes goes in parts.
    pub multipart_bytes: u64,
    /// The length of a part; grown where a file would need more than [`PARTS_MAX`].
    pub part_bytes: u64,
    /// Requests with data at a time, over all files of this uploader.
    pub parallel_parts: usize,
    /// Bytes per second, over all files of this uploader; 0: no limit.
    pub bytes_per_second: u64,
    /// No part but the last is smaller. Only a store that keeps no such rule takes less than [`PART_BYTES_MIN`].
    pub part_bytes_min: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            multipart_bytes: 100_000_000,
            part_bytes: 16 << 20,
            parallel_parts: 4,
            bytes_per_second: 0,
            part_bytes_min: PART_BYTES_MIN,
        }
    }
}

/// Sends files to one target. Clones share the limits.
#[derive(Clone, Debug)]
pub struct Uploader {
    target: Target,
    limits: Limits,
    gate: Gate,
    rate: RateLimit,
}

/// One file that is to be sent.
#[derive(Clone, Debug)]
pub struct UploadJob {
    /// The object's key below the target's prefix.
    pub key: String,
    /// The local file.
    pub path: PathBuf,
    /// Its length, as it was dumped.
    pub length: u64,
    /// Its digest, as it was dumped.
    pub blake3: Digest,
    /// An upload that was begun earlier, here or on another node.
    pub resume: Option<Resume>,
}

/// An upload that was begun earlier.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resume {
    /// What the store calls it.
    pub upload_id: String,
    /// The length of its parts.
    pub part_bytes: u64,
    /// The parts that were recorded, with their ETags. Used only where the store cannot list parts.
    pub parts: BTreeMap<u32, String>,
}

/// A file that is at the store, whole and checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Uploaded {
    /// The object's ETag, verbatim.
    pub etag: String,
    /// Its length.
    pub length: u64,
    /// Bytes that were at the store already, from an earlier try.
    pub kept_bytes: u64,
}

impl Uploader {
    /// An uploader for one target.
    pub fn new(target: Target, limits: Limits) -> Self {
        let gate = Gate::new(limits.parallel_parts);
        let rate = RateLimit::new(limits.bytes_per_second);
        Self { target, limits, gate, rate }
    }

    /// The target.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Sends a file. When this returns an error, what was sent stays at the store, to be resumed or aborted by whoever has
    /// the record.
    pub async fn upload(
        &self,
        job: &UploadJob,
        events: Arc<dyn UploadEvents>,
        cancel: &CancellationToken,
    ) -> Result<Uploaded, BackupError> {
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(BackupError::Cancelled),
            done = Box::pin(self.send(job, events)) => done,
        }
    }

    async fn send(&self, job: &UploadJob, events: Arc<dyn UploadEvents>) -> Result<Uploaded, BackupError> {
        let part_bytes = self.part_bytes(job);
        let print = Arc::new(Fingerprint::read(&job.path, part_bytes).await?);
        print.check(job)?;
        if let Some(etag) = self.is_there(job, &print).await? {
            return Ok(Uploaded { etag, length: job.length, kept_bytes: job.length });
        }
        let sending = parts::Sending { uploader: self, job, print, part_bytes, events };
        let (etag, kept_bytes) = if self.in_parts(job) {
            Box::pin(sending.in_parts()).await?
        } else {
            (sending.whole().await?, 0)
        };
        Ok(Uploaded { etag, length: job.length, kept_bytes })
    }

    fn in_parts(&self, job: &UploadJob) -> bool {
        job.resume.is_some() || job.length > self.limits.multipart_bytes
    }

    /// The length of the job's parts. Whoever resumes keeps it, or no part would fit.
    fn part_bytes(&self, job: &UploadJob) -> u64 {
        match &job.resume {
            Some(resume) => resume.part_bytes.max(1),
            None if self.in_parts(job) => {
                part_bytes(job.length, self.limits.part_bytes, self.limits.part_bytes_min)
            }
            None => job.length.max(1),
        }
    }

    /// The object's ETag, if it is there as it should be.
    async fn is_there(&self, job: &UploadJob, print: &Fingerprint) -> Result<Option<String>, BackupError> {
        let stat = self.target.head(&job.key).await?;
        Ok(stat.filter(|stat| stat.length == job.length && print.is_object(&stat.etag)).map(|stat| stat.etag))
    }
}

/// The length of parts: as wished, within S3's rules, and large enough for no more than [`PARTS_MAX`] of them.
pub fn part_bytes(length: u64, wished: u64, least: u64) -> u64 {
    wished.clamp(least, PART_BYTES_MAX).max(length.div_ceil(PARTS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_keep_the_rules() {
        let mib = 1 << 20;
        assert_eq!(part_bytes(2_000 * mib, 16 * mib, PART_BYTES_MIN), 16 * mib);
        assert_eq!(part_bytes(2_000 * mib, 1, PART_BYTES_MIN), 5 * mib);
        assert_eq!(part_bytes(1 << 40, 16 * mib, PART_BYTES_MIN), (1_u64 << 40).div_ceil(10_000));
        for length in [1, 160_000 * mib - 1, 160_000 * mib, 160_000 * mib + 1, 5 << 40] {
            let part = part_bytes(length, 16 * mib, PART_BYTES_MIN);
            assert!(length.div_ceil(part) <= PARTS_MAX && part <= PART_BYTES_MAX, "{length}: {part}");
        }
    }
}
