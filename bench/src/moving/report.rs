//! What clients saw of some moves.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::MovePlan;
use super::prober::{Checked, Seen};
use crate::contest::middle;

/// One move. Of each pair, the first is the moving shard, the second all others.
#[derive(Clone, Debug)]
pub struct Moved {
    /// From the request to the first acknowledgement by the new owner.
    pub took: Duration,
    /// From the request until nobody owed anything any more.
    pub settled: Duration,
    /// What was seen before, without a move.
    pub peace: [Seen; 2],
    /// What was seen during it.
    pub during: [Seen; 2],
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [moving, others] = &self.during;
        write!(
            f,
            "served by its new owner after {:.2} s, settled after {:.2} s, pause {:.1} ms ({:.1} ms without a move), others' longest gap {:.1} ms \
             ({:.1} ms)",
            self.took.as_secs_f64(),
            self.settled.as_secs_f64(),
            ms(moving.gap),
            ms(self.peace[0].gap),
            ms(others.gap),
            ms(self.peace[1].gap),
        )
    }
}

/// What clients saw of all moves. The first seven fields are what scripts lean on.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct MoveReport {
    /// How many.
    pub moves: u32,
    /// How much was moved, together.
    pub bytes: u64,
    /// How fast, in millions of bytes a second: from the request to the first acknowledgement by the new owner.
    pub mb_per_s: f64,
    /// The longest time without an acknowledgement of the moving shard, in the move in the middle.
    pub pause_p50_ms: f64,
    /// The same in the worst one.
    pub pause_max_ms: f64,
    /// The longest time without an acknowledgement of the other shards, in any move.
    pub other_gap_max_ms: f64,
    /// The same without moves.
    pub baseline_gap_max_ms: f64,
    /// The longest time without an acknowledgement of the moving shard without moves.
    pub baseline_pause_max_ms: f64,
    /// The worst p99 of writes to the moving shard in any move.
    pub moving_p99_ms: f64,
    /// The worst p99 of writes to other shards in any move.
    pub other_p99_ms: f64,
    /// The worst p99 of writes to other shards without moves.
    pub baseline_p99_ms: f64,
    /// Writes acknowledged.
    pub writes: u64,
    /// Writes that failed.
    pub errors: u64,
    /// How many things were checked.
    pub checks: u64,
    /// How many of them were wrong.
    pub violations: u64,
    /// The first of these, in words.
    pub complaints: Vec<String>,
}

impl MoveReport {
    /// Counts together; there was at least one move.
    pub fn new(plan: &MovePlan, moved: &[Moved], checked: [Checked; 2]) -> Self {
        let seconds: f64 = moved.iter().map(|one| one.took.as_secs_f64()).sum();
        let bytes = plan.shard_bytes * moved.len() as u64;
        let worst = |figure: fn(&Moved) -> f64| moved.iter().map(figure).fold(0.0, f64::max);
        let seen = || moved.iter().flat_map(|one| one.peace.iter().chain(&one.during));
        let pauses = moved.iter().map(|one| ms(one.during[0].gap)).collect();
        let p99 = |seen: &Seen| seen.p99_us as f64 / 1e3;
        Self {
            moves: u32::try_from(moved.len()).unwrap_or(u32::MAX),
            bytes,
            mb_per_s: bytes as f64 / 1e6 / seconds.max(f64::MIN_POSITIVE),
            pause_p50_ms: middle(pauses),
            pause_max_ms: worst(|one| ms(one.during[0].gap)),
            other_gap_max_ms: worst(|one| ms(one.during[1].gap)),
            baseline_gap_max_ms: worst(|one| ms(one.peace[1].gap)),
            baseline_pause_max_ms: worst(|one| ms(one.peace[0].gap)),
            moving_p99_ms: moved.iter().map(|one| p99(&one.during[0])).fold(0.0, f64::max),
            other_p99_ms: moved.iter().map(|one| p99(&one.during[1])).fold(0.0, f64::max),
            baseline_p99_ms: moved.iter().map(|one| p99(&one.peace[1])).fold(0.0, f64::max),
            writes: seen().map(|seen| seen.writes).sum(),
            errors: seen().map(|seen| seen.errors).sum(),
            checks: checked.iter().map(|one| one.checks).sum(),
            violations: checked.iter().map(|one| one.violations).sum(),
            complaints: checked.into_iter().flat_map(|one| one.complaints).collect(),
        }
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
