//! Replicated time and the keys that it expires.

use flotilla_types::{EngineError, Reader, ShardId, Txn};

use crate::api::command::Tick;
use crate::api::{Code, Reply, RowKind};
use crate::kv::{ShardKv, done};
use crate::rows::{RowKey, Table};
use crate::shard_txn::{Extent, ShardTxn};

impl ShardKv {
    /// Moves a shard's time on, so that a read can see a key expire.
    pub(crate) fn tick(&mut self, rows: &mut Txn<'_>, tick: Tick) -> Reply {
        let shard = ShardId(tick.shard);
        if let Some(refusal) = self.refusal(shard) {
            return refusal;
        }
        // A tick that a read asked for before the freeze: the read is answered at the time of the freeze.
        if self.is_frozen() {
            return self.served(shard, done());
        }
        let mut txn = self.begin(rows, shard);
        txn.pass_time(tick.now_ms);
        let state = txn.state;
        self.store(rows, shard, state);
        self.served(shard, done())
    }

    /// Removes some keys whose time has come. For space only: an expired key is absent from every answer whether its row
    /// is there or not, and so the write counter stands still.
    pub(crate) fn expire(&mut self, rows: &mut Txn<'_>, tick: Tick) -> Result<Reply, EngineError> {
        let shard = ShardId(tick.shard);
        match self.refusal(shard) {
            Some(refusal) if refusal.code() == Code::Invalid => return Ok(refusal),
            Some(_) => return Ok(done()),
            None => {}
        }
        let mut txn = self.begin(rows, shard);
        txn.pass_time(tick.now_ms);
        txn.remove_expired()?;
        let state = txn.state;
        self.store(rows, shard, state);
        Ok(done())
    }
}

impl ShardTxn<'_, '_> {
    fn remove_expired(&mut self) -> Result<(), EngineError> {
        let home = self.home();
        let max = self.limits.expire_keys_max;
        let start = home.key(Table::Expiry, &[]);
        let rows = self.rows.scan(&start, &home.table_end(Table::Expiry)).take(max + 1);
        let earliest =
            rows.map(|row| Ok(RowKey::decode(&row?.0))).collect::<Result<Vec<_>, EngineError>>()?;
        self.state.next_expiry_ms = 0;
        for (index, key) in earliest.into_iter().enumerate() {
            let Some(RowKey::Expiry { at_ms, key, .. }) = key else {
                return Err(EngineError::corrupt("an expiry row's key does not decode"));
            };
            if index == max || at_ms > self.state.time_ms {
                self.state.next_expiry_ms = at_ms;
                return Ok(());
            }
            let before = self.data(&key)?.as_ref().map(Extent::from);
            self.set_data(&key, before, None);
            self.note_change(RowKind::Data, &key, key.len())?;
        }
        Ok(())
    }
}
