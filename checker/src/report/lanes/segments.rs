//! A value that changes over time, as segments in which it was the same.

use serde::Serialize;

use crate::report::time::ms;

/// So many segments a chart may have.
const CHART_MAX: usize = 12_000;
/// More segments than these in one lane would be narrower than a pixel.
const LANE_MAX: usize = 1_500;

/// How many segments each of so many lanes may have: the shortest of a lane are left out, and counted.
pub(super) struct Limit {
    lane: usize,
    /// How many were left out.
    pub left_out: usize,
}

impl Limit {
    pub(super) fn new(lanes: usize) -> Self {
        Self { lane: (CHART_MAX / lanes.max(1)).clamp(20, LANE_MAX), left_out: 0 }
    }
}

/// From when to when (in milliseconds), and what was so.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct Segment<T>(pub f64, pub f64, pub T);

/// Segments being collected.
pub(super) struct Segments<T> {
    done: Vec<(u64, u64, T)>,
    open: Option<(u64, T)>,
}

impl<T> Default for Segments<T> {
    fn default() -> Self {
        Self { done: Vec::new(), open: None }
    }
}

impl<T: PartialEq> Segments<T> {
    /// From `at` on it is `value`; none: nothing is known or true.
    pub(super) fn set(&mut self, at: u64, value: Option<T>) {
        if self.open.as_ref().map(|(_, open)| open) == value.as_ref() {
            return;
        }
        if let Some((from, old)) = self.open.take().filter(|(from, _)| *from < at) {
            self.done.push((from, at, old));
        }
        self.open = value.map(|value| (at, value));
    }

    /// The segments of a run that ended at `end`.
    pub(super) fn finish(mut self, end: u64, limit: &mut Limit) -> Vec<Segment<T>> {
        self.set(end, None);
        let mut shortest = 0;
        let all = self.done.len();
        if all > limit.lane {
            let mut lengths: Vec<u64> = self.done.iter().map(|(from, to, _)| to - from).collect();
            lengths.sort_unstable();
            shortest = lengths[all - limit.lane];
        }
        let long = self.done.into_iter().filter(|(from, to, _)| to - from >= shortest);
        let kept: Vec<_> =
            long.take(limit.lane).map(|(from, to, value)| Segment(ms(from), ms(to), value)).collect();
        limit.left_out += all - kept.len();
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_make_one_segment() {
        let mut lane = Segments::default();
        for (at, value) in
            [(0, Some("a")), (1_000, Some("a")), (2_000, Some("b")), (3_000, None), (5_000, Some("b"))]
        {
            lane.set(at, value);
        }
        let wanted = [Segment(0.0, 0.002, "a"), Segment(0.002, 0.003, "b"), Segment(0.005, 0.009, "b")];
        let mut limit = Limit::new(1);
        assert_eq!(lane.finish(9_000, &mut limit), wanted);
        assert_eq!(limit.left_out, 0);
    }

    #[test]
    fn a_lane_of_many_changes_stays_small() {
        let mut lane = Segments::default();
        (0..100_000).for_each(|at| lane.set(at * 1_000, Some(at)));
        let mut limit = Limit::new(100);
        assert_eq!(lane.finish(100_000_000, &mut limit).len(), 120);
        assert_eq!(limit.left_out, 99_880);
    }
}
