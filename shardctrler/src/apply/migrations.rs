//! Cloud migrations: their commands are judged by the crate that knows them; here are their rows, and the pause.

use std::collections::BTreeMap;

use flotilla_cloud_migration::book::ClusterGroup;
use flotilla_cloud_migration::{Book, Cluster, Command, Done, File, Part, Record, Refusal as No, Stop, Why};
use flotilla_types::EngineError;

use crate::api::Code;
use crate::draft::Draft;
use crate::housekeeping::settled_by_all;
use crate::machine::{ShardCtrler, read};
use crate::refusal::{Grant, Refusal, Verdict};
use crate::rows::RowKey;

/// One command to the migrations.
pub(crate) fn apply(
    draft: &mut Draft<'_, '_, '_>,
    wish: &Command,
    now_ms: u64,
) -> Result<Verdict, EngineError> {
    match flotilla_cloud_migration::apply(draft, wish, now_ms) {
        Ok(Done { id, token, count }) => Ok(Ok(Grant { token, migration: id, count, ..Grant::default() })),
        Err(Stop::Refused(no)) => Ok(Err(refusal(no, wish.id))),
        Err(Stop::Engine(error)) => Err(error),
    }
}

/// Refuses while a migration holds the configuration still.
pub(crate) fn check_moving(state: &ShardCtrler) -> Result<(), Refusal> {
    let Some(holder) = state.migrations.values().find(|record| record.pauses) else { return Ok(()) };
    let message = format!(
        "migration {} ({}) holds the configuration still; retry when it lets go, or cancel it",
        holder.id,
        holder.state()
    );
    Err(Refusal { migration: holder.id, ..Refusal::new(Code::Paused, message) })
}

fn refusal(no: No, id: u64) -> Refusal {
    let (code, migration) = match no.why {
        Why::Invalid => (Code::Invalid, id),
        Why::NotFound => (Code::NotFound, id),
        Why::Conflict(other) => (Code::AlreadyExists, other),
        Why::Terminal(_) => (Code::Terminal, id),
        Why::Fenced => (Code::Fenced, id),
        Why::Refused => (Code::Refused, id),
        Why::TooMany => (Code::TooMany, id),
    };
    Refusal { migration, ..Refusal::new(code, no.message) }
}

impl Book for Draft<'_, '_, '_> {
    fn records(&self) -> &BTreeMap<u64, Record> {
        &self.migrations
    }

    fn put_record(&mut self, record: Record) {
        self.put_migration(record);
    }

    fn remove(&mut self, id: u64) {
        self.remove_migration(id);
    }

    fn file(&self, id: u64, index: u32) -> Result<Option<File>, EngineError> {
        read(self.rows(), &RowKey::MigrationFile(id, index))
    }

    fn put_file(&mut self, id: u64, file: File) {
        self.put(&RowKey::MigrationFile(id, file.index), &file);
    }

    fn part(&self, id: u64, index: u32, number: u32) -> Result<Option<Part>, EngineError> {
        read(self.rows(), &RowKey::MigrationPart(id, index, number))
    }

    fn put_part(&mut self, id: u64, index: u32, part: Part) {
        self.put(&RowKey::MigrationPart(id, index, part.number), &part);
    }

    fn remove_parts(&mut self, id: u64, index: u32) -> Result<(), EngineError> {
        self.remove_migration_parts(id, index)
    }

    fn new_id(&mut self) -> u64 {
        self.counters().migration += 1;
        self.counters.migration
    }

    fn new_freeze(&mut self) -> u64 {
        self.counters().freeze += 1;
        self.counters.freeze
    }

    fn cluster(&self) -> Cluster {
        let group = |group: &crate::api::GroupRecord| ClusterGroup {
            gid: group.gid,
            incarnation: group.incarnation,
            nodes: group.replicas.iter().map(|replica| replica.node).collect(),
        };
        Cluster {
            id: self.directory.cluster.clone(),
            shards: self.directory.shards,
            config: self.counters.config,
            settled: settled_by_all(self),
            groups: self.live().map(group).collect(),
        }
    }
}
