//! Directories, ports and disks that are not what a node or `up` needs.

use std::path::Path;
use std::process::Command;

use flotilla_tests::cluster::{Cluster, binary, ports, turns};
use tempfile::TempDir;

/// Runs a node that must not start; it has 20 s to say why.
async fn refused_node(arguments: &[String], words: &[&str]) {
    let run = tokio::time::timeout(std::time::Duration::from_secs(20), binary::run(arguments)).await;
    let run = run.unwrap_or_else(|_| panic!("it started, or hangs: {arguments:?}"));
    assert!(run.code == 1 || run.code == 2, "{run:?}");
    let code = run.code;
    run.expect(code, words);
}

/// The node's command line with other values for some flags.
fn with(mut arguments: Vec<String>, changes: &[(&str, &str)]) -> Vec<String> {
    for (flag, value) in changes {
        let at = arguments.iter().position(|argument| argument == flag).expect("the flag is there");
        arguments[at + 1] = (*value).to_owned();
    }
    arguments
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_not_the_nodes_own() {
    let cluster = Cluster::builder().shards(4).start().await;
    let client = cluster.client().await;
    cluster.join(&client, &[(1, &[1, 2, 3])]).await;
    client.put("kept", "x").await.unwrap();
    let arguments = cluster.node(1).arguments(false);
    let dir = cluster.node(1).data().display().to_string();
    let elsewhere = format!("127.0.0.1:{}", ports::free());
    let away: &[(&str, &str)] = &[("--listen", &elsewhere), ("--advertise", &elsewhere)];

    // While it runs: another process in the same directory, and on the same port.
    refused_node(&with(arguments.clone(), away), &["in use", &dir]).await;
    let empty = cluster.dir().join("empty").display().to_string();
    let port = cluster.node(1).plan().listen.clone();
    refused_node(&with(arguments.clone(), &[("--dir", &empty)]), &["cannot listen", &port]).await;

    cluster.stop(&[1]).await;
    refused_node(&with(arguments.clone(), &[("--node", "2")]), &["belongs to node 1", &dir]).await;
    let other = "0123456789abcdef0123456789abcdef";
    refused_node(&with(arguments.clone(), &[("--cluster", other)]), &["belongs to", other, &dir]).await;
    let identity = Path::new(&dir).join("identity");
    let genuine = std::fs::read(&identity).expect("every directory has one");
    std::fs::write(&identity, newer(&genuine)).expect("it can be written");
    refused_node(&arguments, &["format 2", "knows 1", &dir]).await;
    std::fs::write(&identity, [&genuine[..1], b"?", &genuine[2..]].concat()).expect("it can be written");
    refused_node(&arguments, &["corrupt", "identity"]).await;
    std::fs::write(&identity, genuine).expect("it can be written");

    cluster.restart(&[1]);
    cluster.wait_settled(&client).await;
    assert_eq!(client.get("kept").await.unwrap().expect("it was put").value, "x");
    cluster.finish().await;
}

/// An identity as format 2 would write it: the CRC32C of the file's name and the message, then the message, which begins
/// with the format.
fn newer(genuine: &[u8]) -> Vec<u8> {
    let mut message = genuine[4..].to_vec();
    assert_eq!(message[..2], [0x08, 1], "the message begins with format 1");
    message[1] = 2;
    let mut sealed = crc32c(&[b"identity", &message[..]].concat()).to_le_bytes().to_vec();
    sealed.extend(message);
    sealed
}

fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 };
    !bytes.iter().fold(!0_u32, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_another_cluster_is_refused_by_the_controller() {
    let cluster = Cluster::builder().shards(4).start().await;
    let address = format!("127.0.0.1:{}", ports::free());
    let fresh = cluster.dir().join("fresh").display().to_string();
    let other = "0123456789abcdef0123456789abcdef";
    let changes: &[(&str, &str)] = &[
        ("--node", "9"),
        ("--cluster", other),
        ("--dir", &fresh),
        ("--listen", &address),
        ("--advertise", &address),
    ];
    refused_node(&with(cluster.node(1).arguments(false), changes), &["cluster", other]).await;
    let client = cluster.client().await;
    assert!(cluster.directory(&client).await.node(9).is_none(), "it was recorded all the same");
    cluster.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_at_the_start() {
    let home = TempDir::new().expect("a temporary directory");
    let mount = home.path().join("small");
    std::fs::create_dir(&mount).expect("a temporary directory takes another one");
    let script = "mount -t tmpfs -o size=32k tmpfs \"$0\" && exec \"$@\"";
    let node = [
        "node",
        "--node",
        "1",
        "--cluster",
        "0123456789abcdef0123456789abcdef",
        "--listen",
        "127.0.0.1:0",
        "--controllers",
        "1=127.0.0.1:1",
        "--bootstrap",
        "--dir",
    ];
    // A mount of its own, seen by this process alone: as root, or else in a user namespace.
    for flags in [&["--mount"][..], &["--user", "--map-root-user", "--mount"]] {
        let unshare = |program: &Path| {
            let mut command = Command::new("unshare");
            command.args(flags).args(["sh", "-c", script]).arg(&mount).arg("timeout").arg("20").arg(program);
            command
        };
        if !unshare(Path::new("true")).output().is_ok_and(|output| output.status.success()) {
            continue;
        }
        let data = mount.join("data");
        let output = unshare(&binary::flotilla()).args(node).arg(&data).output().expect("unshare runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.to_lowercase().contains("no space left"), "{said}");
        assert!(said.contains(&data.display().to_string()) && !said.contains("panicked"), "{said}");
        return;
    }
    eprintln!("SKIPPED: this machine lets us mount nothing, so no disk can be full");
}

/// `flotilla up` or `down` in a directory.
async fn local(command: &str, dir: &Path, more: &[&str]) -> binary::Run {
    let dir = dir.display().to_string();
    let mut arguments = vec![command, "--dir", &dir];
    arguments.extend(more);
    binary::run(&arguments).await
}

/// Stops what `up` started, also when the test fails.
struct Down<'a>(&'a Path);

impl Drop for Down<'_> {
    fn drop(&mut self) {
        let done = Command::new(binary::flotilla()).arg("down").arg("--dir").arg(self.0).output();
        if !done.is_ok_and(|output| output.status.success()) {
            eprintln!("flotilla down --dir {} failed: its nodes may still run", self.0.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_up() {
    let _turn = turns::take().await;
    let home = TempDir::new().expect("a temporary directory");
    let (first, second) = (home.path().join("first"), home.path().join("second"));
    let base = ports::free_run(204, &[1, 2, 3, 101, 102, 103, 201, 202, 203]).to_string();
    let port: u16 = base.parse().expect("a port");
    let endpoints = format!("127.0.0.1:{},127.0.0.1:{}", port + 1, port + 2);
    let up: &[&str] = &["--base-port", &base, "--shards", "8", "--detach"];
    let down = Down(&first);
    local("up", &first, up).await.expect(0, &[&format!("127.0.0.1:{}", port + 1)]);
    binary::run(&["--endpoints", &endpoints, "put", "kept", "x"]).await.expect(0, &[]);

    // The same ports, another directory: refused by name, and nothing is left half-done.
    local("up", &second, up).await.expect(1, &[&(port + 1).to_string(), "in use", "--base-port"]);
    local("down", &second, &[]).await.expect(0, &["nothing is running"]);
    // The same directory: there is nothing to do. Other wishes for it: refused.
    local("up", &first, up).await.expect(0, &[]);
    local("up", &first, &["--nodes", "5", "--detach"]).await.expect(2, &["--nodes", "3"]);
    local("up", &first, &["--shards", "9", "--detach"]).await.expect(2, &["--shards", "8"]);
    binary::run(&["--endpoints", &endpoints, "get", "kept"]).await.expect(0, &["x"]);
    binary::run(&["--endpoints", &endpoints, "status"]).await.expect(0, &["healthy"]);

    local("down", &first, &[]).await.expect(0, &["stopped 3"]);
    local("down", &first, &[]).await.expect(0, &["nothing is running"]);
    let record = first.join("cluster.toml");
    let genuine = std::fs::read_to_string(&record).expect("up wrote it");
    std::fs::write(&record, genuine.replace("format = 1", "format = 2")).expect("it can be written");
    local("up", &first, up).await.expect(1, &["newer", "format 2"]);
    std::fs::write(&record, genuine).expect("it can be written");
    local("up", &first, up).await.expect(0, &[]);
    binary::run(&["--endpoints", &endpoints, "get", "kept"]).await.expect(0, &["x"]);
    drop(down);
    binary::run(&["--endpoints", &endpoints, "--timeout", "1s", "get", "kept"]).await.expect(3, &[]);
    let full = home.path().join("full");
    std::fs::create_dir(&full).expect("a temporary directory takes another one");
    std::fs::write(full.join("novel.txt"), "x").expect("a temporary directory takes a file");
    local("up", &full, up).await.expect(1, &["novel.txt", "not empty"]);
}
