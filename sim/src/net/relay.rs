//! Streams: both directions of one call, frame by frame.

use std::sync::Arc;

use flotilla_proto::net::CallError;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};
use tonic::body::Body;
use tower::ServiceExt as _;

use super::arrive::{Arrival, Inbox};
use super::call::{Ends, reset};
use super::state::Server;

/// Frames under way in one direction: what the windows of HTTP/2 would hold.
const UNDER_WAY: usize = 32;

/// Opens a stream: the request's frames travel to the server, the response's frames back.
pub(super) async fn stream(
    ends: Arc<Ends>,
    server: Server,
    request: Request<Body>,
) -> Result<Response<Body>, CallError> {
    // Whatever ends first, the call or its reader, ends the other.
    let guard = ends.broken.clone().drop_guard();
    let sent_ns = ends.net.trace.now_ns();
    sleep(ends.latency(true)).await;
    ends.pass(true).await?;
    ends.arrived(true, sent_ns, b"open");
    let (parts, body) = request.into_parts();
    let request = Request::from_parts(parts, pumped(&ends, body, true).body());
    let (answer, answered) = oneshot::channel();
    tokio::spawn(work(ends.clone(), server, request, answer));
    let answered = tokio::select! {
        biased;
        () = ends.broken.cancelled() => return Err(reset()),
        answered = answered => answered,
    };
    let Ok(response) = answered else {
        ends.broken.cancelled().await;
        return Err(reset());
    };
    sleep(ends.latency(false)).await;
    ends.pass(false).await?;
    let (parts, mut inbox) = response;
    inbox.guard = Some(guard);
    Ok(Response::from_parts(parts, inbox.body()))
}

type Answer = (http::response::Parts, Inbox);

/// The server's side: lives as long as the server and the call do.
async fn work(ends: Arc<Ends>, server: Server, request: Request<Body>, answer: oneshot::Sender<Answer>) {
    let Server { routes, alive, .. } = server;
    let serving = async {
        let Ok(response) = routes.oneshot(request).await;
        let (parts, body) = response.into_parts();
        let (sender, frames) = mpsc::channel(UNDER_WAY);
        let inbox = Inbox { ends: ends.clone(), frames, to_server: false, guard: None };
        if answer.send((parts, inbox)).is_ok() {
            pump(&ends, body, &sender, false).await;
        }
    };
    tokio::select! {
        biased;
        () = alive.cancelled() => {}
        () = ends.broken.cancelled() => {}
        () = serving => {}
    }
}

/// Starts to carry a body; gives its far end.
fn pumped(ends: &Arc<Ends>, body: Body, to_server: bool) -> Inbox {
    let (sender, frames) = mpsc::channel(UNDER_WAY);
    let carried = ends.clone();
    tokio::spawn(async move {
        tokio::select! {
            biased;
            () = carried.broken.cancelled() => {}
            () = pump(&carried, body, &sender, to_server) => {}
        }
    });
    Inbox { ends: ends.clone(), frames, to_server, guard: None }
}

/// Carries frames until the body ends, its reader goes, or the connection is reset.
async fn pump(ends: &Arc<Ends>, mut body: Body, to: &mpsc::Sender<Arrival>, to_server: bool) {
    let mut last = Instant::now();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return ends.broken.cancel();
        };
        if ends.net.resets() {
            ends.net.count("reset");
            return ends.broken.cancel();
        }
        last = last.max(Instant::now() + ends.latency(to_server));
        let arrival = Arrival { at: last, sent_ns: ends.net.trace.now_ns(), frame };
        if to.send(arrival).await.is_err() {
            return;
        }
    }
}
