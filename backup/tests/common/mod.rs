//! What the tests of this room share.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

pub mod fake;
pub mod proxy;
pub mod seaweed;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use flotilla_backup::{
    Class, Credentials, Limits, Location, MigrationStore, Patience, Resume, Retries, ServerOptions, Started,
    Target, UploadEvents, UploadJob, Uploader,
};
use flotilla_cloud_migration::dump::Digest;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

pub const BUCKET: &str = "bucket";
pub const MIB: usize = 1 << 20;

/// Both ways to a store must behave alike.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    Bucket,
    Store,
}

pub const MODES: [Mode; 2] = [Mode::Bucket, Mode::Store];

pub fn credentials(endpoint: &str) -> Credentials {
    Credentials::default()
        .with("AWS_ACCESS_KEY_ID", seaweed::ACCESS_KEY)
        .with("AWS_SECRET_ACCESS_KEY", seaweed::SECRET_KEY)
        .with("AWS_ENDPOINT_URL", endpoint)
        .with("AWS_ALLOW_HTTP", "true")
}

/// Quick enough for tests that make nothing hang.
pub fn impatient() -> Patience {
    let retries = Retries { most: 3, first: Duration::from_millis(20), longest: Duration::from_millis(100) };
    Patience { idle: Duration::from_secs(60), retries }
}

pub fn bucket(endpoint: &str, prefix: &str, patience: Patience) -> Target {
    let location = Location { url: format!("s3://{BUCKET}/{prefix}"), ..Location::default() };
    Target::with(&location, &credentials(endpoint), patience).unwrap()
}

/// Starts a migration store in front of a bucket. Answers its address.
pub async fn migration_store(endpoint: &str, url_life: Duration, token: Option<&str>) -> String {
    let mut keys = credentials(endpoint);
    if let Some(token) = token {
        keys = keys.with(flotilla_backup::STORE_TOKEN, token);
    }
    let options = ServerOptions {
        url_life,
        patience: impatient(),
        ..ServerOptions::new(format!("s3://{BUCKET}/store"))
    };
    let store = MigrationStore::new(&options, &keys).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(store.serve(listener, CancellationToken::new()));
    address
}

pub async fn open(mode: Mode, endpoint: &str) -> Target {
    open_with(mode, endpoint, impatient()).await
}

pub async fn open_with(mode: Mode, endpoint: &str, patience: Patience) -> Target {
    if mode == Mode::Bucket {
        return bucket(endpoint, "dumps/one", patience);
    }
    let url = migration_store(endpoint, Duration::from_secs(60), None).await;
    let mut location = Location { url, ..Location::default() };
    let unregistered = Target::with(&location, &Credentials::default(), patience).unwrap();
    unregistered.check_writable().await.unwrap();
    location.external_id = unregistered.register().await.unwrap();
    assert!(location.external_id.is_some());
    Target::with(&location, &Credentials::default(), patience).unwrap()
}

/// Bytes that do not repeat from part to part.
pub fn bytes(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut out = Vec::with_capacity(length + 8);
    while out.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(length);
    out
}

pub fn job(dir: &Path, key: &str, content: &[u8]) -> UploadJob {
    let path = dir.join(key.replace('/', "_"));
    std::fs::write(&path, content).unwrap();
    UploadJob {
        key: key.to_owned(),
        path,
        length: content.len() as u64,
        blake3: Digest::of(content),
        resume: None,
    }
}

/// Small parts, so that a small file has many.
pub fn limits(part_bytes: u64, parallel_parts: usize) -> Limits {
    let multipart_bytes = part_bytes;
    Limits { multipart_bytes, part_bytes, parallel_parts, part_bytes_min: 1, ..Limits::default() }
}

/// Keeps what a record would keep.
#[derive(Default)]
pub struct Record {
    pub started: Mutex<Option<Started>>,
    pub parts: Mutex<BTreeMap<u32, String>>,
    /// The order in which parts ended.
    pub order: Mutex<Vec<u32>>,
    pub sent: AtomicU64,
    pub retries: Mutex<Vec<Class>>,
    pub most_in_flight: AtomicUsize,
    /// Refuses to record uploads.
    pub refuses: bool,
}

#[async_trait]
impl UploadEvents for Record {
    async fn created(&self, started: &Started) -> Result<(), String> {
        if self.refuses {
            return Err("another owner has taken over".to_owned());
        }
        *self.started.lock() = Some(started.clone());
        self.parts.lock().clear();
        Ok(())
    }

    fn part_done(&self, number: u32, etag: &str, _: u64) {
        self.parts.lock().insert(number, etag.to_owned());
        self.order.lock().push(number);
    }

    fn sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::SeqCst);
    }

    fn retried(&self, class: Class) {
        self.retries.lock().push(class);
    }

    fn in_flight(&self, requests: usize) {
        self.most_in_flight.fetch_max(requests, Ordering::SeqCst);
    }
}

impl Record {
    /// What whoever goes on is told.
    pub fn resume(&self) -> Resume {
        let started = self.started.lock().clone().expect("an upload began");
        Resume {
            upload_id: started.upload_id,
            part_bytes: started.part_bytes,
            parts: self.parts.lock().clone(),
        }
    }
}

pub fn record() -> Arc<Record> {
    Arc::new(Record::default())
}

/// Sends a job and checks that what arrived is what was to be sent.
pub async fn send(uploader: &Uploader, job: &UploadJob, record: &Arc<Record>) -> flotilla_backup::Uploaded {
    let done = uploader.upload(job, record.clone(), &CancellationToken::new()).await.unwrap();
    let stored = uploader.target().get(&job.key).await.unwrap();
    assert!(stored[..] == std::fs::read(&job.path).unwrap()[..], "{} is not what was sent", job.key);
    assert_eq!(
        uploader.target().head(&job.key).await.unwrap().unwrap().etag.trim_matches('"'),
        done.etag.trim_matches('"')
    );
    done
}
