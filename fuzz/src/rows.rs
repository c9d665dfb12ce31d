//! Keys and values of a shard group's rows: what decodes encodes to the same bytes.

use bytes::Bytes;
use flotilla_shardkv::rows::RowKey;
use flotilla_shardkv::state::{GroupRow, ShardState};
use flotilla_shardkv::values::{ChangeRow, DataRow, SessionRow};
use flotilla_types::Wire;

/// One row: its kind, then its bytes.
pub fn run(data: &[u8]) {
    let Some((kind, body)) = data.split_first() else { return };
    let bytes = Bytes::copy_from_slice(body);
    match kind % 6 {
        0 => key(&bytes),
        1 => same(DataRow::decode(&bytes).map(|row| row.encode()), &bytes),
        2 => same(SessionRow::decode(&bytes).map(|row| row.encode()), &bytes),
        3 => same(ChangeRow::decode(&bytes).map(|row| row.encode()), &bytes),
        4 => state(bytes),
        _ => group(bytes),
    }
}

fn same(encoded: Option<Vec<u8>>, bytes: &Bytes) {
    assert!(encoded.is_none_or(|encoded| encoded == *bytes), "a row encodes to other bytes: {bytes:02x?}");
}

fn key(bytes: &Bytes) {
    let decoded = RowKey::decode(bytes);
    let home = RowKey::home_of(bytes);
    if let Some(RowKey::Data { home: of, .. } | RowKey::Session { home: of, .. }) = &decoded {
        assert_eq!(home, Some(*of), "a row's home is in its key");
        assert!(bytes.starts_with(&of.prefix()));
    }
    same(decoded.map(|key| key.encode()), bytes);
}

fn state(bytes: Bytes) {
    let Ok(state) = ShardState::decode_from(bytes) else { return };
    assert_eq!(ShardState::decode_from(state.to_bytes()), Ok(state.clone()));
    let _ = (state.serves(), state.moving_at(), state.shard_phase(true));
}

fn group(bytes: Bytes) {
    let Ok(row) = GroupRow::decode_from(bytes) else { return };
    assert_eq!(GroupRow::decode_from(row.to_bytes()), Ok(row));
}
