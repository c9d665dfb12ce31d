//! The old owner's side of a copy: pieces cut from a view of the rows. Stateless: any replica that has applied the
//! adoption may cut the next piece, from its own moment.
//!
//! Why a lagging replica may answer: every row that changes after the adoption has a change row, and the copy ends only
//! where a replica that has applied the seal sees no change row beyond the cursor. Whatever older row a lagging replica
//! sends, the row's latest change is still ahead of the cursor then. Only a cursor that is ahead of it does it not answer:
//! it would call "nothing remains" what it has not seen, and bring the seal too early.

use bytes::Bytes;
use flotilla_types::limits::VALUE_BYTES_MAX;
use flotilla_types::planted::{self, Bug};
use flotilla_types::{ConfigNum, EngineError, Reader, ShardId};

use crate::api::{Chunk, Last, Row, RowKind, TransferAnswer, TransferCursor, TransferPhase};
use crate::kv::ShardKv;
use crate::moves::Stand;
use crate::rows::{Home, RowKey, TABLE_PREFIX_BYTES, Table};
use crate::state::{BePulling, ShardState};
use crate::values::{ChangeRow, DataRow, SessionRow, sound};

/// What a row costs on the wire besides its bytes.
const ROW_OVERHEAD_BYTES: usize = 12;
/// How many further change rows are counted to say what remains.
const LOOK_AHEAD_ROWS: usize = 4096;

/// `Query::Transfer`.
pub(crate) struct Ask {
    pub(crate) shard: ShardId,
    pub(crate) config: ConfigNum,
    pub(crate) cursor: Option<TransferCursor>,
    pub(crate) seal: bool,
    pub(crate) bytes_max: usize,
}

impl ShardKv {
    pub(crate) fn transfer(&self, rows: &dyn Reader, ask: Ask) -> Result<TransferAnswer, EngineError> {
        let moving = match self.stand(ask.shard, ask.config) {
            Stand::Before => return Ok(TransferAnswer::NotReady),
            Stand::After => return Ok(TransferAnswer::OutDated),
            Stand::Leaving(moving) => moving,
        };
        let cursor = ask.cursor.unwrap_or_default();
        if cursor.phase() == TransferPhase::Delta {
            if cursor.counter > moving.changes {
                return Ok(TransferAnswer::NotReady);
            }
            if ask.seal && !moving.sealed {
                return Ok(TransferAnswer::SealFirst);
            }
        }
        let state = self.state(ask.shard);
        let cutter = Cutter {
            rows,
            home: state.home(ask.shard),
            state,
            moving,
            piece: Vec::new(),
            bytes: 0,
            bytes_max: ask.bytes_max.min(VALUE_BYTES_MAX),
        };
        let chunk = Chunk { shard: ask.shard.get(), config: ask.config.get(), ..cutter.cut(cursor)? };
        Ok(TransferAnswer::Chunk(chunk))
    }
}

/// Cuts one piece.
struct Cutter<'r> {
    rows: &'r dyn Reader,
    home: Home,
    state: &'r ShardState,
    moving: BePulling,
    piece: Vec<Row>,
    bytes: usize,
    bytes_max: usize,
}

impl Cutter<'_> {
    // Goes on through the phases until the piece is full or there is no more.
    fn cut(mut self, cursor: TransferCursor) -> Result<Chunk, EngineError> {
        let mut next = cursor.clone();
        for (phase, table, kind) in [
            (TransferPhase::Rows, Table::Data, RowKind::Data),
            (TransferPhase::Sessions, Table::Session, RowKind::Session),
        ] {
            if next.phase() != phase {
                continue;
            }
            let (before, stopped) = (self.bytes, self.base(table, kind, &next.key)?);
            next.counter = next.counter.saturating_add((self.bytes - before) as u64);
            if let Some(key) = stopped {
                next.key = key;
                let remaining = self.estimate(next.counter);
                return Ok(self.chunk(cursor, next, remaining, false));
            }
            let sent = if phase == TransferPhase::Rows { next.counter } else { 0 };
            let phase =
                if phase == TransferPhase::Rows { TransferPhase::Sessions } else { TransferPhase::Delta };
            next = TransferCursor { phase: phase.into(), key: Bytes::new(), counter: sent, rounds: 0 };
        }
        let remaining = self.delta(&mut next)?;
        // Once sealed, the new owner is told so by the cap of rounds: from then on it asks for the last piece, whatever
        // remains, and does not send clients back here.
        next.rounds = if self.moving.sealed { u32::MAX } else { next.rounds.saturating_add(1) };
        let last = self.moving.sealed && remaining == 0;
        Ok(self.chunk(cursor, next, remaining, last))
    }

    // Adds rows of one table from `key` on. Gives the first key that did not fit.
    fn base(&mut self, table: Table, kind: RowKind, key: &Bytes) -> Result<Option<Bytes>, EngineError> {
        let rows = self.rows;
        for row in rows.scan(&self.home.key(table, &[key]), &self.home.table_end(table)) {
            let (key, value) = row?;
            let key = key.slice(TABLE_PREFIX_BYTES..);
            if !self.fits(&key, Some(&value)) {
                return Ok(Some(key));
            }
            self.add(kind, key, Some(value));
        }
        Ok(None)
    }

    // Adds what changed after the cursor, as it is now, and moves the cursor exactly past what was added. Gives the
    // bytes that remain beyond, as far as it looked.
    fn delta(&mut self, next: &mut TransferCursor) -> Result<u64, EngineError> {
        let start = RowKey::Change { home: self.home, number: next.counter.saturating_add(1) }.encode();
        let rows = self.rows;
        let mut changes = rows.scan(&start, &self.home.table_end(Table::Change));
        while let Some(row) = changes.next() {
            let (number, change) = decode_change(row?)?;
            let value = self.present(&change)?;
            if !self.fits(&change.key, value.as_ref()) {
                let first = u64::from(change.bytes).max(1);
                return changes.take(LOOK_AHEAD_ROWS).try_fold(first, |sum, row| {
                    Ok(sum.saturating_add(u64::from(decode_change(row?)?.1.bytes)))
                });
            }
            self.add(change.kind, change.key, value);
            next.counter = number;
        }
        Ok(0)
    }

    fn present(&self, change: &ChangeRow) -> Result<Option<Bytes>, EngineError> {
        let table = match change.kind {
            RowKind::Data => Table::Data,
            RowKind::Session => Table::Session,
        };
        self.rows.get(&self.home.key(table, &[&change.key]))
    }

    // At least one row, however large.
    fn fits(&self, key: &Bytes, value: Option<&Bytes>) -> bool {
        self.piece.is_empty() || self.bytes + size(key, value) <= self.bytes_max
    }

    fn add(&mut self, kind: RowKind, key: Bytes, value: Option<Bytes>) {
        if kind == RowKind::Session && planted::is(Bug::SessionsNotMoved)
            || value.is_none() && planted::is(Bug::TombstonesNotMoved)
        {
            return;
        }
        self.bytes += size(&key, value.as_ref());
        self.piece.push(Row { kind: kind.into(), key, value });
    }

    // What the base copy still has to send after `sent` bytes. Never 0: only a finished delta says that.
    fn estimate(&self, sent: u64) -> u64 {
        let per_key = (ROW_OVERHEAD_BYTES + DataRow::HEADER_BYTES) as u64;
        let per_session = (ROW_OVERHEAD_BYTES + SessionRow::TYPICAL_BYTES) as u64;
        let rows = self.state.bytes + self.state.keys * per_key;
        (rows + self.state.sessions * per_session).saturating_sub(sent).max(1)
    }

    fn chunk(self, cursor: TransferCursor, next: TransferCursor, remaining_bytes: u64, last: bool) -> Chunk {
        let closing =
            Last { counter: self.state.counter, time_ms: self.state.time_ms, floor_ms: self.state.floor_ms };
        Chunk {
            cursor: Some(cursor),
            next: Some(next),
            rows: self.piece,
            last: last.then_some(closing),
            remaining_bytes,
            ..Chunk::default()
        }
    }
}

/// What a row counts in a chunk.
pub(crate) fn size(key: &Bytes, value: Option<&Bytes>) -> usize {
    ROW_OVERHEAD_BYTES + key.len() + value.map_or(0, Bytes::len)
}

fn decode_change((key, value): (Bytes, Bytes)) -> Result<(u64, ChangeRow), EngineError> {
    let Some(RowKey::Change { number, .. }) = RowKey::decode(&key) else {
        return Err(EngineError::corrupt("a change row's key does not decode"));
    };
    Ok((number, sound(ChangeRow::decode(&value), "change")?))
}
