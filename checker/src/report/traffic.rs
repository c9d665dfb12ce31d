//! Throughput and latency: operations put into buckets of time, so that a page stays small however long the run was.

use serde::Serialize;

use super::gathered::Gathered;
use super::time::ms;
use crate::record::{Operation, Outcome};

/// No more points than these are drawn.
const BUCKETS_MAX: u64 = 480;

const MILLISECOND: u64 = 1_000_000;

/// Widths of a bucket that people find natural, in milliseconds.
const WIDTHS_MS: [u64; 18] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000, 1_200_000,
    3_600_000,
];

/// What the two charts draw. All lists are of the same length; rates are per second, latencies in milliseconds.
#[derive(Serialize)]
pub(super) struct Traffic {
    width: f64,
    /// Where each bucket begins.
    at: Vec<f64>,
    /// Acknowledged, by the time of the answer.
    ok: Vec<f64>,
    /// Certainly not done, by the time of the answer.
    fail: Vec<f64>,
    /// Of unknown outcome, by the time of the call: they have no other.
    unknown: Vec<f64>,
    /// Latencies of acknowledged operations; none where there was no answer.
    p50: Vec<Option<f64>>,
    p99: Vec<Option<f64>>,
    max: Vec<Option<f64>>,
}

#[derive(Clone, Default)]
struct Bucket {
    latencies: Vec<u64>,
    fail: u64,
    unknown: u64,
}

impl Traffic {
    pub(super) fn new(all: &Gathered<'_>) -> Self {
        let width = width(all.span_ns);
        let mut buckets = vec![Bucket::default(); (all.span_ns / width) as usize + 1];
        for operation in &all.operations {
            let at = operation.returned_ns.unwrap_or(operation.called_ns);
            let bucket = &mut buckets[(at / width) as usize];
            match operation.outcome {
                Outcome::Ok(_) => bucket.latencies.push(latency(operation)),
                Outcome::Fail { .. } => bucket.fail += 1,
                Outcome::Unknown { .. } => bucket.unknown += 1,
            }
        }
        buckets.iter_mut().for_each(|bucket| bucket.latencies.sort_unstable());
        let rate = |count: u64| (count as f64 * 1e10 / width as f64).round() / 10.0;
        let of = |share: f64| buckets.iter().map(move |b| quantile(&b.latencies, share).map(ms)).collect();
        Self {
            width: ms(width),
            at: (0..buckets.len() as u64).map(|at| ms(at * width)).collect(),
            ok: buckets.iter().map(|bucket| rate(bucket.latencies.len() as u64)).collect(),
            fail: buckets.iter().map(|bucket| rate(bucket.fail)).collect(),
            unknown: buckets.iter().map(|bucket| rate(bucket.unknown)).collect(),
            p50: of(0.5),
            p99: of(0.99),
            max: of(1.0),
        }
    }
}

/// The narrowest natural width that needs few enough buckets.
fn width(span_ns: u64) -> u64 {
    let widths = WIDTHS_MS.map(|width| width * MILLISECOND);
    let fits = |width: &u64| span_ns / width < BUCKETS_MAX;
    widths.into_iter().find(fits).unwrap_or(span_ns / BUCKETS_MAX + 1)
}

/// How long an operation took; 0 if it never returned.
pub(super) fn latency(operation: &Operation) -> u64 {
    operation.returned_ns.map_or(0, |returned| returned.saturating_sub(operation.called_ns))
}

/// The smallest of sorted numbers that this share of them does not exceed.
pub(super) fn quantile(sorted: &[u64], share: f64) -> Option<u64> {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_few_and_natural() {
        assert_eq!(width(0), MILLISECOND);
        assert_eq!(width(40_000 * MILLISECOND), 100 * MILLISECOND);
        for span in [1, 480 * MILLISECOND, u64::MAX / 2, u64::MAX] {
            assert!(span / width(span) < BUCKETS_MAX, "{span}");
        }
    }

    #[test]
    fn quantiles_are_numbers_that_occurred() {
        let sorted: Vec<u64> = (1..=200).collect();
        assert_eq!(
            [0.0, 0.5, 0.99, 1.0].map(|share| quantile(&sorted, share)),
            [Some(1), Some(100), Some(198), Some(200)]
        );
        assert_eq!(quantile(&[], 0.5), None);
    }
}
