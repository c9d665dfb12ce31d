//! How many clusters run at a time: each is several processes that fsync and elect, and a starved one only measures
//! the machine.

use tokio::sync::{Semaphore, SemaphorePermit};

/// Two clusters at a time keep two cores busy without elections caused by hunger.
const CLUSTERS_MAX: usize = 2;

static TURNS: Semaphore = Semaphore::const_new(CLUSTERS_MAX);

/// Waits for one's turn; it lasts until the permit is dropped.
pub async fn take() -> SemaphorePermit<'static> {
    TURNS.acquire().await.expect("the semaphore is never closed")
}
