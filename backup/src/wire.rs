//! What a migration store and its clients say to each other, in JSON.
//!
//! The five requests of the protocol carry one dump file each; the fields `file` and `parts` and the resource `urls` are
//! additions for dumps of many files, for URLs made as late as possible, and for what S3 itself is asked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::target::Op;

/// `POST /api/v2/migration`.
#[derive(Serialize, Deserialize)]
pub struct Migration {
    /// What the store calls it.
    pub id: String,
    /// Where a dump of a single file would go, presigned.
    #[serde(default)]
    pub upload_url: String,
}

/// `PUT .../ID/multipart`.
#[derive(Serialize, Deserialize)]
pub struct PartCount {
    /// How many parts there will be.
    pub part_count: u32,
    /// The file below the migration's prefix; none: the dump of a single file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// An upload that has begun: only URLs are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multipart_upload_id: Option<String>,
    /// First and last part whose URLs are wanted now; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<[u32; 2]>,
}

/// Its answer.
#[derive(Serialize, Deserialize)]
pub struct MultipartUrls {
    /// The upload.
    pub multipart_upload_id: String,
    /// The presigned URL of each part.
    pub multipart_urls: BTreeMap<u32, String>,
}

/// `PUT .../ID/multipart/complete`.
#[derive(Serialize, Deserialize)]
pub struct CompleteParts {
    /// The upload.
    pub multipart_upload_id: String,
    /// The ETag of each part, verbatim.
    pub multipart_etags: BTreeMap<u32, String>,
    /// The file below the migration's prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// Its answer.
#[derive(Serialize, Deserialize, Default)]
pub struct Completed {
    /// The object's ETag.
    #[serde(default)]
    pub etag: String,
}

/// `POST .../ID/urls`: the presigned URL of one request to S3.
#[derive(Serialize, Deserialize)]
pub struct UrlRequest {
    /// Which.
    pub op: Named,
    /// The file below the migration's prefix; empty: the prefix itself.
    #[serde(default)]
    pub file: String,
    /// The upload, or where the listing of uploads goes on.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub upload: String,
    /// Where a listing goes on.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub marker: String,
}

/// The requests that URLs are given out for.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Named {
    /// PutObject.
    Put,
    /// GetObject.
    Get,
    /// HeadObject.
    Head,
    /// DeleteObject.
    Delete,
    /// ListParts.
    ListParts,
    /// AbortMultipartUpload.
    Abort,
    /// ListMultipartUploads.
    ListUploads,
    /// ListObjectsV2.
    ListObjects,
}

/// Its answer.
#[derive(Serialize, Deserialize)]
pub struct AskedUrl {
    /// The presigned URL.
    pub url: String,
}

/// An error.
#[derive(Serialize, Deserialize)]
pub struct Refusal {
    /// A word for programs.
    pub code: String,
    /// For people.
    pub message: String,
}

impl UrlRequest {
    /// Names a request. Parts, their beginning and their end have resources of their own.
    pub(crate) fn of(op: &Op<'_>, key: &str) -> Self {
        let (op, upload, marker) = match op {
            Op::Put | Op::Create | Op::Complete { .. } | Op::Part { .. } => (Named::Put, "", String::new()),
            Op::Get => (Named::Get, "", String::new()),
            Op::Head => (Named::Head, "", String::new()),
            Op::Delete => (Named::Delete, "", String::new()),
            Op::ListParts { upload, after } => (Named::ListParts, *upload, after.to_string()),
            Op::Abort { upload } => (Named::Abort, *upload, String::new()),
            Op::ListUploads { key, upload } => (Named::ListUploads, *upload, (*key).to_owned()),
            Op::ListObjects { token } => (Named::ListObjects, "", (*token).to_owned()),
        };
        Self { op, file: key.to_owned(), upload: upload.to_owned(), marker }
    }

    /// The request that was named. None: a marker does not parse.
    pub(crate) fn op(&self) -> Option<Op<'_>> {
        let (upload, marker) = (&self.upload[..], &self.marker[..]);
        Some(match self.op {
            Named::Put => Op::Put,
            Named::Get => Op::Get,
            Named::Head => Op::Head,
            Named::Delete => Op::Delete,
            Named::ListParts => Op::ListParts { upload, after: marker.parse().ok()? },
            Named::Abort => Op::Abort { upload },
            Named::ListUploads => Op::ListUploads { key: marker, upload },
            Named::ListObjects => Op::ListObjects { token: marker },
        })
    }
}
