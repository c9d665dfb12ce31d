//! Limits, checked before anything is sent. The servers check them again.

use flotilla_proto::kv_v1::Op;
use flotilla_proto::kv_v1::op::{Expected, Kind};
use flotilla_types::limits::{BATCH_BYTES_MAX, BATCH_OPS_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};
use flotilla_types::shard_of_key;

use crate::error::ClientError;

/// Checks an operation against the limits of a cluster of `shards` shards.
pub(crate) fn op(op: &Op, shards: u32) -> Result<(), ClientError> {
    match &op.kind {
        Some(Kind::Batch(batch)) => check_batch(&batch.ops, shards),
        _ => single(op),
    }
}

/// The first key that an operation names; it decides the shard.
pub(crate) fn first_key(op: &Op) -> Option<&[u8]> {
    match op.kind.as_ref()? {
        Kind::Get(get) => Some(&get.key),
        Kind::Put(put) => Some(&put.key),
        Kind::Append(append) => Some(&append.key),
        Kind::Delete(delete) => Some(&delete.key),
        Kind::CompareAndSet(cas) => Some(&cas.key),
        Kind::Batch(batch) => batch.ops.first().and_then(first_key),
    }
}

fn single(op: &Op) -> Result<(), ClientError> {
    let key = first_key(op).ok_or_else(|| invalid("an operation that is none: give it a kind"))?;
    check_key(key)?;
    for value in values(op) {
        if value.len() > VALUE_BYTES_MAX {
            return Err(too_large("value", value.len(), VALUE_BYTES_MAX));
        }
    }
    Ok(())
}

/// Checks a key alone.
pub(crate) fn check_key(key: &[u8]) -> Result<(), ClientError> {
    match key.len() {
        0 => Err(invalid(format!("an empty key: a key has 1 to {KEY_BYTES_MAX} bytes"))),
        len if len > KEY_BYTES_MAX => Err(too_large("key", len, KEY_BYTES_MAX)),
        _ => Ok(()),
    }
}

fn check_batch(ops: &[Op], shards: u32) -> Result<(), ClientError> {
    if ops.is_empty() || ops.len() > BATCH_OPS_MAX {
        return Err(invalid(format!(
            "a batch of {} operations: a batch has 1 to {BATCH_OPS_MAX}",
            ops.len()
        )));
    }
    let mut bytes = 0;
    let shard = ops.first().and_then(first_key).map(|key| shard_of_key(key, shards));
    for (index, op) in ops.iter().enumerate() {
        if matches!(op.kind, Some(Kind::Batch(_))) {
            return Err(invalid("a batch inside a batch: put its operations in the outer one"));
        }
        single(op)?;
        bytes += first_key(op).map_or(0, <[u8]>::len) + values(op).map(|value| value.len()).sum::<usize>();
        if first_key(op).map(|key| shard_of_key(key, shards)) != shard {
            return Err(invalid(format!(
                "operation {index} of a batch is on another shard than the first: a hashtag, as in {{tag}}key, puts \
                 keys together"
            )));
        }
    }
    if bytes > BATCH_BYTES_MAX { Err(too_large("batch", bytes, BATCH_BYTES_MAX)) } else { Ok(()) }
}

/// The values that an operation carries.
fn values(op: &Op) -> impl Iterator<Item = &[u8]> {
    let values: [&[u8]; 2] = match &op.kind {
        Some(Kind::Put(put)) => [&put.value, b""],
        Some(Kind::Append(append)) => [&append.suffix, b""],
        Some(Kind::CompareAndSet(cas)) => {
            let expected: &[u8] = match &cas.expected {
                Some(Expected::Value(value)) => value,
                _ => b"",
            };
            [cas.new.as_deref().unwrap_or_default(), expected]
        }
        _ => [b"", b""],
    };
    values.into_iter()
}

fn too_large(what: &str, len: usize, max: usize) -> ClientError {
    invalid(format!("{what} of {len} bytes is over the limit of {max} bytes: make it smaller"))
}

fn invalid(message: impl Into<String>) -> ClientError {
    ClientError::Invalid(message.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Batch;

    fn put(key: usize, value: usize) -> Op {
        Batch::new().put(vec![b'k'; key], vec![b'v'; value]).into_ops().remove(0)
    }

    #[test]
    fn the_limits_themselves_pass_and_one_more_does_not() {
        assert!(op(&put(KEY_BYTES_MAX, VALUE_BYTES_MAX), 64).is_ok());
        for bad in [put(0, 0), put(KEY_BYTES_MAX + 1, 0), put(1, VALUE_BYTES_MAX + 1), Op { kind: None }] {
            assert!(matches!(op(&bad, 64), Err(ClientError::Invalid(_))));
        }
    }

    #[test]
    fn a_batch_stays_in_one_shard() {
        let batch = |ops: Vec<Op>| {
            let batch = flotilla_proto::kv_v1::Batch { ops };
            op(&Op { kind: Some(Kind::Batch(batch)) }, 64)
        };
        assert!(batch(Batch::new().put("{a}1", "x").delete("{a}2").into_ops()).is_ok());
        assert!(batch(Batch::new().put("a", "x").delete("b").into_ops()).is_err());
        assert!(batch(Vec::new()).is_err());
        assert!(batch(vec![put(1, 1); BATCH_OPS_MAX + 1]).is_err());
    }
}
