//! How far a migration is. One match says which state may follow which.

use std::fmt;
use std::str::FromStr;

/// How far a migration is.
///
/// ```text
/// init --> setup --> dump --> upload --> done
///   \________\________\_________\-----> error
///   \________\________\_________\-----> cancelled
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum State {
    /// The record exists; nobody has begun.
    Init = 0,
    /// Moves are drained, the configuration is pinned, the groups are being frozen.
    Setup = 1,
    /// The groups write their shards, as of the freeze, into files.
    Dump = 2,
    /// The nodes send their files to the object store.
    Upload = 3,
    /// The manifest is written and the target has acknowledged it. Terminal.
    Done = 4,
    /// It cannot go on, and the record says why. Terminal.
    Error = 5,
    /// Somebody called it off. Terminal.
    Cancelled = 6,
}

/// What may become of a migration that is asked to go from one state to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The next state.
    Forward,
    /// The same state again: progress within it, or a retried command. Nothing to change.
    Repeat,
    /// States only go forward, and one at a time.
    Backward,
    /// Nothing leaves a terminal state, not even towards itself.
    Terminal,
}

impl State {
    /// Every state, in the order of a migration that goes well, then the two ways it can end badly.
    pub const ALL: [State; 7] =
        [State::Init, State::Setup, State::Dump, State::Upload, State::Done, State::Error, State::Cancelled];

    /// Whether nothing can follow.
    pub const fn is_terminal(self) -> bool {
        matches!(self, State::Done | State::Error | State::Cancelled)
    }

    /// What going from `self` to `next` means: the whole table of legal transitions.
    pub const fn step(self, next: State) -> Step {
        use State::{Cancelled, Done, Dump, Error, Init, Setup, Upload};
        match (self, next) {
            (Done | Error | Cancelled, _) => Step::Terminal,
            (Init, Setup) | (Setup, Dump) | (Dump, Upload) | (Upload, Done) => Step::Forward,
            (_, Error | Cancelled) => Step::Forward,
            (Init, Init) | (Setup, Setup) | (Dump, Dump) | (Upload, Upload) => Step::Repeat,
            _ => Step::Backward,
        }
    }

    /// The name that people, the wire and the metrics use.
    pub const fn name(self) -> &'static str {
        match self {
            State::Init => "init",
            State::Setup => "setup",
            State::Dump => "dump",
            State::Upload => "upload",
            State::Done => "done",
            State::Error => "error",
            State::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that names no state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownState(String);

impl fmt::Display for UnknownState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = State::ALL.map(State::name).join(", ");
        write!(f, "unknown migration state {:?}: expected one of {names}", self.0)
    }
}

impl std::error::Error for UnknownState {}

impl FromStr for State {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|state| state.name() == text);
        known.ok_or_else(|| UnknownState(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_a_terminal_state() {
        for from in State::ALL.into_iter().filter(|state| state.is_terminal()) {
            for to in State::ALL {
                assert_eq!(from.step(to), Step::Terminal, "{from} -> {to}");
            }
        }
    }

    #[test]
    fn a_migration_that_goes_well_passes_every_state_once() {
        let well = &State::ALL[..5];
        for (i, from) in well.iter().enumerate() {
            for (j, to) in well.iter().enumerate().filter(|_| !from.is_terminal()) {
                let expected = match j.cast_signed() - i.cast_signed() {
                    0 => Step::Repeat,
                    1 => Step::Forward,
                    _ => Step::Backward,
                };
                assert_eq!(from.step(*to), expected, "{from} -> {to}");
            }
        }
    }

    #[test]
    fn every_living_state_can_fail_and_can_be_cancelled() {
        for from in State::ALL.into_iter().filter(|state| !state.is_terminal()) {
            assert_eq!(from.step(State::Error), Step::Forward, "{from}");
            assert_eq!(from.step(State::Cancelled), Step::Forward, "{from}");
        }
    }

    #[test]
    fn names_round_trip_and_other_words_are_refused_with_the_list() {
        for state in State::ALL {
            assert_eq!(state.name().parse(), Ok(state));
        }
        let refused = "paused".parse::<State>().expect_err("no such state").to_string();
        assert!(refused.contains("paused") && refused.contains("cancelled"), "{refused}");
    }
}
