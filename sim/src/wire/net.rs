//! HTTP/2 over turmoil's TCP: production's network with the sockets exchanged.
//!
//! Turmoil's TCP does not send again what was lost, so a connection that lost a segment hangs until something above it
//! gives up: exactly what deadlines and keep-alive are for.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use flotilla_proto::net::{CallError, GrpcService, Lane, Listener, Network, NetworkError};
use futures::stream;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;
use tonic::codegen::http::Uri;
use tonic::service::Routes;
use tonic::transport::server::Connected;
use tonic::transport::{Endpoint, Server};
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;
use turmoil::net::{TcpListener, TcpStream};

/// As in production (`proto/src/net.rs`).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(2);
/// Smaller than in production, so that windows fill.
const WINDOW_BYTES: u32 = 256 * 1024;

/// The network of one host. Must be used inside that host's tasks.
#[derive(Default)]
pub struct WireNetwork {
    services: Mutex<BTreeMap<(String, Lane), GrpcService>>,
}

#[async_trait]
impl Network for WireNetwork {
    fn connect(&self, address: &str, lane: Lane) -> Result<GrpcService, NetworkError> {
        let mut services = self.services.lock();
        if let Some(service) = services.get(&(address.to_owned(), lane)) {
            return Ok(service.clone());
        }
        let service = connect(address)?;
        services.insert((address.to_owned(), lane), service.clone());
        Ok(service)
    }

    async fn listen(&self, address: SocketAddr) -> Result<Box<dyn Listener>, NetworkError> {
        let socket =
            TcpListener::bind(address).await.map_err(|source| NetworkError::Listen { address, source })?;
        Ok(Box::new(Wire { socket, address }))
    }
}

fn connect(address: &str) -> Result<GrpcService, NetworkError> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|source| NetworkError::Address { address: address.to_owned(), source: source.into() })?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES);
    let connector = tower::service_fn(|uri: Uri| async move {
        let (host, port) = (uri.host().unwrap_or_default().to_owned(), uri.port_u16().unwrap_or_default());
        Ok::<_, io::Error>(TokioIo::new(TcpStream::connect((host, port)).await?))
    });
    let channel = endpoint.connect_with_connector_lazy(connector);
    Ok(BoxCloneSyncService::new(channel.map_err(|error| CallError(error.into()))))
}

struct Wire {
    socket: TcpListener,
    address: SocketAddr,
}

#[async_trait]
impl Listener for Wire {
    fn address(&self) -> SocketAddr {
        self.address
    }

    async fn serve(self: Box<Self>, routes: Routes, stop: CancellationToken) -> Result<(), NetworkError> {
        let Wire { socket, address } = *self;
        let incoming = stream::unfold(socket, |socket| async move {
            let accepted = socket.accept().await.map(|(stream, _)| Accepted(stream));
            Some((accepted, socket))
        });
        Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .add_routes(routes)
            .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
            .await
            .map_err(|source| NetworkError::Serve { address, source: source.into() })
    }
}

/// An accepted connection, as tonic's server wants it.
struct Accepted(TcpStream);

impl Connected for Accepted {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
