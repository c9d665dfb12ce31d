//! As much of S3 as an upload needs, in memory, on a port of its own: quick, always there, and strict where S3 is. It checks
//! no signatures; the real server does.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use md5::{Digest, Md5};
use parking_lot::Mutex;

type Shared = Arc<Mutex<Store>>;

/// How many rows a page of a listing has.
const PAGE: usize = 100;

/// Bytes and ETag of each part.
pub type Parts = BTreeMap<u32, (Vec<u8>, String)>;

#[derive(Default)]
pub struct Store {
    pub objects: BTreeMap<String, (Vec<u8>, String)>,
    /// By id: key, and parts.
    pub uploads: BTreeMap<String, (String, Parts)>,
    pub next: u64,
    /// Every request: method, path and query without what signs it.
    pub log: Vec<String>,
}

#[derive(Clone)]
pub struct Fake {
    pub store: Shared,
    pub endpoint: String,
}

pub async fn start() -> Fake {
    let store = Shared::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(handle).with_state(store.clone());
    let router = router.layer(axum::extract::DefaultBodyLimit::disable());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    Fake { store, endpoint }
}

fn xml(status: u16, body: String) -> Response {
    (StatusCode::from_u16(status).unwrap(), [(header::CONTENT_TYPE, "application/xml")], body).into_response()
}

fn error(status: u16, code: &str) -> Response {
    xml(status, format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{code}</Message></Error>"))
}

fn md5(bytes: &[u8]) -> String {
    let digest: [u8; 16] = Md5::digest(bytes).into();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn handle(State(store): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let query: BTreeMap<String, String> = reqwest::Url::parse(&format!("http://x{}", parts.uri))
        .unwrap()
        .query_pairs()
        .filter(|(name, _)| !name.starts_with("X-Amz-"))
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else { return error(400, "IncompleteBody") };
    let Some((bucket, key)) = parts.uri.path()[1..].split_once('/') else {
        return error(400, "InvalidRequest");
    };
    let mut store = store.lock();
    store.log.push(format!("{} {key} {query:?}", parts.method));
    if bucket != "bucket" {
        return error(404, "NoSuchBucket");
    }
    store.answer(&parts.method, key, &query, &parts.headers, body)
}

impl Store {
    fn answer(
        &mut self,
        method: &Method,
        key: &str,
        query: &BTreeMap<String, String>,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Response {
        let has = |name: &str| query.contains_key(name);
        match method.as_str() {
            "GET" if has("uploads") => self.list_uploads(&query["prefix"]),
            "GET" if has("list-type") => self.list_objects(query),
            "GET" if has("uploadId") => self.list_parts(query),
            "POST" if has("uploads") => self.create(key),
            "POST" if has("uploadId") => self.complete(&query["uploadId"], &body),
            "DELETE" if has("uploadId") => match self.uploads.remove(&query["uploadId"]) {
                Some(_) => StatusCode::NO_CONTENT.into_response(),
                None => error(404, "NoSuchUpload"),
            },
            "PUT" if has("uploadId") => self.part(query, headers, body),
            "PUT" => self.put(key, headers, body),
            "DELETE" => {
                self.objects.remove(key);
                StatusCode::NO_CONTENT.into_response()
            }
            "GET" | "HEAD" => self.get(key, headers),
            _ => error(400, "InvalidRequest"),
        }
    }

    fn put(&mut self, key: &str, headers: &HeaderMap, body: Bytes) -> Response {
        if headers.contains_key(header::IF_NONE_MATCH) && self.objects.contains_key(key) {
            return error(412, "PreconditionFailed");
        }
        let etag = format!("\"{}\"", md5(&body));
        self.objects.insert(key.to_owned(), (body.to_vec(), etag.clone()));
        ([(header::ETAG, etag)], "").into_response()
    }

    fn get(&self, key: &str, headers: &HeaderMap) -> Response {
        let Some((bytes, etag)) = self.objects.get(key) else { return error(404, "NoSuchKey") };
        let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
        let from =
            range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
        let status = if from.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
        (status, [(header::ETAG, etag.clone())], bytes[from.unwrap_or(0)..].to_vec()).into_response()
    }

    fn create(&mut self, key: &str) -> Response {
        self.next += 1;
        let id = format!("upload-{}", self.next);
        self.uploads.insert(id.clone(), (key.to_owned(), BTreeMap::new()));
        xml(
            200,
            format!(
                "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
            ),
        )
    }

    fn part(&mut self, query: &BTreeMap<String, String>, headers: &HeaderMap, body: Bytes) -> Response {
        let Some((_, parts)) = self.uploads.get_mut(&query["uploadId"]) else {
            return error(404, "NoSuchUpload");
        };
        let length: usize = headers[header::CONTENT_LENGTH].to_str().unwrap().parse().unwrap();
        if length != body.len() {
            return error(400, "IncompleteBody");
        }
        let etag = format!("\"{}\"", md5(&body));
        parts.insert(query["partNumber"].parse().unwrap(), (body.to_vec(), etag.clone()));
        ([(header::ETAG, etag)], "").into_response()
    }

    fn list_parts(&self, query: &BTreeMap<String, String>) -> Response {
        let Some((_, parts)) = self.uploads.get(&query["uploadId"]) else {
            return error(404, "NoSuchUpload");
        };
        let after: u32 = query.get("part-number-marker").map_or(0, |after| after.parse().unwrap());
        let page: Vec<_> = parts.range(after + 1..).take(PAGE).collect();
        let truncated = page.last().is_some_and(|(last, _)| parts.range(**last + 1..).next().is_some());
        let marker = page.last().map_or(0, |(last, _)| **last);
        let rows: String = page
            .iter()
            .map(|(number, (bytes, etag))| {
                let size = bytes.len();
                format!(
                    "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag><Size>{size}</Size></Part>"
                )
            })
            .collect();
        xml(
            200,
            format!(
                "<ListPartsResult><IsTruncated>{truncated}</IsTruncated><NextPartNumberMarker>{marker}</NextPartNumberMarker>{rows}</ListPartsResult>"
            ),
        )
    }

    fn complete(&mut self, id: &str, body: &[u8]) -> Response {
        let Some((key, parts)) = self.uploads.get(id) else { return error(404, "NoSuchUpload") };
        let text = std::str::from_utf8(body).unwrap();
        let (mut whole, mut digests, mut count) = (Vec::new(), Vec::new(), 0);
        for part in text.split("<Part>").skip(1) {
            let of = |tag: &str| part.split(&format!("<{tag}>")).nth(1).unwrap().split('<').next().unwrap();
            let etag = of("ETag").replace("&quot;", "\"");
            let number: u32 = of("PartNumber").parse().unwrap();
            count += 1;
            match parts.get(&number) {
                Some((bytes, right)) if *right == etag && number == count => {
                    whole.extend_from_slice(bytes);
                    digests.extend_from_slice(&<[u8; 16]>::from(Md5::digest(bytes)));
                }
                _ => return error(400, "InvalidPart"),
            }
        }
        let (key, etag) = (key.clone(), format!("\"{}-{count}\"", md5(&digests)));
        self.uploads.remove(id);
        self.objects.insert(key, (whole, etag.clone()));
        xml(
            200,
            format!("<CompleteMultipartUploadResult><ETag>{etag}</ETag></CompleteMultipartUploadResult>"),
        )
    }

    fn list_uploads(&self, prefix: &str) -> Response {
        let rows: String = self
            .uploads
            .iter()
            .filter(|(_, (key, _))| key.starts_with(prefix))
            .map(|(id, (key, _))| format!("<Upload><Key>{key}</Key><UploadId>{id}</UploadId></Upload>"))
            .collect();
        xml(
            200,
            format!(
                "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>{rows}</ListMultipartUploadsResult>"
            ),
        )
    }

    fn list_objects(&self, query: &BTreeMap<String, String>) -> Response {
        let (prefix, after) =
            (&query["prefix"], query.get("continuation-token").cloned().unwrap_or_default());
        let all: Vec<_> =
            self.objects.iter().filter(|(key, _)| key.starts_with(prefix) && **key > after).collect();
        let truncated = all.len() > PAGE;
        let page = &all[..all.len().min(PAGE)];
        let token = page.last().map_or("", |(key, _)| key);
        let rows: String = page
            .iter()
            .map(|(key, (bytes, etag))| {
                format!(
                    "<Contents><Key>{key}</Key><Size>{}</Size><ETag>{etag}</ETag></Contents>",
                    bytes.len()
                )
            })
            .collect();
        xml(
            200,
            format!(
                "<ListBucketResult><IsTruncated>{truncated}</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>{rows}</ListBucketResult>"
            ),
        )
    }
}
