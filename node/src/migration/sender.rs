//! Sends dumped files to the target, and says in the record what has arrived: an upload before its first part, parts in
//! batches, a file when its object was checked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flotilla_backup::{
    BackupError, Class, Limits, Resume, Started, Target, UploadEvents, UploadJob, Uploader,
};
use flotilla_cloud_migration::command::{FileDone, Kind, PartsDone, UploadCreated};
use flotilla_cloud_migration::dump::Digest;
use flotilla_cloud_migration::{Command, File, Part, Record, limits};
use parking_lot::Mutex;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::metrics::Meters;
use super::reporter::{Reporter, Unreported};
use super::target;
use crate::replicas::Replicas;

/// Parts are recorded together, this often.
const BATCH_INTERVAL: Duration = Duration::from_millis(250);

/// Why a file was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendTrouble {
    /// The store, or the way to it.
    #[error(transparent)]
    Store(#[from] BackupError),
    /// The record.
    #[error(transparent)]
    Record(#[from] Unreported),
}

/// Sends the files of one migration from this node; clones share its limits.
#[derive(Clone)]
pub struct Sender {
    replicas: Replicas,
    reporter: Reporter,
    uploader: Uploader,
}

impl Sender {
    /// Opens the record's target with this node's credentials.
    pub fn open(replicas: &Replicas, record: &Record) -> Result<Self, BackupError> {
        let target: Target = target::open(record)?;
        let options = record.options.clone().unwrap_or_default().filled();
        let limits = Limits {
            multipart_bytes: options.multipart_bytes,
            part_bytes: options.part_bytes,
            parallel_parts: options.parallel_parts as usize,
            bytes_per_second: options.upload_bytes_per_second,
            ..Limits::default()
        };
        let reporter = Reporter::new(replicas.clone());
        Ok(Self { replicas: replicas.clone(), reporter, uploader: Uploader::new(target, limits) })
    }

    /// Sends one file, in the name of an assignment. What arrived is recorded, whatever the end.
    pub async fn send(
        &self,
        record: &Record,
        file: &File,
        assignment: u32,
        stop: &CancellationToken,
    ) -> Result<(), SendTrouble> {
        let dumped = file.dumped.clone().unwrap_or_default();
        let blake3: [u8; 32] = dumped.blake3.as_ref().try_into().unwrap_or_default();
        let job = UploadJob {
            key: file.key.clone(),
            path: self.replicas.node().carrier.path(record.id, file.index),
            length: dumped.length,
            blake3: Digest(blake3),
            resume: self.resume(record, file).await?,
        };
        if job.resume.is_some() {
            self.replicas.node().meters.resumed();
        }
        let ledger = Arc::new(Ledger {
            reporter: self.reporter.clone(),
            meters: self.replicas.node().meters.clone(),
            id: record.id,
            file: file.index,
            assignment,
            upload: Mutex::new(file.upload.as_ref().map(|upload| upload.id.clone()).unwrap_or_default()),
            waiting: Mutex::default(),
        });
        let sent = tokio::select! {
            sent = self.uploader.upload(&job, ledger.clone(), stop) => sent,
            never = ledger.record_parts() => match never {},
        };
        let last = ledger.flush().await;
        let sent = sent?;
        last?;
        let done = FileDone { file: file.index, etag: sent.etag };
        ledger.propose(Kind::FileDone(done)).await?;
        Ok(())
    }

    async fn resume(&self, record: &Record, file: &File) -> Result<Option<Resume>, Unreported> {
        let Some(upload) = &file.upload else { return Ok(None) };
        let parts = self.reporter.parts(record.id, file.index).await?;
        let parts: BTreeMap<u32, String> = parts.into_iter().map(|part| (part.number, part.etag)).collect();
        Ok(Some(Resume { upload_id: upload.id.clone(), part_bytes: upload.part_bytes, parts }))
    }
}

/// Keeps the record of one file's upload.
struct Ledger {
    reporter: Reporter,
    meters: Meters,
    id: u64,
    file: u32,
    assignment: u32,
    upload: Mutex<String>,
    waiting: Mutex<Vec<Part>>,
}

impl Ledger {
    async fn propose(&self, kind: Kind) -> Result<(), Unreported> {
        let command = Command { id: self.id, epoch: self.assignment.into(), kind: Some(kind) };
        self.reporter.propose(command).await.map(drop)
    }

    async fn record_parts(&self) -> std::convert::Infallible {
        loop {
            sleep(BATCH_INTERVAL).await;
            // What could not be recorded is known to the store; a later batch, or whoever resumes, brings it in.
            if let Err(error) = self.flush().await {
                tracing::debug!(migration = self.id, file = self.file, %error, "parts not recorded yet");
            }
        }
    }

    async fn flush(&self) -> Result<(), Unreported> {
        loop {
            let parts: Vec<Part> = {
                let mut waiting = self.waiting.lock();
                let count = waiting.len().min(limits::PARTS_PER_COMMAND_MAX);
                waiting.drain(..count).collect()
            };
            if parts.is_empty() {
                return Ok(());
            }
            let upload = self.upload.lock().clone();
            let done = PartsDone { file: self.file, upload, parts: parts.clone() };
            if let Err(error) = self.propose(Kind::PartsDone(done)).await {
                self.waiting.lock().extend(parts);
                return Err(error);
            }
        }
    }
}

#[async_trait]
impl UploadEvents for Ledger {
    async fn created(&self, started: &Started) -> Result<(), String> {
        let replaces = self.upload.lock().clone();
        let created = UploadCreated {
            file: self.file,
            replaces,
            upload: started.upload_id.clone(),
            part_bytes: started.part_bytes,
        };
        self.propose(Kind::UploadCreated(created)).await.map_err(|error| error.to_string())?;
        self.waiting.lock().clear();
        started.upload_id.clone_into(&mut self.upload.lock());
        Ok(())
    }

    fn part_done(&self, number: u32, etag: &str, _: u64) {
        self.waiting.lock().push(Part { number, etag: etag.to_owned() });
    }

    fn sent(&self, bytes: u64) {
        self.meters.sent(bytes);
    }

    fn retried(&self, _: Class) {
        self.meters.retried();
    }

    fn in_flight(&self, requests: usize) {
        self.meters.in_flight(requests);
    }
}
