//! Rows that belong to no living incarnation. Found by looking, so that an interrupted sweep is simply found again.

use bytes::Bytes;
use flotilla_types::engine::prefix_end;
use flotilla_types::{EngineError, Reader};

use crate::kv::ShardKv;
use crate::rows::{Home, RowKey};

impl ShardKv {
    // Seeks from home to home, over all the rows of each: the cost is in homes, not in rows.
    pub(crate) fn dead_homes(&self, rows: &dyn Reader) -> Result<Vec<(Bytes, Bytes)>, EngineError> {
        let mut dead = Vec::new();
        let (mut start, end) = (RowKey::HOMES.to_vec(), prefix_end(&RowKey::HOMES));
        while let Some(row) = rows.scan(&start, &end).next() {
            let key = row?.0;
            let Some(home) = RowKey::home_of(&key) else {
                return Err(EngineError::corrupt("a row's key is shorter than its home"));
            };
            let prefix = home.prefix();
            start = prefix_end(&prefix);
            if !self.is_alive(home) {
                dead.push((prefix.into(), start.clone().into()));
            }
        }
        Ok(dead)
    }

    fn is_alive(&self, home: Home) -> bool {
        self.shards
            .get(home.shard)
            .is_some_and(|state| state.phase.is_some() && state.acquired == home.acquired.get())
    }
}
