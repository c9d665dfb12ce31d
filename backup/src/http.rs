//! One HTTP client for everything: pooled connections, time-outs of its own, and answers of bounded size.

use std::error::Error;
use std::sync::Arc;
use std::sync::Once;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http::header::{CONTENT_LENGTH, ETAG, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use parking_lot::Mutex;
use reqwest::Url;
use tokio::time::Instant;

use crate::class::Failure;
use crate::error::BackupError;
use crate::xml::read_error;

/// How long to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A page of a thousand uploads has a few hundred kilobytes; nothing that is read whole is larger than a manifest.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// The client.
#[derive(Clone, Debug)]
pub struct Http {
    client: reqwest::Client,
    /// Without a byte moving for so long, a request has failed.
    idle: Duration,
}

/// A request. Its URL may be presigned, so it is never shown.
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where.
    pub url: Url,
    /// Headers besides the length.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What is sent.
    pub body: Body,
    /// It must not overwrite anything.
    pub create_only: bool,
}

/// What is sent.
pub enum Body {
    /// Nothing.
    Empty,
    /// These bytes.
    Bytes(Bytes),
    /// A stream of known length, with a sign of life.
    Stream(reqwest::Body, u64, Beat),
}

/// When something last moved.
#[derive(Clone, Debug)]
pub struct Beat(Arc<Mutex<Instant>>);

impl Default for Beat {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Beat {
    /// Something moves now.
    pub fn touch(&self) {
        *self.0.lock() = Instant::now();
    }

    /// Ends when nothing has moved for so long.
    pub async fn silence(&self, idle: Duration) {
        loop {
            let until = *self.0.lock() + idle;
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

/// A success.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The ETag header, verbatim; empty: none.
    pub etag: String,
    /// The Content-Length header.
    pub length: Option<u64>,
    /// The body.
    pub body: Bytes,
}

impl Request {
    /// A request without a body.
    pub fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: Vec::new(), body: Body::Empty, create_only: false }
    }

    /// With a body.
    pub fn body(self, body: Body) -> Self {
        Self { body, ..self }
    }

    /// With a header.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl Http {
    /// A client for one target.
    pub fn new(host: Option<&str>, idle: Duration) -> Result<Self, BackupError> {
        choose_cryptography();
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent("flotilla");
        // What runs on this machine is never behind a proxy.
        if host.is_some_and(|host| host == "localhost" || host.starts_with("127.") || host == "[::1]") {
            builder = builder.no_proxy();
        }
        let client = builder
            .build()
            .map_err(|error| BackupError::Invalid(format!("no HTTP client: {}", words(&error))))?;
        Ok(Self { client, idle })
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&self, request: Request) -> Result<Answer, Failure> {
        let (beat, create_only, is_head) =
            (request.beat(), request.create_only, request.method == Method::HEAD);
        let work = async {
            let response = self.request(request).send().await.map_err(failed)?;
            let (status, etag, length) = (response.status(), header(&response, &ETAG), length(&response));
            let body = if is_head { Bytes::new() } else { read(response, &beat).await? };
            judge(status, etag, length, body, create_only)
        };
        tokio::select! {
            answer = work => answer,
            () = beat.silence(self.idle) => Err(Failure::unanswered(format!("nothing moved for {:?}", self.idle))),
        }
    }

    /// Sends a request and gives its body as it comes.
    pub async fn open(&self, request: Request) -> Result<reqwest::Response, Failure> {
        let send = async {
            let response = self.request(request).send().await.map_err(failed)?;
            let status = response.status();
            if status.is_success() {
                return Ok(response);
            }
            let body = read(response, &Beat::default()).await?;
            Err(Failure::of(status, &body, false))
        };
        match tokio::time::timeout(self.idle, send).await {
            Ok(answer) => answer,
            Err(_) => Err(Failure::unanswered(format!("no answer for {:?}", self.idle))),
        }
    }

    /// How long nothing may move.
    pub fn idle(&self) -> Duration {
        self.idle
    }

    fn request(&self, request: Request) -> reqwest::RequestBuilder {
        let Request { method, url, headers, body, .. } = request;
        let mut builder = self.client.request(method.clone(), url);
        for (name, value) in headers {
            builder = builder.header(name, value);
        }
        match body {
            Body::Empty if method == Method::PUT || method == Method::POST => {
                builder.header(CONTENT_LENGTH, 0)
            }
            Body::Empty => builder,
            Body::Bytes(bytes) => builder.body(bytes),
            Body::Stream(body, length, _) => builder.header(CONTENT_LENGTH, length).body(body),
        }
    }
}

impl Request {
    fn beat(&self) -> Beat {
        match &self.body {
            Body::Stream(.., beat) => beat.clone(),
            _ => Beat::default(),
        }
    }
}

fn judge(
    status: StatusCode,
    etag: String,
    length: Option<u64>,
    body: Bytes,
    create_only: bool,
) -> Result<Answer, Failure> {
    if !status.is_success() {
        return Err(Failure::of(status, &body, create_only));
    }
    // Completing takes long, so S3 answers 200 at once and an error later, in the same answer.
    match read_error(&body) {
        Some(error) => Err(Failure::in_success(&error)),
        None => Ok(Answer { etag, length, body }),
    }
}

async fn read(response: reqwest::Response, beat: &Beat) -> Result<Bytes, Failure> {
    let mut out = BytesMut::new();
    let mut pieces = response.bytes_stream();
    while let Some(piece) = pieces.next().await {
        out.extend_from_slice(&piece.map_err(failed)?);
        beat.touch();
        if out.len() > ANSWER_BYTES_MAX {
            return Err(Failure::unanswered(format!("the answer is longer than {ANSWER_BYTES_MAX} bytes")));
        }
    }
    Ok(out.freeze())
}

/// TLS is rustls with ring, in this whole process. To be called before any client is built, the library's own included.
pub fn choose_cryptography() {
    static CHOSEN: Once = Once::new();
    // An error means that this process has chosen already, which is as good.
    CHOSEN.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

/// A header's text; empty: none.
pub fn header(response: &reqwest::Response, name: &HeaderName) -> String {
    let value = response.headers().get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

fn length(response: &reqwest::Response) -> Option<u64> {
    header(response, &CONTENT_LENGTH).parse().ok()
}

/// No whole answer came.
pub fn failed(error: reqwest::Error) -> Failure {
    Failure::unanswered(words(&error.without_url()))
}

/// The error and its causes. The URL must have been taken out.
fn words(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}
