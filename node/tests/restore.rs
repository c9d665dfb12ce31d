//! A dump of three groups comes back into a cluster with five groups and other shards.

mod common;

use std::collections::VecDeque;

use common::dump::{Dump, dump_at};
use common::{Cluster, copy, put};
use flotilla_backup::{BackupError, Piece};
use flotilla_cloud_migration::dump::{DumpReader, Manifest};
use flotilla_node::migration::freeze::FreezeSpec;
use flotilla_node::migration::restore::{Pieces, Restore, RestoreError};
use flotilla_proto::kv_v1::{Code, Get, op};

const SPEC: FreezeSpec = FreezeSpec { freeze: 1, migration: 1, lease_ms: 60_000 };
const KEYS: usize = 300;

/// A file of a dump in memory; breaks off after so many pieces.
struct InMemory {
    pieces: VecDeque<Piece>,
    breaks_after: usize,
}

impl Pieces for InMemory {
    async fn next(&mut self) -> Result<Option<Piece>, BackupError> {
        match self.breaks_after.checked_sub(1) {
            None => Err(BackupError::Cancelled),
            Some(left) => {
                self.breaks_after = left;
                Ok(self.pieces.pop_front())
            }
        }
    }
}

fn pieces(dump: &Dump, key: &str, breaks_after: usize) -> InMemory {
    let mut reader = DumpReader::new(&dump[key].0[..], key).expect("a dump file");
    let mut pieces = VecDeque::from([Piece::Header(Box::new(reader.header().clone()))]);
    while let Some(block) = reader.next_block().expect("whole") {
        pieces.push_back(Piece::Rows(block));
    }
    pieces.push_back(Piece::End(reader.summary().cloned().expect("at the end")));
    InMemory { pieces, breaks_after }
}

fn restore_into(cluster: &Cluster, node: usize, manifest: &Manifest) -> Restore {
    let local = cluster.nodes[node].replicas().node();
    Restore::new(local.peers.clone(), (*local.topology.now().config).clone(), manifest.clone())
}

async fn take_all(restore: &Restore, manifest: &Manifest, dump: &Dump) {
    for (index, file) in manifest.files.iter().enumerate() {
        let index = u32::try_from(index).expect("few");
        restore.take(index, file, || pieces(dump, &file.key, usize::MAX)).await.expect("takes the file");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_groups_come_back_as_five_with_other_shards() {
    let old = Cluster::start(3, 12).await;
    for number in 0..KEYS {
        assert_eq!(old.put(&format!("key{number}"), &format!("value{number}")).await.code(), Code::Ok);
    }
    old.op("mortal", put("mortal", "x", 3_600_000)).await;
    let (acks, _) = old.freeze_all(SPEC).await;
    let record = old.record(SPEC, &acks);
    let dump = dump_at(&old, 0, &record).await;
    let files: Vec<_> = dump.values().map(|(_, file)| file.clone()).collect();
    let manifest = Manifest::of(&record, &files).expect("a whole dump");
    assert_eq!(manifest.sums.data.rows, KEYS as u64 + 1);
    let first = old.op("key7", op::Kind::Get(Get { key: copy("key7") })).await;
    old.stop().await;

    let new = Cluster::start(5, 20).await;
    let restore = restore_into(&new, 0, &manifest);
    assert!(!restore.open().await.expect("opens"));
    let refused = new.at(0, "key7", op::Kind::Get(Get { key: copy("key7") })).await;
    assert!(matches!(refused.code(), Code::NotReady | Code::WrongLeader), "{refused:?}");
    // The first attempt breaks off in the middle of a file, before it is known to be whole.
    let file = &manifest.files[0];
    let broken = restore.take(0, file, || pieces(&dump, &file.key, 2)).await;
    assert!(matches!(broken, Err(RestoreError::Dump(BackupError::Cancelled))), "{broken:?}");
    let early = restore.verify().await;
    assert!(matches!(early, Err(RestoreError::Differs { .. })), "not all is there: {early:?}");

    let again = restore_into(&new, 1, &manifest);
    again.open().await.expect("opens again");
    take_all(&again, &manifest, &dump).await;
    take_all(&again, &manifest, &dump).await;
    assert_eq!(again.verify().await.expect("the same rows"), KEYS as u64 + 1);
    again.publish().await.expect("publishes");
    again.publish().await.expect("again");
    assert!(again.open().await.expect("it is published"));

    for number in (0..KEYS).step_by(17) {
        assert_eq!(new.get(&format!("key{number}")).await, Some(copy(&format!("value{number}"))));
    }
    let reply = new.op("key7", op::Kind::Get(Get { key: copy("key7") })).await;
    assert_eq!(reply.version, first.version, "versions came along");
    let written = new.put("key7", "later").await;
    assert!(written.code() == Code::Ok && written.version > first.version, "{written:?}");
    new.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_was_written_to_is_not_restored_into() {
    let cluster = Cluster::start(1, 2).await;
    cluster.put("mine", "x").await;
    let (acks, _) = cluster.freeze_all(SPEC).await;
    let record = cluster.record(SPEC, &acks);
    let files: Vec<_> = dump_at(&cluster, 0, &record).await.into_values().map(|(_, file)| file).collect();
    cluster.thaw_all(SPEC.freeze).await;
    let manifest = Manifest::of(&record, &files).expect("a whole dump");
    let refused = restore_into(&cluster, 0, &manifest).open().await;
    assert!(refused.expect_err("not empty").to_string().contains("empty cluster"));
    assert_eq!(cluster.get("mine").await, Some(copy("x")));
    cluster.stop().await;
}
