//! How a story shows things: short, one line each.

use flotilla_shardkv::Action;
use flotilla_shardkv::api::{Chunk, Reply, RowKind, TransferCursor};
use flotilla_shardkv::rows::RowKey;

use bytes::Bytes;

pub fn text(bytes: &Bytes) -> String {
    if bytes.is_empty() { "''".to_owned() } else { bytes.escape_ascii().to_string() }
}

pub fn reply(reply: &Reply) -> String {
    let mut out = format!("{:?}", reply.code());
    if let Some(value) = &reply.value {
        out += &format!(" {}", text(value));
    }
    if reply.is_outcome() && reply.gid != 0 {
        out += &format!(" v{} c{}", reply.version, reply.config);
    }
    if !reply.batch.is_empty() {
        let inner: Vec<String> = reply.batch.iter().map(inner_reply).collect();
        out += &format!(" [{}]", inner.join(", "));
    }
    if !reply.message.is_empty() {
        out += &format!(": {}", reply.message);
    }
    if let Some(hint) = &reply.hint {
        out += &format!(" (hint g{}, c{})", hint.gid, reply.config);
    }
    out
}

fn inner_reply(reply: &Reply) -> String {
    let value = reply.value.as_ref().map_or(String::new(), |value| format!(" {}", text(value)));
    format!("{:?}{value} v{}", reply.code(), reply.version)
}

pub fn cursor(cursor: &TransferCursor) -> String {
    format!("{:?}({}, {}, {})", cursor.phase(), text(&cursor.key), cursor.counter, cursor.rounds)
}

pub fn chunk(chunk: &Chunk) -> String {
    let rows: Vec<String> = chunk
        .rows
        .iter()
        .map(|row| match (row.kind(), &row.value) {
            (RowKind::Data, Some(value)) => format!("{}={}", text(&row.key), text(&value.slice(17..))),
            (RowKind::Data, None) => format!("-{}", text(&row.key)),
            (RowKind::Session, _) => {
                format!("session {}", u64::from_be_bytes(row.key[..8].try_into().expect("8 bytes")))
            }
        })
        .collect();
    let next = chunk.next.as_ref().map_or("none".to_owned(), cursor);
    let last = chunk.last.as_ref().map_or(String::new(), |last| {
        format!(", last: v{} time {} floor {}", last.counter, last.time_ms, last.floor_ms)
    });
    format!("[{}] next {next}, {} remain{last}", rows.join(" "), chunk.remaining_bytes)
}

pub fn action(action: &Action) -> String {
    match action {
        Action::FetchConfig { num } => format!("fetch {num:?}"),
        Action::Pull { shard, config, from, cursor: at, seal } => {
            let seal = if *seal { " and seal" } else { "" };
            format!("pull {shard:?} at {config:?} from {from:?}, {}{seal}", cursor(at))
        }
        Action::DeleteAtSource { shard, config, from } => {
            format!("delete {shard:?} at {config:?} at {from:?}")
        }
        Action::Report { settled } => format!("report {settled:?}"),
        Action::Expire { shard } => format!("expire {shard:?}"),
        Action::AwaitFreeze { freeze, beat, lease_ms } => {
            format!("await freeze {freeze} beat {beat}, {lease_ms} ms")
        }
    }
}

pub fn row_key(key: &RowKey) -> String {
    match key {
        RowKey::Data { home, key } => format!("{:?}@{:?} {}", home.shard, home.acquired, text(key)),
        RowKey::Session { home, client, lane } => {
            format!("{:?}@{:?} session {client}/{lane}", home.shard, home.acquired)
        }
        RowKey::Change { home, number } => format!("{:?}@{:?} change {number}", home.shard, home.acquired),
        other => format!("{other:?}"),
    }
}
