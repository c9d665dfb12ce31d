//! A migration store: it has the keys, and hands out presigned URLs to whoever knows the migration's id.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use parking_lot::Mutex;
use reqwest::Url;
use serde::de::DeserializeOwned;

use super::{Op, Target, Urls};
use crate::address::STORE_PATH;
use crate::class::{Class, Failure};
use crate::error::BackupError;
use crate::http::{Body, Http, Request};
use crate::wire::{AskedUrl, CompleteParts, Completed, Migration, MultipartUrls, PartCount, UrlRequest};

/// How many parts' URLs are asked for at a time: they expire while they wait.
const PART_URLS: u32 = 64;

/// A migration that a store knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registered {
    /// What the store calls it.
    pub id: String,
}

/// The store's client.
pub struct StoreClient {
    base: String,
    id: Option<String>,
    token: Option<HeaderValue>,
    /// URLs of parts that were handed out and not used yet, by upload and part.
    parts: Mutex<BTreeMap<(String, u32), Url>>,
}

impl std::fmt::Debug for StoreClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreClient").field("base", &self.base).finish_non_exhaustive()
    }
}

impl StoreClient {
    pub fn new(base: &str, id: Option<String>, token: Option<&str>) -> Result<Self, BackupError> {
        let header = |token: &str| {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| BackupError::Credentials("the store's token is no header value".to_owned()))?;
            value.set_sensitive(true);
            Ok::<_, BackupError>(value)
        };
        let token = token.map(header).transpose()?;
        Ok(Self { base: base.to_owned(), id, token, parts: Mutex::default() })
    }

    pub fn host(&self) -> String {
        let url = Url::parse(&self.base).ok();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or("the migration store").to_owned();
        host + &url.and_then(|url| url.port()).map(|port| format!(":{port}")).unwrap_or_default()
    }

    /// A key of the store's bucket without all that stands before the migration's own part.
    pub fn below_prefix<'a>(&self, full: &'a str) -> Option<&'a str> {
        let own = format!("{}/", self.id.as_ref()?);
        let at = if full.starts_with(&own) { 0 } else { full.find(&format!("/{own}"))? + 1 };
        full.get(at + own.len()..)
    }

    /// Sends JSON to a resource below the migrations and reads JSON.
    async fn call<T: DeserializeOwned>(
        &self,
        http: &Http,
        method: Method,
        resource: &str,
        body: &impl serde::Serialize,
    ) -> Result<T, Failure> {
        let url = format!("{}{STORE_PATH}{resource}", self.base);
        let url = Url::parse(&url).map_err(|_| refused("the store's address does not parse"))?;
        let json = serde_json::to_vec(body).map_err(|_| refused("the request is no JSON"))?;
        let mut request = Request::new(method, url)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(Body::Bytes(Bytes::from(json)));
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.clone());
        }
        let answer = http.send(request).await?;
        serde_json::from_slice(&answer.body)
            .map_err(|_| refused("the store's answer is not that of a migration store"))
    }

    fn of_migration(&self, rest: &str) -> Result<String, Failure> {
        let id =
            self.id.as_ref().ok_or_else(|| refused("the migration is not registered at the store yet"))?;
        Ok(format!("/{id}{rest}"))
    }

    pub async fn register(&self, http: &Http) -> Result<Registered, Failure> {
        let empty = serde_json::Value::Object(serde_json::Map::new());
        let made: Migration = self.call(http, Method::POST, "", &empty).await?;
        Ok(Registered { id: made.id })
    }

    pub fn is_registered(&self) -> bool {
        self.id.is_some()
    }

    pub async fn status(&self, http: &Http) -> Result<(), Failure> {
        let status: Result<serde_json::Value, _> = self.call(http, Method::GET, "", &()).await;
        match status {
            // A store that answers and does not know this question is a store all the same.
            Err(failure) if matches!(failure.class, Class::NoObject | Class::Refused | Class::Unknown) => {
                Ok(())
            }
            other => other.map(drop),
        }
    }

    pub async fn uploaded(&self, http: &Http) -> Result<(), Failure> {
        let empty = serde_json::Value::Object(serde_json::Map::new());
        let _: serde_json::Value =
            self.call(http, Method::PUT, &self.of_migration("/uploaded")?, &empty).await?;
        Ok(())
    }

    /// The URL of a request, from those at hand or asked for.
    pub async fn url(&self, http: &Http, op: &Op<'_>, key: &str, again: bool) -> Result<Url, Failure> {
        if let Op::Part { upload, number } = op {
            return self.part_url(http, key, upload, *number, again).await;
        }
        let asked: AskedUrl =
            self.call(http, Method::POST, &self.of_migration("/urls")?, &UrlRequest::of(op, key)).await?;
        Url::parse(&asked.url).map_err(|_| refused("the store handed out a URL that does not parse"))
    }

    async fn part_url(
        &self,
        http: &Http,
        key: &str,
        upload: &str,
        number: u32,
        again: bool,
    ) -> Result<Url, Failure> {
        let at_hand = self.parts.lock().remove(&(upload.to_owned(), number));
        if let (Some(url), false) = (at_hand, again) {
            return Ok(url);
        }
        let last = if again { number } else { number.saturating_add(PART_URLS - 1) };
        let urls = self.multipart(http, key, Some(upload), last, Some([number, last])).await?;
        self.keep(&urls)?;
        let url = self.parts.lock().remove(&(upload.to_owned(), number));
        url.ok_or_else(|| refused("the store handed out no URL for this part"))
    }

    fn keep(&self, urls: &MultipartUrls) -> Result<(), Failure> {
        let mut parts = self.parts.lock();
        for (number, url) in &urls.multipart_urls {
            let url =
                Url::parse(url).map_err(|_| refused("the store handed out a URL that does not parse"))?;
            parts.insert((urls.multipart_upload_id.clone(), *number), url);
        }
        Ok(())
    }

    async fn multipart(
        &self,
        http: &Http,
        key: &str,
        upload: Option<&str>,
        part_count: u32,
        parts: Option<[u32; 2]>,
    ) -> Result<MultipartUrls, Failure> {
        let request = PartCount {
            part_count,
            file: Some(key.to_owned()),
            multipart_upload_id: upload.map(ToOwned::to_owned),
            parts,
        };
        self.call(http, Method::PUT, &self.of_migration("/multipart")?, &request).await
    }

    /// Begins an upload.
    pub async fn create(&self, http: &Http, key: &str, part_count: u32) -> Result<String, Failure> {
        let first = Some([1, part_count.min(PART_URLS)]);
        let urls = self.multipart(http, key, None, part_count, first).await?;
        self.keep(&urls)?;
        Ok(urls.multipart_upload_id)
    }

    /// Completes an upload. Answers the object's ETag.
    pub async fn complete(
        &self,
        http: &Http,
        key: &str,
        upload: &str,
        etags: &BTreeMap<u32, String>,
    ) -> Result<String, Failure> {
        self.parts.lock().retain(|(of, _), _| of != upload);
        let request = CompleteParts {
            multipart_upload_id: upload.to_owned(),
            multipart_etags: etags.clone(),
            file: Some(key.to_owned()),
        };
        let done: Completed =
            self.call(http, Method::PUT, &self.of_migration("/multipart/complete")?, &request).await?;
        Ok(done.etag)
    }
}

fn refused(what: &str) -> Failure {
    Failure { class: Class::Refused, said: what.to_owned(), unanswered: false }
}

impl Target {
    /// Makes the migration known to a migration store, which answers what it calls it; none: a bucket needs no such thing.
    /// Open the target again with that id.
    pub async fn register(&self) -> Result<Option<String>, BackupError> {
        let Urls::Store(store) = &self.inner.urls else { return Ok(None) };
        let made = self.again("registering the migration", || store.register(self.http())).await?;
        crate::address::check_id(&made.id)?;
        Ok(Some(made.id))
    }

    /// Whether there is a place for this migration's objects.
    pub(crate) fn is_registered(&self) -> bool {
        match &self.inner.urls {
            Urls::S3(_) => true,
            Urls::Store(store) => store.is_registered(),
        }
    }

    /// Asks a migration store whether it would take a migration.
    pub(crate) async fn check_store(&self) -> Result<(), BackupError> {
        let Urls::Store(store) = &self.inner.urls else { return Ok(()) };
        self.again("asking the migration store", || store.status(self.http())).await
    }

    /// Tells a migration store that everything is there. Idempotent.
    pub async fn acknowledge(&self) -> Result<(), BackupError> {
        let Urls::Store(store) = &self.inner.urls else { return Ok(()) };
        self.again("telling the store that all is uploaded", || store.uploaded(self.http())).await
    }

    /// Tries again what does not go through presigned URLs.
    async fn again<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        doing: &str,
        ask: impl Fn() -> F,
    ) -> Result<T, BackupError> {
        let retries = self.retries();
        for tries in 1.. {
            match ask().await {
                Ok(answer) => return Ok(answer),
                Err(failure) if failure.class == Class::Busy && tries <= retries.most => {
                    tokio::time::sleep(retries.wait(tries)).await;
                }
                Err(failure) => return Err(failure.into_error(doing, "the migration", self.host())),
            }
        }
        unreachable!("the loop ends by returning")
    }
}
