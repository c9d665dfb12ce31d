//! A working copy of one shard while a command acts on it: its rows with their indexes and exact counts. Here every
//! row of a shard is written.

use bytes::Bytes;
use flotilla_types::{ClientId, EngineError, Reader, ShardId, Txn};

use crate::api::{RowKind, WriteId};
use crate::options::KvLimits;
use crate::rows::{Home, RowKey};
use crate::state::{Phase, ShardState};
use crate::values::{ChangeRow, DataRow, SessionRow, decode_u64, sound};

/// One shard, being changed.
pub(crate) struct ShardTxn<'w, 't> {
    pub(crate) rows: &'w mut Txn<'t>,
    pub(crate) shard: ShardId,
    pub(crate) state: ShardState,
    pub(crate) limits: KvLimits,
}

/// One lane of one client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Lane {
    pub(crate) client: ClientId,
    pub(crate) lane: u32,
}

impl From<WriteId> for Lane {
    fn from(id: WriteId) -> Self {
        Self { client: ClientId(id.client), lane: id.lane }
    }
}

impl Lane {
    /// The key of its row, without the home.
    pub(crate) fn key(self) -> Bytes {
        [&self.client.get().to_be_bytes()[..], &self.lane.to_be_bytes()].concat().into()
    }

    /// Reads such a key.
    pub(crate) fn of_key(key: &Bytes) -> Option<Self> {
        let mut input = crate::rows::Input { bytes: key, at: 0 };
        let lane = Self { client: ClientId(input.u64()?), lane: input.u32()? };
        input.is_done().then_some(lane)
    }
}

/// Sessions are sorted by age in steps of 128 ms, so that a busy lane is not sorted anew with each write.
const BUCKET_BITS: u32 = 7;

/// The age bucket of a time.
pub(crate) fn bucket_of(issued_at_ms: u64) -> u64 {
    issued_at_ms >> BUCKET_BITS
}

/// The last millisecond of an age bucket.
pub(crate) fn bucket_end(bucket: u64) -> u64 {
    (bucket << BUCKET_BITS) | ((1 << BUCKET_BITS) - 1)
}

impl ShardTxn<'_, '_> {
    pub(crate) fn home(&self) -> Home {
        self.state.home(self.shard)
    }

    /// A data row as stored, expired or not.
    pub(crate) fn data(&self, key: &Bytes) -> Result<Option<DataRow>, EngineError> {
        read_data(&*self.rows, self.home(), key)
    }

    /// Replaces a data row that was `before`.
    pub(crate) fn set_data(&mut self, key: &Bytes, before: Option<Extent>, now: Option<&DataRow>) {
        let home = self.home();
        let row_key = RowKey::Data { home, key: key.clone() }.encode();
        if let Some(old) = before {
            self.state.keys -= 1;
            self.state.bytes -= key.len() as u64 + old.bytes;
        }
        if let Some(new) = now {
            self.state.keys += 1;
            self.state.bytes += (key.len() + new.value.len()) as u64;
            self.rows.put(row_key, new.encode());
        } else {
            self.rows.delete(row_key);
        }
        let old_expiry = before.map_or(0, |old| old.expires_at_ms);
        self.move_expiry(key, old_expiry, now.map_or(0, |new| new.expires_at_ms));
    }

    fn move_expiry(&mut self, key: &Bytes, old_ms: u64, new_ms: u64) {
        if old_ms == new_ms {
            return;
        }
        let home = self.home();
        if old_ms != 0 {
            self.rows.delete(RowKey::Expiry { home, at_ms: old_ms, key: key.clone() }.encode());
        }
        if new_ms != 0 {
            self.rows.put(RowKey::Expiry { home, at_ms: new_ms, key: key.clone() }.encode(), Bytes::new());
            let next = self.state.next_expiry_ms;
            self.state.next_expiry_ms = if next == 0 { new_ms } else { next.min(new_ms) };
        }
    }

    /// A session row as stored, gone below the floor or not.
    pub(crate) fn session(&self, lane: Lane) -> Result<Option<SessionRow>, EngineError> {
        read_session(&*self.rows, self.home(), lane)
    }

    /// Replaces a session row that was `before`.
    pub(crate) fn set_session(&mut self, lane: Lane, before: Option<&SessionRow>, now: Option<&SessionRow>) {
        let (home, client, number) = (self.home(), lane.client, lane.lane);
        let key = RowKey::Session { home, client, lane: number }.encode();
        match now {
            Some(row) => self.rows.put(key, row.encode()),
            None => self.rows.delete(key),
        }
        let old = before.map(|row| bucket_of(row.issued_at_ms));
        let new = now.map(|row| bucket_of(row.issued_at_ms));
        if old == new {
            return;
        }
        if let Some(bucket) = old {
            self.state.sessions -= 1;
            self.rows.delete(RowKey::SessionAge { home, bucket, client, lane: number }.encode());
        }
        if let Some(bucket) = new {
            let alone = self.state.sessions == 0;
            self.state.oldest_bucket = if alone { bucket } else { self.state.oldest_bucket.min(bucket) };
            self.state.sessions += 1;
            self.rows.put(RowKey::SessionAge { home, bucket, client, lane: number }.encode(), Bytes::new());
        }
    }

    /// If the shard is leaving: notes that a row changed, under the next change number. A row has at most one note, the
    /// latest; with it travels what the row is when the new owner asks.
    pub(crate) fn note_change(
        &mut self,
        kind: RowKind,
        key: &Bytes,
        bytes: usize,
    ) -> Result<(), EngineError> {
        let home = self.home();
        let Some(Phase::BePulling(moving)) = &mut self.state.phase else { return Ok(()) };
        moving.changes += 1;
        let number = moving.changes;
        self.forget_change(kind, key)?;
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let change = ChangeRow { kind, bytes, key: key.clone() };
        self.rows.put(RowKey::Change { home, number }.encode(), change.encode());
        let index = RowKey::ChangeOf { home, kind, key: key.clone() }.encode();
        self.rows.put(index, number.to_be_bytes().to_vec());
        Ok(())
    }

    /// Removes a row's note, if it has one.
    pub(crate) fn forget_change(&mut self, kind: RowKind, key: &Bytes) -> Result<(), EngineError> {
        if !matches!(self.state.phase, Some(Phase::BePulling(_))) {
            return Ok(());
        }
        let home = self.home();
        let index = RowKey::ChangeOf { home, kind, key: key.clone() }.encode();
        if let Some(number) = self.rows.get(&index)? {
            let number = sound(decode_u64(&number), "change index")?;
            self.rows.delete(RowKey::Change { home, number }.encode());
            self.rows.delete(index);
        }
        Ok(())
    }
}

/// What the counts and indexes must know of a data row that is replaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Extent {
    /// The value's length.
    pub(crate) bytes: u64,
    /// The row's expiry.
    pub(crate) expires_at_ms: u64,
}

impl From<&DataRow> for Extent {
    fn from(row: &DataRow) -> Self {
        Self { bytes: row.value.len() as u64, expires_at_ms: row.expires_at_ms }
    }
}

/// A session row as stored, in any view.
pub(crate) fn read_session(
    rows: &dyn Reader,
    home: Home,
    lane: Lane,
) -> Result<Option<SessionRow>, EngineError> {
    let key = RowKey::Session { home, client: lane.client, lane: lane.lane }.encode();
    let Some(bytes) = rows.get(&key)? else { return Ok(None) };
    sound(SessionRow::decode(&bytes), "session").map(Some)
}

/// A data row as stored, in any view.
pub(crate) fn read_data(rows: &dyn Reader, home: Home, key: &Bytes) -> Result<Option<DataRow>, EngineError> {
    let Some(bytes) = rows.get(&RowKey::Data { home, key: key.clone() }.encode())? else { return Ok(None) };
    sound(DataRow::decode(&bytes), "data").map(Some)
}
