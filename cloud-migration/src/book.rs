//! Where migrations are kept: the controller's rows in production, a map in the tests here.

use std::collections::BTreeMap;

use flotilla_types::EngineError;

use crate::file::{File, Part};
use crate::record::Record;

/// What commands are judged against, and where their effects go.
pub trait Book {
    /// Every migration, by id.
    fn records(&self) -> &BTreeMap<u64, Record>;

    /// A record, new or changed.
    fn put_record(&mut self, record: Record);

    /// Forgets a migration with its files and parts.
    fn remove(&mut self, id: u64);

    /// One file of a migration.
    fn file(&self, id: u64, index: u32) -> Result<Option<File>, EngineError>;

    /// A file, new or changed.
    fn put_file(&mut self, id: u64, file: File);

    /// One part of a file.
    fn part(&self, id: u64, index: u32, number: u32) -> Result<Option<Part>, EngineError>;

    /// A part that was sent.
    fn put_part(&mut self, id: u64, index: u32, part: Part);

    /// Forgets the parts of a file: they belong to an upload that is no more.
    fn remove_parts(&mut self, id: u64, index: u32) -> Result<(), EngineError>;

    /// An id that no migration ever had.
    fn new_id(&mut self) -> u64;

    /// A freeze id greater than every one before.
    fn new_freeze(&mut self) -> u64;

    /// The cluster at this moment.
    fn cluster(&self) -> Cluster;
}

/// What a migration must know of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// Its id, 32 hex digits.
    pub id: String,
    /// How many shards it has.
    pub shards: u32,
    /// The latest configuration.
    pub config: u64,
    /// The configuration that every group has settled.
    pub settled: u64,
    /// The groups that may own shards, by gid.
    pub groups: Vec<ClusterGroup>,
}

/// One group of a [`Cluster`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterGroup {
    /// Its gid.
    pub gid: u64,
    /// Its life.
    pub incarnation: u64,
    /// The nodes of its replicas.
    pub nodes: Vec<u64>,
}
