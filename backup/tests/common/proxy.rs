//! A reverse proxy that hurts on purpose: each request may be passed on, spoiled, delayed or lost, as a function says.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response};
use parking_lot::Mutex;

/// What happens to a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Nothing.
    Pass,
    /// This status with this S3 code, without asking the store.
    Status(u16, &'static str),
    /// The connection breaks after so many bytes of the request.
    Reset(usize),
    /// The store is asked, and its reply is lost.
    LoseReply,
    /// The store is asked, and only a part of its reply arrives.
    ShortReply,
    /// The store is asked, and another ETag is answered.
    WrongEtag,
    /// 200, and an error in the body, without asking the store.
    OkError(&'static str),
    /// Passed on after a while.
    Delay(Duration),
    /// Never answered.
    Hang,
    /// The store gets other bytes than were sent.
    FlipByte,
}

/// A request, as a function sees it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub query: String,
    /// How many requests came before it.
    pub nth: usize,
    /// Its Content-Length.
    pub length: u64,
}

impl Seen {
    /// The part that it sends, if it sends one.
    pub fn part(&self) -> Option<u32> {
        if self.method != "PUT" {
            return None;
        }
        self.query.split('&').find_map(|pair| pair.strip_prefix("partNumber="))?.parse().ok()
    }

    pub fn is_complete(&self) -> bool {
        self.method == "POST" && self.query.contains("uploadId=")
    }
}

type Plan = dyn Fn(&Seen) -> Fault + Send + Sync;

/// The proxy.
#[derive(Clone)]
pub struct Proxy {
    pub endpoint: String,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: String,
    client: reqwest::Client,
    plan: Mutex<Arc<Plan>>,
    seen: Mutex<Vec<Seen>>,
    /// How many faults were done.
    fired: AtomicUsize,
    /// Bytes of parts that were passed on or swallowed.
    part_bytes: AtomicU64,
}

pub async fn start(upstream: &str, plan: impl Fn(&Seen) -> Fault + Send + Sync + 'static) -> Proxy {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let shared = Arc::new(Shared {
        upstream: upstream.to_owned(),
        client,
        plan: Mutex::new(Arc::new(plan)),
        seen: Mutex::default(),
        fired: AtomicUsize::new(0),
        part_bytes: AtomicU64::new(0),
    });
    let proxy = Proxy { endpoint, shared: shared.clone() };
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let shared = shared.clone();
            let service = hyper::service::service_fn(move |request| {
                let shared = shared.clone();
                async move { shared.handle(request).await.ok_or("broken on purpose") }
            });
            let io = hyper_util::rt::TokioIo::new(stream);
            tokio::spawn(async move {
                hyper::server::conn::http1::Builder::new().serve_connection(io, service).await
            });
        }
    });
    proxy
}

impl Proxy {
    /// From now on, this.
    pub fn plan(&self, plan: impl Fn(&Seen) -> Fault + Send + Sync + 'static) {
        *self.shared.plan.lock() = Arc::new(plan);
    }

    /// How many faults were done. None: the test tested nothing.
    pub fn fired(&self) -> usize {
        self.shared.fired.load(Ordering::SeqCst)
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().clone()
    }

    /// Forgets them.
    pub fn forget(&self) {
        self.shared.seen.lock().clear();
        self.shared.part_bytes.store(0, Ordering::SeqCst);
    }

    /// Bytes of parts that came.
    pub fn part_bytes(&self) -> u64 {
        self.shared.part_bytes.load(Ordering::SeqCst)
    }
}

type Reply = Response<BoxBody<Bytes, std::io::Error>>;

fn full(status: u16, body: String) -> Reply {
    let body = Full::new(Bytes::from(body)).map_err(|never: Infallible| match never {}).boxed();
    Response::builder().status(status).body(body).unwrap()
}

fn error_xml(code: &str) -> String {
    format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>on purpose</Message></Error>")
}

impl Shared {
    // None breaks the connection.
    async fn handle(&self, request: Request<Incoming>) -> Option<Reply> {
        let seen = self.see(&request);
        let plan = self.plan.lock().clone();
        let fault = plan(&seen);
        if !matches!(fault, Fault::Pass) {
            self.fired.fetch_add(1, Ordering::SeqCst);
        }
        match fault {
            Fault::Pass => self.forward(request, false).await,
            Fault::Status(status, code) => {
                swallow(request, usize::MAX).await;
                Some(full(status, error_xml(code)))
            }
            Fault::Reset(bytes) => {
                swallow(request, bytes).await;
                None
            }
            Fault::LoseReply => {
                self.forward(request, false).await?.into_body().collect().await.ok();
                None
            }
            Fault::ShortReply => self.short(request).await,
            Fault::WrongEtag => {
                let mut reply = self.forward(request, false).await?;
                reply.headers_mut().insert("etag", "\"00000000000000000000000000000000\"".parse().unwrap());
                Some(reply)
            }
            Fault::OkError(code) => {
                swallow(request, usize::MAX).await;
                Some(full(200, error_xml(code)))
            }
            Fault::Delay(time) => {
                tokio::time::sleep(time).await;
                self.forward(request, false).await
            }
            Fault::Hang => std::future::pending().await,
            Fault::FlipByte => self.forward(request, true).await,
        }
    }

    fn see(&self, request: &Request<Incoming>) -> Seen {
        let length =
            request.headers().get("content-length").and_then(|value| value.to_str().ok()?.parse().ok());
        let mut all = self.seen.lock();
        let seen = Seen {
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            nth: all.len(),
            length: length.unwrap_or(0),
        };
        if seen.part().is_some() {
            self.part_bytes.fetch_add(seen.length, Ordering::SeqCst);
        }
        all.push(seen.clone());
        seen
    }

    async fn forward(&self, request: Request<Incoming>, flip: bool) -> Option<Reply> {
        let (parts, body) = request.into_parts();
        let url = format!("{}{}", self.upstream, parts.uri);
        let pieces = body.into_data_stream().map(move |piece| {
            piece.map(|bytes| {
                let mut bytes = bytes.to_vec();
                if flip && let Some(byte) = bytes.first_mut() {
                    *byte ^= 1;
                }
                Bytes::from(bytes)
            })
        });
        // The Host header goes along: it is signed.
        let sending = self.client.request(parts.method, url).headers(parts.headers);
        let reply = sending.body(reqwest::Body::wrap_stream(pieces)).send().await.ok()?;
        let mut out = Response::builder().status(reply.status());
        for (name, value) in reply.headers() {
            out = out.header(name, value);
        }
        let frames = reply.bytes_stream().map(|piece| piece.map(Frame::data).map_err(std::io::Error::other));
        Some(out.body(BodyExt::boxed(StreamBody::new(frames))).unwrap())
    }

    async fn short(&self, request: Request<Incoming>) -> Option<Reply> {
        let (parts, body) = self.forward(request, false).await?.into_parts();
        let bytes = body.collect().await.ok()?.to_bytes();
        let half = bytes.slice(..bytes.len() / 2);
        let cut = futures::stream::iter([Ok(Frame::data(half)), Err(std::io::Error::other("cut short"))]);
        Some(Response::from_parts(parts, BodyExt::boxed(StreamBody::new(cut))))
    }
}

async fn swallow(request: Request<Incoming>, most: usize) {
    let mut pieces = request.into_body().into_data_stream();
    let mut bytes = 0;
    while bytes < most
        && let Some(Ok(piece)) = pieces.next().await
    {
        bytes += piece.len();
    }
}
