//! Attackers who have time: connections that say nothing, or a byte now and then, and streams that nobody reads.

use std::process::Command;
use std::time::Duration;

use flotilla_proto::kv_v1::{CommandRequest, CommandStreamRequest, TaggedCommand};
use flotilla_tests::hostile::h2::{self, PREFACE, Raw};
use flotilla_tests::raw;
use flotilla_types::Wire;
use tokio::time::sleep;

use crate::siege::Siege;

/// How many connections one attacker opens.
const CONNECTIONS: usize = 1000;
/// How many files the attacked node may have open: far fewer than the attacker has connections.
const FILES_MAX: usize = 512;
/// How long a node listens to somebody who has not said the preface.
const HELLO_MAX: Duration = Duration::from_secs(10);
/// A value that fills windows.
const VALUE_BYTES: usize = 4 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_silent_connections() {
    let siege = Siege::begin().await;
    limit_files(&siege);
    siege.attack("silence", silence(&siege.target)).await;
    siege.attack("a byte now and then", trickle(&siege.target)).await;
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_nobody_reads() {
    let siege = Siege::begin().await;
    let client = siege.cluster.client().await;
    client.put("large", vec![7; VALUE_BYTES]).await.expect("it is within the limits");
    siege.attack("unread answers", unread(&siege.target)).await;
    siege.attack("idle streams", idle(&siege.target)).await;
    siege.end().await;
}

// Before the attack, as an operator's limit would be.
fn limit_files(siege: &Siege) {
    for node in siege.cluster.nodes() {
        let pid = siege.cluster.node(node).pid().expect("it runs").as_raw_nonzero();
        let done =
            Command::new("prlimit").args([format!("--pid={pid}"), format!("--nofile={FILES_MAX}")]).status();
        assert!(done.is_ok_and(|status| status.success()), "prlimit comes with util-linux");
    }
}

async fn silence(at: &str) {
    let mut silent = Vec::new();
    for _ in 0..CONNECTIONS {
        silent.push(Raw::connect(at).await);
    }
    sleep(HELLO_MAX + Duration::from_secs(2)).await;
    let mut kept = 0;
    for raw in &mut silent {
        let (_, hung_up) = raw.drain(Duration::from_millis(1)).await;
        kept += usize::from(!hung_up);
    }
    assert!(kept < CONNECTIONS / 10, "{kept} of {CONNECTIONS} are still listened to after {HELLO_MAX:?}");
}

async fn trickle(at: &str) {
    let mut slow = Vec::new();
    for _ in 0..CONNECTIONS {
        slow.push(Raw::connect(at).await);
    }
    for byte in PREFACE.chunks(2) {
        for raw in &mut slow {
            raw.say(byte).await;
        }
        sleep(Duration::from_secs(1)).await;
    }
}

// A window of nothing: whatever is asked cannot be sent.
async fn unread(at: &str) {
    let no_window = [0, 4, 0, 0, 0, 0];
    let get = CommandRequest { gid: 1, ..raw::get("large") };
    let commands = (0..100).map(|tag| TaggedCommand { tag, command: Some(get.clone()) }).collect();
    let message = h2::honest(&CommandStreamRequest { commands }.to_bytes());
    let mut kept = Vec::new();
    for _ in 0..4 {
        let mut raw = Raw::greet(at, &no_window).await;
        let headers = h2::call("/flotilla.kv.v1.ShardKvService/CommandStream", &[]);
        raw.send(1, &headers, &message, false).await;
        kept.push(raw);
    }
    sleep(Duration::from_secs(5)).await;
    assert_eq!(kept.len(), 4, "they are open until now");
}

async fn idle(at: &str) {
    let mut kept = Vec::new();
    for path in [
        "kv.v1.ShardKvService/CommandStream",
        "raft.v1.RaftService/StreamAppend",
        "ctrl.v1.ShardCtrlerService/WatchConfig",
    ] {
        let headers = h2::call(&format!("/flotilla.{path}"), &[]);
        let mut raw = Raw::greet(at, &[]).await;
        for stream in (1..4000).step_by(2) {
            if !raw.send(stream, &headers, &h2::honest(&[]), false).await {
                break;
            }
        }
        kept.push(raw);
    }
    sleep(Duration::from_secs(3)).await;
    assert_eq!(kept.len(), 3, "they are open until now");
}
