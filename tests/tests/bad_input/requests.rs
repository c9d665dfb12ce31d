//! Requests that make no sense, on a cluster that goes on as if they had not been.

use std::process::Stdio;

use flotilla_proto::ctrl_v1::JoinRequest;
use flotilla_proto::kv_v1::op::Kind;
use flotilla_proto::kv_v1::{self as kv, Code, CommandRequest, CommandResponse};
use flotilla_tests::cluster::{Cluster, binary, key_of};
use flotilla_tests::raw::{command, get, put, write_id};
use flotilla_types::limits::{BATCH_OPS_MAX, KEY_BYTES_MAX, MESSAGE_BYTES_MAX, VALUE_BYTES_MAX};

const SHARDS: u32 = 10;

async fn one_group() -> Cluster {
    let cluster = Cluster::builder().shards(SHARDS).start().await;
    cluster.flotilla(&["ctl", "join", "1=1,2,3", "--wait"]).await.expect(0, &["config 1"]);
    cluster.flotilla(&["put", "kept", "as it was"]).await.expect(0, &[]);
    cluster
}

/// The configuration and the data are what they were.
async fn assert_unharmed(cluster: Cluster) {
    let shown = cluster.flotilla(&["--json", "ctl", "query"]).await.expect(0, &[]).json();
    assert_eq!(shown["num"], 1, "{shown}");
    assert_eq!(shown["groups"], serde_json::json!({ "1": [1, 2, 3] }), "{shown}");
    cluster.flotilla(&["get", "kept"]).await.expect(0, &["as it was"]);
    let scan = cluster.flotilla(&["--json", "scan"]).await.expect(0, &[]).json();
    assert_eq!(scan["rows"].as_array().map(Vec::len), Some(1), "only the row that was kept: {scan}");
    cluster.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ctl_refuses_what_makes_no_sense() {
    let cluster = one_group().await;
    let cases: &[(&[&str], i32, &[&str])] = &[
        (&["join", "1=1,2,3"], 1, &["group 1", "choose another gid"]),
        (&["join", "0=1"], 2, &["gid", "0"]),
        (&["join", "5=1,1"], 2, &["node 1 twice"]),
        (&["join", "5=1,99"], 1, &["node 99", "never registered"]),
        (&["join", "5=1", "6=99"], 1, &["node 99"]),
        (&["join", "5=1", "5=2"], 2, &["group 5", "twice"]),
        (&["join", "5="], 2, &["5=", "GID=NODE"]),
        (&["join", "5=1,,2"], 2, &["GID=NODE"]),
        (&["join", "five=1"], 2, &["GID=NODE"]),
        (&["join", "5=one"], 2, &["GID=NODE"]),
        (&["join"], 2, &["GID=NODE"]),
        (&["leave", "42"], 1, &["no group 42"]),
        (&["leave", "1"], 1, &["no group would remain"]),
        (&["leave"], 2, &["GID"]),
        (&["move", "10", "1"], 1, &["shard", "0 to 9"]),
        (&["move", "0", "42"], 1, &["no group 42"]),
        (&["move", "zero", "1"], 2, &["zero"]),
        (&["query", "42"], 1, &["config 42"]),
    ];
    for (arguments, code, words) in cases {
        let line: Vec<&str> = ["ctl"].iter().chain(*arguments).copied().collect();
        cluster.flotilla(&line).await.expect(*code, words);
    }
    assert_unharmed(cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_past_its_limits_is_refused() {
    let cluster = one_group().await;
    let long = "k".repeat(KEY_BYTES_MAX + 1);
    let limit = KEY_BYTES_MAX.to_string();
    cluster.flotilla(&["put", &long, "x"]).await.expect(2, &["key", &limit]);
    cluster.flotilla(&["get", &long]).await.expect(2, &["key", &limit]);
    cluster.flotilla(&["put", "", "x"]).await.expect(2, &["key"]);

    let file = cluster.dir().join("large");
    std::fs::write(&file, vec![b'v'; VALUE_BYTES_MAX + 1]).expect("a temporary directory takes a file");
    let stdin = Stdio::from(std::fs::File::open(&file).expect("just written"));
    let endpoints = cluster.endpoints().join(",");
    let run = binary::run_with(&["--endpoints", &endpoints, "put", "large", "-"], stdin).await;
    run.expect(2, &["value", &VALUE_BYTES_MAX.to_string()]);

    let lines = cluster.dir().join("lines");
    std::fs::write(&lines, "no tab here\n").expect("a temporary directory takes a file");
    cluster.flotilla(&["import", &lines.display().to_string()]).await.expect(2, &["line 1", "tab"]);
    cluster.flotilla(&["get", "nothing there"]).await.expect(1, &["no such key"]);
    cluster.flotilla(&["delete", "nothing there"]).await.expect(1, &["no such key"]);
    cluster.flotilla(&["cas", "kept", "something else", "x"]).await.expect(1, &["not changed"]);
    assert_unharmed(cluster).await;
}

/// A reply to a command that is sent once, to the leader of group 1.
async fn reply(cluster: &Cluster, command: CommandRequest) -> kv::Reply {
    cluster.command(&[1], &command).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_over_grpc_is_refused_and_harms_nobody() {
    let cluster = one_group().await;
    let leader = cluster.wait_leader(1).await;
    let invalid: Vec<(&str, CommandRequest)> = vec![
        ("no operation", CommandRequest::default()),
        ("an empty key", get("")),
        ("a write without an id", CommandRequest { id: None, ..put(write_id(1, 1), "key", "x") }),
        ("an empty batch", command(Some(write_id(2, 1)), Kind::Batch(kv::Batch::default()))),
        ("a batch over several shards", batch([key_of(0, SHARDS, 0), key_of(9, SHARDS, 0)])),
    ];
    for (name, command) in invalid {
        let reply = reply(&cluster, command).await;
        assert_eq!(reply.code(), Code::Invalid, "{name}: {reply:?}");
        assert!(!reply.message.is_empty(), "{name}: refused without a word");
    }
    let reply = reply(&cluster, batch(vec!["key".to_owned(); BATCH_OPS_MAX + 1])).await;
    assert_eq!(reply.code(), Code::TooLarge, "{reply:?}");
    assert!(reply.message.contains(&BATCH_OPS_MAX.to_string()), "{}", reply.message);

    let strange_group = CommandRequest { gid: 42, ..get("kept") };
    let CommandResponse { reply } =
        cluster.kv(leader).command(strange_group).await.expect("an answer").into_inner();
    let reply = reply.expect("a reply");
    assert!(!reply.is_outcome() && reply.message.contains("42"), "{reply:?}");

    let bodiless = cluster.ctrl(leader).join(JoinRequest { request_id: 1, join: None }).await;
    match bodiless {
        Err(status) => assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status}"),
        // It does not lead the controller, and says who does.
        Ok(answer) => assert!(answer.get_ref().response.is_none(), "{answer:?}"),
    }
    let huge = put(write_id(3, 1), "huge", vec![0; MESSAGE_BYTES_MAX + 1]);
    let status = cluster.kv(leader).command(huge).await.expect_err("a message past the limit");
    assert!(!status.message().is_empty(), "{status:?}");
    assert_unharmed(cluster).await;
}

fn batch(keys: impl IntoIterator<Item = String>) -> CommandRequest {
    let ops = keys.into_iter().map(|key| put(write_id(9, 1), key, "x").op.expect("a put has one"));
    command(Some(write_id(9, 1)), Kind::Batch(kv::Batch { ops: ops.collect() }))
}
