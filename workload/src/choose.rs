//! What a worker does next.

use std::collections::BTreeMap;

use bytes::Bytes;
use flotilla_checker::record::{Action, Answer, Expected, Operation, Outcome};

use crate::dice::Dice;
use crate::keys::Key;
use crate::plan::{Mix, Plan};

/// How many keys a worker remembers what it saw of.
const SEEN_MAX: usize = 64;

/// What a worker last saw of keys, so that some of its swaps fit.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    keys: BTreeMap<Bytes, Answer>,
}

impl Seen {
    /// Remembers what an operation told of its key.
    pub fn note(&mut self, operation: &Operation) {
        let Outcome::Ok(answer) = &operation.outcome else { return };
        let key = operation.key.0.clone();
        let told = match &operation.action {
            Action::Get => answer.clone(),
            Action::Put { value } => Answer { value: Some(value.clone()), ..answer.clone() },
            Action::Swap { new, .. } if answer.done => Answer { value: new.clone(), ..answer.clone() },
            // The value is not known now, or there is none.
            _ => {
                self.keys.remove(&key);
                return;
            }
        };
        if self.keys.len() == SEEN_MAX && !self.keys.contains_key(&key) {
            self.keys.pop_first();
        }
        self.keys.insert(key, told);
    }

    /// What a swap may expect: mostly what was last seen, by value or by version.
    fn expect(&self, key: &str, dice: &mut Dice) -> Expected {
        match self.keys.get(key.as_bytes()) {
            Some(Answer { value: Some(value), version, .. }) => match version {
                Some(version) if dice.per_mille(500) => Expected::Version(*version),
                _ => Expected::Value(value.clone()),
            },
            _ => Expected::Absent,
        }
    }
}

/// What to do with this key. `token` is unique in the run.
pub(crate) fn action(plan: &Plan, key: &Key, token: &str, seen: &Seen, dice: &mut Dice) -> Action {
    let Mix { get, put, append, delete, swap } = plan.mix;
    let weights = if key.append_only { [get, 0, append, 0, 0] } else { [get, put, append, delete, swap] };
    match draw(weights, dice) {
        0 => Action::Get,
        1 => Action::Put { value: value(plan, token, dice) },
        2 => Action::Append { value: format!("{token};").into_bytes().into() },
        3 => Action::Delete,
        _ => {
            let expected = seen.expect(&key.name, dice);
            let new = (!dice.per_mille(100)).then(|| value(plan, token, dice));
            Action::Swap { expected, new }
        }
    }
}

fn value(plan: &Plan, token: &str, dice: &mut Dice) -> flotilla_checker::record::Text {
    let length = usize::try_from(dice.within(plan.value_bytes.clone())).unwrap_or(usize::MAX);
    format!("{:.<length$};", token, length = length.saturating_sub(1)).into_bytes().into()
}

/// An index, as often as its weight says; 0 if no weight does.
fn draw(weights: [u32; 5], dice: &mut Dice) -> usize {
    let mut left = dice.below(weights.iter().map(|weight| u64::from(*weight)).sum());
    for (at, weight) in weights.into_iter().enumerate() {
        match left.checked_sub(u64::from(weight)) {
            Some(rest) => left = rest,
            None => return at,
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_decide() {
        let mut dice = Dice::new(1);
        let mut counts = [0; 5];
        for _ in 0..1000 {
            counts[draw([1, 0, 3, 0, 0], &mut dice)] += 1;
        }
        assert_eq!(counts[0] + counts[2], 1000);
        assert!((200..300).contains(&counts[0]), "{counts:?}");
        assert_eq!(draw([0; 5], &mut dice), 0);
    }

    #[test]
    fn values_are_as_long_as_wanted_and_hold_their_token() {
        let plan = Plan { value_bytes: 40..41, ..Plan::default() };
        let text = value(&plan, "7.1", &mut Dice::new(1));
        assert_eq!(text.bytes().len(), 40);
        assert!(text.bytes().starts_with(b"7.1."));
        let short = Plan { value_bytes: 0..1, ..Plan::default() };
        assert_eq!(value(&short, "7.1", &mut Dice::new(1)).bytes(), b"7.1;");
    }
}
