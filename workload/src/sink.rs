//! Where a record's lines go.

use std::sync::{Mutex, PoisonError};

use flotilla_checker::record::Line;

/// Takes the lines of a record. Called from many tasks, and never waited for: it must not block for long.
pub trait Sink: Send + Sync + 'static {
    /// Takes one line.
    fn put(&self, line: Line);
}

impl<F: Fn(Line) + Send + Sync + 'static> Sink for F {
    fn put(&self, line: Line) {
        self(line);
    }
}

/// Keeps the lines in memory, in the order in which they came.
#[derive(Debug, Default)]
pub struct Memory {
    lines: Mutex<Vec<Line>>,
}

impl Memory {
    /// What there is so far; it is gone from here.
    pub fn take(&self) -> Vec<Line> {
        std::mem::take(&mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Sink for Memory {
    fn put(&self, line: Line) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}
