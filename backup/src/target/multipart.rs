//! Uploads in parts, request by request. `upload` makes a whole of them.

use std::collections::BTreeMap;

use super::{Op, Target, Urls};
use crate::class::{Class, Failure};
use crate::error::BackupError;
use crate::http::{Answer, Body, Request};
use crate::xml::{self, ListedPart};

/// How often an upload is aborted before it must be gone: parts that were under way at the first abort may come in later.
const ABORTS_MAX: u32 = 5;

impl Target {
    /// Begins an upload. Answers what the store calls it.
    pub async fn create_upload(&self, key: &str, parts: u32) -> Result<String, BackupError> {
        let op = Op::Create;
        let made = match &self.inner.urls {
            Urls::S3(_) => self.ask(op, key, |request| request).await.and_then(|answer| {
                let created: xml::Created = read(&answer)?;
                Ok(created.upload_id)
            }),
            Urls::Store(store) => store.create(self.http(), key, parts).await,
        };
        made.map_err(|failure| self.error(failure, &op, key))
    }

    /// The URL of a part, for whoever sends it by other means. It is a secret for as long as it lives.
    pub async fn presigned_part(
        &self,
        key: &str,
        upload: &str,
        number: u32,
    ) -> Result<reqwest::Url, BackupError> {
        let op = Op::Part { upload, number };
        self.url(&op, key, false).await.map_err(|failure| self.error(failure, &op, key))
    }

    /// Sends a part, once. Answers its ETag, verbatim.
    pub(crate) async fn put_part(
        &self,
        key: &str,
        op: Op<'_>,
        again: bool,
        dress: impl FnOnce(Request) -> Request,
    ) -> Result<String, Failure> {
        let url = self.url(&op, key, again).await?;
        let answer = self.http().send(dress(Request::new(op.method(), url))).await?;
        Ok(answer.etag)
    }

    /// The parts that the store has, by number; none: it does not know the upload.
    pub async fn list_parts(
        &self,
        key: &str,
        upload: &str,
    ) -> Result<Option<BTreeMap<u32, ListedPart>>, BackupError> {
        let mut found = BTreeMap::new();
        let mut after = 0;
        loop {
            let op = Op::ListParts { upload, after };
            let page =
                self.ask(op, key, |request| request).await.and_then(|answer| read::<xml::Parts>(&answer));
            let page = match page {
                Ok(page) => page,
                Err(failure) if matches!(failure.class, Class::NoUpload | Class::NoObject) => {
                    return Ok(None);
                }
                Err(failure) => return Err(self.error(failure, &op, key)),
            };
            let last = page.parts.last().map_or(0, |part| part.part_number);
            found.extend(page.parts.into_iter().map(|part| (part.part_number, part)));
            let next = page.next_part_number_marker.unwrap_or(last);
            // A store that does not move on would be asked for ever.
            if !page.is_truncated || next <= after {
                return Ok(Some(found));
            }
            after = next;
        }
    }

    /// Completes an upload. Answers the object's ETag.
    pub(crate) async fn complete_upload(
        &self,
        key: &str,
        upload: &str,
        etags: &BTreeMap<u32, String>,
    ) -> Result<String, Failure> {
        if let Urls::Store(store) = &self.inner.urls {
            return store.complete(self.http(), key, upload, etags).await;
        }
        let op = Op::Complete { upload };
        let url = self.url(&op, key, false).await?;
        let body = Body::Bytes(xml::complete(etags).into());
        let answer = self.http().send(Request::new(op.method(), url).body(body)).await?;
        let completed: xml::Completed = read(&answer)?;
        Ok(completed.etag)
    }

    /// Aborts an upload until the store no longer knows it.
    pub async fn abort_upload(&self, key: &str, upload: &str) -> Result<(), BackupError> {
        let op = Op::Abort { upload };
        for _ in 0..ABORTS_MAX {
            match self.ask(op, key, |request| request).await {
                Ok(_) => {}
                Err(failure) if matches!(failure.class, Class::NoUpload | Class::NoObject) => return Ok(()),
                Err(failure) => return Err(self.error(failure, &op, key)),
            }
            if self.list_parts(key, upload).await?.is_none_or(|parts| parts.is_empty()) {
                return Ok(());
            }
        }
        Err(BackupError::Busy { doing: op.doing(key), said: "the store still has parts of it".to_owned() })
    }
}

fn read<T: serde::de::DeserializeOwned>(answer: &Answer) -> Result<T, Failure> {
    xml::read(&answer.body).map_err(|what| Failure {
        class: Class::Refused,
        said: format!("its answer makes no sense: {what}"),
        unanswered: false,
    })
}
