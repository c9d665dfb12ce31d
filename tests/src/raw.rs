//! Writes with ids of one's own making: the same write sent twice, sent late, or sent by somebody who never was.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use flotilla_proto::kv_v1::op::Kind;
use flotilla_proto::kv_v1::{Append, CommandRequest, Get, Op, Put, WriteId};

/// Milliseconds since 1970 UTC.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock stands after 1970");
    u64::try_from(since.as_millis()).expect("it is not that late")
}

/// The id of the `seq`th write of a made-up client, issued now.
pub fn write_id(client: u64, seq: u64) -> WriteId {
    WriteId { client, lane: 0, seq, issued_at_ms: now_ms() }
}

/// An append under this id.
pub fn append(id: WriteId, key: &str, suffix: &str) -> CommandRequest {
    let (key, suffix) = (bytes_of(key), bytes_of(suffix));
    command(Some(id), Kind::Append(Append { key, suffix }))
}

/// A put under this id.
pub fn put(id: WriteId, key: impl Into<Bytes>, value: impl Into<Bytes>) -> CommandRequest {
    command(Some(id), Kind::Put(Put { key: key.into(), value: value.into(), ttl_ms: 0 }))
}

/// A read.
pub fn get(key: &str) -> CommandRequest {
    command(None, Kind::Get(Get { key: bytes_of(key) }))
}

/// An operation as it travels, to no group yet.
pub fn command(id: Option<WriteId>, kind: Kind) -> CommandRequest {
    CommandRequest { id, op: Some(Op { kind: Some(kind) }), ..CommandRequest::default() }
}

fn bytes_of(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}
