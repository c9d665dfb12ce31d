//! A connection with an error type of its own. The boxed one makes the compiler lose sight of lifetimes when a call
//! is awaited inside openraft's traits ("implementation of `From` is not general enough").

use std::task::{Context, Poll};

use flotilla_proto::net::{CallError, GrpcService};
use openraft::base::BoxFuture;
use tonic::body::Body;
use tower::Service;

/// A failed connection or call.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct PeerError(#[source] CallError);

/// What the generated client is built over.
#[derive(Clone)]
pub(crate) struct PeerService(pub GrpcService);

impl Service<http::Request<Body>> for PeerService {
    type Response = http::Response<Body>;
    type Error = PeerError;
    type Future = BoxFuture<'static, Result<http::Response<Body>, PeerError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), PeerError>> {
        self.0.poll_ready(cx).map_err(PeerError)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let call = self.0.call(request);
        Box::pin(async move { call.await.map_err(PeerError) })
    }
}
