//! Reads of a served shard, from one view of the rows.

use bytes::Bytes;
use flotilla_types::limits::{SCAN_BYTES_MAX, SCAN_ROWS_MAX};
use flotilla_types::{EngineError, Reader, ShardId, shard_of_key};

use crate::api::{Answer, Code, Reply, ScanPage, ScanRow};
use crate::check::check_key;
use crate::kv::ShardKv;
use crate::rows::{TABLE_PREFIX_BYTES, Table};
use crate::shard_txn::read_data;
use crate::values::{DataRow, sound};

/// How many expired rows a page may pass over before it ends, so that its cost is bounded.
const PASSED_ROWS_MAX: usize = 4 * SCAN_ROWS_MAX;

/// `Query::Scan`.
pub(crate) struct Range {
    pub(crate) start: Bytes,
    pub(crate) end: Bytes,
    pub(crate) rows_max: usize,
    pub(crate) keys_only: bool,
}

/// What a row is to a reader.
enum Seen {
    Live,
    Expired,
    /// It has expired on the leader's clock, but not in the shard's time: which of the two holds must be in the log first.
    Due,
}

fn seen(row: &DataRow, time_ms: u64, now_ms: u64) -> Seen {
    match (row.is_expired(time_ms), row.is_expired(now_ms)) {
        (true, _) => Seen::Expired,
        (false, true) => Seen::Due,
        (false, false) => Seen::Live,
    }
}

impl ShardKv {
    pub(crate) fn get(
        &self,
        rows: &dyn Reader,
        shard: ShardId,
        key: &Bytes,
        now_ms: u64,
    ) -> Result<Answer, EngineError> {
        if let Some(refusal) = self.refusal(shard) {
            return Ok(Answer::Reply(refusal));
        }
        if let Err(refusal) = self.check_home(shard, key) {
            return Ok(Answer::Reply(self.signed(refusal)));
        }
        let state = self.state(shard);
        let now_ms = self.reader_clock(now_ms);
        let absent = Reply { code: Code::NoKey.into(), version: state.counter, ..Reply::default() };
        let reply = match read_data(rows, state.home(shard), key)? {
            None => absent,
            Some(row) => match seen(&row, state.time_ms, now_ms) {
                Seen::Due => return Ok(Answer::TickFirst(shard)),
                Seen::Expired => absent,
                Seen::Live => Reply { value: Some(row.value), version: row.version, ..Reply::default() },
            },
        };
        Ok(Answer::Reply(self.served(shard, reply)))
    }

    // While the group is frozen, time stands still.
    fn reader_clock(&self, now_ms: u64) -> u64 {
        if self.is_frozen() { 0 } else { now_ms }
    }

    fn check_home(&self, shard: ShardId, key: &[u8]) -> Result<(), Reply> {
        check_key(key)?;
        let home = shard_of_key(key, self.options.shards);
        if home == shard {
            return Ok(());
        }
        Err(Reply::refused(Code::Invalid, format!("a key of shard {home} asked of shard {shard}")))
    }

    pub(crate) fn scan(
        &self,
        rows: &dyn Reader,
        shard: ShardId,
        range: &Range,
        now_ms: u64,
    ) -> Result<Answer, EngineError> {
        if let Some(refusal) = self.refusal(shard) {
            return Ok(Answer::Reply(refusal));
        }
        let (state, now_ms) = (self.state(shard), self.reader_clock(now_ms));
        let home = state.home(shard);
        let start = home.key(Table::Data, &[&range.start]);
        let end = if range.end.is_empty() {
            home.table_end(Table::Data)
        } else {
            home.key(Table::Data, &[&range.end])
        };
        let mut page = Page::new(range, self.served(shard, Reply::default()).config, state.counter);
        for row in rows.scan(&start, &end) {
            let (key, value) = row?;
            let key = key.slice(TABLE_PREFIX_BYTES..);
            if page.is_full() {
                page.page.next = Some(key);
                break;
            }
            let row = sound(DataRow::decode(&value), "data")?;
            match seen(&row, state.time_ms, now_ms) {
                Seen::Due => return Ok(Answer::TickFirst(shard)),
                Seen::Expired => page.passed += 1,
                Seen::Live => page.add(key, row),
            }
        }
        Ok(Answer::Page(page.page))
    }
}

/// A page being filled.
struct Page {
    page: ScanPage,
    rows_max: usize,
    keys_only: bool,
    bytes: usize,
    passed: usize,
}

impl Page {
    fn new(range: &Range, config: u64, version: u64) -> Self {
        let page = ScanPage { config, version, ..ScanPage::default() };
        let rows_max = if range.rows_max == 0 { SCAN_ROWS_MAX } else { range.rows_max.min(SCAN_ROWS_MAX) };
        Self { page, rows_max, keys_only: range.keys_only, bytes: 0, passed: 0 }
    }

    fn is_full(&self) -> bool {
        self.page.rows.len() >= self.rows_max
            || self.bytes >= SCAN_BYTES_MAX
            || self.passed >= PASSED_ROWS_MAX
    }

    fn add(&mut self, key: Bytes, row: DataRow) {
        let value = if self.keys_only { Bytes::new() } else { row.value };
        self.bytes += key.len() + value.len();
        self.page.rows.push(ScanRow { key, value, version: row.version });
    }
}
