//! Records of runs, the checkers that judge them, invariants, and the report page.

#[cfg(test)]
mod differential;
pub mod generate;
pub mod invariants;
mod judge;
mod keys;
mod porcupine;
pub mod read;
pub mod record;
pub mod recorded;
pub mod report;
mod search;
pub mod sometimes;
pub mod text;
mod tokens;
mod value;
mod verdict;
mod versions;
pub mod words;

pub use judge::{Verdicts, judge, judge_within};
pub use verdict::{Limits, Verdict};
