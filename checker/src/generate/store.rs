//! The store: one map, shards with write counters, owners that change.

use std::collections::BTreeMap;

use bytes::Bytes;
use flotilla_types::shard_of_key;

use crate::record::{Action, Answer, Expected};
use crate::text::Text;

/// How many states of a key are remembered.
const PAST_MAX: usize = 8;

/// One key's row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Row {
    pub(super) value: Bytes,
    pub(super) version: u64,
}

/// A state that a key was in.
#[derive(Clone, Debug)]
pub(super) struct Past {
    pub(super) row: Option<Row>,
    /// The shard's counter then.
    pub(super) counter: u64,
    /// When the change that led to it was answered.
    pub(super) settled_ns: u64,
    /// Whether that change was an append.
    pub(super) by_append: bool,
}

/// The store.
pub(super) struct Store {
    pub(super) counters: Vec<u64>,
    pub(super) rows: BTreeMap<Text, Row>,
    /// The latest states of each key, the present one last.
    pub(super) past: BTreeMap<Text, Vec<Past>>,
    /// The configuration, and each shard's owner in it.
    pub(super) config: u64,
    pub(super) owners: Vec<u64>,
    /// For each shard, a configuration that an answer named, and when it was heard.
    pub(super) heard: Vec<Option<(u64, u64)>>,
}

impl Store {
    pub(super) fn new(shards: u32) -> Self {
        Self {
            counters: vec![0; shards as usize],
            rows: BTreeMap::new(),
            past: BTreeMap::new(),
            config: 1,
            owners: vec![1; shards as usize],
            heard: vec![None; shards as usize],
        }
    }

    pub(super) fn shard(&self, key: &Text) -> usize {
        let shards = u32::try_from(self.counters.len()).expect("made from a u32");
        shard_of_key(key.bytes(), shards).get() as usize
    }

    /// A shard goes to the next of three groups.
    pub(super) fn move_shard(&mut self, shard: usize) {
        self.config += 1;
        self.owners[shard] = self.owners[shard] % 3 + 1;
    }

    /// Notes that an answer was heard, once for each configuration.
    pub(super) fn hear(&mut self, key: &Text, at_ns: u64) {
        let shard = self.shard(key);
        if self.heard[shard].is_none_or(|(config, _)| config < self.config) {
            self.heard[shard] = Some((self.config, at_ns));
        }
    }

    /// Acts, and answers.
    pub(super) fn act(&mut self, key: &Text, action: &Action, settled_ns: u64) -> Answer {
        let row = self.rows.get(key).cloned();
        match action {
            Action::Get => self.read(key, row.as_ref()),
            Action::Put { value } => self.change(key, action, Some(value.0.clone()), settled_ns),
            Action::Append { value } => {
                let old = row.map(|row| row.value).unwrap_or_default();
                let new = [&old[..], value.bytes()].concat();
                self.change(key, action, Some(new.into()), settled_ns)
            }
            Action::Delete if row.is_none() => Answer { version: None, ..self.answer(key, false) },
            Action::Delete => self.change(key, action, None, settled_ns),
            Action::Swap { expected, new } => match (fits(expected, row.as_ref()), new) {
                (false, _) => {
                    let version = row.map(|row| row.version).or(self.answer(key, false).version);
                    Answer { version, ..self.answer(key, false) }
                }
                (true, None) if row.is_none() => self.answer(key, true),
                (true, new) => self.change(key, action, new.as_ref().map(|text| text.0.clone()), settled_ns),
            },
        }
    }

    /// What a read of this row answers.
    pub(super) fn read(&self, key: &Text, row: Option<&Row>) -> Answer {
        let answer = self.answer(key, true);
        match row {
            None => answer,
            Some(row) => {
                Answer { value: Some(Text(row.value.clone())), version: Some(row.version), ..answer }
            }
        }
    }

    /// Signed, with the shard's counter.
    pub(super) fn answer(&self, key: &Text, done: bool) -> Answer {
        let shard = self.shard(key);
        Answer {
            value: None,
            done,
            version: Some(self.counters[shard]),
            config: Some(self.config),
            gid: Some(self.owners[shard]),
        }
    }

    /// Counts on and writes (none: removes).
    pub(super) fn change(
        &mut self,
        key: &Text,
        action: &Action,
        new: Option<Bytes>,
        settled_ns: u64,
    ) -> Answer {
        let shard = self.shard(key);
        self.counters[shard] += 1;
        let version = self.counters[shard];
        let row = new.map(|value| Row { value, version });
        match &row {
            Some(row) => self.rows.insert(key.clone(), row.clone()),
            None => self.rows.remove(key),
        };
        let by_append = matches!(action, Action::Append { .. });
        let past = Past { row, counter: version, settled_ns, by_append };
        let states = self.past.entry(key.clone()).or_default();
        if states.len() == PAST_MAX {
            states.remove(0);
        }
        states.push(past);
        self.answer(key, true)
    }
}

/// Whether a row is as a swap expects it.
pub(super) fn fits(expected: &Expected, row: Option<&Row>) -> bool {
    match (expected, row) {
        (Expected::Absent, row) => row.is_none(),
        (Expected::Value(value), Some(row)) => row.value == value.0,
        (Expected::Version(version), Some(row)) => row.version == *version,
        (Expected::Value(_) | Expected::Version(_), None) => false,
    }
}
