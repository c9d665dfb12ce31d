//! Calls that are HTTP/2, and no calls that anybody serves: wrong types, lies about lengths, bombs, made-up methods, and
//! thousands of mutations of what every method takes.

use std::process::{Command, Stdio};
use std::time::Duration;

use flotilla_tests::hostile::h2::{self, Raw};
use flotilla_tests::hostile::wild::{self, Valid};
use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::siege::Siege;

const QUIET: Duration = Duration::from_millis(100);
const COMMAND: &str = "/flotilla.kv.v1.ShardKvService/Command";
const STREAM: &str = "/flotilla.kv.v1.ShardKvService/CommandStream";
/// How many mutations of each method's request are sent, and how many of them on one connection.
const MUTATIONS: usize = 300;
const STREAMS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_nobody_serves() {
    let siege = Siege::begin().await;
    let at = &siege.target;
    siege.attack("wrong types", wrong_types(at)).await;
    siege.attack("unknown methods", unknown_methods(at)).await;
    siege.attack("lying lengths", lying_lengths(at)).await;
    siege.attack("compressed bombs", bombs(at)).await;
    for valid in wild::requests() {
        siege.attack(&valid.path, mutations(at, &valid)).await;
    }
    siege.end().await;
}

async fn wrong_types(at: &str) {
    let types = [
        "application/json",
        "",
        "application/grpc+json",
        "application/grpc-web",
        "text/\u{e9}",
        "application/grpc;x=\0",
    ];
    for kind in types {
        let mut raw = Raw::greet(at, &[]).await;
        raw.send(1, &h2::call(COMMAND, &[("content-type", kind)]), &h2::honest(b"{}"), true).await;
        raw.drain(QUIET).await;
    }
    let fields: [&[(&str, &str)]; 5] = [
        &[("grpc-timeout", "99999999999S")],
        &[("grpc-timeout", "-1m")],
        &[("grpc-encoding", "snappy")],
        &[("flotilla-cluster-id", "\u{7f}not hex")],
        &[(":path", "/twice"), ("content-length", "3")],
    ];
    for more in fields {
        let mut raw = Raw::greet(at, &[]).await;
        raw.send(1, &h2::call(COMMAND, more), &h2::honest(b""), true).await;
        raw.drain(QUIET).await;
    }
}

async fn unknown_methods(at: &str) {
    let mut raw = Raw::greet(at, &[]).await;
    let service = "/flotilla.kv.v1.ShardKvService";
    let paths = [
        "/".to_owned(),
        "*".to_owned(),
        "//".to_owned(),
        service.to_owned(),
        format!("{service}/"),
        format!("{service}/Nothing"),
        format!("{service}/Command/Command"),
        format!("{service}/%43ommand"),
        "/flotilla.kv.v2.ShardKvService/Command".to_owned(),
        "/../../etc/passwd".to_owned(),
        format!("/{}/Command", "s".repeat(8_000)),
    ];
    for (path, stream) in paths.iter().zip((1..).step_by(2)) {
        raw.send(stream, &h2::call(path, &[]), &h2::honest(b""), true).await;
    }
    let (heard, _) = raw.drain(QUIET).await;
    assert!(heard > 0, "unknown methods get an answer");
}

// A message said to be of four gigabytes, one that ends early, one that never ends.
async fn lying_lengths(at: &str) {
    for path in [COMMAND, STREAM, "/flotilla.raft.v1.RaftService/InstallSnapshot"] {
        for length in [u32::MAX, 1 << 31, 16 * 1024 * 1024 + 1, 100, 0] {
            for end in [true, false] {
                let mut raw = Raw::greet(at, &[]).await;
                raw.send(1, &h2::call(path, &[]), &h2::message(0, length, b"short"), end).await;
                raw.drain(QUIET).await;
            }
        }
        // Within the limit, most of it sent, and then silence.
        let mut raw = Raw::greet(at, &[]).await;
        let body = h2::message(0, 16 * 1024 * 1024, &vec![0; 1 << 20]);
        for stream in (1..16).step_by(2) {
            raw.send(stream, &h2::call(path, &[]), &body, false).await;
        }
        raw.drain(QUIET).await;
    }
}

// 64 MiB of zeros in 64 KiB, for a service that may or may not decompress.
async fn bombs(at: &str) {
    let Some(bomb) = gzipped_zeros() else { return eprintln!("SKIPPED: no gzip on this machine") };
    for path in [COMMAND, STREAM, "/flotilla.raft.v1.RaftService/Append"] {
        for flag in [0, 1, 2, 255] {
            let mut raw = Raw::greet(at, &[]).await;
            let headers = h2::call(path, &[("grpc-encoding", "gzip")]);
            let length = u32::try_from(bomb.len()).expect("it is small");
            raw.send(1, &headers, &h2::message(flag, length, &bomb), true).await;
            raw.drain(QUIET).await;
        }
    }
}

fn gzipped_zeros() -> Option<Vec<u8>> {
    let zeros = Command::new("head").args(["-c", "64M", "/dev/zero"]).stdout(Stdio::piped()).spawn().ok()?;
    let output = Command::new("gzip").stdin(Stdio::from(zeros.stdout?)).output().ok()?;
    output.status.success().then_some(output.stdout)
}

async fn mutations(at: &str, valid: &Valid) {
    let crowd = (0..MUTATIONS / STREAMS).map(|nth| mutated(at, valid, nth as u64));
    let heard: usize = join_all(crowd).await.into_iter().sum();
    assert!(heard > 0, "{}: nobody got an answer", valid.path);
}

async fn mutated(at: &str, valid: &Valid, seed: u64) -> usize {
    let mut rng = StdRng::seed_from_u64(seed);
    let headers = h2::call(&valid.path, &[]);
    let mut raw = Raw::greet(at, &[]).await;
    for stream in (1..).step_by(2).take(STREAMS) {
        // The first message of a stream may be right, and the next one not.
        let mut body = if rng.random() { h2::honest(&valid.body) } else { Vec::new() };
        body.extend(h2::honest(&wild::mutated(&valid.body, &mut rng)));
        raw.send(stream, &headers, &body, rng.random_range(0..4) > 0).await;
    }
    raw.drain(QUIET).await.0
}
