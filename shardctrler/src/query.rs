//! Reads.

use std::sync::Arc;

use flotilla_types::{ConfigNum, EngineError, Reader, Wire};

use crate::api::{Answer, ConfigAnswer, ControllerStatus, Query};
use crate::machine::{ShardCtrler, read};
use crate::rows::{RowKey, tag};

/// Answers from the machine and its rows of the same moment.
pub(crate) fn answer(state: &ShardCtrler, rows: &dyn Reader, query: Query) -> Result<Answer, EngineError> {
    Ok(match query {
        Query::Config(num) => Answer::Config(config(state, rows, num)?),
        Query::Directory => Answer::Directory(Arc::clone(&state.directory)),
        Query::Status => Answer::Status(status(state)),
        Query::Digest => Answer::Digest(digest(rows)?),
        Query::Migrations => Answer::Migrations(Arc::clone(&state.migrations)),
        Query::MigrationFiles(id, from, most) => {
            let (from, end) = (RowKey::MigrationFile(id, from), RowKey::MigrationFile(id, u32::MAX));
            Answer::MigrationFiles(values(rows, &from, &end, most)?)
        }
        Query::MigrationParts(id, file) => {
            let (from, end) = (RowKey::MigrationPart(id, file, 0), RowKey::MigrationPart(id, file, u32::MAX));
            Answer::MigrationParts(values(rows, &from, &end, u32::MAX)?)
        }
    })
}

fn config(
    state: &ShardCtrler,
    rows: &dyn Reader,
    num: Option<ConfigNum>,
) -> Result<ConfigAnswer, EngineError> {
    let (oldest, latest) = (state.counters.config_oldest, state.counters.config);
    let num = num.map_or(latest, ConfigNum::get);
    if num > latest || !state.is_born() {
        return Ok(ConfigAnswer::NotYet(ConfigNum(latest)));
    }
    if num == latest {
        return Ok(ConfigAnswer::Found(state.latest.as_ref().clone()));
    }
    if num < oldest {
        return Ok(ConfigAnswer::Compacted(ConfigNum(oldest)));
    }
    let found = read(rows, &RowKey::Config(num))?;
    let missing = || EngineError::corrupt(format!("the row of configuration {num} is missing"));
    Ok(ConfigAnswer::Found(found.ok_or_else(missing)?))
}

/// At most so many values from one row on to another.
fn values<T: Wire>(rows: &dyn Reader, from: &RowKey, end: &RowKey, most: u32) -> Result<Vec<T>, EngineError> {
    let rows = rows.scan(&from.encode(), &end.encode()).take(most as usize);
    rows.map(|row| Ok(T::decode_from(row?.1)?)).collect()
}

fn status(state: &ShardCtrler) -> ControllerStatus {
    let held = state.locks.values().filter(|lock| lock.expires_at_ms > state.counters.time_ms);
    ControllerStatus {
        config: state.counters.config,
        config_oldest: state.counters.config_oldest,
        revision: state.counters.revision,
        groups: state.live().count() as u64,
        nodes: state.directory.nodes.len() as u64,
        locks: held.count() as u64,
    }
}

/// FNV-1a (64 bits) over each row's key and value, each after its length.
fn digest(rows: &dyn Reader) -> Result<u64, EngineError> {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    for row in rows.scan(&[tag::BIRTH], &[tag::END]) {
        let (key, value) = row?;
        for field in [key, value] {
            hash = fnv1a(fnv1a(hash, &(field.len() as u64).to_be_bytes()), &field);
        }
    }
    Ok(hash)
}

fn fnv1a(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}
