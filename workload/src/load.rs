//! Load on a cluster, from its start to its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::keys::Keys;
use crate::plan::Plan;
use crate::site::Site;
use crate::worker::Worker;

/// Workers at work. Dropping it ends them at once, and what was in flight is then missing in the record: a record is
/// only good for a verdict after [`Load::stop`].
#[derive(Debug)]
pub struct Load {
    keys: Vec<Arc<Keys>>,
    stop: CancellationToken,
    acks: watch::Receiver<u64>,
    workers: JoinSet<Done>,
}

/// What became of the operations of a load.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Done {
    /// Acknowledged.
    pub ok: u64,
    /// Certainly not done.
    pub failed: u64,
    /// Of unknown outcome.
    pub unknown: u64,
    /// Every key that was used.
    pub keys: Vec<String>,
}

/// Too few operations were acknowledged in time.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{acked} of {wanted} operations were acknowledged within {:.1} s", within.as_secs_f64())]
pub struct Stalled {
    /// How many were.
    pub acked: u64,
    /// How many were waited for.
    pub wanted: u64,
    /// How long.
    pub within: Duration,
}

impl Load {
    /// Starts the plan's workers. They connect by themselves, for as long as it takes.
    pub fn start(plan: Plan, site: &Site) -> Self {
        let (plan, stop) = (Arc::new(plan), CancellationToken::new());
        let (counter, acks) = watch::channel(0);
        let crews = plan.clients.div_ceil(plan.crew());
        let keys: Vec<_> = (0..crews).map(|crew| Arc::new(Keys::new(&plan, crew))).collect();
        let mut workers = JoinSet::new();
        for number in 0..plan.clients {
            let worker = Worker {
                number: number as u64,
                plan: plan.clone(),
                site: site.clone(),
                keys: keys[number / plan.crew()].clone(),
                stop: stop.clone(),
                acks: counter.clone(),
            };
            workers.spawn(worker.run());
        }
        Self { keys, stop, acks, workers }
    }

    /// How many operations have been acknowledged so far.
    pub fn acked(&self) -> u64 {
        *self.acks.borrow()
    }

    /// The same number, to be watched.
    pub fn acks(&self) -> watch::Receiver<u64> {
        self.acks.clone()
    }

    /// Waits until so many more operations have been acknowledged: there is traffic, and it gets through.
    pub async fn more(&self, count: u64, within: Duration) -> Result<(), Stalled> {
        let mut acks = self.acks.clone();
        let before = *acks.borrow_and_update();
        let reached = timeout(within, acks.wait_for(|acked| *acked >= before + count)).await;
        match reached {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Stalled { acked: self.acked() - before, wanted: count, within }),
        }
    }

    /// Waits until all workers have done what the plan limits them to.
    pub async fn done(mut self) -> Done {
        let mut total = Done::default();
        while let Some(done) = self.workers.join_next().await {
            // A worker that panicked must not look like one with nothing to tell.
            let done = done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
            total.ok += done.ok;
            total.failed += done.failed;
            total.unknown += done.unknown;
        }
        total.keys = self.keys.iter().flat_map(|keys| keys.used()).collect();
        total
    }

    /// Lets each worker finish the operation in flight, and no further one.
    pub async fn stop(self) -> Done {
        self.stop.cancel();
        self.done().await
    }
}
