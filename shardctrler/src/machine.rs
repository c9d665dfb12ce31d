//! The machine: what it mirrors of its rows, and how it is opened.

use std::collections::BTreeMap;
use std::sync::Arc;

use flotilla_cloud_migration::Record;
use flotilla_types::engine::prefix_end;
use flotilla_types::{Bytes, ConfigNum, EngineError, Machine, Reader, ShardConfig, Txn, Wire};

use crate::api::command::Bootstrap;
use crate::api::{Answer, Command, Directory, GroupRecord, GroupState, NodeRecord, Query, Response};
use crate::options::Options;
use crate::rows::{Counters, LockRecord, Remembered, RowKey, tag};
use crate::{apply, query};

/// The controller. Cheap to clone: what is large is shared, and copied when it changes.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardCtrler {
    pub(crate) options: Options,
    /// None: the cluster is not born yet, and all the rest is empty.
    pub(crate) birth: Option<Arc<Bootstrap>>,
    pub(crate) counters: Counters,
    /// Groups by (gid, incarnation), nodes by id.
    pub(crate) directory: Arc<Directory>,
    /// The older ones are in the rows only.
    pub(crate) latest: Arc<ShardConfig>,
    pub(crate) locks: Arc<BTreeMap<String, LockRecord>>,
    /// Request id to serial number; the answers are in the rows only.
    pub(crate) requests: Arc<BTreeMap<u64, u64>>,
    /// Cloud migrations by id; their files and parts are in the rows only.
    pub(crate) migrations: Arc<BTreeMap<u64, Record>>,
}

/// Work that needs I/O. There is none: the controller only answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {}

/// What performing an [`Action`] gave.
#[derive(Debug)]
pub enum Outcome {}

impl ShardCtrler {
    /// The directory, ready to be handed out.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// The latest configuration: number 0 with no shard at all before the cluster's birth.
    pub fn latest(&self) -> &Arc<ShardConfig> {
        &self.latest
    }

    /// The number of the oldest configuration kept.
    pub fn oldest(&self) -> ConfigNum {
        ConfigNum(self.counters.config_oldest)
    }

    /// The cloud migrations, by id.
    pub fn migrations(&self) -> &Arc<BTreeMap<u64, Record>> {
        &self.migrations
    }

    /// The greatest id that a cloud migration ever had: one up to here that is not among them was forgotten, a greater one is
    /// only not known yet.
    pub fn migration_last(&self) -> u64 {
        self.counters.migration
    }

    /// Grows with every change of [`ShardCtrler::migrations`].
    pub fn migrations_revision(&self) -> u64 {
        self.counters.migrations
    }

    /// Whether the cluster's birth was applied.
    pub fn is_born(&self) -> bool {
        self.birth.is_some()
    }

    /// The lives of shard groups that still matter: live ones and leaving ones.
    pub(crate) fn present(&self) -> impl Iterator<Item = &GroupRecord> {
        let shard_groups = self.directory.groups.iter().filter(|group| group.gid != 0);
        shard_groups.filter(|group| group.state() != GroupState::TornDown)
    }

    /// The shard groups that may own shards.
    pub(crate) fn live(&self) -> impl Iterator<Item = &GroupRecord> {
        self.present().filter(|group| group.state() == GroupState::Live)
    }
}

impl Machine for ShardCtrler {
    type Options = Options;
    type Command = Command;
    type Response = Response;
    type Query = Query;
    type Answer = Answer;
    type Action = Action;
    type Outcome = Outcome;

    fn open(options: &Options, rows: &dyn Reader) -> Result<Self, EngineError> {
        let birth: Option<Bootstrap> = read(rows, &RowKey::Birth)?;
        let counters: Counters = read(rows, &RowKey::Counters)?.unwrap_or_default();
        let latest = match birth {
            Some(_) => read(rows, &RowKey::Config(counters.config))?
                .ok_or_else(|| EngineError::corrupt("the row of the latest configuration is missing"))?,
            None => ShardConfig::default(),
        };
        let directory = Directory {
            revision: counters.revision,
            cluster: birth.as_ref().map(|birth| birth.cluster.clone()).unwrap_or_default(),
            shards: birth.as_ref().map_or(0, |birth| birth.shards),
            groups: read_all(rows, tag::GROUP, |_, group: GroupRecord| Ok(group))?,
            nodes: read_all(rows, tag::NODE, |_, node: NodeRecord| Ok(node))?,
        };
        Ok(Self {
            options: *options,
            birth: birth.map(Arc::new),
            counters,
            directory: Arc::new(directory),
            latest: Arc::new(latest),
            locks: Arc::new(read_all(rows, tag::LOCK, lock_entry)?),
            requests: Arc::new(read_all(rows, tag::REQUEST, request_entry)?),
            migrations: Arc::new(read_all(rows, tag::MIGRATION, |_, record: Record| {
                Ok((record.id, record))
            })?),
        })
    }

    fn apply(&mut self, rows: &mut Txn<'_>, command: Command) -> Result<Response, EngineError> {
        apply::apply(self, rows, &command)
    }

    fn query(&self, rows: &dyn Reader, query: Query) -> Result<Answer, EngineError> {
        query::answer(self, rows, query)
    }

    fn actions(&self) -> Vec<Action> {
        Vec::new()
    }

    fn resolve(&self, action: &Action, _outcome: Outcome) -> Option<Command> {
        match *action {}
    }
}

/// One row, decoded.
pub(crate) fn read<T: Wire>(rows: &dyn Reader, key: &RowKey) -> Result<Option<T>, EngineError> {
    Ok(rows.get(&key.encode())?.map(T::decode_from).transpose()?)
}

/// Every row of a tag, decoded and collected in the order of the keys.
fn read_all<T: Wire, C: FromIterator<I>, I>(
    rows: &dyn Reader,
    tag: u8,
    item: impl Fn(RowKey, T) -> Result<I, EngineError>,
) -> Result<C, EngineError> {
    let decode = |(key, value): (Bytes, Bytes)| item(RowKey::decode(&key)?, T::decode_from(value)?);
    rows.scan(&[tag], &prefix_end(&[tag])).map(|row| decode(row?)).collect()
}

fn lock_entry(key: RowKey, lock: LockRecord) -> Result<(String, LockRecord), EngineError> {
    match key {
        RowKey::Lock(name) => Ok((name, lock)),
        _ => Err(EngineError::corrupt("a lock's row has another key")),
    }
}

fn request_entry(key: RowKey, request: Remembered) -> Result<(u64, u64), EngineError> {
    match key {
        RowKey::Request(serial) => Ok((request.request_id, serial)),
        _ => Err(EngineError::corrupt("a request's row has another key")),
    }
}
