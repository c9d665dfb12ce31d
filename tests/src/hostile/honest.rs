//! A client that goes on as if nothing were: one write and one read after the other, each timed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flotilla_client::Client;
use tokio::task::JoinHandle;

/// Between two operations.
const PAUSE: Duration = Duration::from_millis(5);

/// A running client.
pub struct Honest {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Vec<Duration>>,
}

impl Honest {
    /// Starts to write and read back; every operation must succeed.
    pub fn start(client: Client) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut waits = Vec::new();
            for nth in 0u64.. {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let (key, value) = (format!("honest-{}", nth % 16), format!("{nth}"));
                let began = Instant::now();
                client
                    .put(key.clone(), value.clone())
                    .await
                    .unwrap_or_else(|error| panic!("put {nth}: {error}"));
                let found = client.get(key).await.unwrap_or_else(|error| panic!("get {nth}: {error}"));
                assert_eq!(found.map(|found| found.value), Some(value.into()), "operation {nth}");
                waits.push(began.elapsed());
                tokio::time::sleep(PAUSE).await;
            }
            waits
        });
        Self { stop, task }
    }

    /// Stops; gives how long each pair of operations took, sorted.
    pub async fn stop(self) -> Vec<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        let mut waits = self.task.await.expect("every operation succeeds");
        waits.sort_unstable();
        waits
    }
}
