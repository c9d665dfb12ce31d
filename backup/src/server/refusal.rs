//! A store's "no", as HTTP and JSON.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::class::{Class, Failure};
use crate::error::BackupError;
use crate::wire::Refusal;

/// Why a request is not answered.
#[derive(Debug)]
pub struct Refused {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refused {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// What the request says makes no sense.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Invalid", message)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = Refusal { code: self.code.to_owned(), message: self.message };
        (self.status, Json(body)).into_response()
    }
}

impl From<BackupError> for Refused {
    fn from(error: BackupError) -> Self {
        let (status, code) = match &error {
            BackupError::Unreachable { .. } | BackupError::Busy { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "SlowDown")
            }
            BackupError::NotFound { .. } => (StatusCode::NOT_FOUND, "NoSuchKey"),
            BackupError::NoBucket { .. } => (StatusCode::NOT_FOUND, "NoSuchBucket"),
            BackupError::Exists { .. } => (StatusCode::CONFLICT, "Exists"),
            // The store's keys are at fault, not the client's.
            BackupError::Denied { .. } | BackupError::Credentials(_) => {
                (StatusCode::BAD_GATEWAY, "StoreDenied")
            }
            _ => (StatusCode::BAD_REQUEST, "Refused"),
        };
        Self::new(status, code, error.to_string())
    }
}

/// What the bucket answered, passed on so that the client's own table says what helps.
impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        let (status, code) = match failure.class {
            Class::Busy => (StatusCode::SERVICE_UNAVAILABLE, "SlowDown"),
            Class::BadBytes => (StatusCode::BAD_REQUEST, "InvalidPart"),
            Class::NoUpload => (StatusCode::NOT_FOUND, "NoSuchUpload"),
            Class::NoObject => (StatusCode::NOT_FOUND, "NoSuchKey"),
            Class::NoBucket => (StatusCode::NOT_FOUND, "NoSuchBucket"),
            Class::Exists => (StatusCode::CONFLICT, "Exists"),
            Class::Denied => (StatusCode::BAD_GATEWAY, "StoreDenied"),
            Class::Unknown => (StatusCode::NOT_IMPLEMENTED, "NotImplemented"),
            Class::Refused => (StatusCode::BAD_REQUEST, "Refused"),
        };
        Self::new(status, code, failure.said)
    }
}
