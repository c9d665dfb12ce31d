//! What a run found.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::op::Op;
use crate::plan::{Pace, Plan};
use crate::servers::Usage;
use crate::target::Target;

/// What a run found. The first ten fields are what scripts lean on.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    /// Who was measured.
    pub target: Target,
    /// What clients did.
    pub op: Op,
    /// How many.
    pub clients: usize,
    /// Operations acknowledged, of those that should have been sent while it was measured.
    pub ops: u64,
    /// Operations that failed.
    pub errors: u64,
    /// From the begin of measuring to the last of these acknowledgements.
    pub seconds: f64,
    /// Operations acknowledged in a second.
    pub ops_per_s: f64,
    /// Half of the operations took no longer.
    pub p50_us: u64,
    /// 99 of a hundred took no longer.
    pub p99_us: u64,
    /// The longest.
    pub max_us: u64,
    /// 999 of a thousand took no longer.
    pub p999_us: u64,
    /// On average.
    pub mean_us: f64,
    /// How many connections the clients shared.
    pub connections: usize,
    /// How many keys there were.
    pub keys: u32,
    /// How they were chosen.
    pub distribution: String,
    /// How long values were.
    pub value_bytes: usize,
    /// How many operations should have been sent in a second; none: as many as could be done.
    pub rate: Option<f64>,
    /// Operations that should have been sent, and for which no client was free until the end. They count as latencies so far.
    pub unstarted: u64,
    /// The longest time without an acknowledgement.
    pub longest_gap_ms: f64,
    /// Throughput in the last third of the run, by that of the first third.
    pub steadiness: f64,
    /// How many things were checked.
    pub checks: u64,
    /// How many of them were wrong.
    pub violations: u64,
    /// The first of these, in words.
    pub complaints: Vec<String>,
    /// What the first failed operation said.
    pub first_error: Option<String>,
    /// Processor time of this process for one operation.
    pub client_cpu_us_per_op: f64,
    /// Processor time of all servers for one operation; none: they were not found on this machine.
    pub server_cpu_us_per_op: Option<f64>,
    /// Memory of all servers at the end.
    pub server_resident_bytes: Option<u64>,
    /// What all servers handed to the disk for one operation.
    pub server_written_bytes_per_op: Option<f64>,
}

/// What was collected while a run was measured.
#[derive(Clone, Debug)]
pub struct Collected {
    /// Every latency, in microseconds, those of unstarted operations included.
    pub times: Histogram<u64>,
    /// Acknowledgements in each second.
    pub each_second: Vec<u64>,
    /// How many operations were never started.
    pub unstarted: u64,
    /// How many failed.
    pub errors: u64,
    /// What the first of them said.
    pub first_error: Option<String>,
    /// The longest time without an acknowledgement.
    pub longest_gap: Duration,
    /// From the begin of measuring to the last acknowledgement.
    pub length: Duration,
    /// What this process used meanwhile.
    pub client: (Usage, Usage),
    /// What the servers used meanwhile, if they are known.
    pub servers: Option<(Usage, Usage)>,
    /// How many things were checked, how many were wrong, and the first of those.
    pub checks: (u64, u64, Vec<String>),
}

impl Report {
    /// Counts together what was collected.
    pub fn new(target: Target, plan: &Plan, collected: Collected) -> Self {
        let Collected { times, unstarted, length, .. } = &collected;
        let ops = times.len().saturating_sub(*unstarted);
        let per_op = |amount: f64| amount / ops.max(1) as f64;
        let cpu = |(before, after): (Usage, Usage)| {
            per_op(after.cpu.saturating_sub(before.cpu).as_secs_f64() * 1e6)
        };
        let written = |(before, after): (Usage, Usage)| {
            per_op(after.written_bytes.saturating_sub(before.written_bytes) as f64)
        };
        Self {
            target,
            op: plan.op,
            clients: plan.clients,
            ops,
            errors: collected.errors,
            seconds: length.as_secs_f64(),
            ops_per_s: ops as f64 / length.as_secs_f64().max(f64::MIN_POSITIVE),
            p50_us: times.value_at_quantile(0.5),
            p99_us: times.value_at_quantile(0.99),
            max_us: times.max(),
            p999_us: times.value_at_quantile(0.999),
            mean_us: times.mean(),
            connections: plan.connections,
            keys: plan.keys,
            distribution: plan.distribution.to_string(),
            value_bytes: plan.value_bytes,
            rate: match plan.pace {
                Pace::Closed => None,
                Pace::Open(rate) => Some(rate),
            },
            unstarted: *unstarted,
            longest_gap_ms: collected.longest_gap.as_secs_f64() * 1e3,
            steadiness: steadiness(&collected.each_second),
            checks: collected.checks.0,
            violations: collected.checks.1,
            complaints: collected.checks.2,
            first_error: collected.first_error,
            client_cpu_us_per_op: cpu(collected.client),
            server_cpu_us_per_op: collected.servers.map(cpu),
            server_resident_bytes: collected.servers.map(|(_, after)| after.resident_bytes),
            server_written_bytes_per_op: collected.servers.map(written),
        }
    }
}

/// The last third by the first third; 1 for a run too short to tell.
fn steadiness(each_second: &[u64]) -> f64 {
    let third = each_second.len() / 3;
    let first: u64 = each_second[..third].iter().sum();
    let last: u64 = each_second[each_second.len() - third..].iter().sum();
    if first == 0 { 1.0 } else { last as f64 / first as f64 }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::tally::histogram;

    /// A report with this throughput, and latencies that go with it.
    pub fn report(target: Target, ops_per_s: f64) -> Report {
        let mut times = histogram();
        times.record_n((1e6 / ops_per_s) as u64, ops_per_s as u64).unwrap();
        let collected = Collected {
            times,
            each_second: Vec::new(),
            unstarted: 0,
            errors: 0,
            first_error: None,
            longest_gap: Duration::ZERO,
            length: Duration::from_secs(1),
            client: Default::default(),
            servers: None,
            checks: (1, 0, Vec::new()),
        };
        Report::new(target, &Plan::default(), collected)
    }

    #[test]
    fn a_store_that_slows_down_is_seen() {
        assert!((steadiness(&[90, 100, 110, 70, 60, 50, 30, 30, 30]) - 0.3).abs() < 1e-9);
        assert!((steadiness(&[5, 0]) - 1.0).abs() < 1e-9);
    }
}
