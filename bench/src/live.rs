//! How far a run is.

use std::fmt;

/// How far a run is, told once a second.
#[derive(Clone, PartialEq, Debug)]
pub enum Live {
    /// The keys that reads need are being written.
    Filling {
        /// So many are there.
        done: u64,
        /// Of so many.
        of: u32,
    },
    /// It runs, and does not count yet.
    WarmingUp {
        /// Acknowledged in the last second.
        ops_per_s: u64,
    },
    /// It counts.
    Measuring {
        /// Seconds since it counts.
        second: u64,
        /// Of so many.
        of: u64,
        /// Acknowledged in the last second.
        ops_per_s: u64,
        /// Half of those took no longer.
        p50_us: u64,
        /// 99 of a hundred took no longer.
        p99_us: u64,
        /// Failed so far.
        errors: u64,
    },
    /// What was acknowledged is being read again.
    Checking,
}

impl fmt::Display for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filling { done, of } => write!(f, "filling: {done} of {of} keys"),
            Self::WarmingUp { ops_per_s } => write!(f, "warming up: {ops_per_s} ops/s"),
            Self::Measuring { second, of, ops_per_s, p50_us, p99_us, errors } => {
                let ms = |us: &u64| *us as f64 / 1e3;
                write!(
                    f,
                    "{second}/{of} s: {ops_per_s} ops/s, p50 {:.2} ms, p99 {:.2} ms",
                    ms(p50_us),
                    ms(p99_us)
                )?;
                if *errors > 0 { write!(f, ", {errors} errors") } else { Ok(()) }
            }
            Self::Checking => f.write_str("reading back what was acknowledged"),
        }
    }
}
