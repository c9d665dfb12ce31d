//! A bucket: URLs are signed here.

use std::time::Duration;

use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer};
use reqwest::Url;

use super::Op;
use crate::class::{Class, Failure};

/// Each try signs anew, so a URL need not live longer than the longest part takes.
const URL_LIFE: Duration = Duration::from_secs(3600);

/// A bucket, or the part of it below a prefix.
#[derive(Debug)]
pub struct Bucket {
    signer: AmazonS3,
    prefix: String,
}

impl Bucket {
    /// The bucket that the signer signs for.
    pub fn new(signer: AmazonS3, prefix: String) -> Self {
        Self { signer, prefix }
    }

    /// Host and port, once something can be signed without asking anybody.
    pub fn host(&self) -> Option<String> {
        use futures::FutureExt;
        // Static keys are there at once; others have to be fetched, and errors do without the name until then.
        let url = self.url(&Op::Get, "x").now_or_never()?.ok()?;
        Some(url.host_str()?.to_owned() + &url.port().map(|port| format!(":{port}")).unwrap_or_default())
    }

    /// The key in the bucket of a key below the prefix.
    pub fn full_key(&self, key: &str) -> String {
        if self.prefix.is_empty() { key.to_owned() } else { format!("{}/{key}", self.prefix) }
    }

    /// The signed URL of a request.
    pub async fn url(&self, op: &Op<'_>, key: &str) -> Result<Url, Failure> {
        self.sign(op, key, URL_LIFE).await
    }

    /// The signed URL of a request that may be made for so long.
    pub async fn sign(&self, op: &Op<'_>, key: &str, life: Duration) -> Result<Url, Failure> {
        let full = self.full_key(key);
        let is_listing = matches!(op, Op::ListUploads { .. } | Op::ListObjects { .. });
        let path = if is_listing { Path::default() } else { Path::from(full.as_str()) };
        let options = SignedUrlOptions::new().with_query(query(op, &full));
        let signed = self.signer.signed_url_opts(op.method(), &path, life, &options).await;
        // Signing needs the keys only; where they come from a service, that service may fail. Its words may hold secrets.
        signed.map_err(|error| match error {
            object_store::Error::Generic { .. } => Failure::unanswered("cannot get the keys to sign with"),
            _ => Failure {
                class: Class::Denied,
                said: "cannot sign with these keys".to_owned(),
                unanswered: false,
            },
        })
    }
}

fn query(op: &Op<'_>, full: &str) -> Vec<(&'static str, String)> {
    match op {
        Op::Put | Op::Get | Op::Head | Op::Delete => Vec::new(),
        Op::Create => vec![("uploads", String::new())],
        Op::Part { upload, number } => {
            vec![("partNumber", number.to_string()), ("uploadId", (*upload).to_owned())]
        }
        Op::ListParts { upload, after: 0 } => vec![("uploadId", (*upload).to_owned())],
        Op::ListParts { upload, after } => {
            vec![("part-number-marker", after.to_string()), ("uploadId", (*upload).to_owned())]
        }
        Op::Complete { upload } | Op::Abort { upload } => vec![("uploadId", (*upload).to_owned())],
        Op::ListUploads { key: "", .. } => vec![("prefix", full.to_owned()), ("uploads", String::new())],
        Op::ListUploads { key, upload } => vec![
            ("key-marker", (*key).to_owned()),
            ("prefix", full.to_owned()),
            ("upload-id-marker", (*upload).to_owned()),
            ("uploads", String::new()),
        ],
        Op::ListObjects { token: "" } => vec![("list-type", "2".to_owned()), ("prefix", full.to_owned())],
        Op::ListObjects { token } => vec![
            ("continuation-token", (*token).to_owned()),
            ("list-type", "2".to_owned()),
            ("prefix", full.to_owned()),
        ],
    }
}
