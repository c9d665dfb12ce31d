//! How many requests with data run at a time: fewer when the store is busy, more again when it is not.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Lets a bounded number of requests through. Clones share it.
#[derive(Clone, Debug)]
pub struct Gate {
    permits: Arc<Semaphore>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// The bound that was set.
    most: usize,
    /// The bound now.
    limit: usize,
    /// Permits that are out and will not be given back.
    owed: usize,
    /// Successes since the bound last changed.
    streak: usize,
    /// Requests under way.
    running: usize,
}

/// A request that was let through.
pub struct Passage {
    permit: Option<OwnedSemaphorePermit>,
    gate: Gate,
}

impl Gate {
    /// At most so many at a time, and at least one.
    pub fn new(most: usize) -> Self {
        let most = most.max(1);
        let state = State { most, limit: most, owed: 0, streak: 0, running: 0 };
        Self { permits: Arc::new(Semaphore::new(most)), state: Arc::new(Mutex::new(state)) }
    }

    /// Waits for a place.
    pub async fn pass(&self) -> Passage {
        // The semaphore is never closed; were it, nothing would be bounded and nothing would wait.
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        self.state.lock().running += 1;
        Passage { permit, gate: self.clone() }
    }

    /// The store is busy: half as many from now on.
    pub fn shrink(&self) {
        let mut state = self.state.lock();
        let limit = (state.limit / 2).max(1);
        let fewer = state.limit - limit;
        let forgotten = self.permits.forget_permits(fewer);
        state.owed += fewer - forgotten;
        (state.limit, state.streak) = (limit, 0);
    }

    /// A request went well: after as many as run at a time, one more may.
    pub fn grow(&self) {
        let mut state = self.state.lock();
        state.streak += 1;
        if state.limit >= state.most || state.streak < state.limit {
            return;
        }
        (state.limit, state.streak) = (state.limit + 1, 0);
        if state.owed > 0 {
            state.owed -= 1;
        } else {
            self.permits.add_permits(1);
        }
    }

    /// How many run now.
    pub fn running(&self) -> usize {
        self.state.lock().running
    }

    /// How many may run now.
    #[cfg(test)]
    pub fn limit(&self) -> usize {
        self.state.lock().limit
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        let mut state = self.gate.state.lock();
        state.running -= 1;
        if state.owed > 0
            && let Some(permit) = self.permit.take()
        {
            state.owed -= 1;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn fill(gate: &Gate) -> Vec<Passage> {
        std::iter::from_fn(|| gate.pass().now_or_never()).collect()
    }

    #[tokio::test]
    async fn it_shrinks_under_load_and_grows_back() {
        let gate = Gate::new(8);
        let inside = fill(&gate);
        assert_eq!((inside.len(), gate.running()), (8, 8));
        gate.shrink();
        gate.shrink();
        assert_eq!(gate.limit(), 2);
        drop(inside);
        assert_eq!(fill(&gate).len(), 2, "those inside when it shrank were not forgotten");
        gate.shrink();
        gate.shrink();
        gate.shrink();
        assert_eq!((gate.limit(), fill(&gate).len()), (1, 1));
        (0..100).for_each(|_| gate.grow());
        assert_eq!((gate.limit(), fill(&gate).len()), (8, 8));
        assert_eq!(gate.running(), 0);
    }

    #[tokio::test]
    async fn permits_that_are_owed_are_kept_when_it_grows_first() {
        let gate = Gate::new(4);
        let inside = fill(&gate);
        gate.shrink();
        gate.grow();
        gate.grow();
        assert_eq!(gate.limit(), 3);
        drop(inside);
        assert_eq!(fill(&gate).len(), 3);
    }
}
