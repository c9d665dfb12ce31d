//! openraft's face of a replica's log.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};
use std::sync::Arc;

use flotilla_proto::faults::site;
use futures::stream::{self, Stream};
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::{LogState, RaftLogReader};

use super::replica::{READ_BYTES, ReplicaLog, next};
use super::writer::Done;
use crate::raft_types::{C, Entry, LogId, Vote};

/// A replica's log, as openraft writes and reads it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct LogStore(pub Arc<ReplicaLog>);

fn indexes(range: impl RangeBounds<u64>) -> Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(&start) => start,
        Bound::Excluded(&start) => start + 1,
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(&end) => end + 1,
        Bound::Excluded(&end) => end,
        Bound::Unbounded => u64::MAX,
    };
    start..end
}

impl RaftLogReader<C> for LogStore {
    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = Result<Entry, io::Error>> + Send
    where
        RB: RangeBounds<u64> + Clone + Debug + Send,
    {
        let read = |(log, range): (Arc<ReplicaLog>, Range<u64>)| async move {
            let end = range.end.min(log.next());
            let entries = log.read(range.start..end, READ_BYTES)?;
            // What is applied comes from here: a hole must not pass for the end or be skipped.
            if range.start < end && entries.first().is_none_or(|first| first.log_id.index != range.start) {
                return Err(log.missing(range.start));
            }
            let Some(last) = entries.last() else { return Ok::<_, io::Error>(None) };
            let rest = last.log_id.index + 1..range.end;
            Ok(Some((stream::iter(entries.into_iter().map(Ok::<_, io::Error>)), (log, rest))))
        };
        let pieces = stream::try_unfold((self.0.clone(), indexes(range)), read);
        futures::TryStreamExt::try_flatten(pieces)
    }

    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        self.0.read(indexes(range), usize::MAX)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        let bytes_max = self.0.faults.choose(site::TINY_LOG_READ, READ_BYTES, 1);
        let entries = self.0.read(start..end, bytes_max)?;
        match entries.first() {
            Some(first) if first.log_id.index == start => Ok(entries),
            // A leader that was deposed and has got a snapshot meanwhile: its readers end soon.
            Some(_) if start < next(&self.0.bounds().purged) => Ok(Vec::new()),
            Some(_) => Err(self.0.missing(start)),
            None => Ok(entries),
        }
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.0.bounds().vote)
    }
}

impl RaftLogStorage<C> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<C>, io::Error> {
        let bounds = self.0.bounds();
        Ok(LogState { last_purged_log_id: bounds.purged, last_log_id: bounds.last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        self.0.save_vote(*vote).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        self.0.save_committed(committed);
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.0.bounds().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<C>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        self.0.append(entries, Done::Flushed(callback));
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        self.0.truncate_after(last);
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        self.0.purge(upto);
        Ok(())
    }
}
