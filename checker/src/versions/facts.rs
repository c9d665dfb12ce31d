//! What the answers on one key say, each at its version.

use crate::record::{Action, Answer, Expected, Operation, Outcome};
use crate::text::Text;

use super::pool::Pool;

/// What a change makes of the value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Effect<'a> {
    /// It becomes this.
    Set(&'a Text),
    /// This is added to its end.
    Append(&'a Text),
    /// It goes away.
    Remove,
}

/// What an answer says of the key at its version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fact<'a> {
    /// It was changed, giving it this version.
    Changed(Effect<'a>),
    /// It was there, with this value if it was read.
    Present(Option<&'a Text>),
    /// It was not there when its shard had counted this far.
    Absent,
    /// A swap did not find what it expected: either of the two above.
    NotAsExpected,
}

/// A fact with its version and its source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stated<'a> {
    pub(super) version: u64,
    pub(super) fact: Fact<'a>,
    pub(super) op: &'a Operation,
}

/// Everything known of one key.
pub(super) struct Facts<'a> {
    /// By version; at equal versions the change first.
    pub(super) stated: Vec<Stated<'a>>,
    /// Operations of unknown outcome that may have changed it.
    pub(super) pool: Pool<'a>,
    /// Deletes that found nothing, which carry no version.
    pub(super) unplaced: Vec<&'a Operation>,
}

impl<'a> Facts<'a> {
    /// None if a change has no version, so that its place is not known.
    pub(super) fn of(operations: &[&'a Operation]) -> Option<Self> {
        let (mut stated, mut unknown, mut unplaced) =
            (Vec::with_capacity(operations.len()), Vec::new(), Vec::new());
        for op in operations.iter().copied() {
            match &op.outcome {
                Outcome::Fail { .. } => {}
                Outcome::Unknown { .. } => unknown.extend(effect(&op.action).map(|effect| (op, effect))),
                Outcome::Ok(answer) => {
                    let fact = fact(&op.action, answer);
                    match (fact, answer.version) {
                        (Some(fact), Some(version)) => stated.push(Stated { version, fact, op }),
                        (Some(Fact::Changed(_)), None) => return None,
                        (Some(Fact::Absent), None) => unplaced.push(op),
                        _ => {}
                    }
                }
            }
        }
        stated.sort_by_key(|stated| (stated.version, !stated.is_change()));
        let appended = |stated: &Stated<'a>| match stated.fact {
            Fact::Changed(Effect::Append(text)) => Some(text),
            _ => None,
        };
        let pool = Pool::of(unknown, stated.iter().filter_map(appended));
        Some(Self { stated, pool, unplaced })
    }
}

impl Stated<'_> {
    pub(super) fn is_change(&self) -> bool {
        matches!(self.fact, Fact::Changed(_))
    }
}

fn fact<'a>(action: &'a Action, answer: &'a Answer) -> Option<Fact<'a>> {
    Some(match action {
        Action::Get => answer.value.as_ref().map_or(Fact::Absent, |value| Fact::Present(Some(value))),
        Action::Delete if !answer.done => Fact::Absent,
        Action::Swap { expected: Expected::Absent, .. } if !answer.done => Fact::Present(None),
        Action::Swap { .. } if !answer.done => Fact::NotAsExpected,
        _ => effect(action).map_or(Fact::Absent, Fact::Changed),
    })
}

/// What an action changes when it acts; none: nothing.
fn effect(action: &Action) -> Option<Effect<'_>> {
    match action {
        Action::Get | Action::Swap { expected: Expected::Absent, new: None } => None,
        Action::Put { value } => Some(Effect::Set(value)),
        Action::Append { value } => Some(Effect::Append(value)),
        Action::Delete => Some(Effect::Remove),
        Action::Swap { new, .. } => Some(new.as_ref().map_or(Effect::Remove, Effect::Set)),
    }
}
