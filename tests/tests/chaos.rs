//! `flotilla chaos`, shortly and without anything that needs root: the harness works, the cluster holds, nothing stays.

use std::fs;
use std::path::Path;

use flotilla_tests::cluster::binary::{Run, run};
use tokio::sync::Mutex;

/// One run in this folder, all on 127.0.0.1.
async fn chaos(dir: &Path, more: &[&str]) -> Run {
    let dir = dir.display().to_string();
    let common =
        ["--json", "chaos", "--loopback", "--nodes", "3", "--groups", "2", "--clients", "6", "--dir", &dir];
    let all = [&common[..], more].concat();
    // One at a time: a cluster that shares its two cores with another is slow to heal.
    static TURN: Mutex<()> = Mutex::const_new(());
    let _turn = TURN.lock().await;
    run(&all).await
}

/// What the run left in its folder.
fn left(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a temporary directory can be read").flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_run_holds_and_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let faults =
        "kill,kill_all,pause,partition_halves,partition_one_way,cut_clients,reset,delay,half_open,wipe";
    let run = chaos(dir.path(), &["--seconds", "10", "--faults", faults]).await;
    let said = run.expect(0, &["running"]).json();
    assert!(said["acknowledged"].as_u64() > Some(100), "{said}");
    assert!(said["changes"].as_u64() > Some(0), "groups and shards move: {said}");
    assert!(said["faults"].as_array().is_some_and(|faults| faults.len() >= 2), "faults strike: {said}");
    assert_eq!(said["verdicts"].as_array().map(Vec::len), Some(4), "{said}");
    assert_eq!(left(dir.path()), Vec::<String>::new());
}

/// The saboteur: a run that must fail, fails, says why, and keeps what shows it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_fails_the_run_and_stays_to_be_looked_at() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let more = ["--seconds", "7", "--faults", "", "--no-moves", "--floor", "1e9"];
    chaos(dir.path(), &more).await.expect(1, &["floor", "wanted", "logs and data are in"]);
    let folders = left(dir.path());
    assert_eq!(folders.len(), 1, "{folders:?}");
    let record = fs::read_to_string(dir.path().join(&folders[0]).join("record.jsonl")).expect("a record");
    assert!(
        record.lines().next().is_some_and(|line| line.contains("\"line\":\"run\"")),
        "the first line says what was run"
    );
    assert!(record.contains("\"line\":\"violation\""));
}

#[tokio::test]
async fn misuse_is_told_before_anything_is_started() {
    run(&["chaos", "--faults", "kil,nonsense"]).await.expect(2, &["nonsense", "rolling_restart"]);
    run(&["chaos", "--nodes", "2"]).await.expect(2, &["--nodes"]);
    run(&["chaos", "--list"]).await.expect(0, &["power_loss", "this machine"]);
}
