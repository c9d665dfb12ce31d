//! The cloud migration as a REST resource.
//!
//! * `POST /api/cloud-migration` with `{"target": "s3://bucket/prefix"}`: 200 with the record; 409 while one is active.
//! * `GET /api/cloud-migration`: the newest; 204 if there is none.
//! * `PUT /api/cloud-migration/cancel`: how many it called off.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{post, put};
use axum::{Json, Router};
use flotilla_cloud_migration::view::View;
use flotilla_cloud_migration::{FreezeUntil, Options, Target};
use flotilla_proto::migration_v1::{StartRequest, Verdict};
use serde::Deserialize;
use serde_json::json;

use super::reporter::{Reporter, Unreported};
use crate::replicas::Replicas;

/// What `POST` takes. Everything but the target has a default.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wish {
    target: String,
    credentials_file: String,
    freeze_until: String,
    part_bytes: u64,
    multipart_bytes: u64,
    file_bytes: u64,
    parallel_parts: u32,
    dump_bytes_per_second: u64,
    upload_bytes_per_second: u64,
    keep_objects: bool,
    skip_preflight: bool,
    request_id: u64,
}

/// The resource's routes.
pub fn routes() -> Router<Replicas> {
    Router::new()
        .route("/api/cloud-migration", post(start).get(newest))
        .route("/api/cloud-migration/cancel", put(cancel))
}

async fn start(
    State(replicas): State<Replicas>,
    wish: Result<Json<Wish>, axum::extract::rejection::JsonRejection>,
) -> Response {
    let request =
        match wish.map_err(|error| error.body_text()).and_then(|Json(wish)| request(wish, &replicas)) {
            Ok(request) => request,
            Err(message) => return said(StatusCode::BAD_REQUEST, &message),
        };
    match Reporter::new(replicas).start(request).await {
        Ok(answer) => match (answer.verdict(), &answer.record) {
            (Verdict::Accepted, Some(record)) => Json(View::of(record)).into_response(),
            (Verdict::Accepted, None) => Json(json!({ "id": answer.id })).into_response(),
            (verdict, _) => {
                let body = json!({ "error": answer.message, "id": answer.id });
                (status(verdict), Json(body)).into_response()
            }
        },
        Err(error) => unavailable(&error),
    }
}

async fn newest(State(replicas): State<Replicas>) -> Response {
    match Reporter::new(replicas).newest().await {
        Ok(Some(record)) => Json(View::of(&record)).into_response(),
        Ok(None) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => unavailable(&error),
    }
}

async fn cancel(State(replicas): State<Replicas>) -> Response {
    match Reporter::new(replicas).cancel(0).await {
        Ok(answer) => Json(answer.count).into_response(),
        Err(error) => unavailable(&error),
    }
}

fn request(wish: Wish, replicas: &Replicas) -> Result<StartRequest, String> {
    let until = match wish.freeze_until.as_str() {
        "" => FreezeUntil::Dumped,
        word => FreezeUntil::from_name(word)
            .ok_or_else(|| format!("freeze_until: {word:?} is none of pinned, dumped, uploaded, done"))?,
    };
    let options = Options {
        freeze_until: until.into(),
        part_bytes: wish.part_bytes,
        multipart_bytes: wish.multipart_bytes,
        file_bytes: wish.file_bytes,
        parallel_parts: wish.parallel_parts,
        dump_bytes_per_second: wish.dump_bytes_per_second,
        upload_bytes_per_second: wish.upload_bytes_per_second,
        keep_objects: wish.keep_objects,
        ..Options::default()
    };
    let target = Target { url: wish.target, credentials_file: wish.credentials_file };
    let fresh = || replicas.node().env.random.next_u64().max(1);
    let request_id = if wish.request_id == 0 { fresh() } else { wish.request_id };
    Ok(StartRequest {
        request_id,
        target: Some(target),
        options: Some(options),
        skip_preflight: wish.skip_preflight,
    })
}

fn status(verdict: Verdict) -> StatusCode {
    match verdict {
        Verdict::Accepted => StatusCode::OK,
        Verdict::Invalid => StatusCode::BAD_REQUEST,
        Verdict::NotFound => StatusCode::NOT_FOUND,
        Verdict::Conflict => StatusCode::CONFLICT,
        Verdict::Terminal | Verdict::Fenced | Verdict::Refused => StatusCode::UNPROCESSABLE_ENTITY,
        Verdict::TooMany => StatusCode::TOO_MANY_REQUESTS,
    }
}

fn said(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "error": message }))).into_response()
}

fn unavailable(error: &Unreported) -> Response {
    said(StatusCode::SERVICE_UNAVAILABLE, &error.to_string())
}
