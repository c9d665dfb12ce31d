//! Reading a shard out, in the order of its rows, for a dump.
//!
//! What is read is what a client could see or rely on: keys that have not expired, and the sessions that are still remembered.
//! It depends on the replicated state alone, so every replica that holds the same moment reads out the same rows, whatever
//! each has swept by then. A *position* is a byte for the kind of row, 0 for data and 1 for sessions, and the row's key; the
//! empty position stands before all rows, and as an end for the end of the shard.

use bytes::Bytes;
use flotilla_types::slot::SLOTS;
use flotilla_types::{EngineError, Reader, ShardId};

use crate::api::{Row, RowKind};
use crate::kv::ShardKv;
use crate::rows::{TABLE_PREFIX_BYTES, Table};
use crate::state::ShardState;
use crate::values::{DataRow, SessionRow, sound};

/// A shard that can be read out, and its numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exported {
    /// The shard.
    pub shard: ShardId,
    /// Its write counter: no version is greater.
    pub counter: u64,
    /// Its replicated time.
    pub time_ms: u64,
    /// Its session floor.
    pub floor_ms: u64,
    /// Bytes of keys and values, those of expired keys that were not swept yet included.
    pub bytes: u64,
    /// Session rows.
    pub sessions: u64,
}

/// One row that was read out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExportRow {
    /// Its kind.
    pub kind: RowKind,
    /// Its key: the client's, or client and lane.
    pub key: Bytes,
    /// The key's version; 0 for a session.
    pub version: u64,
    /// When it expires; 0 never.
    pub expires_at_ms: u64,
    /// The client's value, or the stored session.
    pub value: Bytes,
}

impl ExportRow {
    /// Where it stands.
    pub fn position(&self) -> Vec<u8> {
        [&[self.kind as u8][..], &self.key].concat()
    }

    /// The row as a shard stores it, to be restored.
    pub fn into_stored(self) -> Row {
        let Self { kind, key, version, expires_at_ms, value } = self;
        let stored = match kind {
            RowKind::Data => DataRow { version, expires_at_ms, value }.encode().into(),
            RowKind::Session => value,
        };
        Row { kind: kind.into(), key, value: Some(stored) }
    }
}

/// The shards that a shard's rows go to in a cluster with another number of shards. Its sessions go to all of them, as a retry
/// may come for any of its keys.
pub fn heirs(shard: ShardId, shards: u32, new_shards: u32) -> impl Iterator<Item = ShardId> {
    let first_slot = |shard: u32| (shard * SLOTS).div_ceil(shards);
    let new_shard = move |slot: u32| slot * new_shards / SLOTS;
    let (first, last) = (first_slot(shard.get()), first_slot(shard.get() + 1) - 1);
    (new_shard(first)..=new_shard(last)).map(ShardId)
}

impl ShardKv {
    /// The shards that serve here, and what is known of them.
    pub fn exports(&self) -> Vec<Exported> {
        let serving = self.shards.iter().filter(|(_, state)| state.serves());
        serving.map(|(shard, state)| exported(shard, state)).collect()
    }

    /// One of them.
    pub fn export_of(&self, shard: ShardId) -> Option<Exported> {
        let state = self.shards.get(shard).filter(|state| state.serves())?;
        Some(exported(shard, state))
    }

    /// The rows of a serving shard with `begin <= position < end`, in order; none if it does not serve here.
    pub fn export<'r>(
        &self,
        rows: &'r dyn Reader,
        shard: ShardId,
        begin: &[u8],
        end: &[u8],
    ) -> impl Iterator<Item = Result<ExportRow, EngineError>> + 'r {
        let range = self.shards.get(shard).filter(|state| state.serves()).map(|state| {
            let home = state.home(shard);
            let start = [&home.prefix()[..], if begin.is_empty() { &[Table::Data as u8] } else { begin }];
            let end = match end {
                [] => home.table_end(Table::Session),
                end => [&home.prefix()[..], end].concat().min(home.table_end(Table::Session)),
            };
            let (time_ms, floor_ms) = (state.time_ms, state.floor_ms);
            rows.scan(&start.concat(), &end)
                .filter_map(move |row| row.and_then(|row| read(row, time_ms, floor_ms)).transpose())
        });
        range.into_iter().flatten()
    }
}

fn exported(shard: ShardId, state: &ShardState) -> Exported {
    let ShardState { counter, time_ms, floor_ms, bytes, sessions, .. } = *state;
    Exported { shard, counter, time_ms, floor_ms, bytes, sessions }
}

// None: a row that nobody can see any more.
fn read((key, value): (Bytes, Bytes), time_ms: u64, floor_ms: u64) -> Result<Option<ExportRow>, EngineError> {
    let (table, key) = (key[TABLE_PREFIX_BYTES - 1], key.slice(TABLE_PREFIX_BYTES..));
    if table == Table::Data as u8 {
        let row = sound(DataRow::decode(&value), "data")?;
        let DataRow { version, expires_at_ms, value } = row;
        let expired = expires_at_ms != 0 && expires_at_ms <= time_ms;
        return Ok((!expired).then_some(ExportRow {
            kind: RowKind::Data,
            key,
            version,
            expires_at_ms,
            value,
        }));
    }
    let row = sound(SessionRow::decode(&value), "session")?;
    let live = row.issued_at_ms > floor_ms;
    Ok(live.then_some(ExportRow { kind: RowKind::Session, key, version: 0, expires_at_ms: 0, value }))
}
