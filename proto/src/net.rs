//! How gRPC calls leave and enter a process.
//!
//! The seam lies above HTTP/2: a [`Network`] hands out *services* (an HTTP request in, an HTTP response out), over
//! which tonic's generated clients work unchanged, and takes the [`Routes`] of a server. A simulation connects
//! the two directly, frame by frame, and loses, delays and repeats what it likes; the bytes are the real ones.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::{Endpoint, Server};
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use crate::accept::Doors;

/// Any error below a gRPC call.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a call did not reach its service. A type of its own, since a bare box does not pass for `'static` in generated code.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CallError(#[source] pub BoxError);

/// A connection to one address: what tonic's generated clients are built over. Cheap to clone.
pub type GrpcService = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, CallError>;

/// Traffic that must not wait behind other traffic has a connection of its own to the same address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Lane {
    /// Heartbeats and votes: tiny, and a leader's life depends on them.
    Heartbeat,
    /// Replication streams.
    Append,
    /// Snapshots and moving shards: bulk.
    Bulk,
    /// Clients' requests and everything else.
    Client,
}

/// An address that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The text is not `host:port`.
    #[error("address {address:?} is not host:port")]
    Address {
        /// The text.
        address: String,
        /// What the parser said.
        #[source]
        source: BoxError,
    },
    /// Nobody may listen there, or somebody already does.
    #[error("cannot listen on {address}: {source} (is another process using this port?)")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The server ended with an error.
    #[error("the gRPC server on {address} failed")]
    Serve {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: BoxError,
    },
}

/// A bound address that does not serve yet: bind first, learn the port, then build the node, then serve.
#[async_trait]
pub trait Listener: Send {
    /// Where it listens, with the port that was really given.
    fn address(&self) -> SocketAddr;

    /// Serves until `stop` is cancelled, then lets requests in flight finish.
    async fn serve(self: Box<Self>, routes: Routes, stop: CancellationToken) -> Result<(), NetworkError>;
}

/// Connects to other processes and listens for them.
#[async_trait]
pub trait Network: Send + Sync + 'static {
    /// The service at `address` (`host:port`) on one lane. Connects when first used, reconnects by itself; every
    /// caller of one address and lane shares a connection. A deadline per call is the caller's duty.
    fn connect(&self, address: &str, lane: Lane) -> Result<GrpcService, NetworkError>;

    /// Binds `address`; port 0 asks for any free one.
    async fn listen(&self, address: SocketAddr) -> Result<Box<dyn Listener>, NetworkError>;
}

/// HTTP/2 over TCP.
#[derive(Default)]
pub struct TcpNetwork {
    services: Mutex<HashMap<(String, Lane), GrpcService>>,
}

/// How long a connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How often an idle connection is probed, and how long the answer may take: a dead peer is noticed in 3 s.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(2);
/// HTTP/2 windows: the defaults (64 KiB) stall large values.
const STREAM_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;

#[async_trait]
impl Network for TcpNetwork {
    fn connect(&self, address: &str, lane: Lane) -> Result<GrpcService, NetworkError> {
        let mut services = self.services.lock();
        if let Some(service) = services.get(&(address.to_owned(), lane)) {
            return Ok(service.clone());
        }
        let service = connect_tcp(address)?;
        services.insert((address.to_owned(), lane), service.clone());
        Ok(service)
    }

    async fn listen(&self, address: SocketAddr) -> Result<Box<dyn Listener>, NetworkError> {
        let fail = |source| NetworkError::Listen { address, source };
        let socket = TcpListener::bind(address).await.map_err(fail)?;
        let address = socket.local_addr().map_err(fail)?;
        Ok(Box::new(Tcp { socket, address }))
    }
}

fn connect_tcp(address: &str) -> Result<GrpcService, NetworkError> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|source| NetworkError::Address { address: address.to_owned(), source: source.into() })?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    Ok(BoxCloneSyncService::new(endpoint.connect_lazy().map_err(|error| CallError(error.into()))))
}

struct Tcp {
    socket: TcpListener,
    address: SocketAddr,
}

#[async_trait]
impl Listener for Tcp {
    fn address(&self) -> SocketAddr {
        self.address
    }

    async fn serve(self: Box<Self>, routes: Routes, stop: CancellationToken) -> Result<(), NetworkError> {
        let Tcp { socket, address } = *self;
        Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .add_routes(routes)
            .serve_with_incoming_shutdown(Doors::new(socket), stop.cancelled_owned())
            .await
            .map_err(|source| NetworkError::Serve { address, source: source.into() })
    }
}
