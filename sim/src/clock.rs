//! A wall clock for each machine: it starts off the mark, runs a little fast or slow, and may jump.

use flotilla_proto::env::Clock;
use parking_lot::Mutex;
use tokio::time::Instant;

/// Where all clocks would stand if they were right: some day, so that a lucky zero cannot hide a mistake.
const START_MS: i64 = 1_800_000_000_000;

/// One machine's wall clock.
#[derive(Debug)]
pub struct SimClock {
    started: Instant,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// Milliseconds ahead of the truth.
    offset_ms: i64,
    /// Microseconds gained in each second.
    drift_ppm: i64,
}

impl SimClock {
    /// A clock in a world that began at `started`.
    pub fn new(started: Instant, offset_ms: i64, drift_ppm: i64) -> Self {
        Self { started, state: Mutex::new(State { offset_ms, drift_ppm }) }
    }

    /// Jumps.
    pub fn jump(&self, by_ms: i64) {
        self.state.lock().offset_ms += by_ms;
    }

    /// Shows the right time from now on: somebody set it.
    pub fn set_right(&self) {
        *self.state.lock() = State { offset_ms: 0, drift_ppm: 0 };
    }
}

impl Clock for SimClock {
    fn now_ms(&self) -> u64 {
        let State { offset_ms, drift_ppm } = *self.state.lock();
        let elapsed = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX / 2_000_000);
        let shown = START_MS + elapsed + elapsed * drift_ppm / 1_000_000 + offset_ms;
        u64::try_from(shown).unwrap_or(0)
    }
}
