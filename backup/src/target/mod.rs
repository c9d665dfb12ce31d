//! The store that a dump goes to: whichever kind it is, a request is a presigned URL and one exchange of S3's protocol.
//!
//! A bucket's URLs are signed here, with keys that this process has; a migration store's are asked for, from the store that
//! has the keys. Whatever follows (errors, retries, checks) is the same for both.

mod listing;
mod multipart;
mod objects;
mod s3;
mod store;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use reqwest::Url;

use crate::address::Address;
use crate::class::{Class, Failure, Retries};
use crate::credentials::Credentials;
use crate::error::BackupError;
use crate::http::{Answer, Http, Request};

pub use objects::{Download, Stat};
pub(crate) use s3::Bucket;
pub use store::Registered;

/// Where a dump goes, and whose keys to use.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Location {
    /// `s3://bucket/prefix`, or the address of a migration store.
    pub url: String,
    /// The file with the credentials; none: from the environment.
    pub credentials_file: Option<PathBuf>,
    /// What the migration store calls this migration, once it was asked.
    pub external_id: Option<String>,
}

/// How patient requests are.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Without a byte moving for so long, a request has failed.
    pub idle: Duration,
    /// How it is tried again.
    pub retries: Retries,
}

impl Default for Patience {
    fn default() -> Self {
        Self { idle: Duration::from_secs(60), retries: Retries::default() }
    }
}

/// An open target. Clones share connections.
#[derive(Clone, Debug)]
pub struct Target {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    address: Address,
    /// For errors: who is asked.
    host: String,
    http: Http,
    patience: Patience,
    urls: Urls,
}

/// Who makes the URLs.
#[derive(Debug)]
enum Urls {
    S3(s3::Bucket),
    Store(store::StoreClient),
}

/// What is asked of a store. Keys stand below the target's prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Op<'a> {
    Put,
    Get,
    Head,
    Delete,
    Create,
    Part { upload: &'a str, number: u32 },
    ListParts { upload: &'a str, after: u32 },
    Complete { upload: &'a str },
    Abort { upload: &'a str },
    ListUploads { key: &'a str, upload: &'a str },
    ListObjects { token: &'a str },
}

impl Op<'_> {
    /// The method of its request.
    pub(crate) fn method(&self) -> Method {
        match self {
            Self::Put | Self::Part { .. } => Method::PUT,
            Self::Get | Self::ListParts { .. } | Self::ListUploads { .. } | Self::ListObjects { .. } => {
                Method::GET
            }
            Self::Head => Method::HEAD,
            Self::Delete | Self::Abort { .. } => Method::DELETE,
            Self::Create | Self::Complete { .. } => Method::POST,
        }
    }

    /// What it is for, in the words of an error.
    pub(crate) fn doing(&self, key: &str) -> String {
        match self {
            Self::Put => format!("writing {key}"),
            Self::Get => format!("reading {key}"),
            Self::Head => format!("looking for {key}"),
            Self::Delete => format!("deleting {key}"),
            Self::Create => format!("beginning the upload of {key}"),
            // Of several that were under way together, one failed.
            Self::Part { number: 0, .. } => format!("sending a part of {key}"),
            Self::Part { number, .. } => format!("sending part {number} of {key}"),
            Self::ListParts { .. } => format!("listing the parts of {key}"),
            Self::Complete { .. } => format!("completing the upload of {key}"),
            Self::Abort { .. } => format!("aborting the upload of {key}"),
            Self::ListUploads { .. } => "listing unfinished uploads".to_owned(),
            Self::ListObjects { .. } => "listing objects".to_owned(),
        }
    }
}

impl Target {
    /// Opens a target. Nothing is sent yet.
    pub fn open(location: &Location) -> Result<Self, BackupError> {
        let credentials = Credentials::load(location.credentials_file.as_deref())?;
        Self::with(location, &credentials, Patience::default())
    }

    /// Opens a target with these credentials.
    pub fn with(
        location: &Location,
        credentials: &Credentials,
        patience: Patience,
    ) -> Result<Self, BackupError> {
        let mut address: Address = location.url.parse()?;
        if let (Address::Store { id, .. }, Some(external)) = (&mut address, &location.external_id) {
            crate::address::check_id(external)?;
            *id = Some(external.clone());
        }
        let urls = match &address {
            Address::S3 { bucket, prefix } => {
                Urls::S3(s3::Bucket::new(credentials.signer(bucket)?, prefix.clone()))
            }
            Address::Store { base, id } => {
                Urls::Store(store::StoreClient::new(base, id.clone(), credentials.store_token())?)
            }
        };
        let host = match &urls {
            Urls::S3(bucket) => bucket.host().unwrap_or_else(|| "the store".to_owned()),
            Urls::Store(store) => store.host(),
        };
        let http = Http::new(Some(&host), patience.idle)?;
        Ok(Self { inner: Arc::new(Inner { address, host, http, patience, urls }) })
    }

    /// Where it is. Holds no secret.
    pub fn address(&self) -> &Address {
        &self.inner.address
    }

    /// Who is asked; for logs.
    pub fn host(&self) -> &str {
        &self.inner.host
    }

    pub(crate) fn http(&self) -> &Http {
        &self.inner.http
    }

    pub(crate) fn retries(&self) -> Retries {
        self.inner.patience.retries
    }

    pub(crate) fn error(&self, failure: Failure, op: &Op<'_>, key: &str) -> BackupError {
        failure.into_error(&op.doing(key), key, self.host())
    }

    /// The URL of a request; `again`: an earlier one was refused.
    pub(crate) async fn url(&self, op: &Op<'_>, key: &str, again: bool) -> Result<Url, Failure> {
        match &self.inner.urls {
            Urls::S3(bucket) => bucket.url(op, key).await,
            Urls::Store(store) => store.url(self.http(), op, key, again).await,
        }
    }

    /// Asks until there is an answer worth having, by the table in `class`.
    pub(crate) async fn ask(
        &self,
        op: Op<'_>,
        key: &str,
        dress: impl Fn(Request) -> Request,
    ) -> Result<Answer, Failure> {
        let retries = self.retries();
        let (mut tries, mut denied) = (0, false);
        loop {
            let failure = match self.ask_once(&op, key, &dress, denied).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            tries += 1;
            let helps = match failure.class {
                Class::Busy | Class::BadBytes => true,
                // A new URL, once: the second refusal is meant.
                Class::Denied => !std::mem::replace(&mut denied, true),
                _ => false,
            };
            if !helps || tries > retries.most {
                return Err(failure);
            }
            tokio::time::sleep(retries.wait(tries)).await;
        }
    }

    async fn ask_once(
        &self,
        op: &Op<'_>,
        key: &str,
        dress: &impl Fn(Request) -> Request,
        again: bool,
    ) -> Result<Answer, Failure> {
        let url = self.url(op, key, again).await?;
        self.http().send(dress(Request::new(op.method(), url))).await
    }
}
