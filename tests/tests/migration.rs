//! Cloud migrations of real processes to a real S3 server, from the command line. Without SeaweedFS the tests say that they
//! did not run.
//!
//! Not checked here: what the files hold (`flotilla migration verify --deep` does, and is itself tested in `backup/tests`).

#[path = "../../backup/tests/common/seaweed.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "the server is another room's, and so is its style")]
mod seaweed;

use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use flotilla_tests::cluster::Cluster;
use seaweed::{ACCESS_KEY, SECRET_KEY, Seaweed};
use serde_json::Value;

const BUCKET: &str = "dumps";
/// Slow enough to be caught in each state, small enough for a small machine.
const SLOW: &[&str] = &[
    "--dump-bytes-per-second=4000000",
    "--upload-bytes-per-second=4000000",
    "--part-bytes=5242880",
    "--multipart-bytes=1000000",
];
const PATIENCE: Duration = Duration::from_secs(90);

struct Stage {
    // Before the cluster: nodes that cannot reach their store only make noise.
    store: Seaweed,
    cluster: Cluster,
    keys: String,
}

/// Three nodes, two groups, a few megabytes, and a store.
async fn stage() -> Option<Stage> {
    let store = Seaweed::start(BUCKET)?;
    let cluster = Cluster::builder().shards(8).start().await;
    let client = cluster.client().await;
    cluster.join(&client, &[(1, &[1, 2, 3]), (2, &[1, 2, 3])]).await;
    let rows: String = (0..8000u64)
        .map(|i| format!("key{i}\t{:0>1000x}\n", i.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .collect();
    let file = cluster.dir().join("rows.tsv");
    std::fs::write(&file, rows).expect("a temporary directory takes a file");
    cluster.flotilla(&["import", &file.display().to_string()]).await.expect(0, &[]);
    let keys = cluster.dir().join("keys");
    let text = format!(
        "AWS_ACCESS_KEY_ID={ACCESS_KEY}\nAWS_SECRET_ACCESS_KEY={SECRET_KEY}\nAWS_ENDPOINT_URL={}\nAWS_ALLOW_HTTP=true\n",
        store.endpoint()
    );
    let mut options = std::fs::OpenOptions::new();
    let mut opened = options.write(true).create_new(true).mode(0o600).open(&keys).expect("a new file");
    std::io::Write::write_all(&mut opened, text.as_bytes()).expect("it takes the keys");
    Some(Stage { store, cluster, keys: keys.display().to_string() })
}

impl Stage {
    fn url(prefix: &str) -> String {
        format!("s3://{BUCKET}/{prefix}")
    }

    async fn start(&self, prefix: &str, more: &[&str]) {
        let url = Self::url(prefix);
        let mut words = vec!["migration", "start", &url, "--credentials-file", &self.keys];
        words.extend(more);
        self.cluster.flotilla(&words).await.expect(0, &["started"]);
    }

    async fn status(&self) -> Value {
        self.cluster.flotilla(&["--json", "migration", "status"]).await.json()
    }

    async fn until(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let status = self.status().await;
            if is_so(&status) {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "not {what}: {status}");
        }
    }

    /// Writes until it is no longer refused because of the freeze.
    async fn writable_again(&self) {
        let began = Instant::now();
        loop {
            let run = self.cluster.flotilla(&["put", "after", "x"]).await;
            if run.code == 0 {
                return;
            }
            assert!(run.err.contains("read-only for cloud migration"), "{}", run.err);
            assert!(began.elapsed() < PATIENCE, "still read-only");
        }
    }

    async fn over(&self) -> Value {
        self.until("over and tidied up", |status| {
            let over = ["done", "error", "cancelled"].contains(&status["state"].as_str().unwrap_or_default());
            over && status["cleanup_pending"] == Value::Array(Vec::new())
        })
        .await
    }

    async fn verify(&self, prefix: &str) {
        let url = Self::url(prefix);
        let words = ["migration", "verify", &url, "--deep", "--credentials-file", &self.keys];
        self.cluster.flotilla(&words).await.expect(0, &["whole"]);
    }

    /// No node has a dump file, and the store has no unfinished upload of this prefix.
    async fn assert_tidy(&self, prefix: &str) {
        for node in self.cluster.nodes() {
            let local = self.cluster.node(node).data().join("migration");
            let left: Vec<_> =
                std::fs::read_dir(&local).into_iter().flatten().flatten().map(|e| e.path()).collect();
            assert!(left.is_empty(), "node {node} still has {left:?}");
        }
        let url = Self::url(prefix);
        let gc = self
            .cluster
            .flotilla(&["--json", "migration", "gc", &url, "--credentials-file", &self.keys])
            .await
            .json();
        assert_eq!(
            (&gc["objects"], &gc["uploads"]),
            (&serde_json::json!([]), &serde_json::json!([])),
            "{gc}"
        );
    }
}

fn is(status: &Value, state: &str) -> bool {
    status["state"] == state && (state != "upload" || status["bytes_uploaded"].as_u64() > Some(0))
}

/// Scenarios 1 and 20: states and progress in order; no key anywhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_whole_flow_is_told_in_order() {
    let Some(stage) = stage().await else { return };
    stage.start("whole", SLOW).await;
    let told = stage.cluster.flotilla(&["--json", "migration", "watch"]).await;
    let lines: Vec<Value> =
        told.out.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect();
    let progress: Vec<u64> = lines.iter().filter_map(|line| line["progress"].as_u64()).collect();
    assert!(progress.is_sorted() && progress.last() == Some(&100), "{progress:?}");
    let mut states: Vec<&str> = lines.iter().filter_map(|line| line["state"].as_str()).collect();
    states.dedup();
    // A watcher sees the present state; one that lasts for milliseconds it may miss.
    let mut order = ["init", "setup", "dump", "upload", "done"].into_iter();
    assert!(states.iter().all(|state| order.any(|next| next == *state)), "out of order: {states:?}");
    assert!(states.ends_with(&["dump", "upload", "done"]), "{states:?}");
    for (state, least, most) in [("setup", 1, 19), ("dump", 20, 49), ("upload", 50, 99)] {
        let within = |line: &&Value| (least..=most).contains(&line["progress"].as_u64().unwrap_or(0));
        assert!(
            lines.iter().filter(|line| line["state"] == state).all(|line| within(&line)),
            "{state}: {progress:?}"
        );
    }
    stage.verify("whole").await;
    stage.assert_tidy("whole").await;
    let logs: String =
        stage.cluster.nodes().iter().map(|node| stage.cluster.node(*node).log_text()).collect();
    for secret in [ACCESS_KEY, SECRET_KEY, "X-Amz-Signature"] {
        assert!(!told.out.contains(secret) && !logs.contains(secret), "{secret} got out");
    }
    stage
        .cluster
        .flotilla(&["migration", "start", &Stage::url("whole"), "--credentials-file", &stage.keys])
        .await
        .expect(1, &["MANIFEST"]);
}

/// Scenarios 2 and 16: cancelled in every state, from every node; a move that was asked for waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_undoes_everything() {
    let Some(stage) = stage().await else { return };
    stage.cluster.flotilla(&["migration", "cancel"]).await.expect(0, &["nothing to cancel"]);
    for state in ["init", "setup", "dump", "upload"] {
        stage.start(state, SLOW).await;
        if state != "init" {
            stage.until(state, |status| is(status, state) || status["state"] == "upload").await;
        }
        stage.cluster.flotilla(&["migration", "cancel"]).await.expect(0, &["cancelled 1"]);
        let began = Instant::now();
        stage.writable_again().await;
        assert!(began.elapsed() < Duration::from_secs(5), "writes waited {:?}", began.elapsed());
        let over = stage.over().await;
        assert_eq!(over["state"], "cancelled", "{over}");
        assert_eq!(over["paused"], false, "{over}");
        stage.assert_tidy(state).await;
        stage.cluster.flotilla(&["migration", "cancel"]).await.expect(0, &["nothing to cancel"]);
    }
    stage.start("move", SLOW).await;
    stage.until("frozen", |status| status["state"] == "dump").await;
    stage.cluster.flotilla(&["ctl", "move", "0", "2"]).await.expect(0, &["committed"]);
    assert_ne!(stage.status().await["state"], "dump", "the move did not wait for the thaw");
    assert_eq!(stage.over().await["state"], "done");
    stage.verify("move").await;
}

/// Scenario 3: of many that start one at a time, one wins and the others are told by whom.
#[tokio::test(flavor = "multi_thread")]
async fn one_at_a_time() {
    let Some(stage) = stage().await else { return };
    let urls: Vec<String> = (0..30).map(|i| Stage::url(&format!("many{i}"))).collect();
    let asked = urls.iter().map(|url| async {
        let mut words = vec!["migration", "start", url, "--credentials-file", &stage.keys];
        words.extend(SLOW);
        stage.cluster.flotilla(&words).await
    });
    let runs = futures::future::join_all(asked).await;
    let won = runs.iter().filter(|run| run.code == 0).count();
    let told = runs.iter().filter(|run| run.code == 1 && run.err.contains("is not over")).count();
    assert_eq!((won, told), (1, runs.len() - 1), "{:?}", runs.iter().map(|run| &run.err).collect::<Vec<_>>());
    assert_eq!(stage.over().await["state"], "done");
}

/// Scenarios 7 and 8: whoever drives it, or dumps or sends a group, dies in every state; it goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_death_does_not_end_it() {
    let Some(stage) = stage().await else { return };
    for (i, (state, owner)) in
        [("setup", true), ("dump", true), ("dump", false), ("upload", true), ("upload", false)]
            .into_iter()
            .enumerate()
    {
        let prefix = format!("death{i}");
        stage.start(&prefix, SLOW).await;
        let busy = |status: &Value| status["groups"][0]["node"].as_u64().filter(|node| *node > 0);
        let found = stage
            .until(state, |status| {
                let there = if owner { status["owner"]["leased"] == true } else { busy(status).is_some() };
                there && (is(status, state) || status["state"] == "upload")
            })
            .await;
        let node = if owner { found["owner"]["node"].as_u64() } else { busy(&found) }.expect("found above");
        stage.cluster.kill9(&[node]);
        tokio::time::sleep(Duration::from_secs(1)).await;
        stage.cluster.restart(&[node]);
        let over = stage.over().await;
        assert_eq!(over["state"], "done", "node {node} killed in {state}: {over}");
        stage.verify(&prefix).await;
        stage.assert_tidy(&prefix).await;
    }
    drop(stage.store);
}
