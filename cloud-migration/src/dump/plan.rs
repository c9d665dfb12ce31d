//! `plan.json`: the first object of a dump. It tells whoever finds the objects of a dump that never ended what they were.

use serde::{Deserialize, Serialize};

use super::header::FORMAT;
use super::position::Position;
use crate::file::File;
use crate::record::Record;

/// The plan's name in the folder of its migration.
pub const PLAN_NAME: &str = "plan.json";

/// What is to be dumped.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// The format's version.
    pub format: u32,
    /// The cluster.
    pub cluster: String,
    /// The migration's number in it.
    pub migration: u64,
    /// The attempt.
    pub attempt: u32,
    /// How many shards the cluster has.
    pub shards: u32,
    /// The pinned configuration.
    pub config: u64,
    /// When it was pinned, in milliseconds since 1970 UTC.
    pub frozen_at_ms: u64,
    /// Every file, in order of planning.
    pub files: Vec<PlannedFile>,
}

/// One file that is to be dumped.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlannedFile {
    /// Its key below the prefix.
    pub key: String,
    /// The group that has the rows.
    pub gid: u64,
    /// The shard.
    pub shard: u32,
    /// The first position of its range.
    pub start: Position,
    /// The first position after it; none: to the end of the shard.
    pub end: Option<Position>,
    /// About how many bytes of rows.
    pub bytes: u64,
}

impl Plan {
    /// The plan as the record has it. Whoever builds it gets the same.
    pub fn of(record: &Record, files: &[File]) -> Self {
        Self {
            format: FORMAT,
            cluster: record.cluster.clone(),
            migration: record.id,
            attempt: record.attempt,
            shards: record.shards,
            config: record.freeze.map_or(0, |freeze| freeze.config),
            frozen_at_ms: record.freeze.map_or(0, |freeze| freeze.started_ms),
            files: files.iter().map(PlannedFile::of).collect(),
        }
    }

    /// Its bytes: JSON, the same from everybody.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a plan is plain data")
    }
}

impl PlannedFile {
    fn of(file: &File) -> Self {
        let (start, end) = range(file);
        Self {
            key: file.key.clone(),
            gid: file.gid,
            shard: file.shard,
            start,
            end,
            bytes: file.planned_bytes,
        }
    }
}

/// A file's range; in the record an empty end means that there is none.
pub(super) fn range(file: &File) -> (Position, Option<Position>) {
    let end = (!file.end.is_empty()).then(|| Position(file.end.to_vec()));
    (Position(file.begin.to_vec()), end)
}
