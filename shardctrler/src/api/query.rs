//! What the controller can be asked without touching its log.

use std::collections::BTreeMap;

use flotilla_cloud_migration::{File, Part, Record};
use flotilla_types::{ConfigNum, ShardConfig};

use super::Directory;

/// A read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Query {
    /// A configuration by number; none: the latest.
    Config(Option<ConfigNum>),
    /// The directory.
    Directory,
    /// Numbers for `GetStatus`.
    Status,
    /// A digest over every row.
    Digest,
    /// The cloud migrations.
    Migrations,
    /// Files of a cloud migration, from this number on, at most so many.
    MigrationFiles(u64, u32, u32),
    /// The parts that are recorded of one file of a cloud migration.
    MigrationParts(u64, u32),
}

/// The answer to a [`Query`].
#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    /// `Config`.
    Config(ConfigAnswer),
    /// `Directory`.
    Directory(std::sync::Arc<Directory>),
    /// `Status`.
    Status(ControllerStatus),
    /// `Digest`.
    Digest(u64),
    /// `Migrations`.
    Migrations(std::sync::Arc<BTreeMap<u64, Record>>),
    /// `MigrationFiles`.
    MigrationFiles(Vec<File>),
    /// `MigrationParts`.
    MigrationParts(Vec<Part>),
}

/// What there is to say of a configuration number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConfigAnswer {
    /// Here it is.
    Found(ShardConfig),
    /// The latest is this one (0 also before the cluster's birth, when there is none at all).
    NotYet(ConfigNum),
    /// Forgotten: every group settled it long ago. The oldest kept is this one.
    Compacted(ConfigNum),
}

/// The controller's numbers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ControllerStatus {
    /// The latest configuration.
    pub config: u64,
    /// The oldest configuration kept.
    pub config_oldest: u64,
    /// The directory's revision.
    pub revision: u64,
    /// Live groups.
    pub groups: u64,
    /// Registered nodes.
    pub nodes: u64,
    /// Locks held, as of the last lock command that took effect.
    pub locks: u64,
}
