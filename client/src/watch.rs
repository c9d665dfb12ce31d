//! Keeping the configuration and directory fresh.
//!
//! Some controller pushes them over a `WatchConfig` stream. When a call meets somebody who knows of a newer configuration, the
//! task asks at once; when the stream ends, it asks, and opens another one at the next controller.

use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::ctrl_v1::{QueryResponse, WatchConfigRequest, WatchConfigResponse};
use tokio::time::{Instant, timeout};
use tonic::{Status, Streaming};

use crate::backoff::Backoff;
use crate::controller;
use crate::failure::{Failure, FailureKind};
use crate::shared::Shared;

/// How long opening a stream may take.
const OPEN: Duration = Duration::from_secs(2);
/// How long one question may take.
const ASK: Duration = Duration::from_secs(1);
/// Calls may cry for news as often as they like; this is the least time between two questions.
const CALM: Duration = Duration::from_millis(50);
/// Between two streams, and so between two questions while no stream comes about.
const POLL: Duration = Duration::from_millis(100);

/// Runs until the client is dropped.
pub(crate) async fn keep_fresh(shared: Arc<Shared>) {
    let mut backoff = Backoff::default();
    // Many clients spread over the controllers.
    let first = usize::try_from(shared.env.random.below(64)).unwrap_or(0);
    for turn in first.. {
        let candidates = shared.topology.candidates(0);
        let address = candidates[turn % candidates.len()].clone();
        let began = Instant::now();
        if let Err(failure) = follow(&shared, &address).await {
            tracing::debug!(%failure, "configuration stream ended");
        }
        if began.elapsed() > OPEN {
            backoff = Backoff::default();
        }
        ask(&shared).await;
        let pause = backoff.next(&*shared.env.random, POLL);
        // A cry for news ends the wait.
        let _ = timeout(pause, shared.topology.stale.notified()).await;
    }
}

/// Reads one stream to its end.
async fn follow(shared: &Shared, address: &str) -> Result<(), Failure> {
    let mut stream = open(shared, address).await?;
    let broken = |status: Status| Failure::from_status(address, &status);
    loop {
        tokio::select! {
            biased;
            message = stream.message() => match message.map_err(broken)? {
                Some(message) => take(shared, message, address)?,
                None => return Ok(()),
            },
            () = shared.topology.stale.notified() => {
                ask(shared).await;
                tokio::time::sleep(CALM).await;
            }
        }
    }
}

async fn open(shared: &Shared, address: &str) -> Result<Streaming<WatchConfigResponse>, Failure> {
    let view = shared.topology.view();
    let have = WatchConfigRequest { config: view.config.num, revision: view.directory.revision };
    let mut client = shared.links.ctrl(address)?;
    let opening = client.watch_config(shared.links.endless(have));
    match timeout(OPEN, opening).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(Failure::from_status(address, &status)),
        Err(_) => Err(Failure::sent(address, FailureKind::TimedOut, "no answer in time")),
    }
}

fn take(shared: &Shared, message: WatchConfigResponse, address: &str) -> Result<(), Failure> {
    let WatchConfigResponse { config, directory } = message;
    let answer = QueryResponse { config, directory, ..QueryResponse::default() };
    shared.learn(&answer).map_err(|said| Failure::unsent(address, FailureKind::WrongCluster, said))
}

/// Asks the leader; while there is none, anybody.
async fn ask(shared: &Shared) {
    let latest = controller::learn(shared, false, Instant::now() + ASK).await;
    if latest.is_err() {
        // Then the next round tries again.
        drop(controller::learn(shared, true, Instant::now() + ASK).await);
    }
}
