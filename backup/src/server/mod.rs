//! A migration store: keeps a bucket's keys to itself and hands out presigned URLs to whoever carries a cluster over.
//!
//! ```text
//!   GET  /api/v2/migration                          {status}
//!   POST /api/v2/migration                          {id, upload_url}
//!   PUT  /api/v2/migration/ID/multipart             {part_count, ...} -> {multipart_upload_id, multipart_urls}
//!   PUT  /api/v2/migration/ID/multipart/complete    {multipart_upload_id, multipart_etags}
//!   POST /api/v2/migration/ID/urls                  {op, file, ...} -> {url}
//!   PUT  /api/v2/migration/ID/uploaded              seals the migration
//! ```
//!
//! * It has no state but what lies in the bucket: it may be restarted at any time, or run many times over.
//! * An id is 128 random bits, and URLs are given out for what is below it only. A token, if set, is asked for besides.
//! * No data passes through it.
//! * A sealed migration can be read, and no longer written.

mod handlers;
mod refusal;

use std::collections::BTreeSet;
use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post, put};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::address::{Address, STORE_PATH};
use crate::credentials::Credentials;
use crate::error::BackupError;
use crate::target::{Bucket, Location, Patience, Target};

/// Migrations whose state is remembered; the bucket is asked about the others.
const REMEMBERED_MAX: usize = 10_000;
/// The largest request: the ETags of ten thousand parts.
const REQUEST_BYTES_MAX: usize = 4 << 20;

/// How a store runs.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// `s3://bucket/prefix`.
    pub bucket: String,
    /// How long a URL that is handed out may be used.
    pub url_life: Duration,
    /// How patient it is with the bucket.
    pub patience: Patience,
}

impl ServerOptions {
    /// For this bucket, with everything else as usual.
    pub fn new(bucket: impl Into<String>) -> Self {
        Self { bucket: bucket.into(), url_life: Duration::from_secs(15 * 60), patience: Patience::default() }
    }
}

/// The store, ready to serve.
#[derive(Clone, Debug)]
pub struct MigrationStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    target: Target,
    bucket: Bucket,
    url_life: Duration,
    token: Option<Token>,
    known: Mutex<BTreeSet<String>>,
    sealed: Mutex<BTreeSet<String>>,
}

/// What clients must show. Never shown itself.
struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl MigrationStore {
    /// A store in front of a bucket.
    pub fn new(options: &ServerOptions, credentials: &Credentials) -> Result<Self, BackupError> {
        let location = Location { url: options.bucket.clone(), ..Location::default() };
        let Address::S3 { bucket, prefix } = location.url.parse()? else {
            return Err(BackupError::Invalid(
                "a migration store stands in front of a bucket: s3://bucket/prefix".to_owned(),
            ));
        };
        let target = Target::with(&location, credentials, options.patience)?;
        let bucket = Bucket::new(credentials.signer(&bucket)?, prefix);
        let token = credentials.store_token().map(|token| Token(token.to_owned()));
        let (known, sealed) = (Mutex::default(), Mutex::default());
        let inner = Inner { target, bucket, url_life: options.url_life, token, known, sealed };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Serves until cancelled. Requests under way are finished.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> std::io::Result<()> {
        let serving = axum::serve(listener, self.router());
        serving.with_graceful_shutdown(stop.cancelled_owned()).into_future().await
    }

    fn router(self) -> Router {
        Router::new()
            .route(STORE_PATH, get(handlers::status).post(handlers::create))
            .route(&format!("{STORE_PATH}/{{id}}/multipart"), put(handlers::multipart))
            .route(&format!("{STORE_PATH}/{{id}}/multipart/complete"), put(handlers::complete))
            .route(&format!("{STORE_PATH}/{{id}}/urls"), post(handlers::urls))
            .route(&format!("{STORE_PATH}/{{id}}/uploaded"), put(handlers::uploaded))
            .layer(axum::extract::DefaultBodyLimit::max(REQUEST_BYTES_MAX))
            .with_state(self)
    }
}

/// Remembers an id, and forgets all when there are too many: the bucket knows.
fn remember(ids: &Mutex<BTreeSet<String>>, id: &str) {
    let mut ids = ids.lock();
    if ids.len() >= REMEMBERED_MAX {
        ids.clear();
    }
    ids.insert(id.to_owned());
}
