//! Reading keys in order.
//!
//! Keys are spread over all shards by hash, so a scan reads every shard and merges: it holds the next few rows of each
//! and gives out the smallest. Each page of a shard is exact for its moment; pages of different moments may show
//! different states of the cluster, though never a key twice.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use flotilla_proto::kv_v1::{Consistency, ScanRequest, ScanResponse};
use flotilla_types::limits::SCAN_ROWS_MAX;
use flotilla_types::{Bytes, ShardId};
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::time::Instant;

use crate::check::check_key;
use crate::client::Client;
use crate::drive::{Exchange, drive, rpc};
use crate::error::ClientError;
use crate::failure::Failure;
use crate::shared::Shared;
use crate::trip::Target;
use crate::values::Versioned;
use crate::verdict::{Verdict, of_reply};

/// How many shards are read at once.
const READS_MAX: usize = 32;
/// A shard is asked for at least so many rows at a time.
const SHARD_ROWS_MIN: usize = 16;

/// Which keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ScanRange {
    /// Every key.
    All,
    /// Keys that begin so.
    Prefix(Bytes),
    /// Keys from `start` on, up to but without `end`; an empty `end` is no end.
    Range {
        /// The first key.
        start: Bytes,
        /// The first key that is out.
        end: Bytes,
    },
}

/// How to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScanOptions {
    /// How many rows a page has, 1 to 10000.
    pub page: usize,
    /// Leave the values out.
    pub keys_only: bool,
    /// End after so many rows; none: read everything.
    pub limit: Option<usize>,
}

impl Default for ScanOptions {
    fn default() -> Self {
        Self { page: 1000, keys_only: false, limit: None }
    }
}

/// A scan in progress. It holds a few rows of each shard: at most a page of about 1 MiB, or one row, for each of them.
#[derive(Debug)]
pub struct Scan {
    client: Client,
    range: ScanRange,
    options: ScanOptions,
    /// How many rows may still be given out.
    left: usize,
    feeds: Vec<Feed>,
    /// The first row of each feed that has any.
    heads: BinaryHeap<Reverse<(Bytes, usize)>>,
}

/// One shard's rows.
#[derive(Debug)]
struct Feed {
    shard: ShardId,
    rows: VecDeque<(Bytes, Versioned)>,
    /// Where its next page starts; empty: at the beginning.
    cursor: Bytes,
    exhausted: bool,
}

impl Scan {
    pub(crate) fn new(client: Client, range: ScanRange, options: ScanOptions) -> Self {
        let shards = client.directory().shards;
        let feed = |shard| Feed {
            shard: ShardId(shard),
            rows: VecDeque::new(),
            cursor: Bytes::new(),
            exhausted: false,
        };
        Self {
            client,
            range,
            options,
            left: options.limit.unwrap_or(usize::MAX),
            feeds: (0..shards).map(feed).collect(),
            heads: BinaryHeap::new(),
        }
    }

    /// The next page: its keys follow those of the page before. None: there are no more. The client's timeout holds for
    /// each page; after an error the same page can be asked for again.
    pub async fn next_page(&mut self) -> Result<Option<Vec<(Bytes, Versioned)>>, ClientError> {
        self.check()?;
        let wanted = self.options.page.min(self.left);
        let mut page = Vec::new();
        let deadline = self.client.deadline();
        while page.len() < wanted {
            if self.feeds.iter().any(Feed::is_hungry)
                && let Err(error) = self.refill(deadline).await
            {
                self.put_back(page);
                return Err(error);
            }
            if !self.merge(&mut page, wanted) {
                break;
            }
        }
        self.left -= page.len();
        Ok((!page.is_empty()).then_some(page))
    }

    fn check(&self) -> Result<(), ClientError> {
        if !(1..=SCAN_ROWS_MAX).contains(&self.options.page) {
            let page = self.options.page;
            return Err(ClientError::Invalid(format!(
                "the page is {page} rows: it must be 1 to {SCAN_ROWS_MAX}"
            )));
        }
        let bounds = match &self.range {
            ScanRange::All => [&Bytes::new(), &Bytes::new()].map(Bytes::clone),
            ScanRange::Prefix(prefix) => [prefix.clone(), Bytes::new()],
            ScanRange::Range { start, end } => [start.clone(), end.clone()],
        };
        bounds.iter().filter(|bound| !bound.is_empty()).try_for_each(|bound| check_key(bound))
    }

    /// Moves rows into the page, smallest key first, until it is full or a shard must be read first; `false` at the end.
    fn merge(&mut self, page: &mut Vec<(Bytes, Versioned)>, wanted: usize) -> bool {
        while page.len() < wanted {
            let Some(Reverse((_, index))) = self.heads.pop() else { return false };
            let feed = &mut self.feeds[index];
            page.extend(feed.rows.pop_front());
            match feed.rows.front() {
                Some((key, _)) => self.heads.push(Reverse((key.clone(), index))),
                None if feed.exhausted => {}
                // Its next key may be the smallest of all.
                None => return true,
            }
        }
        true
    }

    /// Reads on in every shard that has run out, or is about to.
    async fn refill(&mut self, deadline: Instant) -> Result<(), ClientError> {
        let rows = (self.options.page.min(self.left) * 2 / self.feeds.len().max(1)).max(SHARD_ROWS_MIN);
        let rows = rows.min(self.options.page);
        let low = |feed: &Feed| !feed.exhausted && feed.rows.len() <= rows / 4;
        let due: Vec<usize> = (0..self.feeds.len()).filter(|index| low(&self.feeds[*index])).collect();
        let this = &*self;
        let pages = due.into_iter().map(|index| async move {
            let page = this.read_on(&this.feeds[index], rows, deadline).await?;
            Ok::<_, ClientError>((index, page))
        });
        // Nothing is taken over unless everything came, so that an error leaves the scan where it was.
        let pages: Vec<_> = stream::iter(pages).buffer_unordered(READS_MAX).try_collect().await?;
        for (index, (rows, cursor)) in pages {
            self.take(index, rows, cursor);
        }
        Ok(())
    }

    fn take(&mut self, index: usize, rows: Vec<(Bytes, Versioned)>, cursor: Bytes) {
        let feed = &mut self.feeds[index];
        if let (true, Some((key, _))) = (feed.rows.is_empty(), rows.first()) {
            self.heads.push(Reverse((key.clone(), index)));
        }
        feed.rows.extend(rows);
        feed.exhausted = cursor.is_empty();
        feed.cursor = cursor;
    }

    /// A shard's next rows and the cursor behind them; no rows only at the shard's end.
    async fn read_on(
        &self,
        feed: &Feed,
        rows: usize,
        deadline: Instant,
    ) -> Result<(Vec<(Bytes, Versioned)>, Bytes), ClientError> {
        let _place = self.client.enter(deadline).await?;
        let mut page = Page { request: self.request(feed, rows), shard: feed.shard };
        loop {
            let manner = self.client.manner(feed.shard, deadline);
            let (gid, answer) = drive(self.client.shared(), &page, manner).await?;
            if !answer.rows.is_empty() || answer.cursor.is_empty() {
                return Ok((rows_of(gid, answer.config, answer.rows), answer.cursor));
            }
            page.request.cursor = answer.cursor;
        }
    }

    fn request(&self, feed: &Feed, rows: usize) -> ScanRequest {
        let (prefix, start, end) = match self.range.clone() {
            ScanRange::All => Default::default(),
            ScanRange::Prefix(prefix) => (prefix, Bytes::new(), Bytes::new()),
            ScanRange::Range { start, end } => (Bytes::new(), start, end),
        };
        ScanRequest {
            gid: 0,
            shard: feed.shard.get(),
            prefix,
            start,
            end,
            limit: u32::try_from(rows).unwrap_or(u32::MAX),
            keys_only: self.options.keys_only,
            cursor: feed.cursor.clone(),
            consistency: Consistency::Linearizable.into(),
            timeout_ms: 0,
        }
    }

    /// A page that could not be completed: its rows go back where they came from.
    fn put_back(&mut self, page: Vec<(Bytes, Versioned)>) {
        let shards = u32::try_from(self.feeds.len()).expect("made from a u32");
        for (key, value) in page.into_iter().rev() {
            let shard = flotilla_types::shard_of_key(&key, shards).get() as usize;
            self.feeds[shard].rows.push_front((key, value));
        }
        let heads = self.feeds.iter().enumerate();
        self.heads =
            heads.filter_map(|(at, feed)| Some(Reverse((feed.rows.front()?.0.clone(), at)))).collect();
    }
}

impl Feed {
    /// Nothing is known of its next key.
    fn is_hungry(&self) -> bool {
        self.rows.is_empty() && !self.exhausted
    }
}

fn rows_of(gid: u64, config: u64, rows: Vec<flotilla_proto::kv_v1::ScanRow>) -> Vec<(Bytes, Versioned)> {
    let versioned = |row: flotilla_proto::kv_v1::ScanRow| {
        (row.key, Versioned { value: row.value, version: row.version, config, gid })
    };
    rows.into_iter().map(versioned).collect()
}

/// One page of one shard, as an exchange.
struct Page {
    shard: ShardId,
    request: ScanRequest,
}

impl Exchange for Page {
    /// The group that answered, too.
    type Answer = (u64, ScanResponse);

    fn describe(&self) -> String {
        format!("the scan of shard {}", self.shard)
    }

    async fn attempt(&self, shared: &Shared, target: &Target) -> Verdict<(u64, ScanResponse)> {
        match self.ask(shared, target).await {
            Err(failure) => Verdict::Failed(failure),
            Ok(mut answer) => match answer.refusal.take().map(of_reply) {
                None => Verdict::Done((target.gid, answer)),
                Some(refusal) => refusal.without_answer(),
            },
        }
    }
}

impl Page {
    async fn ask(&self, shared: &Shared, target: &Target) -> Result<ScanResponse, Failure> {
        let mut client = shared.links.kv(&target.address)?;
        let timeout_ms = target.server_ms();
        let request = ScanRequest { gid: target.gid, timeout_ms, ..self.request.clone() };
        rpc(target, client.scan(shared.links.request(request, target.budget()))).await
    }
}
