//! What a write costs does not grow with what is there: neither with keys nor with sessions coming and going. Counted in
//! rows read, not in time, so that it holds on any machine. Does not see what an engine pays to pass over deleted rows.

mod world;

use std::cell::Cell;

use flotilla_shardkv::api::command::{Kind, Write};
use flotilla_shardkv::api::op::Op;
use flotilla_shardkv::api::{Code, Command, WriteId};
use flotilla_shardkv::{Options, ShardKv};
use flotilla_types::engine::{MemReader, Rows};
use flotilla_types::{
    Bytes, ConfigNum, Engine, EngineError, GroupId, Machine, MemEngine, Reader, ShardConfig, Txn,
};

/// A view that counts the rows it gives.
struct Counting {
    view: MemReader,
    rows: Cell<u64>,
}

impl Reader for Counting {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.rows.set(self.rows.get() + 1);
        self.view.get(key)
    }

    fn scan<'a>(&'a self, start: &[u8], end: &[u8]) -> Rows<'a> {
        let rows = self.view.scan(start, end);
        Box::new(rows.inspect(|_| self.rows.set(self.rows.get() + 1)))
    }
}

// Applies commands as one round; gives how many rows were read.
fn round(kv: &mut ShardKv, engine: &MemEngine, kinds: impl Iterator<Item = Kind>) -> u64 {
    let view = Counting { view: engine.view(), rows: Cell::new(0) };
    let mut txn = Txn::new(&view);
    for kind in kinds {
        let response = kv.apply(&mut txn, Command { kind: Some(kind) }).expect("memory does not fail");
        assert_eq!(response.reply.expect("a reply").code(), Code::Ok);
    }
    let batch = txn.into_batch();
    let rows = view.rows.get();
    drop(view);
    engine.write(batch).expect("memory does not fail");
    rows
}

// A hundred clients that write once.
fn writes(round: u64) -> impl Iterator<Item = Kind> {
    (round * 100..round * 100 + 100).map(move |client| {
        let now_ms = 1_000_000 + round;
        let id = Some(WriteId { client, lane: 0, seq: 1, issued_at_ms: now_ms });
        let key = format!("key-{}", client % 5_000);
        let op = Some(Op { kind: Some(world::put(key.as_bytes(), b"value", 0)) });
        Kind::Write(Write { shard: 0, id, op, now_ms })
    })
}

#[test]
fn a_write_reads_a_few_rows_however_many_there_are() {
    let mut options = Options::new(GroupId(1), ConfigNum(1), 1);
    options.limits.session_rows_max = 3_000;
    let engine = MemEngine::default();
    let mut kv = ShardKv::open(&options, &engine.view()).expect("an empty engine opens");
    let config = ShardConfig { num: 1, shards: vec![1] };
    round(&mut kv, &engine, std::iter::once(Kind::Adopt(config)));
    let early: u64 = (0..10).map(|index| round(&mut kv, &engine, writes(index))).sum();
    let _between: u64 = (10..190).map(|index| round(&mut kv, &engine, writes(index))).sum();
    let late: u64 = (190..200).map(|index| round(&mut kv, &engine, writes(index))).sum();
    assert_eq!(early, 2 * 1000, "the key and the session");
    assert!(late <= 6 * 1000, "and now and then the oldest sessions: {late} rows for 1000 writes");
}
