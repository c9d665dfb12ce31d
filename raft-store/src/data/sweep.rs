//! Sweeping: rows that belong to nothing alive are removed piecemeal, off the write path, by each replica for itself.
//! Nothing is replicated and nothing is remembered: an interrupted sweep finds the rest again.
//!
//! Rows go by ordinary deletes, never by dropping files: a dropped file is gone at once, also for readers of an older
//! view, and also after a crash that takes the database back to a moment when its rows still mattered and entries that
//! need them are applied again. Deletes share the fate and the order of all other writes. The price: the space comes
//! back only when compaction gets there.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotilla_types::engine::Reader;
use flotilla_types::{EngineError, Machine, WriteBatch};

use super::engine::DataEngine;
use super::view::{MachineRows, OWN_KEYS, Replica};
use crate::blocking::blocking;

/// Rows removed at a time, and the pause in between: a sweep must not be felt.
const CHUNK_ROWS: usize = 1024;
const CHUNK_BYTES: usize = 1024 * 1024;
const PAUSE: Duration = Duration::from_millis(2);

/// Sweeps now and whenever the machine says that there may be garbage.
pub(crate) async fn sweep_forever<M: Machine>(replica: Arc<Replica<M>>) {
    let mut garbage = replica.garbage.subscribe();
    loop {
        garbage.mark_unchanged();
        if let Err(error) = sweep(&replica).await {
            // Not fatal: nothing is answered from these rows. What is broken stops the replica elsewhere.
            tracing::error!(replica = %replica.id, error = %crate::error::describe(&error), "sweep failed");
        }
        if garbage.changed().await.is_err() {
            return;
        }
    }
}

async fn sweep<M: Machine>(replica: &Replica<M>) -> Result<(), EngineError> {
    let (db, ranges) = blocking(|| replica.garbage())?;
    for (start, end) in ranges {
        let end = if end.is_empty() || end.as_ref() > OWN_KEYS { Bytes::from_static(OWN_KEYS) } else { end };
        let mut from = Some(start);
        while let Some(start) = from {
            from = blocking(|| sweep_chunk(&*db.engine, &start, &end))?;
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(())
}

/// Removes some rows of the range; if there may be more, where to go on.
fn sweep_chunk(engine: &dyn DataEngine, start: &Bytes, end: &Bytes) -> Result<Option<Bytes>, EngineError> {
    let mut batch = WriteBatch::default();
    let (mut bytes, mut rest) = (0, None);
    {
        let rows = MachineRows(engine.snapshot());
        for row in rows.scan(start, end) {
            let (key, value) = row?;
            bytes += key.len() + value.len();
            batch.delete(key.clone());
            if batch.ops.len() >= CHUNK_ROWS || bytes >= CHUNK_BYTES {
                rest = Some(key);
                break;
            }
        }
    }
    if !batch.is_empty() {
        engine.write(batch)?;
    }
    Ok(rest)
}
