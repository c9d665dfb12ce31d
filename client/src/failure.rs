//! An endpoint that did not answer as it should: what happened, and whether it may have acted on what it was sent.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use tonic::Status;

/// How an endpoint failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FailureKind {
    /// No connection came about.
    Unreachable,
    /// The connection broke, or the node ended the call.
    Broken,
    /// No answer in time.
    TimedOut,
    /// A node of another cluster.
    WrongCluster,
    /// Not a Flotilla node.
    NotFlotilla,
    /// Too busy to take the request.
    Busy,
    /// It says that the request makes no sense.
    Malformed,
}

/// An endpoint that did not answer as it should.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Who.
    pub endpoint: Arc<str>,
    /// How.
    pub kind: FailureKind,
    /// What was heard.
    pub detail: String,
    /// Whether the endpoint may have got the request, and so may have done what it asks.
    pub sent: bool,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.endpoint, self.detail)
    }
}

/// Several failures, for people.
pub(crate) struct Failures<'a>(pub &'a [Failure]);

impl fmt::Display for Failures<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none could be tried");
        }
        let texts: Vec<String> = self.0.iter().map(Failure::to_string).collect();
        f.write_str(&texts.join("; "))
    }
}

/// What HTTP/2 and gRPC libraries say when the other side speaks neither.
const GARBAGE: [&str; 7] = [
    "frame with invalid size",
    "FRAME_SIZE_ERROR",
    "PROTOCOL_ERROR",
    "grpc-status header missing",
    "invalid compression flag",
    "failed to decode Protobuf",
    "invalid content-type",
];

impl Failure {
    /// Nothing left this process.
    pub fn unsent(endpoint: &str, kind: FailureKind, detail: impl Into<String>) -> Self {
        Self { endpoint: endpoint.into(), kind, detail: detail.into(), sent: false }
    }

    /// The request left, and no answer came.
    pub fn sent(endpoint: &str, kind: FailureKind, detail: impl Into<String>) -> Self {
        Self { endpoint: endpoint.into(), kind, detail: detail.into(), sent: true }
    }

    /// What a gRPC status means. In doubt the request counts as sent.
    pub fn from_status(endpoint: &str, status: &Status) -> Self {
        let detail = explain(status);
        match status.code() {
            tonic::Code::FailedPrecondition if status.message().contains("wrong cluster") => {
                Self::unsent(endpoint, FailureKind::WrongCluster, status.message())
            }
            tonic::Code::Unimplemented => Self::unsent(endpoint, FailureKind::NotFlotilla, detail),
            // From the node itself, not from the connection: it did not take the request.
            tonic::Code::ResourceExhausted if status.source().is_none() => {
                Self::unsent(endpoint, FailureKind::Busy, detail)
            }
            tonic::Code::InvalidArgument if status.source().is_none() => {
                Self::unsent(endpoint, FailureKind::Malformed, detail)
            }
            _ if never_connected(status) => Self::unsent(endpoint, FailureKind::Unreachable, detail),
            _ if GARBAGE.iter().any(|words| detail.contains(words)) => {
                Self::sent(endpoint, FailureKind::NotFlotilla, detail)
            }
            tonic::Code::DeadlineExceeded => Self::sent(endpoint, FailureKind::TimedOut, detail),
            // What tonic says of its own deadline.
            tonic::Code::Cancelled if detail.starts_with("Timeout expired") => {
                Self::sent(endpoint, FailureKind::TimedOut, "no answer in time")
            }
            _ => Self::sent(endpoint, FailureKind::Broken, detail),
        }
    }
}

fn causes(status: &Status) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let mut next = status.source();
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}

/// Errors of making a connection: the request cannot have left.
fn never_connected(status: &Status) -> bool {
    let connecting = |error: &(dyn Error + 'static)| {
        let refused = error.downcast_ref::<std::io::Error>();
        error.is::<tonic::ConnectError>()
            || refused.is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
    };
    status.message().starts_with("Service was not ready") || causes(status).any(connecting)
}

/// The status' message and its causes, without repetition. An error of the operating system says it all.
fn explain(status: &Status) -> String {
    if let Some(error) = causes(status).find(|cause| cause.is::<std::io::Error>()) {
        return error.to_string().to_lowercase();
    }
    let mut text = status.message().trim().to_owned();
    for cause in causes(status).map(|cause| cause.to_string()) {
        if !text.contains(&cause) && cause != "transport error" {
            text = if text.is_empty() { cause } else { format!("{text}: {cause}") };
        }
    }
    match (text.as_str(), status.code()) {
        ("", tonic::Code::Unimplemented) => "it does not know this gRPC method".to_owned(),
        ("", code) => format!("gRPC status {code:?}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_have_left_is_unsent() {
        let failure = |status: Status| Failure::from_status("a:1", &status);
        assert!(failure(Status::unavailable("connection reset")).sent);
        assert!(failure(Status::internal("h2 protocol error")).sent);
        assert!(!failure(Status::unknown("Service was not ready: transport error")).sent);
        assert!(!failure(Status::resource_exhausted("the controller has too much waiting")).sent);
        assert!(!failure(Status::failed_precondition("wrong cluster: this is ...")).sent);
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let refused = failure(Status::from_error(Box::new(refused)));
        assert_eq!((refused.kind, refused.sent), (FailureKind::Unreachable, false));
        assert_eq!(failure(Status::unimplemented("")).kind, FailureKind::NotFlotilla);
    }
}
