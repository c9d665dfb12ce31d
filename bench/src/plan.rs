//! What to measure, checked before anything is done.

use std::time::Duration;

use crate::error::BenchError;
use crate::keys::Distribution;
use crate::op::Op;
use crate::target::Target;
use crate::value::VALUE_BYTES_MIN;

/// More clients than that are no load but a storm of this machine's own.
pub const CLIENTS_MAX: usize = 10_000;
/// The longest value that every target takes: etcd refuses requests above 1.5 MiB.
pub const VALUE_BYTES_MAX: usize = 1 << 20;
/// Longer scans measure bandwidth.
pub const SCAN_ROWS_MAX: usize = 10_000;
/// Faster than this, a schedule cannot be kept by one thread.
const RATE_MAX: f64 = 1_000_000.0;
/// One run's length.
const DURATION_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// When clients send.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Pace {
    /// Each client sends its next operation when the one before has ended: how much can be done.
    Closed,
    /// So many operations a second, on a schedule made beforehand, whatever the answers take: how long users wait at this load.
    Open(f64),
}

/// What to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What clients do.
    pub op: Op,
    /// How many do it at the same time.
    pub clients: usize,
    /// How many connections they share.
    pub connections: usize,
    /// On how many keys.
    pub keys: u32,
    /// How keys are chosen.
    pub distribution: Distribution,
    /// How long values are.
    pub value_bytes: usize,
    /// How many of a hundred operations of [`Op::Mixed`] read.
    pub reads_percent: u32,
    /// How many rows one [`Op::Scan`] reads.
    pub scan_rows: usize,
    /// When clients send.
    pub pace: Pace,
    /// For how long it is measured.
    pub duration: Duration,
    /// For how long it runs before it is measured.
    pub warm_up: Duration,
    /// What keys begin with.
    pub prefix: String,
    /// On how many keys every write is checked to be there; 0: on none.
    pub watched: u32,
    /// Whether an earlier run left the keys that reads need.
    pub filled: bool,
    /// What is drawn is drawn from this.
    pub seed: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            op: Op::Put,
            clients: 16,
            connections: 1,
            keys: 10_000,
            distribution: Distribution::Uniform,
            value_bytes: 256,
            reads_percent: 50,
            scan_rows: 100,
            pace: Pace::Closed,
            duration: Duration::from_secs(10),
            warm_up: Duration::from_secs(2),
            prefix: "bench:".to_owned(),
            watched: 500,
            filled: false,
            seed: 1,
        }
    }
}

impl Plan {
    /// Says what makes no sense: the thing, its limit, the next step.
    pub fn check(&self, target: Target) -> Result<(), BenchError> {
        within("--clients", self.clients, 1, CLIENTS_MAX)?;
        within("--connections", self.connections, 1, self.clients).map_err(|error| {
            BenchError::Plan(format!(
                "{error}: a connection needs a client that uses it, so ask for as many clients"
            ))
        })?;
        within("--keys", self.keys as usize, 1, u32::MAX as usize)?;
        within("--value-size", self.value_bytes, VALUE_BYTES_MIN, VALUE_BYTES_MAX)?;
        within("--reads", self.reads_percent as usize, 0, 100)?;
        within("--scan-rows", self.scan_rows, 1, SCAN_ROWS_MAX)?;
        self.check_times()?;
        match target.why_not(self.op) {
            Some(why) => Err(BenchError::Plan(why.to_owned())),
            None => Ok(()),
        }
    }

    fn check_times(&self) -> Result<(), BenchError> {
        let refuse = |words: String| Err(BenchError::Plan(words));
        if self.duration.is_zero() || self.duration > DURATION_MAX {
            return refuse(format!("--duration is {:?}: from 1 ms to 7 days, e.g. 10s", self.duration));
        }
        if self.warm_up > DURATION_MAX {
            return refuse(format!("--warm-up is {:?}: up to 7 days, e.g. 2s", self.warm_up));
        }
        match self.pace {
            Pace::Open(rate) if !(rate.is_finite() && rate > 0.0 && rate <= RATE_MAX) => refuse(format!(
                "--rate is {rate}: above 0 and up to {RATE_MAX} operations a second; leave it out for as many as can be done"
            )),
            _ => Ok(()),
        }
    }
}

fn within(flag: &str, value: usize, min: usize, max: usize) -> Result<(), BenchError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(BenchError::Plan(format!("{flag} {value} is out of range: from {min} to {max}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_refused_with_the_limit() {
        let good = Plan::default;
        assert!(good().check(Target::Flotilla).is_ok());
        let bad = [
            Plan { clients: 0, ..good() },
            Plan { clients: CLIENTS_MAX + 1, ..good() },
            Plan { connections: 17, ..good() },
            Plan { keys: 0, ..good() },
            Plan { value_bytes: 15, ..good() },
            Plan { value_bytes: VALUE_BYTES_MAX + 1, ..good() },
            Plan { reads_percent: 101, ..good() },
            Plan { scan_rows: 0, ..good() },
            Plan { pace: Pace::Open(f64::NAN), ..good() },
            Plan { pace: Pace::Open(0.0), ..good() },
            Plan { duration: Duration::ZERO, ..good() },
        ];
        for plan in bad {
            let error = plan.check(Target::Flotilla).unwrap_err().to_string();
            assert!(error.starts_with("--"), "{error}");
        }
        assert!(Plan { op: Op::Append, ..good() }.check(Target::Etcd).is_err());
        assert!(Plan { op: Op::Scan, ..good() }.check(Target::Redis).is_err());
    }
}
