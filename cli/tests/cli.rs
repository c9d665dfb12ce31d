//! The real binary where no cluster is needed: what it says of itself, how it refuses, and with which exit code.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A port on which nobody listens: port 1 needs privileges that nobody uses.
const NOBODY: &str = "127.0.0.1:1";
const DONE: i32 = 0;
const NO: i32 = 1;
const MISUSE: i32 = 2;
const UNREACHABLE: i32 = 3;

struct Said {
    code: i32,
    out: String,
    err: String,
}

fn flotilla() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flotilla"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("FLOTILLA_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

fn said(output: Output) -> Said {
    let text = |bytes| String::from_utf8(bytes).expect("what flotilla says is UTF-8");
    let said = Said {
        code: output.status.code().expect("it was not killed"),
        out: text(output.stdout),
        err: text(output.stderr),
    };
    assert!(!said.err.contains("panicked"), "{}", said.err);
    said
}

fn run(arguments: &[&str]) -> Said {
    said(flotilla().args(arguments).output().expect("the binary runs"))
}

/// Runs it and checks the exit code and that stderr holds each of these.
fn refused(arguments: &[&str], code: i32, words: &[&str]) {
    let said = run(arguments);
    assert_eq!(said.code, code, "{arguments:?}: {}", said.err);
    for word in words {
        assert!(said.err.contains(word), "{arguments:?} does not say {word:?} but: {}", said.err);
    }
}

#[test]
fn every_command_explains_itself() {
    let commands = [
        "up",
        "down",
        "node",
        "get",
        "put",
        "append",
        "delete",
        "cas",
        "scan",
        "import",
        "export",
        "ctl",
        "status",
        "check",
        "report",
        "ctl query",
        "ctl join",
        "ctl leave",
        "ctl move",
        "ctl nodes",
        "ctl groups",
    ];
    for command in commands {
        let arguments: Vec<_> = command.split(' ').chain(["--help"]).collect();
        let said = run(&arguments);
        assert_eq!(said.code, DONE, "{command}");
        assert!(said.out.contains("Usage: flotilla"), "{command}: {}", said.out);
    }
    let all = run(&["--help"]).out;
    assert!(all.contains("Exit codes:") && all.contains("FLOTILLA_ENDPOINTS"), "{all}");
    assert!(run(&["--version"]).out.starts_with("flotilla "));
}

#[test]
fn misuse_is_exit_code_2() {
    let wrong: [&[&str]; 13] = [
        &[],
        &["nonsense"],
        &["get"],
        &["put", "key"],
        &["get", "key", "--endpoints", "no-port"],
        &["get", "key", "--timeout", "soon"],
        &["scan", "--limit", "0"],
        &["cas", "key", "-", "-"],
        &["ctl", "join"],
        &["ctl", "join", "3=one"],
        &["ctl", "move", "seven", "1"],
        &["ctl", "leave", "1", "--wait-timeout", "5s"],
        &["up", "--nodes", "100", "--dir", "/nonexistent/never"],
    ];
    for arguments in wrong {
        assert_eq!(run(arguments).code, MISUSE, "{arguments:?}");
    }
    refused(&["ctl", "join", "3=1,x"], MISUSE, &["GID=NODE,NODE", "\"x\" is no number"]);
    assert!(!Path::new("/nonexistent").exists());
}

#[test]
fn an_unreachable_cluster_is_exit_code_3_within_the_deadline() {
    let commands: [&[&str]; 7] = [
        &["get", "key"],
        &["put", "key", "-5"],
        &["scan"],
        &["ctl", "query"],
        &["ctl", "move", "1", "1"],
        &["status"],
        &["check"],
    ];
    for command in commands {
        let started = Instant::now();
        let arguments = [command, &["--endpoints", NOBODY, "--timeout", "500ms"]].concat();
        refused(&arguments, UNREACHABLE, &["error: ", NOBODY]);
        assert!(started.elapsed() < Duration::from_secs(3), "{command:?} took {:?}", started.elapsed());
    }
}

#[test]
fn an_endpoint_that_is_no_flotilla_node_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 64]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
    });
    for command in ["status", "scan"] {
        let arguments = [command, "--endpoints", &address, "--timeout", "2s"];
        let said = run(&arguments);
        assert_eq!(said.code, UNREACHABLE, "{command}: {}", said.err);
        let words = said.err.to_lowercase();
        assert!(words.contains(&address) && words.contains("flotilla node"), "{command}: {}", said.err);
    }
}

#[test]
fn values_and_keys_may_begin_with_a_hyphen() {
    for value in ["-5", "--", "-v", "--nonsense"] {
        let command = ["put", "-key", value, "--endpoints", NOBODY, "--timeout", "100ms"];
        // After `--` everything is an argument, so that one value is one too many or too few.
        let expected = if value == "--" { MISUSE } else { UNREACHABLE };
        assert_eq!(run(&command).code, expected, "{value}");
    }
}

#[test]
fn a_file_that_cannot_be_imported_is_named() {
    refused(&["import", "/nonexistent/words.tsv"], NO, &["cannot open /nonexistent/words.tsv"]);
    refused(&["export", "/", "--endpoints", NOBODY, "--timeout", "100ms"], UNREACHABLE, &[NOBODY]);
}

#[test]
fn a_node_says_what_it_is_missing() {
    refused(&["node"], MISUSE, &["the cluster id is missing", "--cluster", "FLOTILLA_CLUSTER"]);
    let cluster = "0123456789abcdef0123456789abcdef";
    let node = ["node", "--node", "1", "--dir", "/nonexistent/d", "--listen", "127.0.0.1:0"];
    let with = |more: &[&'static str]| [&node[..], more].concat();
    refused(&with(&["--cluster", "xyz"]), MISUSE, &["32 hexadecimal digits"]);
    refused(&with(&["--cluster", cluster]), MISUSE, &["controller"]);
    refused(&with(&["--cluster", cluster, "--controllers", "1:a"]), MISUSE, &["N=HOST:PORT"]);
    refused(&with(&["--cluster", cluster, "--controllers", "1=a"]), MISUSE, &["the port is missing"]);
    let early = ["--cluster", cluster, "--controllers", "1=a:1", "--heartbeat-ms", "0"];
    refused(&with(&early), MISUSE, &["heartbeat_ms = 0", "5 to 10000"]);
}

#[test]
fn a_wrong_settings_file_is_explained() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("node.toml");
    let file = path.to_str().expect("UTF-8");
    let explain = |text: &str, words: &[&str]| {
        std::fs::write(&path, text).expect("written");
        refused(&["node", "--settings", file], MISUSE, words);
    };
    explain("nod = 1", &["node.toml", "unknown field `nod`"]);
    explain("node = \"one\"", &["node.toml", "line 1"]);
    explain("[settings]\nheartbeat = 5", &["[settings]", "unknown field `heartbeat`", "heartbeat_ms"]);
    explain("[settings]\nheartbeat_ms = true", &["[settings]", "heartbeat_ms"]);
    explain("= 3", &["node.toml", "line 1"]);
    refused(&["node", "--settings", "/nonexistent/n.toml"], NO, &["cannot read the settings file"]);
}

#[test]
fn flags_win_over_the_environment_which_wins_over_the_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("node.toml");
    let text = "node = 1\ncluster = \"0123456789abcdef0123456789abcdef\"\ndir = \"/nonexistent/d\"\nlisten = \"127.0.0.1:0\"\n\
                controllers = [\"1=a:1\"]\n[settings]\nheartbeat_ms = 1\n";
    std::fs::write(&path, text).expect("written");
    let heartbeat = |environment: Option<&str>, flag: Option<&str>| {
        let mut command = flotilla();
        command.arg("node").arg("--settings").arg(&path);
        command.envs(environment.map(|value| ("FLOTILLA_HEARTBEAT_MS", value)));
        command.args(flag.map(|value| ["--heartbeat-ms", value]).iter().flatten());
        said(command.output().expect("the binary runs")).err
    };
    assert!(heartbeat(None, None).contains("heartbeat_ms = 1:"));
    assert!(heartbeat(Some("2"), None).contains("heartbeat_ms = 2:"));
    assert!(heartbeat(Some("2"), Some("3")).contains("heartbeat_ms = 3:"));
}

#[test]
fn down_where_nothing_runs_is_done() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("none");
    let said = run(&["down", "--dir", path.to_str().expect("UTF-8")]);
    assert_eq!((said.code, said.out.contains("nothing is running")), (DONE, true), "{}", said.err);
    assert!(!path.exists(), "down made a directory");
}

#[test]
fn up_refuses_directories_that_it_does_not_understand() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().to_str().expect("UTF-8");
    std::fs::write(dir.path().join("thesis.txt"), "draft").expect("written");
    refused(&["up", "--dir", path], NO, &["is not empty", "thesis.txt"]);
    let record = dir.path().join("cluster.toml");
    std::fs::write(&record, "format = 99\n").expect("written");
    refused(&["up", "--dir", path], NO, &["newer flotilla", "format 99"]);
    std::fs::write(&record, "nonsense").expect("written");
    refused(&["up", "--dir", path], NO, &["cluster.toml", "not what flotilla up wrote"]);
    let whole = "format = 1\ncluster = \"0123456789abcdef0123456789abcdef\"\nnodes = 3\ngroups = 2\nshards = 64\n\
                 base_port = 7100\nstage = \"complete\"\n";
    std::fs::write(&record, whole).expect("written");
    refused(&["up", "--dir", path, "--nodes", "5"], MISUSE, &["--nodes 3, not 5", "leave the flag out"]);
    refused(&["up", "--dir", path, "--shards", "8"], MISUSE, &["--shards 64, not 8"]);
}

#[test]
fn up_names_a_port_in_use_and_starts_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("cluster");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("it is bound").port();
    let base = (port - 2).to_string();
    let arguments = ["up", "--detach", "--dir", path.to_str().expect("UTF-8"), "--base-port", &base];
    if port < 65_000 {
        refused(&arguments, NO, &[&format!("port {port} (node 2's gRPC) is in use"), "--base-port"]);
        assert!(!path.join("node-1").exists(), "a node was started");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = flotilla().arg("--help").stdout(Stdio::piped()).spawn().expect("the binary runs");
    drop(child.stdout.take());
    assert!(child.wait().expect("it ends").code().is_some_and(|code| code <= DONE));
    let dir = tempfile::tempdir().expect("a directory");
    let mut down = flotilla();
    let path = dir.path().join("none");
    let mut child =
        down.arg("down").arg("--dir").arg(&path).stdout(Stdio::piped()).spawn().expect("the binary runs");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(DONE));
}
