//! `flotilla bench` where no cluster is needed: how it refuses, and with which exit code.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A port on which nobody listens: port 1 needs privileges that nobody uses.
const NOBODY: &str = "127.0.0.1:1";

/// Runs it, checks the exit code and that stderr holds each of these.
fn refused(arguments: &[&str], code: i32, words: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flotilla"));
    let command = command.arg("bench").args(arguments).env_remove("FLOTILLA_ENDPOINTS").stdin(Stdio::null());
    let output = command.current_dir(std::env::temp_dir()).output().expect("the binary runs");
    let said = String::from_utf8(output.stderr).expect("what flotilla says is UTF-8");
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{arguments:?} does not say {word:?} but: {said}");
    }
}

#[test]
fn misuse_names_the_thing_the_limit_and_the_next_step() {
    let wrong: [(&[&str], &[&str]); 13] = [
        (&["--op", "swim"], &["\"swim\"", "put, get, append, mixed or scan"]),
        (&["--target", "flotila"], &["\"flotila\"", "flotilla, etcd or redis"]),
        (&["--target", "etcd", "--op", "append"], &["etcd has no append", "--op put"]),
        (&["--target", "etcd,etcd"], &["twice", "--rounds"]),
        (&["--clients", "0"], &["--clients 0", "from 1 to 10000"]),
        (&["--clients", "4", "--connections", "5"], &["--connections 5", "from 1 to 4"]),
        (&["--keys", "0"], &["--keys 0"]),
        (&["--value-size", "3"], &["--value-size 3", "from 16 to 1048576"]),
        (&["--distribution", "normal"], &["uniform or zipfian"]),
        (&["--rate", "-5"], &["--rate"]),
        (&["--reads", "200", "--op", "mixed"], &["--reads 200", "from 0 to 100"]),
        (&["--duration", "soon"], &["10s, 500ms or 2m"]),
        (&["move", "--moves", "0"], &["--moves", "from 1 to 10000"]),
    ];
    for (arguments, words) in wrong {
        refused(arguments, 2, words);
    }
    refused(&["matrix", "--target", "redis", "--ops", "scan"], 2, &["scan"]);
    refused(&["--disk", "/no/such/folder"], 1, &["/no/such/folder"]);
}

#[test]
fn a_page_without_a_place_for_figures_is_refused_before_anything_is_measured() {
    let folder = tempfile::tempdir().expect("a folder");
    let page = folder.path().join("Page.md");
    std::fs::write(&page, "# A page\n").expect("it can be written");
    let page = page.to_str().expect("a path that is UTF-8");
    refused(&["matrix", "--page", page, "--endpoints", NOBODY], 2, &[page, "wiki/Performance.md"]);
}

#[test]
fn nobody_there_is_exit_code_3_within_the_deadline() {
    let commands: [&[&str]; 4] = [
        &["--endpoints", NOBODY],
        &["--target", "etcd", "--etcd", NOBODY],
        &["--target", "redis", "--redis", NOBODY],
        &["move", "--endpoints", NOBODY],
    ];
    for command in commands {
        let started = Instant::now();
        let arguments = [command, &["--timeout", "500ms"]].concat();
        refused(&arguments, 3, &["cannot connect", NOBODY]);
        assert!(started.elapsed() < Duration::from_secs(5), "{command:?} took {:?}", started.elapsed());
    }
}
