//! Every message of the kv and ctrl services. Many of them are commands of the log as well, so decoding must be total
//! and stable.

use bytes::Bytes;
use flotilla_proto::{ctrl_v1, kv_v1};
use flotilla_types::{ShardConfig, Wire};

type Check = fn(Bytes);

/// What the first byte chooses from. Append only: the corpus depends on the order.
pub const MESSAGES: &[Check] = &[
    check::<kv_v1::CommandRequest>,
    check::<kv_v1::CommandResponse>,
    check::<kv_v1::CommandBatchRequest>,
    check::<kv_v1::CommandBatchResponse>,
    check::<kv_v1::CommandStreamRequest>,
    check::<kv_v1::CommandStreamResponse>,
    check::<kv_v1::ScanRequest>,
    check::<kv_v1::ScanResponse>,
    check::<kv_v1::GetShardsDataRequest>,
    check::<kv_v1::GetShardsDataResponse>,
    check::<kv_v1::DeleteShardsDataRequest>,
    check::<kv_v1::DeleteShardsDataResponse>,
    check::<kv_v1::GetStatusRequest>,
    check::<kv_v1::GetStatusResponse>,
    check::<kv_v1::GetDigestRequest>,
    check::<kv_v1::GetDigestResponse>,
    check::<kv_v1::Chunk>,
    check::<kv_v1::Command>,
    check::<kv_v1::Response>,
    check::<ctrl_v1::JoinRequest>,
    check::<ctrl_v1::LeaveRequest>,
    check::<ctrl_v1::MoveRequest>,
    check::<ctrl_v1::RegisterRequest>,
    check::<ctrl_v1::ReportRequest>,
    check::<ctrl_v1::LockRequest>,
    check::<ctrl_v1::UnlockRequest>,
    check::<ctrl_v1::AdminResponse>,
    check::<ctrl_v1::QueryRequest>,
    check::<ctrl_v1::QueryResponse>,
    check::<ctrl_v1::WatchConfigRequest>,
    check::<ctrl_v1::WatchConfigResponse>,
    check::<ctrl_v1::GetStatusRequest>,
    check::<ctrl_v1::GetStatusResponse>,
    check::<flotilla_shardctrler::api::command::Command>,
    check::<ShardConfig>,
];

/// One message: its kind, then its bytes.
pub fn run(data: &[u8]) {
    let Some((kind, body)) = data.split_first() else { return };
    MESSAGES[usize::from(*kind) % MESSAGES.len()](Bytes::copy_from_slice(body));
}

fn check<T: Wire + PartialEq + std::fmt::Debug>(bytes: Bytes) {
    let Ok(value) = T::decode_from(bytes) else { return };
    let again = value.to_bytes();
    match T::decode_from(again.clone()) {
        Ok(decoded) => assert_eq!(decoded, value, "decoding what was encoded gives another value"),
        // What is nested to the decoder's limit may be deeper once it is written out in full.
        Err(error) => assert!(error.detail.contains("recursion limit"), "own bytes do not decode: {error}"),
    }
    let _ = format!("{value:?}");
}
