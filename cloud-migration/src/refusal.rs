//! A command that is not carried out: why, in words for people.

use flotilla_types::EngineError;

use crate::state::State;

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// For programs.
    pub why: Why,
    /// For people: names the field, the limit and the next step.
    pub message: String,
}

/// The kinds of [`Refusal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A field is malformed or out of range.
    Invalid,
    /// There is no such migration, group or file.
    NotFound,
    /// This migration is not over yet, and there is one at a time.
    Conflict(u64),
    /// It is over: nothing leaves a terminal state.
    Terminal(State),
    /// Somebody else has claimed it, or been assigned, since.
    Fenced,
    /// Not in this state, or not yet.
    Refused,
    /// Over a limit.
    TooMany,
}

/// Why a command ended early.
#[derive(Debug)]
pub enum Stop {
    /// It was refused.
    Refused(Refusal),
    /// The storage below failed.
    Engine(EngineError),
}

impl Refusal {
    /// A refusal.
    pub fn new(why: Why, message: impl Into<String>) -> Self {
        Self { why, message: message.into() }
    }

    /// A malformed field.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Why::Invalid, message)
    }

    /// Not in this state.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(Why::Refused, message)
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<EngineError> for Stop {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

/// Refuses as invalid unless `condition`.
pub(crate) fn ensure(condition: bool, message: impl FnOnce() -> String) -> Result<(), Refusal> {
    if condition { Ok(()) } else { Err(Refusal::invalid(message())) }
}
