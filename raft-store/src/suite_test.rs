//! openraft's own storage suite on our log and our data, over RocksDB.

use std::sync::Arc;

use flotilla_proto::env::Environment;
use flotilla_types::{ClusterId, ConfigNum, GroupId, MemberId, NodeId};
use futures::{StreamExt, stream};
use openraft::storage::RaftStateMachine;
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::{RaftLogReader, StorageError};
use tempfile::TempDir;

use crate::data::dir::ReplicaDir;
use crate::data::snapshot::StoredSnapshot;
use crate::data::state_machine::StateMachine;
use crate::data::view::Replica;
use crate::ids::ReplicaId;
use crate::log::replica::ReplicaLog;
use crate::log::store::LogStore;
use crate::log::writer::Done;
use crate::raft_types::{C, Entry, LogId, Payload, Runtime, SnapshotMeta};
use crate::store::{Store, StoreOptions};
use crate::test_machine::Kv;

struct Builder {
    tail_bytes_max: usize,
}

impl StoreBuilder<C, LogStore, StateMachine<Kv>, (TempDir, Arc<Store>)> for Builder {
    async fn build(&self) -> Result<((TempDir, Arc<Store>), LogStore, StateMachine<Kv>), StorageError<C>> {
        let dir = tempfile::tempdir().expect("temporary directory");
        let options = StoreOptions::new(dir.path(), ClusterId(7), NodeId(1));
        let store = Store::open(options, &Environment::real()).expect("store");
        let id = ReplicaId { gid: GroupId(1), incarnation: ConfigNum(1), member: MemberId(1) };
        let log = ReplicaLog::open(id, store.log.clone(), store.writer.clone(), self.tail_bytes_max);
        let (replica_dir, db) = ReplicaDir::open(store.replica_path(id), store.disk.clone()).expect("data");
        let mut replica = Replica::open(id, (), replica_dir, db).expect("replica");
        replica.allows_gaps = true;
        let log = LogStore(Arc::new(log.expect("log")));
        Ok(((dir, store), log, StateMachine(Arc::new(replica))))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openrafts_storage_suite_with_a_tail() {
    Runtime::scope(1, Suite::test_all(Builder { tail_bytes_max: 1 << 20 })).await.expect("suite");
}

#[tokio::test(flavor = "multi_thread")]
async fn openrafts_storage_suite_without_a_tail() {
    Runtime::scope(1, Suite::test_all(Builder { tail_bytes_max: 0 })).await.expect("suite");
}

fn entry(index: u64) -> Entry {
    let leader_id = openraft::alias::CommittedLeaderIdOf::<C>::new(1);
    Entry { log_id: LogId::new(leader_id, index), payload: Payload::Blank }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_neither_read_nor_applied() {
    let (_store, mut log, machine) = Builder { tail_bytes_max: 1 << 20 }.build().await.expect("build");
    log.0.append([entry(0)], Done::Nobody);
    log.0.append([entry(2), entry(3)], Done::Nobody);
    let read: Vec<_> = log.entries_stream(0..4).await.collect().await;
    assert!(matches!(&read[..], [Err(_)]), "{read:?}");
    assert!(log.limited_get_log_entries(1, 4).await.is_err());
    let mut replica = Arc::into_inner(machine.0).expect("the only owner");
    replica.allows_gaps = false;
    let mut machine = StateMachine(Arc::new(replica));
    let apply = |indexes: &[u64]| {
        stream::iter(indexes.iter().map(|index| Ok((entry(*index), None))).collect::<Vec<_>>())
    };
    machine.apply(apply(&[0, 1])).await.expect("no gap");
    let error = machine.apply(apply(&[2, 4])).await.expect_err("a gap");
    assert!(error.to_string().contains("a gap: entry 4"), "{error}");
    assert_eq!(machine.applied_state().await.expect("state").0, Some(entry(1).log_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_received_snapshot_is_checked_before_it_is_kept() {
    let (_store, _log, mut machine) = Builder { tail_bytes_max: 0 }.build().await.expect("build");
    machine.apply(stream::iter([Ok((entry(0), None))])).await.expect("apply");
    let snapshot = machine.0.build_snapshot().expect("a snapshot");
    machine.0.verify_snapshot(&snapshot).expect("sound");
    let copy = |name: &str, meta| {
        let path = machine.0.dir.path().join(name);
        crate::data::dir::copy_database(&crate::files::SystemFiles, snapshot.path(), &path).expect("copy");
        StoredSnapshot { meta, guard: machine.0.dir.guard(path) }
    };
    let other =
        copy("tmp-other", SnapshotMeta { last_log_id: Some(entry(1).log_id), ..snapshot.meta.clone() });
    assert!(machine.0.verify_snapshot(&other).is_err(), "another moment");
    let rotten = copy("tmp-rotten", snapshot.meta.clone());
    std::fs::remove_file(rotten.path().join("CURRENT")).expect("remove");
    assert!(machine.0.verify_snapshot(&rotten).is_err(), "incomplete");
}
