//! `flotilla bench` against a real cluster: what scripts lean on is there, figures fit together, and what was
//! acknowledged is checked, also while a leader is killed.

use std::sync::Arc;
use std::time::Duration;

use flotilla_tests::cluster::Cluster;
use serde_json::Value;

const NODES: &str = "1,2,3";

async fn cluster() -> Arc<Cluster> {
    let cluster = Arc::new(Cluster::builder().shards(16).start().await);
    let groups = [format!("1={NODES}"), format!("2={NODES}")];
    cluster.flotilla(&["ctl", "join", &groups[0], &groups[1], "--wait"]).await.expect(0, &[]);
    cluster
}

/// A short run on few keys; its report.
async fn bench(cluster: &Cluster, more: &[&str]) -> Value {
    let few = ["--json", "--keys", "200", "--value-size", "64", "--warm-up", "200ms", "--clients", "8"];
    let arguments = [&["bench"], &few[..], more].concat();
    cluster.flotilla(&arguments).await.expect(0, &[]).json()
}

fn number(report: &Value, field: &str) -> f64 {
    report[field].as_f64().unwrap_or_else(|| panic!("{field} is no number in {report}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_is_measured_and_checked() {
    let cluster = cluster().await;
    for op in ["put", "get", "append", "mixed", "scan"] {
        let report = bench(&cluster, &["--op", op, "--duration", "1s"]).await;
        assert_eq!((report["target"].as_str(), report["op"].as_str()), (Some("flotilla"), Some(op)));
        assert_eq!((number(&report, "clients"), number(&report, "errors")), (8.0, 0.0), "{report}");
        let (ops, seconds) = (number(&report, "ops"), number(&report, "seconds"));
        assert!(ops > 0.0 && (0.9..10.0).contains(&seconds), "{report}");
        assert!((number(&report, "ops_per_s") * seconds / ops - 1.0).abs() < 0.01, "{report}");
        let latencies = ["p50_us", "p99_us", "max_us"].map(|field| number(&report, field));
        assert!(latencies.is_sorted() && latencies[0] > 0.0, "{report}");
        assert!(number(&report, "checks") > 0.0 && number(&report, "violations") == 0.0, "{report}");
        assert!(number(&report, "server_cpu_us_per_op") > 0.0, "the nodes are on this machine: {report}");
        assert!(number(&report["disk"], "fsync_p50_us") > 0.0 && number(&report["machine"], "cores") > 0.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_leader_is_a_gap_that_everybody_on_the_schedule_feels() {
    let cluster = cluster().await;
    let running = cluster.clone();
    let run = tokio::spawn(async move { bench(&running, &["--rate", "100", "--duration", "12s"]).await });
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!run.is_finished());
    let leader = cluster.wait_leader(1).await;
    cluster.kill9(&[leader]);
    cluster.wait_leader_other_than(1, leader).await;
    cluster.restart(&[leader]);
    let report = run.await.expect("the run ends");
    assert_eq!(number(&report, "violations"), 0.0, "{report}");
    // Half of the shards had no leader for an election's time.
    assert!(number(&report, "max_us") > 100_000.0, "{report}");
    // Everybody on the schedule is accounted for: served, refused, or never sent because nobody was free.
    let [ops, errors, unstarted] = ["ops", "errors", "unstarted"].map(|field| number(&report, field));
    assert!((1199.0..=1201.0).contains(&(ops + errors + unstarted)) && ops > 100.0, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn moves_are_measured() {
    let cluster = cluster().await;
    let arguments = ["bench", "move", "--json", "--moves", "2", "--shard-bytes", "2000000", "--peace", "1s"];
    let rates = ["--rate", "100", "--other-rate", "100"];
    let report = cluster.flotilla(&[&arguments[..], &rates].concat()).await.expect(0, &[]).json();
    assert_eq!((number(&report, "moves"), number(&report, "bytes")), (2.0, 4_000_000.0), "{report}");
    let positive = ["mb_per_s", "pause_p50_ms", "pause_max_ms", "other_gap_max_ms", "baseline_gap_max_ms"];
    assert!(positive.iter().all(|field| number(&report, field) > 0.0), "{report}");
    assert!(number(&report, "pause_p50_ms") <= number(&report, "pause_max_ms"), "{report}");
    assert!(number(&report, "checks") > 1000.0 && number(&report, "violations") == 0.0, "{report}");
}
