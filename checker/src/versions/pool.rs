//! The operations of unknown outcome on one key: what may have happened besides what was answered.

use crate::record::Operation;
use crate::text::Text;

use super::facts::Effect;

/// An operation of unknown outcome.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unknown<'a> {
    pub(super) op: &'a Operation,
    pub(super) effect: Effect<'a>,
    /// It has been seen to act, so it cannot act again.
    pub(super) used: bool,
}

/// Those of one key.
pub(super) struct Pool<'a> {
    pub(super) all: Vec<Unknown<'a>>,
    /// Whether each written word says who wrote it.
    pub(super) is_clear: bool,
}

impl<'a> Pool<'a> {
    pub(super) fn of(
        unknown: Vec<(&'a Operation, Effect<'a>)>,
        appended: impl Iterator<Item = &'a Text>,
    ) -> Self {
        let is_clear = unknown.is_empty() || are_clear(&unknown, appended);
        let all = unknown.into_iter().map(|(op, effect)| Unknown { op, effect, used: false }).collect();
        Self { all, is_clear }
    }

    /// Those that may still act, and were called before this moment.
    pub(super) fn before(&self, until: u64) -> impl Iterator<Item = (usize, &Unknown<'a>)> {
        self.all.iter().enumerate().filter(move |(_, one)| !one.used && one.op.called_ns <= until)
    }

    /// Whether any may have acted before this moment.
    pub(super) fn any_before(&self, until: u64) -> bool {
        self.before(until).next().is_some()
    }

    /// Whether one that removes the key may have acted before this moment.
    pub(super) fn any_removal_before(&self, until: u64) -> bool {
        self.before(until).any(|(_, one)| one.effect == Effect::Remove)
    }

    /// Whether one that leaves the key there may have acted before this moment.
    pub(super) fn any_write_before(&self, until: u64) -> bool {
        self.before(until).any(|(_, one)| one.effect != Effect::Remove)
    }

    /// The only one that can have left this value, used or not; an error counts how many could.
    pub(super) fn writer_of(&self, value: &Text, until: u64) -> Result<usize, usize> {
        let could = |one: &Unknown| match one.effect {
            Effect::Set(text) => text == value,
            Effect::Append(text) => value.bytes().ends_with(text.bytes()),
            Effect::Remove => false,
        };
        let early = self.all.iter().enumerate().filter(|(_, one)| one.op.called_ns <= until);
        let found: Vec<usize> = early.filter(|(_, one)| could(one)).map(|(at, _)| at).collect();
        if let [only] = found[..] { Ok(only) } else { Err(found.len()) }
    }
}

/// No written word is there twice, no appended one begins another, and no other one ends like an appended one.
fn are_clear<'a>(unknown: &[(&Operation, Effect<'a>)], appended: impl Iterator<Item = &'a Text>) -> bool {
    let (mut set, mut tokens) = (Vec::new(), Vec::new());
    for (_, effect) in unknown {
        match effect {
            Effect::Set(text) => set.push(text.bytes()),
            Effect::Append(text) => tokens.push(text.bytes()),
            Effect::Remove => {}
        }
    }
    if set.iter().any(|word| tokens.iter().any(|token| word.ends_with(token))) {
        return false;
    }
    tokens.extend(appended.map(Text::bytes));
    set.sort_unstable();
    tokens.sort_unstable();
    set.windows(2).all(|pair| pair[0] != pair[1])
        && tokens.windows(2).all(|pair| !pair[1].starts_with(pair[0]))
        && tokens.first().is_none_or(|token| !token.is_empty())
}
