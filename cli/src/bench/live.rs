//! The live line.

use std::cell::Cell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use flotilla_bench::Live;

use crate::progress::Progress;

/// Where nobody looks on, a line is enough now and then.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Shows on stderr how far a run is: one line that changes on a terminal, a line now and then elsewhere.
pub struct LiveLine {
    progress: Progress,
    terminal: bool,
    said: Cell<Instant>,
}

impl LiveLine {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            progress: Progress::steps(),
            terminal: std::io::stderr().is_terminal(),
            said: Cell::new(Instant::now()),
        }
    }

    /// Shows this.
    pub fn show(&self, what: &str, live: &Live) {
        if !self.terminal && self.said.get().elapsed() < LINE_INTERVAL {
            return;
        }
        self.said.set(Instant::now());
        self.progress.say(format!("{what}: {live}"));
    }

    /// A line that stays.
    pub fn note(&self, text: impl std::fmt::Display) {
        self.progress.note(text);
    }
}
