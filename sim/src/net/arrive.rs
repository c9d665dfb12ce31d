//! What arrives: whole replies of unary calls, and the frames of streams.

use std::sync::Arc;

use bytes::Bytes;
use flotilla_proto::net::CallError;
use futures::stream;
use http::{HeaderMap, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::DropGuard;
use tonic::body::Body;

use super::call::{Ends, reset};

/// A frame on its way.
pub(super) struct Arrival {
    pub at: Instant,
    pub sent_ns: u64,
    pub frame: Frame<Bytes>,
}

/// A whole reply.
pub(super) struct Whole {
    parts: http::response::Parts,
    data: Bytes,
    trailers: Option<HeaderMap>,
}

impl Whole {
    /// Everything of a response; none if it broke off.
    pub async fn collect(response: Response<Body>) -> Option<Self> {
        let (parts, body) = response.into_parts();
        let collected = body.collect().await.ok()?;
        let trailers = collected.trailers().cloned();
        Some(Self { parts, data: collected.to_bytes(), trailers })
    }

    /// The message in it.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The response, as it was.
    pub fn into_response(self) -> Response<Body> {
        let data = (!self.data.is_empty()).then(|| Frame::data(self.data));
        let frames = data.into_iter().chain(self.trailers.map(Frame::trailers));
        let frames = frames.map(Ok::<_, CallError>).collect::<Vec<_>>();
        Response::from_parts(self.parts, Body::new(StreamBody::new(stream::iter(frames))))
    }
}

/// The receiving end of one direction of a stream.
pub(super) struct Inbox {
    pub ends: Arc<Ends>,
    pub frames: mpsc::Receiver<Arrival>,
    pub to_server: bool,
    /// Breaks the call when its reader has gone.
    pub guard: Option<DropGuard>,
}

impl Inbox {
    /// The frames as a body, each at its time.
    pub fn body(self) -> Body {
        let frames = stream::unfold(Some(self), |inbox| async move {
            let mut inbox = inbox?;
            match inbox.next().await {
                None => None,
                Some(Ok(frame)) => Some((Ok(frame), Some(inbox))),
                Some(Err(error)) => Some((Err(error), None)),
            }
        });
        Body::new(StreamBody::new(frames))
    }

    async fn next(&mut self) -> Option<Result<Frame<Bytes>, CallError>> {
        let broken = self.ends.broken.clone();
        let arrival = tokio::select! {
            biased;
            () = broken.cancelled() => return Some(Err(reset())),
            arrival = self.frames.recv() => arrival?,
        };
        tokio::select! {
            biased;
            () = broken.cancelled() => return Some(Err(reset())),
            () = sleep_until(arrival.at) => {}
        }
        if let Err(error) = self.ends.pass(self.to_server).await {
            return Some(Err(error));
        }
        let data = arrival.frame.data_ref().map_or(&[][..], |data| &data[..]);
        self.ends.arrived(self.to_server, arrival.sent_ns, data);
        Some(Ok(arrival.frame))
    }
}
