//! What a migration store answers.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use flotilla_cloud_migration::dump::MANIFEST_NAME;
use http::header::AUTHORIZATION;
use rand::Rng;

use super::refusal::Refused;
use super::{MigrationStore, remember};
use crate::address::check_id;
use crate::error::BackupError;
use crate::target::Op;
use crate::upload::PARTS_MAX;
use crate::wire::{
    AskedUrl, CompleteParts, Completed, Migration, MultipartUrls, Named, PartCount, UrlRequest,
};

/// What marks a migration as known.
const BORN: &str = "MIGRATION.json";
/// What marks it as sealed.
const SEALED: &str = "UPLOADED.json";
/// Where the dump of a single file goes.
const SINGLE: &str = "dump.kvd";
/// The longest key of a file.
const FILE_BYTES_MAX: usize = 512;

type Answer<T> = Result<Json<T>, Refused>;
type Shared = State<MigrationStore>;

/// Whether whoever asks may make migrations here, and the bucket can be reached.
pub async fn status(State(store): Shared, headers: HeaderMap) -> Answer<serde_json::Value> {
    store.admit(&headers)?;
    store.inner.target.check_listable().await?;
    Ok(Json(serde_json::json!({ "status": "ready" })))
}

/// Makes a migration.
pub async fn create(State(store): Shared, headers: HeaderMap) -> Answer<Migration> {
    store.admit(&headers)?;
    let id = format!("{:032x}", rand::rng().random::<u128>());
    store.inner.target.put(&format!("{id}/{BORN}"), "{}".into(), true).await?;
    remember(&store.inner.known, &id);
    let upload_url = store.sign(&Op::Put, &id, SINGLE).await?;
    tracing::info!("migration created");
    Ok(Json(Migration { id, upload_url }))
}

/// Begins an upload, or gives out more URLs for one.
pub async fn multipart(
    State(store): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(asked): Json<PartCount>,
) -> Answer<MultipartUrls> {
    store.admit(&headers)?;
    store.writable(&id).await?;
    let file = file(asked.file.as_deref())?;
    let [first, last] = asked.parts.unwrap_or([1, asked.part_count]);
    if first == 0 || last < first || u64::from(last) > PARTS_MAX || u64::from(asked.part_count) > PARTS_MAX {
        return Err(Refused::invalid(format!("parts {first} to {last}: there are 1 to {PARTS_MAX}")));
    }
    let upload = match asked.multipart_upload_id {
        Some(upload) => upload,
        None => store.inner.target.create_upload(&format!("{id}/{file}"), asked.part_count).await?,
    };
    let mut multipart_urls = BTreeMap::new();
    for number in first..=last {
        let url = store.sign(&Op::Part { upload: &upload, number }, &id, file).await?;
        multipart_urls.insert(number, url);
    }
    Ok(Json(MultipartUrls { multipart_upload_id: upload, multipart_urls }))
}

/// Completes an upload.
pub async fn complete(
    State(store): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(asked): Json<CompleteParts>,
) -> Answer<Completed> {
    store.admit(&headers)?;
    store.writable(&id).await?;
    let key = format!("{id}/{}", file(asked.file.as_deref())?);
    let upload = &asked.multipart_upload_id;
    let etag = store.inner.target.complete_upload(&key, upload, &asked.multipart_etags).await?;
    Ok(Json(Completed { etag }))
}

/// Gives out the URL of one request.
pub async fn urls(
    State(store): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(asked): Json<UrlRequest>,
) -> Answer<AskedUrl> {
    store.admit(&headers)?;
    match asked.op {
        Named::Put | Named::Delete | Named::Abort => store.writable(&id).await?,
        Named::Get | Named::Head | Named::ListParts | Named::ListUploads | Named::ListObjects => {
            store.known(&id).await?
        }
    }
    let op = asked.op().ok_or_else(|| Refused::invalid("the marker does not parse"))?;
    let is_listing = matches!(op, Op::ListUploads { .. } | Op::ListObjects { .. });
    let file = if is_listing { below(&asked.file)? } else { file(Some(&asked.file))? };
    Ok(Json(AskedUrl { url: store.sign(&op, &id, file).await? }))
}

/// Seals a migration. Idempotent.
pub async fn uploaded(
    State(store): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer<serde_json::Value> {
    store.admit(&headers)?;
    store.known(&id).await?;
    let target = &store.inner.target;
    let found = [MANIFEST_NAME, SINGLE].map(|name| format!("{id}/{name}"));
    if target.head(&found[0]).await?.is_none() && target.head(&found[1]).await?.is_none() {
        let what = format!("there is no {MANIFEST_NAME} and no {SINGLE} yet: upload it first");
        return Err(Refused::new(StatusCode::CONFLICT, "Incomplete", what));
    }
    match target.put(&format!("{id}/{SEALED}"), "{}".into(), true).await {
        Ok(_) | Err(BackupError::Exists { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    remember(&store.inner.sealed, &id);
    tracing::info!("migration sealed");
    Ok(Json(serde_json::json!({ "status": "uploaded" })))
}

impl MigrationStore {
    /// Whether whoever asks may ask.
    fn admit(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let Some(token) = &self.inner.token else { return Ok(()) };
        let shown = headers.get(AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
        let wanted = format!("Bearer {}", token.0);
        // All bytes are compared, so the time it takes tells nothing but the length.
        let differ = shown.iter().zip(wanted.as_bytes()).fold(0, |differ, (a, b)| differ | (a ^ b));
        if differ == 0 && shown.len() == wanted.len() {
            return Ok(());
        }
        let what = "this store asks for a token: set FLOTILLA_STORE_TOKEN where the request comes from";
        Err(Refused::new(StatusCode::UNAUTHORIZED, "AccessDenied", what))
    }

    async fn known(&self, id: &str) -> Result<(), Refused> {
        check_id(id)?;
        if self.inner.known.lock().contains(id) {
            return Ok(());
        }
        if self.inner.target.head(&format!("{id}/{BORN}")).await?.is_none() {
            return Err(Refused::new(StatusCode::NOT_FOUND, "NoSuchMigration", "no migration has this id"));
        }
        remember(&self.inner.known, id);
        Ok(())
    }

    async fn writable(&self, id: &str) -> Result<(), Refused> {
        self.known(id).await?;
        let sealed = self.inner.sealed.lock().contains(id);
        if sealed || self.inner.target.head(&format!("{id}/{SEALED}")).await?.is_some() {
            let what = "this migration is uploaded and sealed: it can be read, and no longer written";
            return Err(Refused::new(StatusCode::CONFLICT, "Sealed", what));
        }
        Ok(())
    }

    async fn sign(&self, op: &Op<'_>, id: &str, file: &str) -> Result<String, Refused> {
        let url = self.inner.bucket.sign(op, &format!("{id}/{file}"), self.inner.url_life).await?;
        Ok(url.into())
    }
}

/// The file that a request names, if it may name it.
fn file(named: Option<&str>) -> Result<&str, Refused> {
    let file = below(named.unwrap_or(SINGLE))?;
    let is_plain = file.split('/').all(|part| !part.is_empty());
    if !is_plain || matches!(file, BORN | SEALED) {
        return Err(Refused::invalid("file: a plain path below the migration is expected"));
    }
    Ok(file)
}

/// A path that stays below the migration.
fn below(path: &str) -> Result<&str, Refused> {
    let plain = path.bytes().all(|byte| byte.is_ascii_graphic()) && path.len() <= FILE_BYTES_MAX;
    if !plain || path.split('/').any(|part| matches!(part, "." | "..")) {
        return Err(Refused::invalid(format!(
            "file: a plain path of at most {FILE_BYTES_MAX} bytes is expected"
        )));
    }
    Ok(path)
}
