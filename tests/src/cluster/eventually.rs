//! Waiting for something to become true, with a deadline and the reason why it is not.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// How often to look.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Asks `probe` again and again until it answers `Ok`; past the deadline the test fails with its last reason.
pub async fn eventually<T>(
    what: &str,
    within: Duration,
    mut probe: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let until = Instant::now() + within;
    let mut why = "it was never asked".to_owned();
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        match timeout(left, Box::pin(probe())).await {
            Ok(Ok(done)) => return done,
            Ok(Err(reason)) => why = reason,
            Err(_) => why = format!("the last look did not end (before: {why})"),
        }
        sleep(LOOK_INTERVAL).await;
    }
    panic!("{what}: not within {within:?}: {why}");
}
