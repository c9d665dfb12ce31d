//! What a sharded store must answer, as plainly as it can be said: one map, one counter and one clock for each shard, and
//! the last answer of each lane. No groups, no moves, no rows.

use std::collections::BTreeMap;

use flotilla_shardkv::api::op::{Expected, Kind as OpKind};
use flotilla_shardkv::api::{Code, Reply, WriteId};

#[derive(Clone, Debug, PartialEq)]
struct Value {
    bytes: Vec<u8>,
    version: u64,
    expires_at_ms: u64,
}

/// One shard, as it must look to its clients.
#[derive(Clone, Debug, Default)]
pub struct Model {
    keys: BTreeMap<Vec<u8>, Value>,
    counter: u64,
    time_ms: u64,
    lanes: BTreeMap<(u64, u32), (u64, Said)>,
}

/// What an answer says, without who says it.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    pub code: Code,
    pub value: Option<Vec<u8>>,
    pub version: u64,
    pub batch: Vec<Said>,
}

impl From<&Reply> for Said {
    fn from(reply: &Reply) -> Self {
        Self {
            code: reply.code(),
            value: reply.value.as_ref().map(|value| value.to_vec()),
            version: reply.version,
            batch: reply.batch.iter().map(Said::from).collect(),
        }
    }
}

fn said(code: Code, version: u64) -> Said {
    Said { code, value: None, version, batch: Vec::new() }
}

impl Model {
    /// Time as the serving group's leader sees it.
    pub fn pass(&mut self, now_ms: u64) {
        self.time_ms = self.time_ms.max(now_ms);
    }

    /// The greatest time that any serving group's leader has seen.
    pub fn time_ms(&self) -> u64 {
        self.time_ms
    }

    /// A write that reaches the serving group.
    pub fn write(&mut self, id: WriteId, op: &OpKind) -> Said {
        let is_read = matches!(op, OpKind::Get(_))
            || matches!(op, OpKind::Batch(batch) if batch.ops.iter().all(|op| matches!(op.kind, Some(OpKind::Get(_)))));
        if is_read {
            return self.run(op);
        }
        match self.lanes.get(&(id.client, id.lane)) {
            Some((seq, said)) if *seq == id.seq => return said.clone(),
            Some((seq, _)) if *seq > id.seq => return said(Code::SessionExpired, 0),
            _ => {}
        }
        let outcome = self.run(op);
        self.lanes.insert((id.client, id.lane), (id.seq, outcome.clone()));
        outcome
    }

    pub fn get(&self, key: &[u8]) -> Said {
        match self.live(key) {
            None => said(Code::NoKey, self.counter),
            Some(value) => Said { value: Some(value.bytes.clone()), ..said(Code::Ok, value.version) },
        }
    }

    /// Every live key with its value and version.
    pub fn all(&self) -> Vec<(Vec<u8>, Vec<u8>, u64)> {
        let live = self.keys.iter().filter(|(key, _)| self.live(key).is_some());
        live.map(|(key, value)| (key.clone(), value.bytes.clone(), value.version)).collect()
    }

    fn live(&self, key: &[u8]) -> Option<&Value> {
        let value = self.keys.get(key)?;
        (value.expires_at_ms == 0 || value.expires_at_ms > self.time_ms).then_some(value)
    }

    fn run(&mut self, op: &OpKind) -> Said {
        match op {
            OpKind::Get(get) => self.get(&get.key),
            OpKind::Put(put) => self.set(&put.key, put.value.to_vec(), put.ttl_ms),
            OpKind::Append(append) => {
                let old = self.live(&append.key).cloned();
                let (bytes, expires_at_ms) =
                    old.map_or((Vec::new(), 0), |old| (old.bytes, old.expires_at_ms));
                let outcome = self.set(&append.key, [&bytes[..], &append.suffix[..]].concat(), 0);
                self.keys.get_mut(&append.key[..]).expect("just set").expires_at_ms = expires_at_ms;
                outcome
            }
            OpKind::Delete(delete) => match self.live(&delete.key) {
                None => said(Code::NoKey, self.counter),
                Some(_) => self.remove(&delete.key),
            },
            OpKind::CompareAndSet(cas) => {
                let old = self.live(&cas.key);
                let holds = match &cas.expected {
                    None => old.is_none(),
                    Some(Expected::Value(value)) => old.is_some_and(|old| old.bytes == value[..]),
                    Some(Expected::Version(version)) => old.is_some_and(|old| old.version == *version),
                };
                match (holds, &cas.new, old) {
                    (false, _, old) => said(Code::CompareFailed, old.map_or(self.counter, |old| old.version)),
                    (true, Some(new), _) => self.set(&cas.key, new.to_vec(), cas.ttl_ms),
                    (true, None, Some(_)) => self.remove(&cas.key),
                    (true, None, None) => said(Code::Ok, self.counter),
                }
            }
            OpKind::Batch(batch) => self.batch(batch.ops.iter().filter_map(|op| op.kind.as_ref())),
        }
    }

    fn batch<'o>(&mut self, ops: impl Iterator<Item = &'o OpKind>) -> Said {
        let before = self.clone();
        let mut inner = Vec::new();
        for op in ops {
            inner.push(self.run(op));
            if inner.last().is_some_and(|last| !matches!(last.code, Code::Ok | Code::NoKey)) {
                let code = inner.last().expect("just pushed").code;
                *self = before;
                inner.iter_mut().for_each(|said| said.version = said.version.min(self.counter));
                return Said { batch: inner, ..said(code, self.counter) };
            }
        }
        Said { batch: inner, ..said(Code::Ok, self.counter) }
    }

    fn set(&mut self, key: &[u8], bytes: Vec<u8>, ttl_ms: u64) -> Said {
        self.counter += 1;
        let expires_at_ms = if ttl_ms == 0 { 0 } else { self.time_ms + ttl_ms };
        self.keys.insert(key.to_vec(), Value { bytes, version: self.counter, expires_at_ms });
        said(Code::Ok, self.counter)
    }

    fn remove(&mut self, key: &[u8]) -> Said {
        self.counter += 1;
        self.keys.remove(key);
        said(Code::Ok, self.counter)
    }
}
