//! The new owner's side of a copy: pieces installed one after the other, each exactly once (by its cursor), until the
//! last one makes the shard serve.

use std::sync::Arc;

use bytes::Bytes;
use flotilla_types::planted::{self, Bug};
use flotilla_types::{ConfigNum, EngineError, GroupId, ShardId, Txn, shard_of_key};

use crate::api::{Chunk, Code, Last, Reply, Row, RowKind, TransferCursor, TransferPhase};
use crate::check::check_key;
use crate::kv::{ShardKv, done};
use crate::rows::RowKey;
use crate::session::decode_session;
use crate::shard_txn::{Extent, Lane, ShardTxn};
use crate::state::{Phase, Pulling, Serving};
use crate::transfer::size;
use crate::values::{DataRow, SessionRow};

/// A row of a chunk that has been checked.
enum Piece {
    /// A data row that this incarnation cannot have yet: it comes from the base copy, in key order.
    Fresh(Bytes, DataRow),
    Data(Bytes, Option<DataRow>),
    Session(Lane, Option<SessionRow>),
}

impl ShardKv {
    pub(crate) fn insert_shards(&mut self, rows: &mut Txn<'_>, chunk: Chunk) -> Result<Reply, EngineError> {
        let (shard, config) = (ShardId(chunk.shard), ConfigNum(chunk.config));
        let Some(pulling) = self.pulling_at(shard, config, chunk.cursor.as_ref()) else { return Ok(done()) };
        let pieces = match check(&chunk, self.options.shards) {
            Ok(pieces) => pieces,
            Err(what) => {
                let message = format!(
                    "chunk of shard {shard} at configuration {config}: {what}; nothing was installed"
                );
                return Ok(Reply::refused(Code::Invalid, message));
            }
        };
        let bytes: usize = chunk.rows.iter().map(|row| size(&row.key, row.value.as_ref())).sum();
        let mut txn = self.begin(rows, shard);
        pieces.into_iter().try_for_each(|piece| txn.install(piece))?;
        let mut state = txn.state;
        let from = GroupId(pulling.from);
        let Some(last) = chunk.last else {
            state.phase = Some(Phase::Pulling(Pulling {
                cursor: chunk.next,
                bytes_done: pulling.bytes_done.saturating_add(bytes as u64),
                bytes_remaining: chunk.remaining_bytes,
                ..pulling
            }));
            self.store(rows, shard, state);
            return Ok(done());
        };
        crown(&mut state, last);
        self.store(rows, shard, state);
        self.owe(rows, config, shard, from);
        self.advance(rows, shard, config);
        Ok(done())
    }

    // The move this chunk continues, if the shard stands exactly there.
    fn pulling_at(
        &self,
        shard: ShardId,
        config: ConfigNum,
        cursor: Option<&TransferCursor>,
    ) -> Option<Pulling> {
        let state = self.shards.get(shard)?;
        if planted::is(Bug::InstallTwice) && state.serves() && state.acquired == config.get() {
            return Some(Pulling::default());
        }
        let Some(Phase::Pulling(pulling)) = &state.phase else { return None };
        let start = TransferCursor::default();
        let (here, there) = (pulling.cursor.as_ref().unwrap_or(&start), cursor.unwrap_or(&start));
        let fits = here == there || planted::is(Bug::InstallTwice);
        (state.acquired == config.get() && fits).then(|| pulling.clone())
    }

    fn owe(&mut self, rows: &mut Txn<'_>, config: ConfigNum, shard: ShardId, from: GroupId) {
        rows.put(RowKey::Debt { config, shard }.encode(), from.get().to_be_bytes().to_vec());
        Arc::make_mut(&mut self.debts).insert((config, shard), from);
    }
}

// Pulling -> Serving (Gcing, by the debt). Counter, time and floor only grow, so that no version comes twice, nothing
// expired comes back and no forgotten retry looks new.
fn crown(state: &mut crate::state::ShardState, last: Last) {
    if !planted::is(Bug::CounterNotMoved) {
        state.counter = state.counter.max(last.counter);
    }
    state.time_ms = state.time_ms.max(last.time_ms);
    state.floor_ms = state.floor_ms.max(last.floor_ms);
    state.handed_to = 0;
    state.phase = Some(Phase::Serving(Serving {}));
}

// A chunk comes from another group through checksums; what is checked here is what the state relies on.
fn check(chunk: &Chunk, shards: u32) -> Result<Vec<Piece>, &'static str> {
    let cursor = chunk.cursor.clone().unwrap_or_default();
    let mut base = (cursor.phase() == TransferPhase::Rows).then_some(cursor.key);
    let mut pieces = Vec::with_capacity(chunk.rows.len());
    for row in &chunk.rows {
        pieces.push(match RowKind::try_from(row.kind) {
            Ok(RowKind::Data) => data_piece(row, chunk.shard, shards, &mut base)?,
            Ok(RowKind::Session) => {
                base = None;
                let (lane, row) =
                    decode_session(&row.key, row.value.as_ref()).ok_or("a session row does not decode")?;
                Piece::Session(lane, row)
            }
            Err(_) => return Err("a row of an unknown kind: this node may be too old for it"),
        });
    }
    match (&chunk.next, &chunk.last) {
        (None, None) => Err("neither a next cursor nor the end"),
        (Some(next), None) if turns_back(&chunk.cursor.clone().unwrap_or_default(), next) => {
            Err("the next cursor is before the present one")
        }
        (Some(next), None) if stays_behind(next, pieces.last()) => {
            Err("the next cursor is not past the rows")
        }
        _ => Ok(pieces),
    }
}

fn data_piece(row: &Row, shard: u32, shards: u32, base: &mut Option<Bytes>) -> Result<Piece, &'static str> {
    if check_key(&row.key).is_err() || shard_of_key(&row.key, shards).get() != shard {
        return Err("a key that is not of this shard");
    }
    let Some(value) = &row.value else {
        *base = None;
        return Ok(Piece::Data(row.key.clone(), None));
    };
    let data = DataRow::decode(value).ok_or("a data row does not decode")?;
    let is_fresh = base.as_ref().is_some_and(|from| from.is_empty() || *from <= row.key);
    if is_fresh {
        // The next one must be greater: the key with a zero byte behind it is the least such.
        *base = Some([&row.key[..], &[0]].concat().into());
        return Ok(Piece::Fresh(row.key.clone(), data));
    }
    *base = None;
    Ok(Piece::Data(row.key.clone(), Some(data)))
}

fn turns_back(cursor: &TransferCursor, next: &TransferCursor) -> bool {
    let is_known = TransferPhase::try_from(next.phase).is_ok();
    !is_known || next.phase < cursor.phase || (next.phase == cursor.phase && next.key < cursor.key)
}

// In the base copy of data rows, whatever is at or past the cursor is not here yet: `Fresh` rests on that.
fn stays_behind(next: &TransferCursor, last: Option<&Piece>) -> bool {
    next.phase() == TransferPhase::Rows
        && match last {
            Some(Piece::Fresh(key, _)) => next.key <= key,
            Some(_) => true,
            None => false,
        }
}

impl ShardTxn<'_, '_> {
    fn install(&mut self, piece: Piece) -> Result<(), EngineError> {
        match piece {
            Piece::Fresh(key, row) => self.set_data(&key, None, Some(&row)),
            Piece::Data(key, row) => {
                let before = self.data(&key)?.as_ref().map(Extent::from);
                self.set_data(&key, before, row.as_ref());
            }
            Piece::Session(lane, row) => {
                let before = self.session(lane)?;
                self.set_session(lane, before.as_ref(), row.as_ref());
            }
        }
        Ok(())
    }
}
