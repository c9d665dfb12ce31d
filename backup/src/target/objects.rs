//! Whole objects: small ones are written and read in one piece, large ones read as a stream.

use bytes::Bytes;
use flotilla_cloud_migration::dump::{MANIFEST_NAME, Manifest, PLAN_NAME};
use http::header::{ETAG, HeaderName, HeaderValue, IF_NONE_MATCH};
use rand::Rng;

use super::{Op, Target};
use crate::class::Class;
use crate::error::BackupError;
use crate::http::{Body, Request, failed, header};

/// A manifest names a quarter of a million files at most.
const MANIFEST_BYTES_MAX: u64 = 256 << 20;

/// What a store says of an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stat {
    /// Its length.
    pub length: u64,
    /// Its ETag, verbatim.
    pub etag: String,
}

/// An object as it comes.
#[derive(Debug)]
pub struct Download {
    response: reqwest::Response,
    target: Target,
    key: String,
}

impl Download {
    /// The object's ETag, verbatim.
    pub fn etag(&self) -> String {
        header(&self.response, &ETAG)
    }

    /// How many bytes are to come, if the store says.
    pub fn length(&self) -> Option<u64> {
        header(&self.response, &http::header::CONTENT_LENGTH).parse().ok()
    }

    /// The next bytes; none: the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BackupError> {
        let idle = self.target.http().idle();
        let next = match tokio::time::timeout(idle, self.response.chunk()).await {
            Ok(next) => next.map_err(failed),
            Err(_) => Err(crate::class::Failure::unanswered(format!("nothing moved for {idle:?}"))),
        };
        next.map_err(|failure| self.target.error(failure, &Op::Get, &self.key))
    }
}

impl Target {
    /// Writes a small object. `create_only`: `Exists`, if there is one.
    pub async fn put(&self, key: &str, bytes: Bytes, create_only: bool) -> Result<Stat, BackupError> {
        let length = bytes.len() as u64;
        let dress = |request: Request| {
            let request = Request { create_only, ..request }.body(Body::Bytes(bytes.clone()));
            if create_only { request.header(IF_NONE_MATCH, HeaderValue::from_static("*")) } else { request }
        };
        let answer = self.ask(Op::Put, key, dress).await;
        let answer = answer.map_err(|failure| self.error(failure, &Op::Put, key))?;
        Ok(Stat { length, etag: answer.etag })
    }

    /// Reads a small object.
    pub async fn get(&self, key: &str) -> Result<Bytes, BackupError> {
        let answer = self.ask(Op::Get, key, |request| request).await;
        Ok(answer.map_err(|failure| self.error(failure, &Op::Get, key))?.body)
    }

    /// Begins to read an object from a byte on.
    pub async fn download(&self, key: &str, from: u64) -> Result<Download, BackupError> {
        let op = Op::Get;
        let url = self.url(&op, key, false).await.map_err(|failure| self.error(failure, &op, key))?;
        let mut request = Request::new(op.method(), url);
        if from > 0 {
            let range = HeaderValue::from_str(&format!("bytes={from}-")).expect("digits are a header value");
            request = request.header(HeaderName::from_static("range"), range);
        }
        let response = self.http().open(request).await.map_err(|failure| self.error(failure, &op, key))?;
        if from > 0 && response.status() != http::StatusCode::PARTIAL_CONTENT {
            let what = "it does not send objects from a byte on".to_owned();
            return Err(BackupError::Protocol { doing: op.doing(key), what });
        }
        Ok(Download { response, target: self.clone(), key: key.to_owned() })
    }

    /// What is known of an object; none: there is none.
    pub async fn head(&self, key: &str) -> Result<Option<Stat>, BackupError> {
        match self.ask(Op::Head, key, |request| request).await {
            Ok(answer) => Ok(Some(Stat { length: answer.length.unwrap_or(0), etag: answer.etag })),
            // An answer to HEAD has no body that says what is missing.
            Err(failure) if failure.class == Class::NoObject => Ok(None),
            Err(failure) => Err(self.error(failure, &Op::Head, key)),
        }
    }

    /// Deletes an object. It need not be there.
    pub async fn delete(&self, key: &str) -> Result<(), BackupError> {
        match self.ask(Op::Delete, key, |request| request).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.class == Class::NoObject => Ok(()),
            Err(failure) => Err(self.error(failure, &Op::Delete, key)),
        }
    }

    /// Checks what a migration will need: listing, reading, writing and deleting with these credentials, and no dump here yet. A migration store
    /// that does not know the migration yet is only asked whether it would take one: nothing can be there before.
    pub async fn check_writable(&self) -> Result<(), BackupError> {
        if !self.is_registered() {
            return self.check_store().await;
        }
        // Listing first: some stores make a missing bucket at the first write, and a mistyped name would go unnoticed.
        self.check_listable().await?;
        if self.has_manifest().await? {
            return Err(BackupError::Exists { key: MANIFEST_NAME.to_owned() });
        }
        let probe = format!("probe-{:016x}", rand::rng().random::<u64>());
        let written = Bytes::from_static(b"flotilla was here");
        self.put(&probe, written.clone(), false).await?;
        let read = self.get(&probe).await;
        self.delete(&probe).await?;
        if read? != written {
            return Err(BackupError::Mismatch {
                key: probe,
                what: "other bytes came back than were sent".to_owned(),
            });
        }
        Ok(())
    }

    /// Whether a whole dump is here.
    pub async fn has_manifest(&self) -> Result<bool, BackupError> {
        Ok(self.is_registered() && self.head(MANIFEST_NAME).await?.is_some())
    }

    /// Writes the plan into a migration's folder.
    pub async fn put_plan(&self, folder: &str, json: &[u8]) -> Result<(), BackupError> {
        self.put(&format!("{folder}/{PLAN_NAME}"), Bytes::copy_from_slice(json), false).await.map(drop)
    }

    /// Writes the manifest: what makes a prefix a dump. Fine if the very same one is there, from an earlier try; `Exists`
    /// if another one is.
    pub async fn put_manifest(&self, json: &[u8]) -> Result<(), BackupError> {
        // Not every store knows create-only writes; this look is for those that do not.
        let found = match self.head(MANIFEST_NAME).await? {
            Some(_) => Err(BackupError::Exists { key: MANIFEST_NAME.to_owned() }),
            None => self.put(MANIFEST_NAME, Bytes::copy_from_slice(json), true).await.map(drop),
        };
        match found {
            Err(BackupError::Exists { .. }) if self.get(MANIFEST_NAME).await? == json => Ok(()),
            other => other,
        }
    }

    /// Reads the manifest.
    pub async fn manifest(&self) -> Result<Manifest, BackupError> {
        match self.head(MANIFEST_NAME).await? {
            None => Err(BackupError::NotFound { key: MANIFEST_NAME.to_owned() }),
            Some(stat) if stat.length > MANIFEST_BYTES_MAX => Err(BackupError::Mismatch {
                key: MANIFEST_NAME.to_owned(),
                what: format!("it has {} bytes, the limit is {MANIFEST_BYTES_MAX}", stat.length),
            }),
            Some(_) => Ok(Manifest::from_json(&self.get(MANIFEST_NAME).await?)?),
        }
    }
}
