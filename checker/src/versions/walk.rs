//! One key, from version to version.

use crate::record::{Action, Expected, Operation};
use crate::text::Text;
use crate::words;

use super::Wrong;
use super::facts::{Effect, Fact, Facts, Stated};
use super::places::{Kind, Place};
use super::pool::Pool;
use super::presence::Presence;
use super::state::State;

/// What came of one key.
pub(super) struct Judged<'a> {
    /// The first thing that is wrong with its values.
    pub(super) wrong: Option<Wrong<'a>>,
    /// Why something stayed open.
    pub(super) open: Option<String>,
    /// Where its operations stand.
    pub(super) places: Vec<Place<'a>>,
}

/// Judges the values of a key.
pub(super) fn judge(facts: Facts<'_>) -> Judged<'_> {
    let Facts { stated, pool, unplaced } = facts;
    let is_clear = pool.is_clear;
    let places = stated.iter().map(place).collect();
    let mut walk = Walk { state: State::new(), last: 0, effect: None, pool, places };
    let (mut wrong, mut there) = (None, Presence::default());
    for at_version in stated.chunk_by(|one, next| one.version == next.version) {
        wrong = walk.version(at_version).err();
        if wrong.is_some() {
            break;
        }
        there.note(at_version[0].version, walk.state.is_present());
    }
    let Walk { pool, places, .. } = walk;
    // A removal of unknown outcome may have made room for it anywhere.
    if wrong.is_none() && !pool.any_removal_before(u64::MAX) {
        wrong = there.place(unplaced, &places);
    }
    // With nothing unknown the case is plain whatever the words are.
    if wrong.is_some() && !is_clear && !pool.all.is_empty() {
        let open =
            Some("its words of unknown outcome cannot be told apart, and something does not fit".to_owned());
        return Judged { wrong: None, open, places };
    }
    Judged { wrong, open: None, places }
}

fn place<'a>(stated: &Stated<'a>) -> Place<'a> {
    let kind = match stated.fact {
        Fact::Changed(_) => Kind::Change,
        Fact::Absent => Kind::Count,
        Fact::Present(_) | Fact::NotAsExpected => Kind::Key,
    };
    Place { op: stated.op, version: stated.version, kind }
}

struct Walk<'a> {
    /// The value behind the last version, if nothing of unknown outcome acted since.
    state: State<'a>,
    /// The last version of a change.
    last: u64,
    /// What that change did, if it is known.
    effect: Option<Effect<'a>>,
    pool: Pool<'a>,
    places: Vec<Place<'a>>,
}

impl<'a> Walk<'a> {
    /// All that was said of one version.
    fn version(&mut self, stated: &[Stated<'a>]) -> Result<(), Wrong<'a>> {
        let version = stated[0].version;
        if let [one, two, ..] = stated
            && two.is_change()
        {
            let what = format!("two changes carry version {version}:{}", words::operations([one.op, two.op]));
            return Err((two.op, what));
        }
        if version == 0 && stated[0].is_change() {
            let what =
                format!("a change carries version 0, before the first:{}", words::operations([stated[0].op]));
            return Err((stated[0].op, what));
        }
        self.absences(stated)?;
        let is_there = stated.iter().any(|one| matches!(one.fact, Fact::Present(_)));
        match stated[0].fact {
            Fact::Changed(effect) => {
                self.was_due(&stated[0])?;
                self.state.apply(effect);
                (self.last, self.effect) = (version, Some(effect));
            }
            _ if is_there => self.came_from_unknown(stated, version)?,
            _ => {}
        }
        stated.iter().try_for_each(|one| self.fits(one))
    }

    // An absent key answers the shard's count, which is its own version only if that removed it.
    fn absences(&self, stated: &[Stated<'a>]) -> Result<(), Wrong<'a>> {
        let Some(absent) = stated.iter().find(|one| one.fact == Fact::Absent) else { return Ok(()) };
        let contradicts = |one: &&Stated<'a>| match one.fact {
            Fact::Changed(effect) => effect != Effect::Remove,
            Fact::Present(_) => true,
            Fact::Absent | Fact::NotAsExpected => false,
        };
        match stated.iter().find(contradicts) {
            Some(other) => Err((
                absent.op,
                format!(
                    "at version {} the key is there for one and not for the other:{}",
                    absent.version,
                    words::operations([other.op, absent.op])
                ),
            )),
            None => Ok(()),
        }
    }

    /// The key has a version that no answer to a change carries.
    fn came_from_unknown(&mut self, stated: &[Stated<'a>], version: u64) -> Result<(), Wrong<'a>> {
        let by_return = |one: &&Stated<'a>| one.op.returned_ns.unwrap_or(u64::MAX);
        let first = stated.iter().min_by_key(by_return).expect("a version has a source");
        let until = by_return(&first);
        let read =
            stated.iter().find_map(|one| if let Fact::Present(value) = one.fact { value } else { None });
        (self.last, self.effect) = (version, None);
        let Some(value) = read else {
            if !self.pool.any_write_before(until) {
                let what = format!("nobody wrote version {version}:{}", words::operations([first.op]));
                return Err((first.op, what));
            }
            self.state = State::anything();
            return Ok(());
        };
        match self.pool.writer_of(value, until) {
            Ok(writer) => self.wrote(writer, version, first.op),
            Err(0) => {
                let what = format!(
                    "nobody wrote version {version} with this value:{}",
                    words::operations([first.op])
                );
                Err((first.op, what))
            }
            Err(_) => {
                self.state = State::exactly(Some(value));
                Ok(())
            }
        }
    }

    fn wrote(&mut self, writer: usize, version: u64, seen_by: &'a Operation) -> Result<(), Wrong<'a>> {
        let unknown = &mut self.pool.all[writer];
        let (op, effect) = (unknown.op, unknown.effect);
        if std::mem::replace(&mut unknown.used, true) {
            let what = format!("an operation took effect twice:{}", words::operations([op, seen_by]));
            return Err((seen_by, what));
        }
        self.places.push(Place { op, version, kind: Kind::Change });
        self.state.apply(effect);
        self.effect = Some(effect);
        Ok(())
    }

    /// Whether a change was due: what a swap expected and a delete found was there before it.
    fn was_due(&mut self, stated: &Stated<'a>) -> Result<(), Wrong<'a>> {
        let (op, until) = (stated.op, stated.op.returned_ns.unwrap_or(u64::MAX));
        match &op.action {
            Action::Delete => self.must_be_there(op, until),
            Action::Swap { expected: Expected::Absent, .. } => self.must_be_absent(op, until),
            Action::Swap { expected: Expected::Value(value), .. } => {
                self.must_be(value, stated, stated.version)
            }
            Action::Swap { expected: Expected::Version(version), .. } => {
                if self.last != *version && (self.last > *version || !self.pool.any_before(until)) {
                    let what = format!("a swap was done though the key had version {}", self.last);
                    return Err((op, format!("{what}:{}", words::operations([op]))));
                }
                self.must_be_there(op, until)
            }
            Action::Get | Action::Put { .. } | Action::Append { .. } => Ok(()),
        }
    }

    fn must_be_there(&self, op: &'a Operation, until: u64) -> Result<(), Wrong<'a>> {
        if self.state.is_present() || self.pool.any_write_before(until) {
            return Ok(());
        }
        Err((
            op,
            format!("the key was not there before version {}:{}", self.after(op), words::operations([op])),
        ))
    }

    fn must_be_absent(&mut self, op: &'a Operation, until: u64) -> Result<(), Wrong<'a>> {
        if !self.state.is_present() {
            return Ok(());
        }
        if self.pool.any_removal_before(until) {
            self.state = State::new();
            return Ok(());
        }
        let what = format!("the key was there since version {}, and nobody removed it", self.last);
        Err((op, format!("{what}:{}", words::operations([op]))))
    }

    /// The value just before `version`, or (for a read) at it.
    fn must_be(&mut self, value: &'a Text, stated: &Stated<'a>, version: u64) -> Result<(), Wrong<'a>> {
        let (op, until) = (stated.op, stated.op.returned_ns.unwrap_or(u64::MAX));
        if !self.state.is(value) {
            let Some(used) = self.state.explain(value, &self.pool, until) else {
                let what =
                    format!("at version {} the value must differ from {}", self.last, words::value(value));
                return Err((op, format!("{what}; this does not fit:{}", words::operations([op]))));
            };
            for at in used {
                self.pool.all[at].used = true;
                let op = self.pool.all[at].op;
                self.places.push(Place { op, version: version - 1, kind: Kind::AtMost });
            }
        }
        self.state = State::exactly(Some(value));
        Ok(())
    }

    /// Whether what was read, or not found, fits the value at its version.
    fn fits(&mut self, stated: &Stated<'a>) -> Result<(), Wrong<'a>> {
        let (op, until) = (stated.op, stated.op.returned_ns.unwrap_or(u64::MAX));
        match stated.fact {
            Fact::Present(None) if self.effect == Some(Effect::Remove) => {
                let what = format!("the key was removed at version {}, and was found at it", stated.version);
                Err((op, format!("{what}:{}", words::operations([op]))))
            }
            Fact::Changed(_) | Fact::Present(None) => Ok(()),
            Fact::Present(Some(value)) => self.was_left(value, stated),
            Fact::Absent => self.must_be_absent(op, until),
            Fact::NotAsExpected => self.was_not_due(stated, until),
        }
    }

    /// A value was read at the version of a change: whether the change can have left it.
    fn was_left(&mut self, value: &'a Text, stated: &Stated<'a>) -> Result<(), Wrong<'a>> {
        let ends_so = match self.effect {
            Some(Effect::Set(text)) => text == value,
            Some(Effect::Append(text)) => value.bytes().ends_with(text.bytes()),
            Some(Effect::Remove) => false,
            None => true,
        };
        if ends_so {
            return self.must_be(value, stated, stated.version);
        }
        let what = format!("the change of version {} did not leave what was read at it", stated.version);
        Err((stated.op, format!("{what}:{}", words::operations([stated.op]))))
    }

    /// A swap was not done: whether it rightly was not.
    fn was_not_due(&self, stated: &Stated<'a>, until: u64) -> Result<(), Wrong<'a>> {
        let Action::Swap { expected, .. } = &stated.op.action else { return Ok(()) };
        // At the version of a change the key is there with it, or went away with it.
        let is_at = self.last == stated.version && self.state.is_present();
        let wrong = match expected {
            Expected::Value(value) if is_at => self.state.is_known_as(value),
            Expected::Version(version) if is_at => *version == stated.version,
            // Between versions only an absent key answers.
            _ if self.state.is_present() && !is_at => !self.pool.any_before(until),
            _ => false,
        };
        if !wrong {
            return Ok(());
        }
        let what = format!("a swap was refused though the key was as expected at version {}", self.last);
        Err((stated.op, format!("{what}:{}", words::operations([stated.op]))))
    }

    fn after(&self, op: &Operation) -> u64 {
        crate::value::answer(op).and_then(|answer| answer.version).unwrap_or(self.last)
    }
}
