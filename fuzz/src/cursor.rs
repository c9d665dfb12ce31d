//! The cursor of a scan: opaque to clients, who may hand back anything.

use flotilla_proto::cursor::Cursor;

/// One cursor.
pub fn run(data: &[u8]) {
    let Ok(cursor) = Cursor::decode(data) else { return };
    let encoded = cursor.encode().expect("what was short enough to decode is short enough to encode");
    assert_eq!(encoded, data, "a cursor encodes to other bytes");
}
