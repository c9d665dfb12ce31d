//! Carrying out one call: attempts, one after the other, until one decides it or time is up.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tonic::{Response, Status};

use crate::error::ClientError;
use crate::failure::{Failure, FailureKind};
use crate::shared::Shared;
use crate::trip::{Manner, Target, Trip};
use crate::verdict::Verdict;

/// One question to the cluster, asked as often as it takes. Every attempt sends the same.
pub(crate) trait Exchange: Sync {
    /// What it is answered with.
    type Answer: Send;

    /// For error messages: `put "key"`.
    fn describe(&self) -> String;

    /// Asks one target.
    fn attempt(&self, shared: &Shared, target: &Target)
    -> impl Future<Output = Verdict<Self::Answer>> + Send;
}

/// Asks until there is an answer, or gives up at the deadline.
pub(crate) async fn drive<E: Exchange>(
    shared: &Shared,
    exchange: &E,
    manner: Manner,
) -> Result<E::Answer, ClientError> {
    let mut trip = Trip::new(shared, manner);
    while let Some(target) = trip.next_target().await {
        let verdict = exchange.attempt(shared, &target).await;
        if let Some(end) = trip.judge(&target, verdict, &|| exchange.describe()) {
            return end;
        }
    }
    Err(trip.give_up(exchange.describe()))
}

/// Waits for a unary call, no longer than the target is given.
pub(crate) async fn rpc<T>(
    target: &Target,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Failure> {
    match timeout_at(target.until, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(Failure::from_status(&target.address, &status)),
        Err(_) => Err(Failure::sent(&target.address, FailureKind::TimedOut, "no answer in time")),
    }
}

impl Target {
    /// How much time there is.
    pub fn budget(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// How long the server may work on it, in milliseconds: a little less, so that its own word on what became of the
    /// request arrives in time.
    pub fn server_ms(&self) -> u32 {
        u32::try_from((self.budget() * 9 / 10).as_millis()).unwrap_or(u32::MAX).max(1)
    }
}
