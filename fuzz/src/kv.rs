//! A shard group under any commands. After each: two replicas alike, one of them reopened from its rows; counts, indexes
//! and monotone numbers as the invariants say. Then any questions.

use bytes::Bytes;
use flotilla_shardkv::Options;
use flotilla_shardkv::api::command::Kind;
use flotilla_shardkv::api::{Command, Query, TransferCursor};
use flotilla_types::{ConfigNum, GroupId, ShardConfig, ShardId, Wire};

use super::choices::Choices;
use super::world::Group;

/// Longer inputs show nothing that shorter ones do not.
const COMMANDS_MAX: usize = 40;
const BYTES_MAX: usize = 8 * 1024;

/// Commands, each behind its length.
pub fn run(data: &[u8]) {
    if data.len() > BYTES_MAX {
        return;
    }
    let mut group = group();
    for piece in Choices::pieces(data).take(COMMANDS_MAX) {
        let Ok(command) = Command::decode_from(Bytes::copy_from_slice(piece)) else { continue };
        // Nested so deeply that the log could not hold it: the node refuses it before the log.
        if Command::decode_from(command.to_bytes()).is_err() {
            continue;
        }
        questions(&group, &command, piece);
        if let Some(kind) = command.kind {
            group.commit(kind);
        }
    }
}

// Small bounds, so that short inputs reach them; shard 1 comes at configuration 2 and shard 2 goes.
fn group() -> Group {
    let mut options = Options::new(GroupId(1), ConfigNum(1), 3);
    options.limits.session_rows_max = 3;
    options.limits.session_window_ms = 4;
    options.limits.expire_keys_max = 1;
    let mut group = Group::new(options);
    group.commit(Kind::Adopt(ShardConfig { num: 1, shards: vec![1, 2, 1] }));
    group.commit(Kind::Adopt(ShardConfig { num: 2, shards: vec![1, 1, 2] }));
    group
}

// What a peer or a client could ask with the same bytes.
fn questions(group: &Group, command: &Command, piece: &[u8]) {
    let mut choices = Choices::new(piece);
    let shard = ShardId(choices.below(4) as u32);
    let (seal, bytes_max, now_ms) = (choices.flag(), choices.index(256), choices.below(16));
    let key = Bytes::copy_from_slice(choices.slice(8));
    let cursor = match &command.kind {
        Some(Kind::Seal(seal)) => seal.cursor.clone(),
        Some(Kind::InsertShards(chunk)) => chunk.next.clone(),
        _ => Some(TransferCursor { phase: 0, key: key.clone(), counter: u64::MAX, rounds: u32::MAX }),
    };
    group.leader.query(Query::Transfer { shard, config: ConfigNum(2), cursor, seal, bytes_max });
    let end = Bytes::copy_from_slice(choices.slice(8));
    let scan = Query::Scan { shard, start: key.clone(), end, rows_max: bytes_max, keys_only: seal, now_ms };
    group.leader.query(scan);
    group.leader.query(Query::Get { shard, key, now_ms });
}
