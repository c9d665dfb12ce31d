//! Dumps of a frozen cluster, as bytes in the test's hand.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use flotilla_cloud_migration::command::Planned;
use flotilla_cloud_migration::dump::{DumpReader, RowKind};
use flotilla_cloud_migration::file::{Dumped, File};
use flotilla_cloud_migration::record::Record;
use flotilla_node::migration::dumper::Dumper;
use flotilla_types::GroupId;
use tokio_util::sync::CancellationToken;

use super::Cluster;

/// The files of a dump, by key in the store: their bytes, and what the record has of them.
pub type Dump = BTreeMap<String, (Vec<u8>, File)>;

pub fn planned(record: &Record, gid: GroupId, planned: Vec<Planned>) -> Vec<File> {
    let file = |(index, planned): (usize, Planned)| File {
        index: u32::try_from(gid.get() * 1000).expect("small") + u32::try_from(index).expect("small"),
        gid: gid.get(),
        shard: planned.shard,
        piece: planned.piece,
        begin: planned.begin,
        end: planned.end,
        planned_bytes: planned.bytes,
        key: format!("m{}/g{gid}/s{}-{}.kvd", record.id, planned.shard, planned.piece),
        ..File::default()
    };
    planned.into_iter().enumerate().map(file).collect()
}

/// Dumps every group at one node. The files' bytes, by key in the store, and what dumping answered.
pub async fn dump_at(cluster: &Cluster, node: usize, record: &Record) -> Dump {
    let (carrier, stop) = (cluster.carrier(node), CancellationToken::new());
    let dumper = Dumper { replicas: cluster.nodes[node].replicas(), carrier };
    let mut all = BTreeMap::new();
    for gid in &cluster.groups {
        let plan = dumper.plan(record, *gid, &stop).await.expect("plans");
        for file in planned(record, *gid, plan) {
            let dumped = dumper.dump(record, &file, &stop).await.expect("dumps");
            let path = carrier.path(record.id, file.index);
            let mode = fs::metadata(&path).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "for this user alone");
            let bytes = fs::read(path).expect("reads");
            all.insert(
                file.key.clone(),
                (bytes, File { dumped: Some(dumped), etag: "\"x\"".to_owned(), ..file }),
            );
        }
    }
    all
}

pub fn keys_in(files: &Dump) -> BTreeMap<String, Vec<u8>> {
    let mut keys = BTreeMap::new();
    for (name, (bytes, file)) in files {
        assert_eq!(bytes.len() as u64, file.dumped.as_ref().map_or(0, |dumped: &Dumped| dumped.length));
        let mut reader = DumpReader::new(&bytes[..], name.clone()).expect("a dump file");
        while let Some(block) = reader.next_block().expect("a whole block") {
            for row in block.rows.into_iter().filter(|row| row.kind == RowKind::Data) {
                let key = String::from_utf8(row.key.to_vec()).expect("the test's keys are text");
                assert!(keys.insert(key, row.value.to_vec()).is_none(), "a key is in one file");
            }
        }
    }
    keys
}
