//! The append oracle: what appenders were promised, and whether a value keeps the promises.
//!
//! Each appender writes unique tokens to a key of its own, one at a time, and notes what became of each. The value
//! must then hold every acknowledged token exactly once and in order, a token of unknown outcome at most once and
//! not before what was acknowledged when it was sent, and no token that was definitely refused.
//!
//! It does not check reads made under way, nor keys that several clients write: the checkers of histories do
//! (`flotilla_checker`), on the operations of [`crate::load::Sharers`].

use std::collections::BTreeMap;

/// Ends every token in a value.
const END: u8 = b';';

/// What an appender knows of one append.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Acknowledged: it is there, once.
    Acked,
    /// No answer, or one that does not tell: it may be there, once.
    Unknown,
    /// Definitely refused: it is not there.
    Refused,
}

/// One append.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// What was appended, without the mark that ends it.
    pub token: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// Everything one appender did to its key, in order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct History {
    /// The appends, in the order of their sending.
    pub attempts: Vec<Attempt>,
}

impl History {
    /// Notes what became of an append.
    pub fn note(&mut self, token: String, outcome: Outcome) {
        self.attempts.push(Attempt { token, outcome });
    }

    /// How many appends ended in this way.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.attempts.iter().filter(|attempt| attempt.outcome == outcome).count()
    }

    /// Whether `value` keeps every promise made.
    pub fn verdict(&self, value: &[u8]) -> Result<(), String> {
        let found = positions(value)?;
        self.nothing_foreign(&found)?;
        // The place in the value of the latest acknowledged token so far.
        let mut acked_up_to = None;
        for Attempt { token, outcome } in &self.attempts {
            let place = found.get(&token[..]).copied();
            match (outcome, place) {
                (Outcome::Acked, None) => return Err(format!("{token} was acknowledged and is not there")),
                (Outcome::Refused, Some(_)) => return Err(format!("{token} was refused and is there")),
                (_, Some(place)) if acked_up_to.is_some_and(|acked| place < acked) => {
                    return Err(format!("{token} stands before a token acknowledged earlier"));
                }
                (Outcome::Acked, Some(_)) => acked_up_to = place,
                (Outcome::Unknown, _) | (Outcome::Refused, None) => {}
            }
        }
        Ok(())
    }

    fn nothing_foreign(&self, found: &BTreeMap<&str, usize>) -> Result<(), String> {
        let ours = |token: &&str| self.attempts.iter().any(|attempt| attempt.token == *token);
        match found.keys().find(|token| !ours(token)) {
            Some(token) => Err(format!("{token} was never appended to this key")),
            None => Ok(()),
        }
    }
}

/// A token as it is sent.
pub fn sent(token: &str) -> Vec<u8> {
    let mut bytes = token.as_bytes().to_vec();
    bytes.push(END);
    bytes
}

/// Where each token of a value stands; a token that is there twice, or torn, is an error.
fn positions(value: &[u8]) -> Result<BTreeMap<&str, usize>, String> {
    let text = std::str::from_utf8(value).map_err(|error| format!("the value is not text: {error}"))?;
    let mut found = BTreeMap::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (token, after) = rest.split_once(char::from(END)).ok_or(format!("a torn token: {rest:?}"))?;
        if found.insert(token, found.len()).is_some() {
            return Err(format!("{token} is there twice"));
        }
        rest = after;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Outcome::{Acked, Refused, Unknown};

    fn history(outcomes: &[Outcome]) -> History {
        let mut history = History::default();
        for (at, outcome) in outcomes.iter().enumerate() {
            history.note(format!("t{at}"), *outcome);
        }
        history
    }

    fn complaint(outcomes: &[Outcome], value: &str) -> String {
        history(outcomes).verdict(value.as_bytes()).expect_err("a broken history")
    }

    #[test]
    fn honest_histories_pass() {
        assert_eq!(history(&[]).verdict(b""), Ok(()));
        assert_eq!(history(&[Acked, Refused, Acked]).verdict(b"t0;t2;"), Ok(()));
        assert_eq!(history(&[Acked, Unknown, Acked]).verdict(b"t0;t2;"), Ok(()), "it was lost");
        assert_eq!(history(&[Acked, Unknown, Acked]).verdict(b"t0;t1;t2;"), Ok(()), "it was applied");
        assert_eq!(history(&[Acked, Unknown, Acked]).verdict(b"t0;t2;t1;"), Ok(()), "it came late");
    }

    #[test]
    fn saboteurs_are_flagged() {
        assert!(complaint(&[Acked, Acked], "t0;").contains("t1 was acknowledged and is not there"));
        assert!(complaint(&[Acked], "t0;t0;").contains("twice"));
        assert!(complaint(&[Acked, Unknown, Acked], "t0;t1;t2;t1;").contains("twice"));
        assert!(complaint(&[Acked, Acked], "t1;t0;").contains("stands before"));
        assert!(complaint(&[Acked, Unknown], "t1;t0;").contains("stands before"));
        assert!(complaint(&[Acked, Refused], "t0;t1;").contains("was refused and is there"));
        assert!(complaint(&[Acked], "t0;x9;").contains("never appended"));
        assert!(complaint(&[Acked], "t0").contains("torn"));
        assert!(history(&[]).verdict(b"\xff;").expect_err("not text").contains("not text"));
    }

    #[test]
    fn outcomes_are_counted() {
        assert_eq!(history(&[Acked, Acked, Unknown]).count(Acked), 2);
        assert_eq!(sent("t0"), b"t0;");
    }
}
