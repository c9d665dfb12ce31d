//! Restores: an empty group takes the rows of a dump, from a cluster with other shards maybe, and serves only when it has all.
//!
//! ```text
//!   empty, settled --OpenRestore(r)--> restoring: RestoreRows ... --PublishRestore(r)--> serving
//! ```
//!
//! Nobody can have seen anything of a shard that is being restored, so rows may come in any order, from many files at once; each
//! piece of a file once, by its number. Versions, expiries and sessions come as they were. A shard's counter, time and
//! floor become the greatest of all the shards that its rows come from: so versions go on growing, nothing that had expired comes
//! back, and a retry that the old cluster had forgotten is not taken for new. The time only with the publication: until then
//! every row is there that the dump has, so that the two can be compared, although one shard's time may be past the end
//! of another one's key.

use flotilla_types::{EngineError, Reader, ShardId, Txn, shard_of_key};

use crate::api::command::Kind;
use crate::api::restore::{OpenRestore, PublishRestore, RestoreRows, RestoreState};
use crate::api::{Code, Reply, Row, RowKind};
use crate::check::check_key;
use crate::kv::{ShardKv, done};
use crate::rows::RowKey;
use crate::session::decode_session;
use crate::shard_txn::{Extent, Lane, ShardTxn};
use crate::state::{GroupRow, ShardState};
use crate::values::{DataRow, SessionRow, decode_u64, sound};

/// When to ask a group again that is being restored.
const LATER_MS: u64 = 500;
/// The number of pieces of a file that is whole.
const WHOLE: u64 = u64::MAX;

/// A row that has been checked.
enum Piece {
    Data(bytes::Bytes, DataRow),
    Session(Lane, SessionRow),
}

impl ShardKv {
    /// Whether the group takes a dump, and serves nothing.
    pub fn is_restoring(&self) -> bool {
        self.group.restoring != 0
    }

    /// What a client hears meanwhile.
    pub(crate) fn restoring(&self) -> Option<Reply> {
        self.is_restoring().then(|| {
            let message = "this group is being restored from a dump: it serves when that is published";
            let reply = Reply { retry_after_ms: LATER_MS, ..Reply::refused(Code::NotReady, message) };
            self.signed(reply)
        })
    }

    /// Why a command may not be applied now; none: it may. Clients' commands are refused one by one, by the shard's refusal.
    pub(crate) fn restored_out(&self, kind: &Kind) -> Option<Reply> {
        let passes = matches!(
            kind,
            Kind::OpenRestore(_)
                | Kind::RestoreRows(_)
                | Kind::PublishRestore(_)
                | Kind::Write(_)
                | Kind::Tick(_)
                | Kind::Expire(_)
        );
        self.restoring().filter(|_| !passes)
    }

    pub(crate) fn open_restore(&mut self, rows: &mut Txn<'_>, open: OpenRestore) -> Reply {
        let OpenRestore { restore, config } = open;
        if self.is_restoring() && self.group.restoring == restore {
            return done();
        }
        let untouched = |state: &ShardState| state.counter == 0 && state.keys == 0 && state.sessions == 0;
        let refusal = if restore == 0 {
            Some((Code::Invalid, "a restore needs an id above 0".to_owned()))
        } else if self.group.restored == restore {
            Some((Code::OutDated, "this restore is published here already".to_owned()))
        } else if self.group.restored != 0 {
            Some((
                Code::Invalid,
                "another restore is published here: restore into an empty cluster".to_owned(),
            ))
        } else if self.is_restoring() {
            Some((Code::Invalid, "another restore is open here".to_owned()))
        } else if config != self.config().get() || self.settled() != self.config() {
            let at = self.config();
            Some((
                Code::NotReady,
                format!("a restore needs configuration {config} settled: this group is at {at}"),
            ))
        } else {
            let used = self.shards.iter().find(|(_, state)| !untouched(state));
            used.map(|(shard, _)| {
                (Code::Invalid, format!("shard {shard} was written to: restore into an empty cluster"))
            })
        };
        if let Some((code, message)) = refusal {
            return Reply::refused(code, message);
        }
        self.store_group(rows, GroupRow { restoring: restore, ..self.group });
        done()
    }

    pub(crate) fn restore_rows(
        &mut self,
        rows: &mut Txn<'_>,
        piece: RestoreRows,
    ) -> Result<Reply, EngineError> {
        let shard = ShardId(piece.shard);
        if !self.is_restoring() || self.group.restoring != piece.restore {
            return Ok(Reply::refused(Code::OutDated, "this restore is not open here"));
        }
        if !self.shards.get(shard).is_some_and(ShardState::serves) {
            return Ok(Reply::refused(Code::Invalid, format!("shard {shard} is not of this group")));
        }
        let taken = self.pieces(rows, piece.file, shard)?;
        if piece.piece < taken {
            return Ok(done());
        }
        if piece.piece > taken {
            let message = format!("piece {} of file {}: {taken} comes first", piece.piece, piece.file);
            return Ok(Reply::refused(Code::NotReady, message));
        }
        let checked: Result<Vec<_>, _> =
            piece.rows.iter().map(|row| check(row, shard, self.options.shards)).collect();
        let pieces = match checked {
            Ok(pieces) => pieces,
            Err(what) => {
                let message = format!("file {} for shard {shard}: {what}; nothing was restored", piece.file);
                return Ok(Reply::refused(Code::Invalid, message));
            }
        };
        let mut txn = self.begin(rows, shard);
        pieces.into_iter().try_for_each(|row| txn.restore(row))?;
        let mut state = txn.state;
        state.counter = state.counter.max(piece.counter);
        state.restored_time_ms = state.restored_time_ms.max(piece.time_ms);
        state.floor_ms = state.floor_ms.max(piece.floor_ms);
        self.store(rows, shard, state);
        let taken = if piece.last { WHOLE } else { taken + 1 };
        rows.put(RowKey::Restored { file: piece.file, shard }.encode(), taken.to_be_bytes().to_vec());
        Ok(done())
    }

    // How many pieces of a file a shard has taken; all of them: WHOLE.
    fn pieces(&self, rows: &dyn Reader, file: u32, shard: ShardId) -> Result<u64, EngineError> {
        match rows.get(&RowKey::Restored { file, shard }.encode())? {
            None => Ok(0),
            Some(stored) => sound(decode_u64(&stored), "restored file"),
        }
    }

    /// How far a restore is.
    pub(crate) fn restore_state(
        &self,
        rows: &dyn Reader,
        restore: u64,
        file: u32,
        shard: ShardId,
    ) -> Result<RestoreState, EngineError> {
        if restore != 0 && self.group.restored == restore {
            return Ok(RestoreState::Published);
        }
        if !self.is_restoring() || self.group.restoring != restore {
            return Ok(RestoreState::Unknown);
        }
        let pieces = self.pieces(rows, file, shard)?;
        Ok(RestoreState::Open { pieces, whole: pieces == WHOLE })
    }

    pub(crate) fn publish_restore(&mut self, rows: &mut Txn<'_>, publish: PublishRestore) -> Reply {
        let restore = publish.restore;
        if restore != 0 && self.group.restored == restore {
            return done();
        }
        if !self.is_restoring() || self.group.restoring != restore {
            return Reply::refused(Code::OutDated, "this restore is not open here");
        }
        let (start, end) = (RowKey::RESTORED, flotilla_types::engine::prefix_end(&RowKey::RESTORED));
        // Nothing reads them again, in this round or later: a group is restored at most once.
        rows.forget_range_later(start.to_vec(), end);
        self.store_group(rows, GroupRow { restoring: 0, restored: restore, ..self.group });
        let held: Vec<_> = self.shards.iter().map(|(shard, state)| (shard, state.clone())).collect();
        for (shard, mut state) in held.into_iter().filter(|(_, state)| state.restored_time_ms != 0) {
            state.time_ms = state.time_ms.max(std::mem::take(&mut state.restored_time_ms));
            self.store(rows, shard, state);
        }
        done()
    }
}

fn check(row: &Row, shard: ShardId, shards: u32) -> Result<Piece, &'static str> {
    let Some(value) = &row.value else { return Err("a row without a value") };
    match RowKind::try_from(row.kind) {
        Ok(RowKind::Data) if check_key(&row.key).is_err() || shard_of_key(&row.key, shards) != shard => {
            Err("a key that is not of this shard")
        }
        Ok(RowKind::Data) => {
            let data = DataRow::decode(value).ok_or("a data row does not decode")?;
            Ok(Piece::Data(row.key.clone(), data))
        }
        Ok(RowKind::Session) => match decode_session(&row.key, Some(value)) {
            Some((lane, Some(session))) => Ok(Piece::Session(lane, session)),
            _ => Err("a session row does not decode"),
        },
        Err(_) => Err("a row of an unknown kind: this node may be too old for it"),
    }
}

impl ShardTxn<'_, '_> {
    fn restore(&mut self, piece: Piece) -> Result<(), EngineError> {
        match piece {
            Piece::Data(key, row) => {
                let before = self.data(&key)?.as_ref().map(Extent::from);
                self.set_data(&key, before, Some(&row));
            }
            Piece::Session(lane, row) => {
                // A shard here may take over from several, each with a row of this lane: the latest write counts.
                let before = self.session(lane)?;
                if before.as_ref().is_none_or(|before| before.seq < row.seq) {
                    self.set_session(lane, before.as_ref(), Some(&row));
                }
            }
        }
        Ok(())
    }
}
