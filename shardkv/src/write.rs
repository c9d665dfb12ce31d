//! A client's write, from the log to the rows.
//!
//! The order: shape, ownership, session, freeze, operation. Ownership stands before the session because a session row is only
//! authoritative where the shard is served: an absent shard's rows are garbage, a pulling one's are half a copy, and a
//! sealed one's have an heir that may know more. Each of these answers with the group to ask. Among groups that serve
//! (at most one at any configuration) the session decides first, so that a retry hears the answer it missed whatever
//! has happened to the key since.

use flotilla_types::planted::{self, Bug};
use flotilla_types::{EngineError, Txn};

use crate::api::command::Write;
use crate::api::op::{Batch, Kind};
use crate::api::{Code, Reply, WriteId};
use crate::check::{Checked, check, is_read_only};
use crate::kv::ShardKv;
use crate::session::Recall;
use crate::shard_txn::ShardTxn;
use crate::stage::{Stage, Staging};
use crate::values::SessionRow;

/// The most bytes of values that a batch of reads alone may answer. Many such batches can be in one round of applies, on
/// every replica; larger reads go one by one, past the log.
const READS_BYTES_MAX: usize = 256 * 1024;

impl ShardKv {
    pub(crate) fn write(&mut self, rows: &mut Txn<'_>, write: Write) -> Result<Reply, EngineError> {
        let checked = match check(write, self.options.shards) {
            Ok(checked) => checked,
            Err(refusal) => return Ok(self.signed(refusal)),
        };
        let shard = checked.shard;
        if let Some(refusal) = self.refusal(shard) {
            return Ok(refusal);
        }
        if self.is_frozen() {
            return if is_read_only(&checked.op) {
                let reply = self.begin(rows, shard).stage(&checked.op)?.0;
                Ok(self.served(shard, reply))
            } else {
                self.frozen_write(&*rows, &checked)
            };
        }
        let mut txn = self.begin(rows, shard);
        let reply = txn.write(checked)?;
        let state = txn.state;
        self.store(rows, shard, state);
        Ok(self.served(shard, reply))
    }
}

impl ShardTxn<'_, '_> {
    fn write(&mut self, write: Checked) -> Result<Reply, EngineError> {
        self.pass_time(write.now_ms);
        if is_read_only(&write.op) {
            // Nothing to remember: a retry reads again, within the time of the same call.
            return Ok(self.stage(&write.op)?.0);
        }
        match self.recall(write.id)? {
            Recall::New(before) => {
                let (reply, staging) = self.stage(&write.op)?;
                let Some(staging) = staging else { return Ok(reply) };
                if planted::is(Bug::WrongGroupAfterApplying) && self.state.moving_at().is_some() {
                    return staging.commit(self).map(|()| Reply::refused(Code::WrongGroup, "planted"));
                }
                let too_early = planted::hash_order();
                if too_early {
                    self.remember(write.id, before.clone(), &reply)?;
                }
                staging.commit(self)?;
                if !too_early {
                    self.remember(write.id, before, &reply)?;
                }
                self.evict_sessions()?;
                Ok(reply)
            }
            Recall::Again(row) => Ok(row.reply()),
            Recall::Refused(refusal) => Ok(refusal),
        }
    }

    /// Moves the shard's time on. It never goes back; 0 is a leader that does not trust its clock.
    pub(crate) fn pass_time(&mut self, now_ms: u64) {
        self.state.time_ms = self.state.time_ms.max(now_ms);
    }

    // The reply and what to commit with it (which is nothing after a failed compare); no staging: a refusal.
    fn stage(&self, op: &Kind) -> Result<(Reply, Option<Staging>), EngineError> {
        let mut stage = Stage::new(self);
        let reply = match op {
            Kind::Batch(batch) => self.run_batch(&mut stage, batch)?,
            single => stage.run(single)?,
        };
        match reply.code() {
            Code::Ok | Code::NoKey => Ok((reply, Some(stage.finish()))),
            Code::CompareFailed => Ok((reply, Some(Stage::new(self).finish()))),
            _ => Ok((reply, None)),
        }
    }

    fn run_batch(&self, stage: &mut Stage<'_, '_, '_>, batch: &Batch) -> Result<Reply, EngineError> {
        // What a writing batch reads is remembered for its retries, so it is bounded; a reading one's travels once.
        let writes = !batch.ops.iter().filter_map(|op| op.kind.as_ref()).all(is_read_only);
        let max = if writes { self.limits.batch_reads_bytes_max } else { READS_BYTES_MAX };
        let mut read_bytes = 0;
        let mut all = Reply { version: self.state.counter, ..Reply::default() };
        for op in batch.ops.iter().filter_map(|op| op.kind.as_ref()) {
            let reply = stage.run(op)?;
            read_bytes += reply.value.as_ref().map_or(0, |value| value.len());
            if read_bytes > max {
                return Ok(reads_too_much(max));
            }
            all.code = reply.code;
            all.message.clone_from(&reply.message);
            all.batch.push(reply);
            match all.code() {
                Code::Ok => {}
                Code::NoKey => all.code = Code::Ok.into(),
                // Nothing of it happens, so no version beyond the present one may be named.
                _ => {
                    all.batch.iter_mut().for_each(|reply| reply.version = reply.version.min(all.version));
                    return Ok(all);
                }
            }
        }
        all.version = stage.counter();
        Ok(all)
    }

    fn remember(
        &mut self,
        id: WriteId,
        before: Option<SessionRow>,
        reply: &Reply,
    ) -> Result<(), EngineError> {
        let issued_at_ms = before.as_ref().map_or(0, |row| row.issued_at_ms).max(id.issued_at_ms);
        let row = SessionRow::of(id.seq, issued_at_ms, reply);
        self.put_session(id, before.as_ref(), &row)
    }
}

fn reads_too_much(max: usize) -> Reply {
    let message = format!(
        "a batch that reads more than {max} bytes: read less in it, or read in a batch without writes"
    );
    Reply::refused(Code::TooLarge, message)
}
