//! Why a call did not succeed.

use std::time::Duration;

use flotilla_proto::ctrl_v1::Code as AdminCode;
use flotilla_proto::kv_v1::Code;

use crate::failure::{Failure, Failures};

/// Why a call did not succeed. [`ClientError::is_indeterminate`] tells whether a write may have happened all the same.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClientError {
    /// The request was not sent since it cannot be valid; the text names the thing, its limit and the next step.
    #[error("{0}")]
    Invalid(String),
    /// A group refused, and nothing was written.
    #[error("{operation} was refused by group {gid}: {message}")]
    Refused {
        /// What was asked.
        operation: String,
        /// Why, for programs.
        code: Code,
        /// Which group refused.
        gid: u64,
        /// Why, for people.
        message: String,
    },
    /// The controller refused, and nothing changed.
    #[error("{message}")]
    Admin {
        /// Why, for programs.
        code: AdminCode,
        /// Why, for people.
        message: String,
    },
    /// The outcome is unknown: what was asked may have been done, may be done shortly, or never.
    #[error("the outcome of {operation} is unknown after {:.1} s ({last}): read to learn it", after.as_secs_f64())]
    Unknown {
        /// What was asked.
        operation: String,
        /// How long it was tried.
        after: Duration,
        /// What was heard last.
        last: String,
    },
    /// The deadline passed and nothing was done, though somebody answered.
    #[error("{operation} was not done within {:.1} s ({last}): try again or give it more time", after.as_secs_f64())]
    Timeout {
        /// What was asked.
        operation: String,
        /// How long it was tried.
        after: Duration,
        /// What was heard last.
        last: String,
    },
    /// The deadline passed and nobody answered.
    #[error(
        "no node answered within {:.1} s ({}): check the endpoints, and that the cluster runs",
        after.as_secs_f64(), Failures(tried)
    )]
    Unreachable {
        /// How long it was tried.
        after: Duration,
        /// The last failure of each endpoint that was tried.
        tried: Vec<Failure>,
    },
    /// A node of another cluster answered.
    #[error("{endpoint} belongs to another cluster ({said}): name endpoints of the right one")]
    WrongCluster {
        /// Who answered.
        endpoint: String,
        /// What it said.
        said: String,
    },
    /// Something that is no Flotilla node answered.
    #[error("{endpoint} does not answer as a flotilla node ({said}): check the address and port")]
    NotFlotilla {
        /// Who answered.
        endpoint: String,
        /// What it said.
        said: String,
    },
    /// The environment that the client was started in has stopped.
    #[error("the client was stopped")]
    Stopped,
}

/// The kinds of [`ClientError`], for programs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// [`ClientError::Invalid`].
    Invalid,
    /// [`ClientError::Refused`].
    Refused(Code),
    /// [`ClientError::Admin`].
    Admin(AdminCode),
    /// [`ClientError::Unknown`].
    Unknown,
    /// [`ClientError::Timeout`].
    Timeout,
    /// [`ClientError::Unreachable`].
    Unreachable,
    /// [`ClientError::WrongCluster`].
    WrongCluster,
    /// [`ClientError::NotFlotilla`].
    NotFlotilla,
    /// [`ClientError::Stopped`].
    Stopped,
}

impl ClientError {
    /// Which kind of error this is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Invalid(_) => Kind::Invalid,
            Self::Refused { code, .. } => Kind::Refused(*code),
            Self::Admin { code, .. } => Kind::Admin(*code),
            Self::Unknown { .. } => Kind::Unknown,
            Self::Timeout { .. } => Kind::Timeout,
            Self::Unreachable { .. } => Kind::Unreachable,
            Self::WrongCluster { .. } => Kind::WrongCluster,
            Self::NotFlotilla { .. } => Kind::NotFlotilla,
            Self::Stopped => Kind::Stopped,
        }
    }

    /// Whether the same call may succeed later. Nothing was done, so trying again cannot do it twice.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::Unreachable { .. } => true,
            Self::Refused { code, .. } => *code == Code::ReadOnly,
            _ => false,
        }
    }

    /// Whether the outcome is unknown. Trying again may then do it a second time.
    pub fn is_indeterminate(&self) -> bool {
        matches!(self, Self::Unknown { .. })
    }
}
