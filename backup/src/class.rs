//! What an answer means for whoever sent the request: the one table of what is tried again, and how.

use std::time::Duration;

use http::StatusCode;
use rand::Rng;

use crate::error::BackupError;
use crate::xml::{StoreError, read_refusal};

/// The kinds of failure, by what helps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// 429, 500 and above, time-outs, resets: wait, and ask for less at a time.
    Busy,
    /// 401, 403: the URL may have expired; a new one may do.
    Denied,
    /// 412, or the store read other bytes than were sent: read them again, send them again.
    BadBytes,
    /// 404 for the upload: it was completed, aborted or lost.
    NoUpload,
    /// 404 for the object.
    NoObject,
    /// 404 for the bucket.
    NoBucket,
    /// A create-only write found something there (409, 412).
    Exists,
    /// 501: the store does not know the request.
    Unknown,
    /// Everything else: the request itself is wrong.
    Refused,
}

/// A failed request: its class, and what there is to tell.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What helps.
    pub class: Class,
    /// What the store said, or what happened; no secret is in it.
    pub said: String,
    /// Whether no whole answer came: the store may or may not have done what it was asked.
    pub unanswered: bool,
}

impl Failure {
    /// No whole answer came.
    pub fn unanswered(what: impl Into<String>) -> Self {
        Self { class: Class::Busy, said: what.into(), unanswered: true }
    }

    /// The store answered with this; `create_only`: the request was not to overwrite anything.
    pub fn of(status: StatusCode, body: &[u8], create_only: bool) -> Self {
        let error = read_refusal(body);
        Self { class: class(status, &error.code, create_only), said: said(status, &error), unanswered: false }
    }

    /// A success that carries an error in its body.
    pub fn in_success(error: &StoreError) -> Self {
        let class = match &error.code[..] {
            "NoSuchUpload" => Class::NoUpload,
            "InvalidPart" | "InvalidPartOrder" | "BadDigest" => Class::BadBytes,
            "AccessDenied" => Class::Denied,
            _ => Class::Busy,
        };
        Self { class, said: said(StatusCode::OK, error), unanswered: false }
    }

    /// The error that is left when nothing helped.
    pub fn into_error(self, doing: &str, key: &str, host: &str) -> BackupError {
        let (doing, key, said) = (doing.to_owned(), key.to_owned(), self.said);
        match self.class {
            Class::Busy if self.unanswered => {
                BackupError::Unreachable { doing, host: host.to_owned(), what: said }
            }
            Class::Busy => BackupError::Busy { doing, said },
            Class::Denied => BackupError::Denied { doing, said },
            Class::BadBytes => BackupError::Mismatch {
                key,
                what: format!("the store got other bytes than were sent ({said})"),
            },
            Class::NoUpload => {
                BackupError::Mismatch { key, what: format!("the upload is gone at the store ({said})") }
            }
            Class::NoObject => BackupError::NotFound { key },
            Class::NoBucket => BackupError::NoBucket { doing, said },
            Class::Exists => BackupError::Exists { key },
            Class::Unknown | Class::Refused => BackupError::Refused { doing, said },
        }
    }
}

fn class(status: StatusCode, code: &str, create_only: bool) -> Class {
    match (status.as_u16(), code) {
        (501, _) => Class::Unknown,
        (408 | 429 | 500.., _) | (_, "SlowDown" | "RequestTimeout") => Class::Busy,
        (409 | 412, _) if create_only => Class::Exists,
        (412, _)
        | (
            400,
            "BadDigest" | "InvalidDigest" | "IncompleteBody" | "XAmzContentSHA256Mismatch" | "InvalidPart",
        ) => Class::BadBytes,
        (400, "ExpiredToken" | "RequestExpired") | (401 | 403, _) => Class::Denied,
        (404, "NoSuchUpload") => Class::NoUpload,
        (404, "NoSuchBucket") => Class::NoBucket,
        (404, _) => Class::NoObject,
        (409, "OperationAborted") => Class::Busy,
        _ => Class::Refused,
    }
}

// Only the store's code and message: other fields repeat the request, signature and all.
fn said(status: StatusCode, error: &StoreError) -> String {
    let clean = |text: &str| -> String { text.chars().filter(|c| !c.is_control()).take(200).collect() };
    let (code, message) = (clean(&error.code), clean(&error.message));
    let words = [status.as_str(), &code, &message];
    let words: Vec<&str> =
        words.into_iter().filter(|word| !word.is_empty() && !word.contains("X-Amz-")).collect();
    words.join(" ")
}

/// How often and how fast a request is tried again.
#[derive(Clone, Copy, Debug)]
pub struct Retries {
    /// How many times after the first.
    pub most: u32,
    /// The first wait; each further one is three times as long.
    pub first: Duration,
    /// No wait is longer.
    pub longest: Duration,
}

impl Default for Retries {
    // 1, 3 and 9 seconds or so: a store that restarts is back by then.
    fn default() -> Self {
        Self { most: 3, first: Duration::from_secs(1), longest: Duration::from_secs(30) }
    }
}

impl Retries {
    /// How long to wait before try `number` (from 1), with half of it left to chance so that many do not come back at once.
    pub fn wait(&self, number: u32) -> Duration {
        let whole =
            self.first.saturating_mul(3_u32.saturating_pow(number.saturating_sub(1))).min(self.longest);
        whole.mul_f64(rand::rng().random_range(0.75..1.25))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        let of = |status: u16, code: &str, create_only| {
            let body = format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
            Failure::of(StatusCode::from_u16(status).unwrap(), body.as_bytes(), create_only).class
        };
        let cases = [
            (503, "SlowDown", false, Class::Busy),
            (500, "InternalError", false, Class::Busy),
            (429, "", false, Class::Busy),
            (400, "RequestTimeout", false, Class::Busy),
            (403, "AccessDenied", false, Class::Denied),
            (400, "ExpiredToken", false, Class::Denied),
            (412, "PreconditionFailed", false, Class::BadBytes),
            (412, "PreconditionFailed", true, Class::Exists),
            (409, "ConditionalRequestConflict", true, Class::Exists),
            (400, "BadDigest", false, Class::BadBytes),
            (404, "NoSuchUpload", false, Class::NoUpload),
            (404, "NoSuchBucket", false, Class::NoBucket),
            (404, "NoSuchKey", false, Class::NoObject),
            (400, "EntityTooSmall", false, Class::Refused),
            (301, "PermanentRedirect", false, Class::Refused),
            (501, "NotImplemented", false, Class::Unknown),
        ];
        for (status, code, create_only, expected) in cases {
            assert_eq!(of(status, code, create_only), expected, "{status} {code}");
        }
    }

    #[test]
    fn what_repeats_a_signature_is_not_repeated() {
        let body = b"<Error><Code>AccessDenied</Code><Message>no X-Amz-Signature=hush</Message><StringToSign>hush</StringToSign></Error>";
        let failure = Failure::of(StatusCode::FORBIDDEN, body, false);
        assert_eq!(failure.said, "403 AccessDenied");
    }

    #[test]
    fn waits_grow_and_differ() {
        let retries =
            Retries { most: 3, first: Duration::from_millis(100), longest: Duration::from_millis(500) };
        for (number, whole) in [(1, 100), (2, 300), (3, 500), (9, 500)] {
            let waits: Vec<u128> = (0..50).map(|_| retries.wait(number).as_millis()).collect();
            assert!(waits.iter().all(|wait| (whole * 3 / 4 - 1..=whole * 5 / 4).contains(wait)), "{waits:?}");
            assert!(waits.iter().any(|wait| *wait != waits[0]), "no chance in {waits:?}");
        }
    }
}
