//! A command that is not carried out: why, in words for people.

use crate::api::{Code, Response};

/// What carrying out a command gave beyond its effect.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Grant {
    pub(crate) token: u64,
    pub(crate) holder: String,
    pub(crate) expires_at_ms: u64,
    pub(crate) migration: u64,
    pub(crate) count: u64,
}

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) message: String,
    /// Of a lock that somebody else holds: who, and until when.
    pub(crate) held: Option<(String, u64)>,
    /// The cloud migration that stands in the way; 0: none.
    pub(crate) migration: u64,
}

/// What became of a command.
pub(crate) type Verdict = Result<Grant, Refusal>;

impl Refusal {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), held: None, migration: 0 }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::Invalid, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }

    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(Code::Refused, message)
    }

    pub(crate) fn too_many(message: impl Into<String>) -> Self {
        Self::new(Code::TooMany, message)
    }
}

/// Refuses as invalid unless `condition`.
pub(crate) fn ensure(condition: bool, message: impl FnOnce() -> String) -> Result<(), Refusal> {
    if condition { Ok(()) } else { Err(Refusal::invalid(message())) }
}

/// The verdict as the answer of a state whose latest configuration and revision are these.
pub(crate) fn response(verdict: Verdict, config: u64, revision: u64) -> Response {
    let mut response = Response { config, revision, ..Response::default() };
    match verdict {
        Ok(grant) => {
            response.token = grant.token;
            response.holder = grant.holder;
            response.expires_at_ms = grant.expires_at_ms;
            response.migration = grant.migration;
            response.count = grant.count;
        }
        Err(refusal) => {
            response.code = refusal.code.into();
            response.message = refusal.message;
            response.migration = refusal.migration;
            (response.holder, response.expires_at_ms) = refusal.held.unwrap_or_default();
        }
    }
    response
}
