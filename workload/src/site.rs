//! Where load is put: a cluster, and the world that clients reach it from.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flotilla_checker::record::{Event, Line};
use flotilla_client::{Client, ClientError, ClientOptions};
use flotilla_proto::env::Environment;

use crate::sink::Sink;
use crate::stopwatch::Stopwatch;

/// Makes the environment of the client with this number.
type Worlds = Arc<dyn Fn(u64) -> Environment + Send + Sync>;

/// A cluster to put load on, and where to write down what became of it. Cheap to clone.
#[derive(Clone)]
pub struct Site {
    options: ClientOptions,
    worlds: Worlds,
    stopwatch: Stopwatch,
    sink: Arc<dyn Sink>,
    clients: Arc<AtomicU64>,
}

impl Site {
    /// A cluster behind these options. `worlds` gives each client of the library, by number from 0, an environment of its own;
    /// all that is recorded goes to `sink` with the stopwatch's stamps.
    pub fn new(
        options: ClientOptions,
        worlds: impl Fn(u64) -> Environment + Send + Sync + 'static,
        stopwatch: Stopwatch,
        sink: Arc<dyn Sink>,
    ) -> Self {
        Self { options, worlds: Arc::new(worlds), stopwatch, sink, clients: Arc::new(AtomicU64::new(1)) }
    }

    /// The run's clock.
    pub fn stopwatch(&self) -> &Stopwatch {
        &self.stopwatch
    }

    /// Where lines go.
    pub fn sink(&self) -> &Arc<dyn Sink> {
        &self.sink
    }

    /// Connects the client with this number.
    pub async fn connect(&self, number: u64) -> Result<Client, ClientError> {
        Client::connect(self.options.clone(), &(self.worlds)(number)).await
    }

    /// The id of a new logical client: never given twice.
    pub(crate) fn new_client(&self) -> u64 {
        self.clients.fetch_add(1, Ordering::Relaxed)
    }

    /// Writes an event down, stamped now.
    pub(crate) fn event_of(&self, event: Event) {
        self.sink.put(Line::Event(Event { at_ns: self.stopwatch.now_ns(), ..event }));
    }
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site").field("options", &self.options).finish_non_exhaustive()
    }
}
