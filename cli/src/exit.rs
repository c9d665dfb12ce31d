//! How a command ends: the exit code, and the words on stderr.

use std::error::Error;
use std::fmt;

use flotilla_client::{ClientError, Kind};

use crate::output::{self, StdoutError};

/// Exit codes other than 0. Scripts lean on them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    /// The answer is no, or something went wrong.
    No = 1,
    /// The command line, a setting or the input makes no sense.
    Misuse = 2,
    /// Nobody answered before the deadline.
    Unreachable = 3,
}

/// An error that knows its exit code.
#[derive(Debug)]
pub struct Failure {
    code: Code,
    message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {}

/// The answer is no: exit code 1.
pub fn no(message: impl Into<String>) -> anyhow::Error {
    Failure { code: Code::No, message: message.into() }.into()
}

/// The answer is no, and has been given already: exit code 1 without a word.
pub fn told_no() -> anyhow::Error {
    no("")
}

/// What was asked makes no sense: exit code 2.
pub fn misuse(message: impl Into<String>) -> anyhow::Error {
    Failure { code: Code::Misuse, message: message.into() }.into()
}

/// Nobody answered in time: exit code 3.
pub fn unreachable(message: impl Into<String>) -> anyhow::Error {
    Failure { code: Code::Unreachable, message: message.into() }.into()
}

/// Says on stderr what went wrong and gives the exit code. A reader of our stdout that has gone is no error.
pub fn report(error: &anyhow::Error) -> u8 {
    if error.chain().any(|cause| cause.downcast_ref().is_some_and(StdoutError::is_broken_pipe)) {
        return 0;
    }
    let words = words(error);
    if !words.is_empty() {
        output::note(format_args!("error: {words}"));
    }
    code_of(error) as u8
}

/// Ends the process without running the exit handlers of the C++ below: a connection that was cut may still hold a
/// database open, and RocksDB's threads must not outlive the statics that they use (the process would die of SIGABRT).
/// What was acknowledged is on disk long before.
pub fn at_once(code: u8) -> ! {
    // If nobody reads our stdout any more, nothing is lost.
    let _ = std::io::Write::flush(&mut std::io::stdout());
    signal_hook::low_level::exit(code.into())
}

fn code_of(error: &anyhow::Error) -> Code {
    let of_failure = |cause: &&(dyn Error + 'static)| cause.downcast_ref().map(|f: &Failure| f.code);
    let of_client = |cause: &&(dyn Error + 'static)| cause.downcast_ref().map(code_of_client);
    error.chain().find_map(|cause| of_failure(&cause).or_else(|| of_client(&cause))).unwrap_or(Code::No)
}

fn code_of_client(error: &ClientError) -> Code {
    use flotilla_proto::{ctrl_v1, kv_v1};
    match error.kind() {
        Kind::Invalid | Kind::Admin(ctrl_v1::Code::Invalid) => Code::Misuse,
        Kind::Refused(kv_v1::Code::Invalid | kv_v1::Code::TooLarge) => Code::Misuse,
        Kind::Unreachable | Kind::Timeout | Kind::Unknown | Kind::NotFlotilla => Code::Unreachable,
        _ => Code::No,
    }
}

/// The error and its causes in one line, leaving out a cause that the words before it already hold.
pub fn words(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let next = cause.to_string();
        if text.is_empty() {
            text = next;
        } else if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn the_code_survives_context() {
        let error = Err::<(), _>(misuse("shard x is no number")).context("ctl move").unwrap_err();
        assert_eq!(code_of(&error), Code::Misuse);
        assert_eq!(words(&error), "ctl move: shard x is no number");
        assert_eq!(code_of(&anyhow::anyhow!("disk full")), Code::No);
    }
}
