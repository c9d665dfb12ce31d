//! What was checked, and what was wrong.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// The first complaints tell what is wrong; thousands more tell nothing new.
const KEPT_MAX: usize = 10;

/// Counts checks and keeps the first complaints.
#[derive(Debug, Default)]
pub struct Complaints {
    checks: AtomicU64,
    count: AtomicU64,
    first: Mutex<Vec<String>>,
}

impl Complaints {
    /// One more thing was looked at.
    pub fn checked(&self) {
        self.checks.fetch_add(1, Ordering::Relaxed);
    }

    /// It was wrong.
    pub fn add(&self, what: impl Display) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let mut first = self.first.lock();
        if first.len() < KEPT_MAX {
            first.push(what.to_string());
        }
    }

    /// How many checks there were.
    pub fn checks(&self) -> u64 {
        self.checks.load(Ordering::Relaxed)
    }

    /// How many complaints there were.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// The first of them.
    pub fn first(&self) -> Vec<String> {
        self.first.lock().clone()
    }
}
