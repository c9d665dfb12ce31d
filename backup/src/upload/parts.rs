//! A file in parts: begin or resume, send what is missing, complete, check.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use http::header::{HeaderName, HeaderValue};

use super::events::{Started, UploadEvents};
use super::fingerprint::{Fingerprint, base64};
use super::piece::{self, Slice};
use super::{Resume, UploadJob, Uploader};
use crate::class::{Class, Failure};
use crate::error::BackupError;
use crate::http::Request;
use crate::target::Op;

/// How often a file is begun again because the store lost its upload.
const BEGINNINGS_MAX: u32 = 3;

/// One file on its way.
pub struct Sending<'a> {
    pub uploader: &'a Uploader,
    pub job: &'a UploadJob,
    pub print: Arc<Fingerprint>,
    pub part_bytes: u64,
    pub events: Arc<dyn UploadEvents>,
}

/// How an upload ended.
enum End {
    /// The object is there, with this ETag.
    Done(String),
    /// The store does not know the upload any more, or parts of it: look again.
    Lost(Failure),
}

impl Sending<'_> {
    /// Sends the file in parts. Answers the object's ETag, and how many bytes were there already.
    pub async fn in_parts(&self) -> Result<(String, u64), BackupError> {
        let mut resume = self.job.resume.clone();
        let mut kept_bytes = 0;
        let mut beginnings = 0;
        loop {
            let (upload, etags) = self.begin(resume.as_ref()).await?;
            // What is there before anything was sent was there from an earlier try.
            if beginnings == 0 {
                kept_bytes = etags.keys().map(|number| self.slice(*number).1).sum();
            }
            let failure = match Box::pin(self.finish(&upload, etags)).await? {
                End::Done(etag) => return Ok((etag, kept_bytes)),
                End::Lost(failure) => failure,
            };
            beginnings += 1;
            if beginnings >= BEGINNINGS_MAX {
                return Err(self.error(failure, &Op::Complete { upload: &upload }));
            }
            self.events.retried(failure.class);
            // Whatever the store still has of it is found by listing; whatever it has not is sent again.
            resume = Some(Resume { upload_id: upload, part_bytes: self.part_bytes, parts: BTreeMap::new() });
        }
    }

    fn error(&self, failure: Failure, op: &Op<'_>) -> BackupError {
        self.uploader.target.error(failure, op, &self.job.key)
    }

    /// The upload to go on with, and the parts that need not be sent.
    async fn begin(&self, resume: Option<&Resume>) -> Result<(String, BTreeMap<u32, String>), BackupError> {
        if let Some(resume) = resume
            && let Some(kept) = self.kept(resume).await?
        {
            kept.iter()
                .for_each(|(number, etag)| self.events.part_done(*number, etag, self.slice(*number).1));
            return Ok((resume.upload_id.clone(), kept));
        }
        let (target, key) = (&self.uploader.target, &self.job.key);
        let parts = self.print.parts();
        let upload_id = target.create_upload(key, parts).await?;
        let started = Started { upload_id, part_bytes: self.part_bytes, parts };
        if let Err(why) = self.events.created(&started).await {
            // Nobody else knows of it, so nobody else would abort it.
            target.abort_upload(key, &started.upload_id).await?;
            return Err(BackupError::Unrecorded(why));
        }
        Ok((started.upload_id, BTreeMap::new()))
    }

    /// The parts of an earlier try that are right; none: the store does not know the upload.
    async fn kept(&self, resume: &Resume) -> Result<Option<BTreeMap<u32, String>>, BackupError> {
        let listed = match self.uploader.target.list_parts(&self.job.key, &resume.upload_id).await {
            Ok(Some(listed)) => listed,
            Ok(None) => return Ok(None),
            // Not allowed to list, or unable to: then the record is all there is.
            Err(BackupError::Denied { .. } | BackupError::Refused { .. }) => {
                let recorded =
                    resume.parts.iter().filter(|(number, etag)| self.print.is_part(**number, etag));
                return Ok(Some(recorded.map(|(number, etag)| (*number, etag.clone())).collect()));
            }
            Err(error) => return Err(error),
        };
        let right = listed.into_values().filter(|part| {
            self.print.is_part(part.part_number, &part.etag) && part.size == self.slice(part.part_number).1
        });
        Ok(Some(right.map(|part| (part.part_number, part.etag)).collect()))
    }

    async fn finish(&self, upload: &str, mut etags: BTreeMap<u32, String>) -> Result<End, BackupError> {
        let missing: Vec<u32> =
            (1..=self.print.parts()).filter(|number| !etags.contains_key(number)).collect();
        // The gate bounds what runs; more are lined up only so that the next is ready.
        let at_a_time = self.uploader.limits.parallel_parts.max(1);
        let sends = missing.into_iter().map(|number| self.numbered_part(upload, number));
        let sent: Result<Vec<_>, Failure> =
            futures::stream::iter(sends).buffer_unordered(at_a_time).try_collect().await;
        match sent {
            Ok(sent) => etags.extend(sent),
            Err(failure) if failure.class == Class::NoUpload => return self.found(failure).await,
            Err(failure) => return Err(self.error(failure, &Op::Part { upload, number: 0 })),
        }
        self.complete(upload, &etags).await
    }

    async fn numbered_part(&self, upload: &str, number: u32) -> Result<(u32, String), Failure> {
        let (offset, length) = self.slice(number);
        let etag = Box::pin(self.part(Op::Part { upload, number }, number, offset, length)).await?;
        self.events.part_done(number, &etag, length);
        Ok((number, etag))
    }

    /// Where a part begins, and its length.
    fn slice(&self, number: u32) -> (u64, u64) {
        let offset = self.part_bytes.saturating_mul(u64::from(number.saturating_sub(1)));
        (offset, self.job.length.saturating_sub(offset).min(self.part_bytes))
    }

    /// Sends a part, or the whole file, until the store has it: by the table in `class`.
    pub(super) async fn part(
        &self,
        op: Op<'_>,
        number: u32,
        offset: u64,
        length: u64,
    ) -> Result<String, Failure> {
        let retries = self.uploader.target.retries();
        let (mut tries, mut denied) = (0, false);
        loop {
            let failure = match self
                .part_once(op, number, Slice { file: self.open()?, offset, length }, denied)
                .await
            {
                Ok(etag) => return Ok(etag),
                Err(failure) => failure,
            };
            tries += 1;
            let helps = match failure.class {
                Class::Busy => {
                    self.uploader.gate.shrink();
                    true
                }
                Class::BadBytes => true,
                Class::Denied => !std::mem::replace(&mut denied, true),
                _ => false,
            };
            if !helps || tries > retries.most {
                return Err(failure);
            }
            self.events.retried(failure.class);
            tracing::debug!(key = self.job.key, number, said = failure.said, "sending a part again");
            // A new URL needs no wait; its failure says nothing of the store's load.
            if failure.class != Class::Denied {
                tokio::time::sleep(retries.wait(tries)).await;
            }
        }
    }

    fn open(&self) -> Result<Arc<File>, Failure> {
        let opened = File::open(&self.job.path).map(Arc::new);
        opened.map_err(|error| Failure {
            class: Class::Refused,
            said: format!("cannot read {}: {error}", self.job.path.display()),
            unanswered: false,
        })
    }

    async fn part_once(&self, op: Op<'_>, number: u32, slice: Slice, again: bool) -> Result<String, Failure> {
        let _passage = self.uploader.gate.pass().await;
        self.events.in_flight(self.uploader.gate.running());
        let md5 = HeaderValue::from_str(&base64(self.print.part(number))).expect("base 64 is a header value");
        let body = piece::body(slice, self.uploader.rate.clone(), Arc::clone(&self.events));
        let dress = |request: Request| request.header(HeaderName::from_static("content-md5"), md5).body(body);
        let sent = self.uploader.target.put_part(&self.job.key, op, again, dress).await;
        self.events.in_flight(self.uploader.gate.running().saturating_sub(1));
        let etag = sent?;
        if !self.print.is_part(number, &etag) {
            let said = format!("its ETag is {etag:?}, not the MD5 of what was sent");
            return Err(Failure { class: Class::BadBytes, said, unanswered: false });
        }
        self.uploader.gate.grow();
        Ok(etag)
    }

    async fn complete(&self, upload: &str, etags: &BTreeMap<u32, String>) -> Result<End, BackupError> {
        let (target, op) = (&self.uploader.target, Op::Complete { upload });
        let retries = target.retries();
        for tries in 1.. {
            let failure = match target.complete_upload(&self.job.key, upload, etags).await {
                Ok(etag) => {
                    self.check_object().await?;
                    return Ok(End::Done(etag));
                }
                Err(failure) => failure,
            };
            match failure.class {
                Class::Busy | Class::Denied if tries <= retries.most => {
                    self.events.retried(failure.class);
                    tokio::time::sleep(retries.wait(tries)).await;
                }
                // The reply to an earlier try may have been lost, or parts may have been.
                Class::NoUpload | Class::NoObject | Class::BadBytes => return self.found(failure).await,
                _ => return Err(self.error(failure, &op)),
            }
        }
        unreachable!("the loop ends by returning")
    }

    /// Looks whether the object is there although its upload is not.
    async fn found(&self, failure: Failure) -> Result<End, BackupError> {
        let etag = self.uploader.is_there(self.job, &self.print).await?;
        Ok(etag.map_or(End::Lost(failure), End::Done))
    }

    /// The object must be there, with the right length and ETag.
    pub(super) async fn check_object(&self) -> Result<(), BackupError> {
        if self.uploader.is_there(self.job, &self.print).await?.is_some() {
            return Ok(());
        }
        let what = "the store does not have it with the length and ETag of what was sent".to_owned();
        Err(BackupError::Mismatch { key: self.job.key.clone(), what })
    }
}
