//! What can be said of a write by looking at it alone: shape and limits.

use flotilla_types::limits::{BATCH_BYTES_MAX, BATCH_OPS_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};
use flotilla_types::{ShardId, shard_of_key};

use crate::api::command::Write;
use crate::api::op::{Expected, Kind, Op};
use crate::api::{Code, Reply, WriteId};

/// A write whose shape is right.
pub(crate) struct Checked {
    pub(crate) shard: ShardId,
    pub(crate) id: WriteId,
    pub(crate) op: Kind,
    pub(crate) now_ms: u64,
}

/// Checks a write in a cluster of `shards` shards.
pub(crate) fn check(write: Write, shards: u32) -> Result<Checked, Reply> {
    let shard = ShardId(write.shard);
    if write.shard >= shards {
        return invalid(format!("shard {shard}: this cluster has shards 0 to {}", shards - 1));
    }
    let Some(id) = write.id else {
        return invalid("a write without an id: give client, lane, seq and issued_at_ms");
    };
    if id.seq == 0 || id.issued_at_ms == 0 {
        return invalid("a write id with seq or issued_at_ms 0: both start at 1");
    }
    let Some(op) = write.op.and_then(|op| op.kind) else { return invalid("a write without an operation") };
    let context = Context { shard, shards };
    match &op {
        Kind::Batch(batch) => context.batch(&batch.ops)?,
        single => context.single(single).map(drop)?,
    }
    Ok(Checked { shard, id, op, now_ms: write.now_ms })
}

/// Checks a key's length.
pub(crate) fn check_key(key: &[u8]) -> Result<(), Reply> {
    match key.len() {
        0 => invalid("an empty key: a key has 1 to 4096 bytes"),
        len if len > KEY_BYTES_MAX => too_large("key", len, KEY_BYTES_MAX),
        _ => Ok(()),
    }
}

/// A refusal that names the limit.
pub(crate) fn too_large<T>(what: &str, len: usize, max: usize) -> Result<T, Reply> {
    Err(Reply::refused(
        Code::TooLarge,
        format!("{what} of {len} bytes is over the limit of {max} bytes: make it smaller"),
    ))
}

fn invalid<T>(message: impl Into<String>) -> Result<T, Reply> {
    Err(Reply::refused(Code::Invalid, message))
}

struct Context {
    shard: ShardId,
    shards: u32,
}

impl Context {
    fn batch(&self, ops: &[Op]) -> Result<(), Reply> {
        if ops.is_empty() || ops.len() > BATCH_OPS_MAX {
            let (len, max) = (ops.len(), BATCH_OPS_MAX);
            let code = if ops.is_empty() { Code::Invalid } else { Code::TooLarge };
            return Err(Reply::refused(code, format!("a batch of {len} operations: a batch has 1 to {max}")));
        }
        let mut bytes = 0;
        for op in ops {
            match &op.kind {
                None => return invalid("a batch with an operation that is none"),
                Some(Kind::Batch(_)) => {
                    return invalid("a batch inside a batch: put its operations in the outer one");
                }
                Some(single) => bytes += self.single(single)?,
            }
        }
        if bytes > BATCH_BYTES_MAX { too_large("batch", bytes, BATCH_BYTES_MAX) } else { Ok(()) }
    }

    // Gives the bytes of key and values.
    fn single(&self, op: &Kind) -> Result<usize, Reply> {
        let (key, values): (_, [&[u8]; 2]) = match op {
            Kind::Get(get) => (&get.key, [b"", b""]),
            Kind::Put(put) => (&put.key, [&put.value, b""]),
            Kind::Append(append) => (&append.key, [&append.suffix, b""]),
            Kind::Delete(delete) => (&delete.key, [b"", b""]),
            Kind::CompareAndSet(cas) => {
                let expected: &[u8] = match &cas.expected {
                    Some(Expected::Value(value)) => value,
                    _ => b"",
                };
                (&cas.key, [cas.new.as_deref().unwrap_or_default(), expected])
            }
            Kind::Batch(_) => return invalid("a batch inside a batch"),
        };
        self.key(key)?;
        for value in values {
            if value.len() > VALUE_BYTES_MAX {
                return too_large("value", value.len(), VALUE_BYTES_MAX);
            }
        }
        Ok(key.len() + values.iter().map(|value| value.len()).sum::<usize>())
    }

    fn key(&self, key: &[u8]) -> Result<(), Reply> {
        check_key(key)?;
        let shard = shard_of_key(key, self.shards);
        if shard != self.shard {
            return invalid(format!("a key of shard {shard} in a write to shard {}", self.shard));
        }
        Ok(())
    }
}

/// Whether an operation changes nothing, whatever the state.
pub(crate) fn is_read_only(op: &Kind) -> bool {
    match op {
        Kind::Get(_) => true,
        Kind::Batch(batch) => batch.ops.iter().all(|op| matches!(op.kind, Some(Kind::Get(_)))),
        _ => false,
    }
}
