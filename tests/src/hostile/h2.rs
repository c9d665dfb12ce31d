//! HTTP/2 by hand: just enough to be understood, and to be wrong on purpose. (RFC 9113, RFC 7541.)

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What an HTTP/2 client says first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Frame types.
pub const DATA: u8 = 0;
/// A header block.
pub const HEADERS: u8 = 1;
/// The end of a stream, at once.
pub const RST_STREAM: u8 = 3;
/// Settings of the connection.
pub const SETTINGS: u8 = 4;
/// Are you there?
pub const PING: u8 = 6;
/// More may be sent.
pub const WINDOW_UPDATE: u8 = 8;
/// The rest of a header block.
pub const CONTINUATION: u8 = 9;

/// The flag of the last frame of a stream (on settings and ping: an acknowledgement).
pub const END_STREAM: u8 = 1;
/// The flag of the last frame of a header block.
pub const END_HEADERS: u8 = 4;

/// How long a write may take before the other side counts as not reading.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// One frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("frames are short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header block: every field literal, never indexed, not compressed.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        for text in [name, value] {
            integer(&mut out, text.len());
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

// HPACK's integer with a prefix of seven bits.
fn integer(out: &mut Vec<u8>, value: usize) {
    if value < 127 {
        return out.push(value as u8);
    }
    out.push(127);
    let mut rest = value - 127;
    while rest >= 128 {
        out.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    out.push(rest as u8);
}

/// The header block of a gRPC call.
pub fn call(path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let mut fields = vec![(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "a")];
    if !more.iter().any(|(name, _)| *name == "content-type") {
        fields.push(("content-type", "application/grpc"));
    }
    fields.push(("te", "trailers"));
    fields.extend(more);
    block(&fields)
}

/// A gRPC message as it stands in DATA frames; the length may lie.
pub fn message(compressed: u8, length: u32, body: &[u8]) -> Vec<u8> {
    [&[compressed][..], &length.to_be_bytes(), body].concat()
}

/// A gRPC message that tells the truth.
pub fn honest(body: &[u8]) -> Vec<u8> {
    message(0, u32::try_from(body.len()).expect("messages are short"), body)
}

/// A connection. Whatever a write answers is the other side's right: it may hang up at any moment.
pub struct Raw(TcpStream);

impl Raw {
    /// Connects, saying nothing.
    pub async fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).await;
        Self(stream.unwrap_or_else(|error| panic!("{address} accepts no connection: {error}")))
    }

    /// Connects and says what every client says.
    pub async fn greet(address: &str, settings: &[u8]) -> Self {
        let mut raw = Self::connect(address).await;
        raw.say(&[PREFACE, &frame(SETTINGS, 0, 0, settings)].concat()).await;
        raw
    }

    /// Writes; false: the other side hung up, or does not read.
    pub async fn say(&mut self, bytes: &[u8]) -> bool {
        matches!(timeout(WRITE_TIMEOUT, self.0.write_all(bytes)).await, Ok(Ok(())))
    }

    /// Opens a stream with these headers and this much of a body; the frames are cut to what every server takes.
    pub async fn send(&mut self, stream: u32, headers: &[u8], body: &[u8], end: bool) -> bool {
        let mut bytes = frame(HEADERS, END_HEADERS, stream, headers);
        let mut chunks = body.chunks(16_384).peekable();
        while let Some(chunk) = chunks.next() {
            let flags = if end && chunks.peek().is_none() { END_STREAM } else { 0 };
            bytes.extend(frame(DATA, flags, stream, chunk));
        }
        self.say(&bytes).await
    }

    /// Reads and forgets until nothing comes for so long, or the other side hangs up. Gives how many bytes came and
    /// whether it hung up.
    pub async fn drain(&mut self, quiet: Duration) -> (usize, bool) {
        let (mut all, mut buffer) = (0, vec![0; 16_384]);
        loop {
            match timeout(quiet, self.0.read(&mut buffer)).await {
                Ok(Ok(0) | Err(_)) => return (all, true),
                Ok(Ok(many)) => all += many,
                Err(_) => return (all, false),
            }
        }
    }
}
