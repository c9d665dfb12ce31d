//! The environment: everything by which code touches the world outside its own memory. Production fills it with the
//! real things, a simulation with seeded ones; nothing else differs between the two.
//!
//! Timers are not here: they are always `tokio::time`, which a simulation pauses.

use std::future::Future;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rand::RngCore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::faults::Faults;
use crate::net::{Network, TcpNetwork};

/// A wall clock.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970-01-01 UTC as this machine believes it. May jump.
    fn now_ms(&self) -> u64;
}

/// A source of random numbers.
pub trait Random: Send + Sync + 'static {
    /// 64 random bits.
    fn next_u64(&self) -> u64;

    /// A number in `0..bound` (0 if `bound` is 0).
    fn below(&self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next_u64() % bound }
    }
}

/// Starts tasks and can wait for, or stop, all of them. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Spawner {
    tracker: TaskTracker,
    token: CancellationToken,
}

impl Spawner {
    /// Starts a task that ends by itself when [`Spawner::stop`] is called: at its next await.
    pub fn spawn<F>(&self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let token = self.token.clone();
        self.tracker.spawn(async move {
            tokio::select! {
                () = token.cancelled() => {}
                () = future => {}
            }
        });
    }

    /// A token that is cancelled when the spawner stops.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// A spawner whose tasks stop with this one's, and which can be stopped alone.
    pub fn child(&self) -> Self {
        Self { tracker: TaskTracker::new(), token: self.token.child_token() }
    }

    /// Asks every task to end and waits until they have.
    pub async fn stop(&self) {
        self.token.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// What a node or a client is started with. Cheap to clone.
#[derive(Clone)]
pub struct Environment {
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// Other processes.
    pub network: Arc<dyn Network>,
    /// Tasks.
    pub spawner: Spawner,
    /// Faults made on purpose, and marks that are counted; none in production.
    pub faults: Faults,
}

impl Environment {
    /// The real world.
    pub fn real() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            random: Arc::new(ThreadRandom),
            network: Arc::new(TcpNetwork::default()),
            spawner: Spawner::default(),
            faults: Faults::none(),
        }
    }

    /// The same world with a spawner of its own, stopped with this one's.
    pub fn child(&self) -> Self {
        Self { spawner: self.spawner.child(), ..self.clone() }
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment").finish_non_exhaustive()
    }
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

/// The operating system's randomness, through the thread's generator.
#[derive(Clone, Copy, Debug)]
pub struct ThreadRandom;

impl Random for ThreadRandom {
    fn next_u64(&self) -> u64 {
        rand::rng().next_u64()
    }
}
