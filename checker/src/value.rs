//! One key as its clients see it: a value or nothing, and what each operation makes of it.
//!
//! This is the whole of what the searching checkers know. Versions are none of it: of a swap that expects a version
//! only its effect is judged, not whether it was due.

use bytes::Bytes;

use crate::record::{Action, Answer, Expected, Operation, Outcome};
use crate::text::Text;

/// A key's value; none: no such key.
pub(crate) type Value = Option<Bytes>;

/// The value after an action, if this answer to it (none: it is not known) fits the value before.
pub(crate) fn step(action: &Action, answer: Option<&Answer>, value: &Value) -> Option<Value> {
    match action {
        Action::Get => {
            let fits =
                answer.is_none_or(|answer| answer.value.as_ref().map(|text| &text.0) == value.as_ref());
            fits.then(|| value.clone())
        }
        Action::Put { value: new } => Some(Some(new.0.clone())),
        Action::Append { value: suffix } => {
            let old = value.as_deref().unwrap_or_default();
            Some(Some(Bytes::from([old, suffix.bytes()].concat())))
        }
        Action::Delete => answer.is_none_or(|answer| answer.done == value.is_some()).then_some(None),
        Action::Swap { expected, new } => swap(expected, new.as_ref(), answer, value),
    }
}

fn swap(expected: &Expected, new: Option<&Text>, answer: Option<&Answer>, value: &Value) -> Option<Value> {
    let done = answer.map(|answer| answer.done);
    let fits = match expected {
        Expected::Absent => value.is_none(),
        Expected::Value(text) => value.as_ref() == Some(&text.0),
        // Only a key that is there has a version of its own; whether it was this one, the value does not say.
        Expected::Version(_) => value.is_some() && done != Some(false),
    };
    let after = if fits { new.map(|text| text.0.clone()) } else { value.clone() };
    done.is_none_or(|done| done == fits).then_some(after)
}

/// What an operation was answered, if it was.
pub(crate) fn answer(op: &Operation) -> Option<&Answer> {
    match &op.outcome {
        Outcome::Ok(answer) => Some(answer),
        Outcome::Fail { .. } | Outcome::Unknown { .. } => None,
    }
}

/// Whether an operation says anything of the value: a read without an answer does not, nor does what was not done.
pub(crate) fn says_something(op: &Operation) -> bool {
    match &op.outcome {
        Outcome::Ok(_) => true,
        Outcome::Fail { .. } => false,
        Outcome::Unknown { .. } => op.action != Action::Get,
    }
}

/// The bytes that an operation brings into the value, if it acts.
pub(crate) fn written(action: &Action) -> Option<&Text> {
    match action {
        Action::Put { value } | Action::Append { value } => Some(value),
        Action::Swap { new, .. } => new.as_ref(),
        Action::Get | Action::Delete => None,
    }
}
