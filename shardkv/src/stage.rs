//! One write's operations, staged: each sees what the ones before it did, and either all of it reaches the rows or
//! none.

use std::collections::BTreeMap;

use bytes::Bytes;
use flotilla_types::EngineError;
use flotilla_types::limits::VALUE_BYTES_MAX;

use crate::api::op::{Append, CompareAndSet, Expected, Kind, Put};
use crate::api::{Code, Reply, RowKind};
use crate::check::too_large;
use crate::shard_txn::{Extent, ShardTxn};
use crate::values::DataRow;

/// The keys a write has touched so far, and the write counter after it.
pub(crate) struct Stage<'s, 'w, 't> {
    txn: &'s ShardTxn<'w, 't>,
    keys: BTreeMap<Bytes, Staged>,
    counter: u64,
}

struct Staged {
    before: Option<Extent>,
    now: Option<DataRow>,
    changed: bool,
}

/// What a stage leaves behind: the changed keys, and the counter.
pub(crate) struct Staging {
    keys: BTreeMap<Bytes, Staged>,
    counter: u64,
}

impl<'s, 'w, 't> Stage<'s, 'w, 't> {
    pub(crate) fn new(txn: &'s ShardTxn<'w, 't>) -> Self {
        Self { txn, keys: BTreeMap::new(), counter: txn.state.counter }
    }

    /// The write counter after what was staged.
    pub(crate) fn counter(&self) -> u64 {
        self.counter
    }

    pub(crate) fn finish(self) -> Staging {
        Staging { keys: self.keys, counter: self.counter }
    }

    /// Runs one operation that is no batch. A refusal or a failed compare means: drop the whole stage.
    pub(crate) fn run(&mut self, op: &Kind) -> Result<Reply, EngineError> {
        match op {
            Kind::Get(get) => Ok(self.get(&get.key)?),
            Kind::Put(put) => self.put(put),
            Kind::Append(append) => self.append(append),
            Kind::Delete(delete) => Ok(match self.live(&delete.key)? {
                None => self.no_key(),
                Some(_) => self.change(&delete.key, None),
            }),
            Kind::CompareAndSet(cas) => self.compare_and_set(cas),
            Kind::Batch(_) => Ok(Reply::refused(Code::Invalid, "a batch inside a batch")),
        }
    }

    fn get(&mut self, key: &Bytes) -> Result<Reply, EngineError> {
        Ok(match self.live(key)? {
            None => self.no_key(),
            Some(row) => Reply { value: Some(row.value.clone()), version: row.version, ..Reply::default() },
        })
    }

    fn put(&mut self, put: &Put) -> Result<Reply, EngineError> {
        let expires_at_ms = match self.expiry(put.ttl_ms) {
            Ok(at) => at,
            Err(refusal) => return Ok(refusal),
        };
        self.touch(&put.key)?;
        Ok(self.change(&put.key, Some((put.value.clone(), expires_at_ms))))
    }

    fn append(&mut self, append: &Append) -> Result<Reply, EngineError> {
        let (old, expires_at_ms) = match self.live(&append.key)? {
            None => (Bytes::new(), 0),
            Some(row) => (row.value.clone(), row.expires_at_ms),
        };
        let len = old.len() + append.suffix.len();
        if len > VALUE_BYTES_MAX {
            return Ok(
                too_large::<()>("value after the append", len, VALUE_BYTES_MAX).expect_err("always refuses")
            );
        }
        let value = Bytes::from([&old[..], &append.suffix[..]].concat());
        Ok(self.change(&append.key, Some((value, expires_at_ms))))
    }

    fn compare_and_set(&mut self, cas: &CompareAndSet) -> Result<Reply, EngineError> {
        let row = self.live(&cas.key)?;
        let version = row.map(|row| row.version);
        let holds = match (&cas.expected, row) {
            (None, row) => row.is_none(),
            (Some(Expected::Value(value)), Some(row)) => row.value == *value,
            (Some(Expected::Version(version)), Some(row)) => row.version == *version,
            (Some(_), None) => false,
        };
        if !holds {
            let version = version.unwrap_or(self.counter);
            return Ok(Reply { code: Code::CompareFailed.into(), version, ..Reply::default() });
        }
        match (&cas.new, version) {
            (Some(new), _) => match self.expiry(cas.ttl_ms) {
                Ok(expires_at_ms) => Ok(self.change(&cas.key, Some((new.clone(), expires_at_ms)))),
                Err(refusal) => Ok(refusal),
            },
            (None, Some(_)) => Ok(self.change(&cas.key, None)),
            // Absent as expected, and stays so: nothing changes, so the counter stands still.
            (None, None) => Ok(Reply { version: self.counter, ..Reply::default() }),
        }
    }

    // When something written now with this time to live expires.
    fn expiry(&self, ttl_ms: u64) -> Result<u64, Reply> {
        match (ttl_ms, self.txn.state.time_ms) {
            (0, _) => Ok(0),
            (_, 0) => Err(Reply::refused(
                Code::NotReady,
                "no trusted time yet, so a time to live means nothing: try again",
            )),
            (ttl, time) => Ok(time.saturating_add(ttl)),
        }
    }

    fn no_key(&self) -> Reply {
        Reply { code: Code::NoKey.into(), version: self.counter, ..Reply::default() }
    }

    fn touch(&mut self, key: &Bytes) -> Result<(), EngineError> {
        if !self.keys.contains_key(key) {
            let now = self.txn.data(key)?;
            let before = now.as_ref().map(Extent::from);
            self.keys.insert(key.clone(), Staged { before, now, changed: false });
        }
        Ok(())
    }

    // The key as the next operation sees it: an expired row is no row.
    fn live(&mut self, key: &Bytes) -> Result<Option<&DataRow>, EngineError> {
        self.touch(key)?;
        let time_ms = self.txn.state.time_ms;
        let row = self.keys.get(key).and_then(|staged| staged.now.as_ref());
        Ok(row.filter(|row| !row.is_expired(time_ms)))
    }

    // Only after `touch` or `live`.
    fn change(&mut self, key: &Bytes, to: Option<(Bytes, u64)>) -> Reply {
        self.counter = self.counter.saturating_add(1);
        let version = self.counter;
        let staged = self.keys.get_mut(key).expect("touched before");
        staged.now = to.map(|(value, expires_at_ms)| DataRow { version, expires_at_ms, value });
        staged.changed = true;
        Reply { version, ..Reply::default() }
    }
}

impl Staging {
    /// Writes what was staged, each key once.
    pub(crate) fn commit(self, txn: &mut ShardTxn<'_, '_>) -> Result<(), EngineError> {
        txn.state.counter = self.counter;
        for (key, staged) in self.keys.into_iter().filter(|(_, staged)| staged.changed) {
            txn.set_data(&key, staged.before, staged.now.as_ref());
            let value = staged.now.map_or(0, |row| DataRow::HEADER_BYTES + row.value.len());
            txn.note_change(RowKind::Data, &key, key.len() + value)?;
        }
        Ok(())
    }
}
