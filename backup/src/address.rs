//! Where a dump lies, as people write it.

use std::fmt;
use std::str::FromStr;

use crate::error::BackupError;

/// The path of a migration store's resource.
pub const STORE_PATH: &str = "/api/v2/migration";

/// A target's address. It never holds credentials.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Address {
    /// `s3://bucket/prefix`.
    S3 {
        /// The bucket.
        bucket: String,
        /// What the keys begin with; no slash at either end, empty for the whole bucket.
        prefix: String,
    },
    /// `http(s)://host[:port][/path]`, a migration store; with `/api/v2/migration/ID` behind, one dump in it.
    Store {
        /// The store's address without the resource, no slash at the end.
        base: String,
        /// The migration's id at the store, once there is one.
        id: Option<String>,
    },
}

fn wrong(what: impl Into<String>) -> BackupError {
    BackupError::Invalid(what.into())
}

impl FromStr for Address {
    type Err = BackupError;

    // What is refused may hold a secret, so it is never repeated.
    fn from_str(text: &str) -> Result<Self, BackupError> {
        if text.len() > 1024 {
            return Err(wrong(format!("the URL has {} bytes, the limit is 1024", text.len())));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && !br#"@?#"\<>%"#.contains(&byte)) {
            return Err(wrong(
                "the URL must hold no spaces, @, ?, # or %: credentials and parameters come from the environment or a file",
            ));
        }
        if let Some(rest) = text.strip_prefix("s3://") {
            return bucket(rest);
        }
        if text.starts_with("http://") || text.starts_with("https://") {
            return store(text);
        }
        Err(wrong("the URL must begin with s3:// (a bucket) or http:// or https:// (a migration store)"))
    }
}

fn bucket(rest: &str) -> Result<Address, BackupError> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = prefix.trim_matches('/');
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(allowed) {
        return Err(wrong(
            "the bucket's name must have 3 to 63 lower-case letters, digits, dots or hyphens: s3://bucket/prefix",
        ));
    }
    if prefix.split('/').any(|part| matches!(part, "." | "..") || (part.is_empty() && !prefix.is_empty())) {
        return Err(wrong("the prefix must be a plain path: no empty part, no . and no .."));
    }
    Ok(Address::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
}

fn store(text: &str) -> Result<Address, BackupError> {
    let url = reqwest::Url::parse(text).map_err(|error| wrong(format!("the URL does not parse: {error}")))?;
    // The parser would take the first part of the path for the host that is missing.
    let has_no_host = text.split_once("://").is_none_or(|(_, rest)| rest.starts_with('/'));
    if has_no_host || url.host_str().is_none_or(str::is_empty) {
        return Err(wrong("the URL names no host"));
    }
    let text = text.trim_end_matches('/');
    let Some((base, rest)) = text.split_once(STORE_PATH) else {
        return Ok(Address::Store { base: text.to_owned(), id: None });
    };
    let id = rest.trim_matches('/');
    if !id.is_empty() {
        check_id(id)?;
    }
    Ok(Address::Store { base: base.to_owned(), id: (!id.is_empty()).then(|| id.to_owned()) })
}

/// An id becomes part of paths and keys.
pub fn check_id(id: &str) -> Result<(), BackupError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if id.is_empty() || id.len() > 64 || !id.bytes().all(allowed) {
        return Err(wrong("the migration's id must have 1 to 64 letters, digits, hyphens or underscores"));
    }
    Ok(())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
            Self::Store { base, id: None } => f.write_str(base),
            Self::Store { base, id: Some(id) } => write!(f, "{base}{STORE_PATH}/{id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let s3 = |bucket: &str, prefix: &str| Address::S3 { bucket: bucket.into(), prefix: prefix.into() };
        let store =
            |base: &str, id: Option<&str>| Address::Store { base: base.into(), id: id.map(Into::into) };
        let cases = [
            ("s3://bucket", s3("bucket", "")),
            ("s3://bucket/", s3("bucket", "")),
            ("s3://my-bucket.1/a/b/", s3("my-bucket.1", "a/b")),
            ("http://host:80/", store("http://host:80", None)),
            ("https://host/deep", store("https://host/deep", None)),
            ("http://h/api/v2/migration/", store("http://h", None)),
            ("http://h/x/api/v2/migration/a-1", store("http://h/x", Some("a-1"))),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Address>().unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_it() {
        let cases = [
            "",
            "s3://",
            "s3://a",
            "s3://UPPER/x",
            "s3://bucket/a//b",
            "s3://bucket/../x",
            "gs://bucket/x",
            "bucket/x",
            "http://",
            "http:///x",
            "http://secret:word@host/",
            "https://h/?token=secret",
            "s3://bucket/a b",
            "http://h/api/v2/migration/a/b",
            "http://h:99999/",
            "s3://bucket/%2e%2e",
        ];
        for text in cases {
            let error = text.parse::<Address>().expect_err(text);
            assert_eq!((error.code(), error.is_retryable()), ("target_invalid", false), "{text}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
