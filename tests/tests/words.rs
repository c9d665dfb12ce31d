//! Real input, end to end through the binary: Debian's word list and a file of awkward rows are imported while groups
//! come and go, a shard is moved by hand, and leaders are killed; then everything is killed. The export equals the input.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use flotilla_tests::cluster::Cluster;
use flotilla_tests::load::{Appenders, judge};
use flotilla_tests::words::{Rows, awkward, lines, parse, words};

const NODES: &[u64] = &[1, 2, 3];
const SHARDS: u32 = 16;
/// What the appenders' keys begin with; no word does.
const APPENDERS: &[u8] = b"appender-";

/// Kills the leader of a group, waits for another, starts the dead one again.
async fn kill_leader(cluster: &Cluster, gid: u64) {
    let leader = cluster.wait_leader(gid).await;
    cluster.kill9(&[leader]);
    cluster.wait_leader_other_than(gid, leader).await;
    cluster.restart(&[leader]);
}

/// Writes rows as a file for `import`; gives its path.
fn file(cluster: &Cluster, name: &str, rows: &Rows) -> String {
    let path = cluster.dir().join(name);
    std::fs::write(&path, lines(rows)).expect("a temporary directory takes a file");
    path.display().to_string()
}

/// Exports everything; gives what the appenders did not write.
async fn export(cluster: &Cluster) -> Rows {
    let path = cluster.dir().join("export.tsv");
    cluster.flotilla(&["export", &path.display().to_string()]).await.expect(0, &[]);
    let rows =
        parse(&std::fs::read(path).expect("export wrote it")).unwrap_or_else(|why| panic!("export: {why}"));
    assert!(rows.is_sorted_by(|(a, _), (b, _)| a < b), "keys are in order, every key once");
    rows.into_iter().filter(|(key, _)| !key.starts_with(APPENDERS)).collect()
}

#[track_caller]
fn assert_equal(found: &Rows, wanted: &Rows) {
    let different = wanted.iter().find(|(key, value)| found.get(*key) != Some(value));
    let foreign = found.keys().find(|key| !wanted.contains_key(*key));
    let text = |key: &Vec<u8>| String::from_utf8_lossy(key).into_owned();
    assert!(
        different.is_none() && foreign.is_none(),
        "{} rows instead of {}; missing or different: {:?}; foreign: {:?}",
        found.len(),
        wanted.len(),
        different.map(|(key, _)| text(key)),
        foreign.map(text)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_word_list_survives_everything() {
    let cluster = Arc::new(Cluster::builder().shards(SHARDS).start().await);
    let client = cluster.client().await;
    cluster.flotilla(&["ctl", "join", "1=1,2,3", "2=1,2,3", "--wait"]).await.expect(0, &[]);
    let appenders = Appenders::start(&cluster, 10).await;
    appenders.more(20).await;
    let (words, awkward) = (words(), awkward());
    let (word_file, awkward_file) =
        (file(&cluster, "words.tsv", &words), file(&cluster, "awkward.tsv", &awkward));

    let began = Instant::now();
    let importer = cluster.clone();
    let import = tokio::spawn(async move {
        importer.flotilla(&["import", &word_file]).await.expect(0, &[]);
        importer.flotilla(&["import", &awkward_file]).await.expect(0, &[]);
    });
    appenders.more(10).await;
    cluster.flotilla(&["ctl", "join", "3=1,2,3"]).await.expect(0, &[]);
    cluster.flotilla(&["ctl", "join", "4=1,2,3"]).await.expect(0, &[]);
    cluster.flotilla(&["ctl", "leave", "1"]).await.expect(0, &[]);
    cluster.flotilla(&["ctl", "move", "7", "3"]).await.expect(0, &[]);
    assert!(!import.is_finished(), "the import was over before anything happened to it");
    kill_leader(&cluster, 2).await;
    kill_leader(&cluster, 0).await;
    println!("import still running after the leaders were killed: {}", !import.is_finished());
    import.await.expect("both files are imported");
    println!("imported {} words and {} awkward rows in {:?}", words.len(), awkward.len(), began.elapsed());

    cluster.wait_settled(&client).await;
    appenders.more(10).await;
    let histories = appenders.stop().await;
    cluster.kill9(NODES);
    cluster.restart(NODES);

    let mut wanted: Rows = words;
    wanted.extend(awkward);
    assert_equal(&export(&cluster).await, &wanted);
    judge(&client, &histories).await;
    let shown = cluster.flotilla(&["--json", "ctl", "query"]).await.expect(0, &[]).json();
    let mut owners = BTreeMap::<u64, usize>::new();
    for gid in shown["shards"].as_array().expect("a list of owners") {
        *owners.entry(gid.as_u64().expect("a gid")).or_default() += 1;
    }
    assert!(owners.keys().copied().eq([2, 3, 4]), "{shown}");
    cluster.wait_settled(&client).await;
    cluster.flotilla(&["check"]).await.expect(0, &[]);
    cluster.flotilla(&["status"]).await.expect(0, &["healthy"]);
    Arc::into_inner(cluster).expect("the importer is done").finish().await;
}
