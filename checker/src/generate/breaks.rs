//! Ways to break a promise.

use crate::record::{Action, Answer, Expected};
use crate::text::Text;

use super::store::{Past, Store, fits};

/// One way.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Break {
    /// A read answers what was there before an acknowledged change.
    StaleRead,
    /// An append starts from the value before an acknowledged append, which is gone with it.
    LostUpdate,
    /// A write is acknowledged and forgotten, and its number is given to the next.
    LostWrite,
    /// An append is applied twice.
    DuplicatedAppend,
    /// An append of unknown outcome is applied twice, with time between.
    RetriedAppend,
    /// A key is back that was removed.
    ResurrectedDelete,
    /// A write that was said not to have been done is done.
    FailedWriteActs,
    /// A swap is done on a value that is no longer there.
    ReorderedSwap,
    /// A swap is refused though the key is as expected.
    RefusedSwap,
    /// The shard's counter goes back; no value is wrong.
    VersionBack,
    /// Another group answers for the shard at the same configuration; no value is wrong.
    TwoOwners,
    /// An answer names an older configuration than one before it; no value is wrong.
    ConfigBack,
}

impl Break {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::StaleRead,
        Self::LostUpdate,
        Self::LostWrite,
        Self::DuplicatedAppend,
        Self::RetriedAppend,
        Self::ResurrectedDelete,
        Self::FailedWriteActs,
        Self::ReorderedSwap,
        Self::RefusedSwap,
        Self::VersionBack,
        Self::TwoOwners,
        Self::ConfigBack,
    ];

    /// Whether only numbers are wrong, so that who looks at values alone cannot see it.
    pub fn is_of_numbers(self) -> bool {
        matches!(self, Self::VersionBack | Self::TwoOwners | Self::ConfigBack)
    }
}

/// What will be heard of an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// Its answer.
    Answered,
    /// That it was not done.
    Failed,
    /// Nothing.
    Unknown,
}

/// An operation on its way.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) key: Text,
    pub(super) action: Action,
    pub(super) called_ns: u64,
    pub(super) settles_ns: u64,
    pub(super) fate: Fate,
}

impl Store {
    /// Acts wrongly, if this operation gives an occasion.
    pub(super) fn act_wrongly(&mut self, how: Break, asked: &Asked) -> Option<Answer> {
        let fate = match how {
            Break::FailedWriteActs => Fate::Failed,
            Break::RetriedAppend => Fate::Unknown,
            _ => Fate::Answered,
        };
        if asked.fate != fate {
            return None;
        }
        match how {
            Break::StaleRead => self.stale_read(asked),
            Break::LostUpdate => self.lost_update(asked),
            Break::LostWrite => self.lost_write(asked),
            Break::DuplicatedAppend => self.duplicated_append(asked),
            Break::RetriedAppend => self.duplicated_append(asked),
            Break::ResurrectedDelete => self.resurrected_delete(asked),
            Break::FailedWriteActs => self.failed_write_acts(asked),
            Break::ReorderedSwap => self.reordered_swap(asked),
            Break::RefusedSwap => self.refused_swap(asked),
            Break::VersionBack => self.version_back(asked),
            Break::TwoOwners | Break::ConfigBack => self.false_signature(how, asked),
        }
    }

    /// The two latest states of a key, if the latest was settled before the call.
    fn last_two(&self, asked: &Asked) -> Option<(Past, Past)> {
        let past = self.past.get(&asked.key)?;
        let now = past.last()?.clone();
        let before = match past.len() {
            0 | 1 => Past { row: None, counter: now.counter - 1, settled_ns: 0, by_append: false },
            more => past[more - 2].clone(),
        };
        (now.settled_ns < asked.called_ns).then_some((before, now))
    }

    fn stale_read(&mut self, asked: &Asked) -> Option<Answer> {
        let (before, now) = self.last_two(asked).filter(|_| asked.action == Action::Get)?;
        let value = |past: &Past| past.row.as_ref().map(|row| row.value.clone());
        if value(&before) == value(&now) {
            return None;
        }
        let answer = self.read(&asked.key, before.row.as_ref());
        let version = before.row.map_or(before.counter, |row| row.version);
        Some(Answer { version: Some(version), ..answer })
    }

    fn lost_update(&mut self, asked: &Asked) -> Option<Answer> {
        let (before, now) = self.last_two(asked)?;
        let Action::Append { value } = &asked.action else { return None };
        if !now.by_append {
            return None;
        }
        let old = before.row.map(|row| row.value).unwrap_or_default();
        let new = [&old[..], value.bytes()].concat();
        Some(self.change(&asked.key, &asked.action, Some(new.into()), asked.settles_ns))
    }

    fn lost_write(&mut self, asked: &Asked) -> Option<Answer> {
        if !matches!(asked.action, Action::Put { .. } | Action::Append { .. }) {
            return None;
        }
        let shard = self.shard(&asked.key);
        let row = self.rows.get(&asked.key).cloned();
        let answer = self.act(&asked.key, &asked.action, asked.settles_ns);
        self.counters[shard] -= 1;
        self.past.get_mut(&asked.key)?.pop();
        match row {
            Some(row) => self.rows.insert(asked.key.clone(), row),
            None => self.rows.remove(&asked.key),
        };
        Some(answer)
    }

    fn duplicated_append(&mut self, asked: &Asked) -> Option<Answer> {
        matches!(asked.action, Action::Append { .. }).then(|| {
            let answer = self.act(&asked.key, &asked.action, asked.settles_ns);
            self.act(&asked.key, &asked.action, asked.settles_ns);
            answer
        })
    }

    fn resurrected_delete(&mut self, asked: &Asked) -> Option<Answer> {
        let (before, now) = self.last_two(asked).filter(|_| asked.action == Action::Get)?;
        let row = before.row.filter(|_| now.row.is_none())?;
        self.rows.insert(asked.key.clone(), row.clone());
        Some(self.read(&asked.key, Some(&row)))
    }

    fn failed_write_acts(&mut self, asked: &Asked) -> Option<Answer> {
        let writes = matches!(asked.action, Action::Put { .. } | Action::Append { .. });
        writes.then(|| self.act(&asked.key, &asked.action, asked.settles_ns))
    }

    fn reordered_swap(&mut self, asked: &Asked) -> Option<Answer> {
        let (_, now) = self.last_two(asked)?;
        let Action::Swap { expected: expected @ Expected::Value(_), new: Some(new) } = &asked.action else {
            return None;
        };
        let once = self.past.get(&asked.key)?.iter().any(|past| fits(expected, past.row.as_ref()));
        if fits(expected, now.row.as_ref()) || !once {
            return None;
        }
        Some(self.change(&asked.key, &asked.action, Some(new.0.clone()), asked.settles_ns))
    }

    fn refused_swap(&mut self, asked: &Asked) -> Option<Answer> {
        let (_, now) = self.last_two(asked)?;
        let Action::Swap { expected: expected @ Expected::Value(_), .. } = &asked.action else { return None };
        let row = now.row.filter(|row| fits(expected, Some(row)))?;
        Some(Answer { version: Some(row.version), ..self.answer(&asked.key, false) })
    }

    fn version_back(&mut self, asked: &Asked) -> Option<Answer> {
        let (_, now) = self.last_two(asked)?;
        let shard = self.shard(&asked.key);
        let writes = matches!(asked.action, Action::Put { .. } | Action::Append { .. });
        if !writes || now.counter != self.counters[shard] || now.counter < 4 {
            return None;
        }
        self.counters[shard] -= 3;
        Some(self.act(&asked.key, &asked.action, asked.settles_ns))
    }

    fn false_signature(&mut self, how: Break, asked: &Asked) -> Option<Answer> {
        let shard = self.shard(&asked.key);
        // Somebody has heard who answers for this shard at the present configuration.
        self.heard[shard].filter(|(config, at_ns)| *config == self.config && *at_ns < asked.called_ns)?;
        let answer = self.act(&asked.key, &asked.action, asked.settles_ns);
        Some(match how {
            Break::TwoOwners => Answer { gid: answer.gid.map(|gid| gid % 3 + 1), ..answer },
            _ => Answer { config: answer.config.map(|config| config - 1), ..answer },
        })
    }
}
