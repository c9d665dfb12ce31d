//! Sessions: how a write is applied once however often it arrives, with bounded memory.
//!
//! A lane's last write is remembered in a row. A row leaves only by raising the shard's *floor*: whatever was issued at
//! or before the floor is gone, whether or not its row has been removed yet, and a command without a live row issued at
//! or before the floor is refused, as it may be a retry of something forgotten.
//!
//! "Gone although still there" makes two things safe. Eviction may be lazy. And an evicted row needs no tombstone when
//! the shard moves: a copy of it at the new owner is at or below the floor, which moves as well. (Were such a copy alive,
//! it could hide that a *later* write of the lane came and was evicted during the move: a retry of that one would be
//! applied twice.)

use bytes::Bytes;
use flotilla_types::planted::{self, Bug};
use flotilla_types::{EngineError, Reader};

use crate::api::{Code, Reply, RowKind, WriteId};
use crate::rows::{RowKey, Table};
use crate::shard_txn::{Lane, ShardTxn, bucket_end};
use crate::values::SessionRow;

/// How many rows leave together when the table is full, and the most that one write removes: looking for the oldest
/// row passes over the remains of those removed, so it is not done with each write.
const EVICT_ROWS: usize = 64;

/// What the session says of a write.
pub(crate) enum Recall {
    /// It has not been applied. With the lane's row as stored, live or gone.
    New(Option<SessionRow>),
    /// It has been applied; this is what was remembered.
    Again(SessionRow),
    /// It may have been applied, or never should be.
    Refused(Reply),
}

impl ShardTxn<'_, '_> {
    /// Looks a write up, after raising the floor by age.
    pub(crate) fn recall(&mut self, id: WriteId) -> Result<Recall, EngineError> {
        if let Some(refusal) = self.too_new(id) {
            return Ok(Recall::Refused(refusal));
        }
        // The window counts from the greater of the shard's time and the command's own; but without any time nobody can
        // say whether the command's is sane, and a floor never comes down again.
        if self.state.time_ms != 0 {
            let newest = self.state.time_ms.max(id.issued_at_ms);
            self.raise_floor(newest.saturating_sub(self.limits.session_window_ms));
        }
        let stored = self.session(id.into())?;
        let live = stored.as_ref().filter(|row| row.issued_at_ms > self.state.floor_ms);
        if planted::is(Bug::DedupAtPropose) {
            return Ok(Recall::New(stored));
        }
        Ok(match live.map(|row| id.seq.cmp(&row.seq)) {
            Some(std::cmp::Ordering::Equal) => match stored {
                Some(row) => Recall::Again(row),
                None => Recall::New(None),
            },
            Some(std::cmp::Ordering::Less) => Recall::Refused(Reply::refused(
                Code::SessionExpired,
                format!("write {} of lane {}: a newer write of this lane was applied", id.seq, id.lane),
            )),
            Some(std::cmp::Ordering::Greater) => Recall::New(stored),
            None if id.issued_at_ms <= self.state.floor_ms => Recall::Refused(self.forgotten(id)),
            None => Recall::New(stored),
        })
    }

    fn forgotten(&self, id: WriteId) -> Reply {
        let message = format!(
            "write {} of lane {} was issued at {} ms, and retries are remembered only from {} ms on: it is not applied; \
             issue it anew if you know that it was not applied before",
            id.seq, id.lane, id.issued_at_ms, self.state.floor_ms
        );
        Reply::refused(Code::SessionExpired, message)
    }

    // A row from the future would be the last to leave, and raise the floor over honest clients when it does. Without
    // any time yet (no leader trusted its clock) there is nothing to compare with.
    fn too_new(&self, id: WriteId) -> Option<Reply> {
        let (time, skew) = (self.state.time_ms, self.limits.future_skew_max_ms);
        if time == 0 || id.issued_at_ms <= time.saturating_add(skew) {
            return None;
        }
        let message = format!(
            "issued_at {} ms is more than {skew} ms ahead of the cluster's {time} ms: correct the client's clock",
            id.issued_at_ms
        );
        Some(Reply::refused(Code::Invalid, message))
    }

    pub(crate) fn raise_floor(&mut self, floor_ms: u64) {
        self.state.floor_ms = self.state.floor_ms.max(floor_ms);
    }

    /// Stores what a lane's write answered.
    pub(crate) fn put_session(
        &mut self,
        id: WriteId,
        before: Option<&SessionRow>,
        row: &SessionRow,
    ) -> Result<(), EngineError> {
        let lane = Lane::from(id);
        self.set_session(lane, before, Some(row));
        self.note_change(RowKind::Session, &lane.key(), SessionRow::TYPICAL_BYTES)
    }

    /// Removes rows at or below the floor, and the oldest if there are too many: a few at a time.
    pub(crate) fn evict_sessions(&mut self) -> Result<(), EngineError> {
        let over = self.state.sessions > self.limits.session_rows_max;
        let aged = self.state.sessions > 0 && bucket_end(self.state.oldest_bucket) <= self.state.floor_ms;
        if !over && !aged {
            return Ok(());
        }
        // Some more than necessary, but of a small table not all.
        let spare = (self.limits.session_rows_max / 4).min(EVICT_ROWS as u64 - 1);
        let excess = if over { self.state.sessions - self.limits.session_rows_max + spare } else { 0 };
        let oldest = self.oldest_sessions(EVICT_ROWS + 1)?;
        for (index, (bucket, lane)) in oldest.iter().enumerate() {
            let forced = (index as u64) < excess;
            if index == EVICT_ROWS || !(forced || bucket_end(*bucket) <= self.state.floor_ms) {
                self.state.oldest_bucket = *bucket;
                return Ok(());
            }
            self.evict(*lane)?;
        }
        Ok(())
    }

    fn evict(&mut self, lane: Lane) -> Result<(), EngineError> {
        let Some(row) = self.session(lane)? else {
            return Err(EngineError::corrupt("a session's age row has no session row"));
        };
        self.raise_floor(row.issued_at_ms);
        self.set_session(lane, Some(&row), None);
        self.forget_change(RowKind::Session, &lane.key())
    }

    fn oldest_sessions(&self, max: usize) -> Result<Vec<(u64, Lane)>, EngineError> {
        let home = self.home();
        let start = home.key(Table::SessionAge, &[&self.state.oldest_bucket.to_be_bytes()]);
        let rows = self.rows.scan(&start, &home.table_end(Table::SessionAge));
        rows.take(max)
            .map(|row| match RowKey::decode(&row?.0) {
                Some(RowKey::SessionAge { bucket, client, lane, .. }) => Ok((bucket, Lane { client, lane })),
                _ => Err(EngineError::corrupt("a session's age row does not decode")),
            })
            .collect()
    }
}

/// A session row that came with a moving shard.
pub(crate) fn decode_session(key: &Bytes, value: Option<&Bytes>) -> Option<(Lane, Option<SessionRow>)> {
    let lane = Lane::of_key(key)?;
    match value {
        None => Some((lane, None)),
        Some(value) => Some((lane, Some(SessionRow::decode(value)?))),
    }
}
