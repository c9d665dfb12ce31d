//! How well the cluster served meanwhile: operations per second outside of faults, and the longest silence with each class of faults.

use std::collections::BTreeMap;

use flotilla_checker::record::{Fault, Line, Outcome};

const SECOND: u64 = 1_000_000_000;
/// So long after a fault, its consequences are not over.
const AFTERMATH: u64 = 3 * SECOND;

/// So many seconds without faults make a rate worth looking at.
const CALM_MIN: usize = 5;

/// What service was like.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Service {
    /// Acknowledged operations.
    pub acked: u64,
    /// The same for each second of the whole time with load.
    pub per_second: f64,
    /// The same for each second in which no fault was at work; none: there were too few of them.
    pub calm_per_second: Option<f64>,
    /// For each class of faults: how often, and the longest time without any acknowledged operation, in milliseconds.
    pub silence_ms: BTreeMap<String, (u64, u64)>,
}

/// Measures what was recorded until then.
pub(crate) fn measure(lines: &[Line], until_ns: u64) -> Service {
    let mut acks: Vec<u64> = lines.iter().filter_map(acked).filter(|at| *at <= until_ns).collect();
    acks.sort_unstable();
    let faults: Vec<&Fault> = lines
        .iter()
        .filter_map(|line| match line {
            Line::Fault(fault) => Some(fault),
            _ => None,
        })
        .collect();
    let (Some(first), Some(last)) = (acks.first(), acks.last()) else { return Service::default() };
    let mut service = Service { acked: acks.len() as u64, ..Service::default() };
    service.per_second = service.acked as f64 / ((last - first).max(1) as f64 / SECOND as f64);
    service.calm_per_second = calm(&acks, &faults);
    for fault in &faults {
        let end = fault.until_ns.unwrap_or(*last) + AFTERMATH;
        let silence = silence(&acks, fault.at_ns, end.min(until_ns)) / 1_000_000;
        let entry = service.silence_ms.entry(fault.kind.clone()).or_default();
        *entry = (entry.0 + 1, entry.1.max(silence));
    }
    service
}

fn acked(line: &Line) -> Option<u64> {
    match line {
        Line::Op(op) if matches!(op.outcome, Outcome::Ok(_)) => op.returned_ns,
        _ => None,
    }
}

/// Acknowledged operations in whole seconds without faults.
fn calm(acks: &[u64], faults: &[&Fault]) -> Option<f64> {
    let mut seconds: BTreeMap<u64, u64> = BTreeMap::new();
    let (first, last) = (acks.first()? / SECOND + 1, acks.last()? / SECOND);
    let touched = |second: u64| {
        let (from, to) = (second * SECOND, (second + 1) * SECOND);
        faults.iter().any(|fault| {
            fault.at_ns < to && fault.until_ns.unwrap_or(u64::MAX - AFTERMATH) + AFTERMATH > from
        })
    };
    for second in (first..last).filter(|second| !touched(*second)) {
        seconds.insert(second, 0);
    }
    for ack in acks {
        if let Some(count) = seconds.get_mut(&(ack / SECOND)) {
            *count += 1;
        }
    }
    let count = seconds.len();
    (count >= CALM_MIN).then(|| seconds.values().sum::<u64>() as f64 / count as f64)
}

/// The longest time without an acknowledged operation that reaches into this time.
fn silence(acks: &[u64], from: u64, to: u64) -> u64 {
    let start = acks.partition_point(|ack| *ack < from).saturating_sub(1);
    let mut longest = 0;
    let mut before = acks.get(start).copied().unwrap_or(from).min(from);
    for ack in &acks[start.min(acks.len())..] {
        longest = longest.max(ack.saturating_sub(before));
        before = *ack;
        if before > to {
            return longest;
        }
    }
    longest.max(to.saturating_sub(before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_silence_is_found() {
        let acks = [1, 2, 10, 11, 30];
        assert_eq!(silence(&acks, 3, 9), 8);
        assert_eq!(silence(&acks, 9, 12), 19);
        assert_eq!(silence(&acks, 31, 50), 20);
        assert_eq!(silence(&[], 5, 9), 4);
    }

    #[test]
    fn calm_seconds_are_those_without_faults() {
        let acks: Vec<u64> = (0..100).map(|tenth| tenth * SECOND / 10).collect();
        let fault = Fault {
            at_ns: 0,
            until_ns: Some(SECOND),
            kind: String::new(),
            nodes: Vec::new(),
            detail: String::new(),
            evidence: String::new(),
        };
        assert_eq!(calm(&acks, &[&fault]), Some(10.0));
        let all = Fault { at_ns: 0, until_ns: None, ..fault };
        assert_eq!(calm(&acks, &[&all]), None);
    }
}
