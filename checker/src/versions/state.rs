//! The value of a key at some version, as far as it is known, and what can have become of it since.

use crate::text::Text;

use super::facts::Effect;
use super::pool::Pool;

/// What was there when it was last certain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Base<'a> {
    Absent,
    Is(&'a [u8]),
    /// It was there; nobody read it.
    Any,
}

/// The value: what was certain once, and the acknowledged appends since.
#[derive(Clone, Debug)]
pub(super) struct State<'a> {
    base: Base<'a>,
    appended: Vec<&'a [u8]>,
}

impl<'a> State<'a> {
    /// A key that was never written.
    pub(super) fn new() -> Self {
        Self { base: Base::Absent, appended: Vec::new() }
    }

    /// Something is there that nobody has read.
    pub(super) fn anything() -> Self {
        Self { base: Base::Any, appended: Vec::new() }
    }

    /// Exactly this is there, or nothing.
    pub(super) fn exactly(value: Option<&'a Text>) -> Self {
        Self { base: value.map_or(Base::Absent, |text| Base::Is(text.bytes())), appended: Vec::new() }
    }

    /// The state after a change.
    pub(super) fn apply(&mut self, effect: Effect<'a>) {
        match effect {
            Effect::Set(text) => *self = Self::exactly(Some(text)),
            Effect::Append(text) => self.appended.push(text.bytes()),
            Effect::Remove => *self = Self::new(),
        }
    }

    /// Whether the key is there if nothing of unknown outcome acted.
    pub(super) fn is_present(&self) -> bool {
        self.base != Base::Absent || !self.appended.is_empty()
    }

    /// Whether it is certain to be this value if nothing of unknown outcome acted.
    pub(super) fn is_known_as(&self, value: &Text) -> bool {
        self.base != Base::Any && self.is(value)
    }

    /// Whether this is the value if nothing of unknown outcome acted.
    pub(super) fn is(&self, value: &Text) -> bool {
        if !self.is_present() {
            return false;
        }
        let mut rest = value.bytes();
        for token in self.appended.iter().rev() {
            let Some(before) = rest.strip_suffix(*token) else { return false };
            rest = before;
        }
        match self.base {
            Base::Absent => rest.is_empty(),
            Base::Is(bytes) => rest == bytes,
            Base::Any => true,
        }
    }

    /// Which operations of unknown outcome, called before this moment, make this value of it; none: no such are there.
    pub(super) fn explain(&self, value: &Text, pool: &Pool<'a>, until: u64) -> Option<Vec<usize>> {
        self.starts(value.bytes(), pool, until)
            .into_iter()
            .find_map(|start| self.parse(&value.bytes()[start.at..], start, pool, until))
            // An empty value is no missing key: somebody wrote it.
            .filter(|used| !used.is_empty() || !value.bytes().is_empty())
    }

    /// Where the appends may begin: behind the old value, behind one put anew, or at nothing after a removal.
    fn starts(&self, value: &[u8], pool: &Pool<'a>, until: u64) -> Vec<Start> {
        let mut starts = Vec::new();
        match self.base {
            Base::Is(bytes) if value.starts_with(bytes) => {
                starts.push(Start { at: bytes.len(), by: None, was_reset: false });
            }
            Base::Absent => starts.push(Start { at: 0, by: None, was_reset: false }),
            _ => {}
        }
        for (by, one) in pool.before(until) {
            match one.effect {
                Effect::Set(text) if value.starts_with(text.bytes()) => {
                    starts.push(Start { at: text.bytes().len(), by: Some(by), was_reset: true });
                }
                Effect::Remove => starts.push(Start { at: 0, by: None, was_reset: true }),
                _ => {}
            }
        }
        starts
    }

    /// Reads the rest as appends: the acknowledged ones in their order, others between them. After a reset, the
    /// acknowledged ones before it are gone.
    fn parse(&self, mut rest: &[u8], start: Start, pool: &Pool<'a>, until: u64) -> Option<Vec<usize>> {
        let mut used: Vec<usize> = start.by.into_iter().collect();
        let mut next = if start.was_reset { None } else { Some(0) };
        while !rest.is_empty() {
            if let Some((at, after)) = self.known(next, rest) {
                next = Some(at + 1);
                rest = after;
                continue;
            }
            let token = |effect: Effect<'a>| match effect {
                Effect::Append(text) => Some(text.bytes()),
                _ => None,
            };
            let mut free = pool.before(until).filter(|(at, _)| !used.contains(at));
            let (at, after) =
                free.find_map(|(at, one)| Some((at, rest.strip_prefix(token(one.effect)?)?)))?;
            used.push(at);
            rest = after;
        }
        let is_complete =
            next.map_or(start.was_reset || self.appended.is_empty(), |at| at == self.appended.len());
        is_complete.then_some(used)
    }

    /// The acknowledged append that the rest begins with, if it is the next one (none yet: whichever it is).
    fn known<'v>(&self, next: Option<usize>, rest: &'v [u8]) -> Option<(usize, &'v [u8])> {
        let one = |at: usize| Some((at, rest.strip_prefix(*self.appended.get(at)?)?));
        match next {
            Some(at) => one(at),
            None => (0..self.appended.len()).find_map(one),
        }
    }
}

/// A place where the appends may begin.
#[derive(Clone, Copy, Debug)]
struct Start {
    at: usize,
    /// The operation of unknown outcome that put what stands before it.
    by: Option<usize>,
    was_reset: bool,
}
