//! One call from one machine to another.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotilla_checker::record::Message;
use flotilla_proto::net::CallError;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::ServiceExt as _;

use super::arrive::Whole;
use super::state::{Server, SimNet};
use super::{MachineId, relay};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Methods with a stream on at least one side; everything else is unary.
const STREAMS: [&str; 5] =
    ["StreamAppend", "InstallSnapshot", "CommandStream", "GetShardsData", "WatchConfig"];

/// Who calls, and where to.
#[derive(Clone)]
pub(super) struct Caller {
    pub net: Arc<SimNet>,
    pub machine: MachineId,
    pub alive: CancellationToken,
    pub address: Arc<str>,
}

/// The ends of one call, and its place in the network's list. Kept by everything that carries its frames.
pub(super) struct Ends {
    pub net: Arc<SimNet>,
    pub id: u64,
    pub client: MachineId,
    pub server: MachineId,
    pub broken: CancellationToken,
    pub method: String,
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.net.end(self.id);
    }
}

impl Ends {
    /// Waits until a frame may pass; an error if the connection breaks before that.
    pub async fn pass(&self, to_server: bool) -> Result<(), CallError> {
        let (from, to) = match to_server {
            true => (self.client, self.server),
            false => (self.server, self.client),
        };
        tokio::select! {
            biased;
            () = self.broken.cancelled() => Err(reset()),
            () = self.net.pass(self.id, from, to) => Ok(()),
        }
    }

    /// How long the next frame takes.
    pub fn latency(&self, to_server: bool) -> Duration {
        match to_server {
            true => self.net.latency(self.client, self.server),
            false => self.net.latency(self.server, self.client),
        }
    }

    /// Something of this call arrived.
    pub fn arrived(&self, to_server: bool, sent_ns: u64, data: &[u8]) {
        let arrow = if to_server { ">" } else { "<" };
        let Self { client, server, method, .. } = self;
        let (bytes, crc) = (data.len(), crc32c::crc32c(data));
        self.net.trace.note(format_args!("{client}{arrow}{server} {method} {bytes} {crc:08x}"));
        self.remember(to_server, sent_ns, Some(self.net.trace.now_ns()), format_args!("{bytes} bytes"));
    }

    /// Keeps a message for the record.
    pub fn remember(
        &self,
        to_server: bool,
        sent_ns: u64,
        arrived_ns: Option<u64>,
        what: std::fmt::Arguments<'_>,
    ) {
        let node = |machine: MachineId| if machine >= super::CLIENTS { 0 } else { machine };
        let (from, to) = if to_server { (self.client, self.server) } else { (self.server, self.client) };
        let side = if to_server { "request" } else { "reply" };
        let what = format!("{} {side}, {what}", self.method);
        self.net.remember(Message { sent_ns, arrived_ns, from: node(from), to: node(to), what });
    }
}

pub(super) fn reset() -> CallError {
    CallError(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into())
}

fn refused() -> CallError {
    CallError(std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into())
}

fn unconnected() -> CallError {
    CallError(tonic::ConnectError(std::io::Error::from(std::io::ErrorKind::TimedOut).into()).into())
}

impl Caller {
    /// The call, within the deadline that its caller set.
    pub async fn call(self, request: Request<Body>) -> Result<Response<Body>, CallError> {
        match deadline(&request) {
            None => self.connect_and_call(request).await,
            Some(wait) => match timeout(wait, self.connect_and_call(request)).await {
                Ok(answer) => answer,
                Err(_) => Err(CallError(tonic::Status::cancelled("Timeout expired").into())),
            },
        }
    }

    async fn connect_and_call(self, request: Request<Body>) -> Result<Response<Body>, CallError> {
        if self.alive.is_cancelled() {
            // A dead process calls nobody; whoever still runs here must neither spin nor learn anything.
            sleep(CONNECT_TIMEOUT).await;
            return Err(reset());
        }
        let server = self.connect().await?;
        let broken = CancellationToken::new();
        let id = self.net.begin(self.machine, server.machine, broken.clone());
        let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let streams = STREAMS.contains(&&method[..]);
        let net = self.net.clone();
        let ends = Arc::new(Ends { net, id, client: self.machine, server: server.machine, broken, method });
        match streams {
            true => relay::stream(ends, server, request).await,
            false => unary(ends, server, request).await,
        }
    }

    /// Finds who listens. A machine behind a block does not answer; one that is down refuses.
    async fn connect(&self) -> Result<Server, CallError> {
        let to = machine_at(&self.address);
        let connected = timeout(CONNECT_TIMEOUT, async {
            // The way there and, often, the way back: an old connection needs only the first.
            let both = self.net.dice.permille(500);
            while !self.net.is_open(self.machine, to) || (both && !self.net.is_open(to, self.machine)) {
                sleep(Duration::from_millis(50)).await;
            }
            self.net.server(&self.address)
        });
        match connected.await {
            Ok(Some(server)) => Ok(server),
            Ok(None) => {
                sleep(self.net.latency(self.machine, to) * 2).await;
                self.net.count("refused");
                Err(refused())
            }
            Err(_) => {
                self.net.count("connect_timeout");
                Err(unconnected())
            }
        }
    }
}

/// The machine that an address belongs to, as [`super::address`] makes them.
fn machine_at(address: &str) -> MachineId {
    let host = address.split(':').next().unwrap_or_default();
    let mut parts = host.rsplit('.').map(|part| part.parse::<u64>().unwrap_or(0));
    let (low, high) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    (high * 250 + low).saturating_sub(1)
}

/// gRPC's `grpc-timeout`: a number and a unit.
fn deadline(request: &Request<Body>) -> Option<Duration> {
    let text = request.headers().get("grpc-timeout")?.to_str().ok()?;
    let (number, unit) = text.split_at(text.len().checked_sub(1)?);
    let number: u64 = number.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        _ => Duration::from_nanos(number),
    })
}

/// A call with one message each way: each may be lost, and the first may arrive twice.
async fn unary(ends: Arc<Ends>, server: Server, request: Request<Body>) -> Result<Response<Body>, CallError> {
    let (parts, body) = request.into_parts();
    let data = body.collect().await.map_err(|status| CallError(status.into()))?.to_bytes();
    let sent_ns = ends.net.trace.now_ns();
    sleep(ends.latency(true)).await;
    ends.pass(true).await?;
    if ends.net.loses(ends.client, ends.server, false) {
        return lost(&ends, true, sent_ns).await;
    }
    if ends.net.doubles() {
        again(ends.clone(), server.clone(), parts.clone(), data.clone());
    }
    ends.arrived(true, sent_ns, &data);
    let mut served = Serving(serve(server, Request::from_parts(parts, Body::new(Full::new(data)))));
    let reply = tokio::select! {
        biased;
        () = ends.broken.cancelled() => return Err(reset()),
        reply = &mut served.0 => reply,
    };
    // A server that died while it worked says nothing; the network will notice.
    let Ok(Some(reply)) = reply else {
        ends.broken.cancelled().await;
        return Err(reset());
    };
    let sent_ns = ends.net.trace.now_ns();
    sleep(ends.latency(false)).await;
    ends.pass(false).await?;
    if ends.net.loses(ends.server, ends.client, true) {
        return lost(&ends, false, sent_ns).await;
    }
    ends.arrived(false, sent_ns, reply.data());
    Ok(reply.into_response())
}

/// A message that never arrives: the caller waits until its connection breaks, or until it gives up.
async fn lost(ends: &Ends, to_server: bool, sent_ns: u64) -> Result<Response<Body>, CallError> {
    ends.net.count(if to_server { "lost_request" } else { "lost_reply" });
    ends.remember(to_server, sent_ns, None, format_args!("lost"));
    let wait = ends.net.dice.millis(20, 6_000);
    tokio::select! {
        () = ends.broken.cancelled() => {}
        () = sleep(wait) => {}
    }
    Err(reset())
}

/// The same request again, a little later; nobody waits for its reply.
fn again(ends: Arc<Ends>, server: Server, parts: http::request::Parts, data: Bytes) {
    let wait = ends.net.latency(ends.client, ends.server) + ends.net.dice.micros(0, 50_000);
    tokio::spawn(async move {
        let sent_ns = ends.net.trace.now_ns();
        sleep(wait).await;
        if ends.pass(true).await.is_err() {
            return;
        }
        ends.net.count("duplicated");
        ends.arrived(true, sent_ns, &data);
        drop(serve(server, Request::from_parts(parts, Body::new(Full::new(data)))).await);
    });
}

/// Lets the server work on a request, in a task of its own, as long as it lives.
fn serve(server: Server, request: Request<Body>) -> JoinHandle<Option<Whole>> {
    let wait = deadline(&request).unwrap_or(Duration::from_secs(3600));
    tokio::spawn(async move {
        let Server { routes, alive, .. } = server;
        let work = timeout(wait, async {
            let response = routes.oneshot(request).await.ok()?;
            Whole::collect(response).await
        });
        tokio::select! {
            biased;
            () = alive.cancelled() => None,
            whole = work => whole.ok().flatten(),
        }
    })
}

/// A request that the caller no longer waits for ends at the server too, as HTTP/2 would have it.
struct Serving(JoinHandle<Option<Whole>>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}
