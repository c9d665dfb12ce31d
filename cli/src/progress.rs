//! How far something is: a bar or a spinner where somebody looks on, a line now and then where not.

use std::cell::{Cell, RefCell};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::output;

/// How often a bar that nobody sees prints a line instead.
const LINE_INTERVAL: Duration = Duration::from_secs(10);
/// How often a spinner turns by itself.
const TICK: Duration = Duration::from_millis(120);

/// Progress on stderr.
pub struct Progress {
    bar: ProgressBar,
    terminal: bool,
    /// When the last line was printed, where there is no terminal.
    printed: Cell<Instant>,
    message: RefCell<String>,
}

impl Progress {
    /// A bar over bytes, with their rate; without a total, a counter.
    pub fn bytes(total: Option<u64>) -> Self {
        let template = match total {
            Some(_) => "{bar:30} {percent:>3} %  {bytes}/{total_bytes}  {bytes_per_sec}  eta {eta}  {msg}",
            None => "{spinner} {bytes}  {bytes_per_sec}  {msg}",
        };
        Self::new(ProgressBar::new(total.unwrap_or(0)), template)
    }

    /// A bar over things, with their rate; without a total, a counter.
    pub fn count(total: Option<u64>) -> Self {
        let template = match total {
            Some(_) => "{bar:30} {percent:>3} %  {human_pos}/{human_len}  {per_sec}  eta {eta}  {msg}",
            None => "{spinner} {human_pos}  {per_sec}  {msg}",
        };
        Self::new(ProgressBar::new(total.unwrap_or(0)), template)
    }

    /// A spinner that says what is being waited for.
    pub fn steps() -> Self {
        let progress = Self::new(ProgressBar::new_spinner(), "{spinner} {msg}  ({elapsed})");
        if progress.terminal {
            progress.bar.enable_steady_tick(TICK);
        }
        progress
    }

    fn new(bar: ProgressBar, template: &str) -> Self {
        bar.set_style(ProgressStyle::with_template(template).expect("the templates above are well formed"));
        let terminal = std::io::stderr().is_terminal();
        Self { bar, terminal, printed: Cell::new(Instant::now()), message: RefCell::default() }
    }

    /// So much more is done.
    pub fn advance(&self, by: u64) {
        self.bar.inc(by);
        if !self.terminal && self.printed.get().elapsed() >= LINE_INTERVAL {
            self.printed.set(Instant::now());
            let of = self.bar.length().filter(|total| *total > 0).map(|total| format!(" of {total}"));
            output::note(format_args!(
                "{}{} {}",
                self.bar.position(),
                of.unwrap_or_default(),
                self.bar.message()
            ));
        }
    }

    /// Says what is going on. Without a terminal, a line for each new message.
    pub fn say(&self, message: impl Into<String>) {
        let message = message.into();
        if *self.message.borrow() == message {
            return;
        }
        if !self.terminal {
            output::note(&message);
        }
        self.bar.set_message(message.clone());
        self.message.replace(message);
    }

    /// Says what comes with each number; without a terminal, only together with the numbers.
    pub fn label(&self, message: impl Into<String>) {
        self.bar.set_message(message.into());
    }

    /// A line that stays, above the bar.
    pub fn note(&self, text: impl std::fmt::Display) {
        self.bar.suspend(|| output::note(text));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
