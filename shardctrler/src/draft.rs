//! One command's changes: each goes to the mirror and to the rows together, so that they cannot disagree.

use std::sync::Arc;

use flotilla_cloud_migration::Record;
use flotilla_types::engine::prefix_end;
use flotilla_types::{EngineError, Reader, ShardConfig, Txn, Wire};

use crate::api::command::Bootstrap;
use crate::api::{Directory, GroupRecord, NodeRecord, Replica, Response};
use crate::machine::{ShardCtrler, read};
use crate::rows::{Counters, LockRecord, Remembered, RowKey, tag};

/// The state as the command found it and is changing it.
pub(crate) struct Draft<'s, 'r, 'v> {
    state: &'s mut ShardCtrler,
    rows: &'r mut Txn<'v>,
    before: Counters,
    directory_changed: bool,
}

impl std::ops::Deref for Draft<'_, '_, '_> {
    type Target = ShardCtrler;

    fn deref(&self) -> &ShardCtrler {
        self.state
    }
}

impl<'s, 'r, 'v> Draft<'s, 'r, 'v> {
    pub(crate) fn new(state: &'s mut ShardCtrler, rows: &'r mut Txn<'v>) -> Self {
        let before = state.counters;
        Self { state, rows, before, directory_changed: false }
    }

    /// The counters; written with the rest if they changed.
    pub(crate) fn counters(&mut self) -> &mut Counters {
        &mut self.state.counters
    }

    /// The cluster is born.
    pub(crate) fn put_birth(&mut self, birth: &Bootstrap) {
        self.put(&RowKey::Birth, birth);
        self.state.birth = Some(Arc::new(birth.clone()));
        let directory = self.change_directory();
        directory.cluster.clone_from(&birth.cluster);
        directory.shards = birth.shards;
    }

    /// A new configuration, the latest from now on.
    pub(crate) fn put_config(&mut self, config: ShardConfig) {
        self.put(&RowKey::Config(config.num), &config);
        self.state.counters.config = config.num;
        self.state.latest = Arc::new(config);
    }

    /// Forgets the configurations below `oldest`.
    pub(crate) fn forget_configs(&mut self, oldest: u64) {
        for num in self.counters.config_oldest..oldest {
            self.rows.delete(RowKey::Config(num).encode());
        }
        self.state.counters.config_oldest = oldest;
    }

    /// A new life of a group, or what became of one.
    pub(crate) fn put_group(&mut self, record: GroupRecord) {
        self.put(&RowKey::Group(record.gid, record.incarnation), &record);
        let groups = &mut self.change_directory().groups;
        match groups.binary_search_by_key(&life(&record), life) {
            Ok(at) => groups[at] = record,
            Err(at) => groups.insert(at, record),
        }
    }

    /// Forgets one life of a group.
    pub(crate) fn forget_group(&mut self, gid: u64, incarnation: u64) {
        self.rows.delete(RowKey::Group(gid, incarnation).encode());
        self.change_directory().groups.retain(|group| life(group) != (gid, incarnation));
    }

    /// A node, new or changed.
    pub(crate) fn put_node(&mut self, record: NodeRecord) {
        self.put(&RowKey::Node(record.node), &record);
        let nodes = &mut self.change_directory().nodes;
        match nodes.binary_search_by_key(&record.node, |node| node.node) {
            Ok(at) => nodes[at] = record,
            Err(at) => nodes.insert(at, record),
        }
    }

    /// A replica on a node's disk, under a member id that was never issued before.
    pub(crate) fn issue_member(&mut self, node: u64, disk: u64) -> Replica {
        let member = self.counters.member_next;
        self.state.counters.member_next += 1;
        Replica { node, member, disk }
    }

    /// A lock taken or renewed.
    pub(crate) fn put_lock(&mut self, name: &str, lock: LockRecord) {
        self.put(&RowKey::Lock(name.to_owned()), &lock);
        Arc::make_mut(&mut self.state.locks).insert(name.to_owned(), lock);
    }

    /// A lock given back or run out.
    pub(crate) fn remove_lock(&mut self, name: &str) {
        self.rows.delete(RowKey::Lock(name.to_owned()).encode());
        Arc::make_mut(&mut self.state.locks).remove(name);
    }

    /// Ends the command's changes of the directory: one revision, however many there were.
    pub(crate) fn seal_directory(&mut self) {
        if self.directory_changed {
            self.state.counters.revision += 1;
            Arc::make_mut(&mut self.state.directory).revision = self.state.counters.revision;
        }
    }

    /// Remembers the answer to a request, and forgets the oldest ones beyond the bound.
    pub(crate) fn remember(&mut self, request_id: u64, response: &Response) -> Result<(), EngineError> {
        let serial = self.counters.request_next;
        self.state.counters.request_next += 1;
        let remembered = Remembered { request_id, response: Some(response.clone()) };
        self.put(&RowKey::Request(serial), &remembered);
        Arc::make_mut(&mut self.state.requests).insert(request_id, serial);
        while self.requests.len() as u64 > self.options.requests_kept.max(1) {
            self.forget_oldest_request()?;
        }
        Ok(())
    }

    fn forget_oldest_request(&mut self) -> Result<(), EngineError> {
        // Serial numbers are dense: they are given out and forgotten one by one.
        let key = RowKey::Request(self.counters.request_next - self.requests.len() as u64);
        let oldest: Remembered = read(self.rows, &key)?.ok_or_else(|| {
            EngineError::corrupt(format!("the row {key:?} of a remembered request is missing"))
        })?;
        self.rows.delete(key.encode());
        Arc::make_mut(&mut self.state.requests).remove(&oldest.request_id);
        Ok(())
    }

    /// Writes what is left to write.
    pub(crate) fn finish(mut self) {
        if self.state.counters != self.before {
            let counters = self.state.counters;
            self.put(&RowKey::Counters, &counters);
        }
    }

    /// A cloud migration, new or changed.
    pub(crate) fn put_migration(&mut self, record: Record) {
        self.state.counters.migrations += 1;
        self.put(&RowKey::Migration(record.id), &record);
        Arc::make_mut(&mut self.state.migrations).insert(record.id, record);
    }

    /// Forgets a cloud migration with its files and parts.
    pub(crate) fn remove_migration(&mut self, id: u64) {
        self.state.counters.migrations += 1;
        self.rows.delete(RowKey::Migration(id).encode());
        for tag in [tag::MIGRATION_FILE, tag::MIGRATION_PART] {
            let prefix = [&[tag][..], &id.to_be_bytes()].concat();
            let end = prefix_end(&prefix);
            self.rows.forget_range_later(prefix, end);
        }
        Arc::make_mut(&mut self.state.migrations).remove(&id);
    }

    /// Forgets the parts of one file. One by one: there may be new ones in the same round.
    pub(crate) fn remove_migration_parts(&mut self, id: u64, file: u32) -> Result<(), EngineError> {
        let prefix = [&[tag::MIGRATION_PART][..], &id.to_be_bytes(), &file.to_be_bytes()].concat();
        let found: Result<Vec<_>, _> = self.rows.scan(&prefix, &prefix_end(&prefix)).collect();
        for (key, _) in found? {
            self.rows.delete(key);
        }
        Ok(())
    }

    /// The rows, as the commands before and this one have left them.
    pub(crate) fn rows(&self) -> &Txn<'v> {
        self.rows
    }

    pub(crate) fn put(&mut self, key: &RowKey, value: &impl Wire) {
        self.rows.put(key.encode(), value.to_bytes());
    }

    fn change_directory(&mut self) -> &mut Directory {
        self.directory_changed = true;
        Arc::make_mut(&mut self.state.directory)
    }
}

fn life(group: &GroupRecord) -> (u64, u64) {
    (group.gid, group.incarnation)
}
