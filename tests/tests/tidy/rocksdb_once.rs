//! RocksDB takes ten minutes and more to compile, so every cargo command that we document must ask for the very
//! same one. Cargo builds a second as soon as a feature of any of its build dependencies differs, and a new
//! dev-dependency can do that unseen.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::repo::root;

/// What `make up`, `make test`, `make check` and one single crate's tests ask cargo for.
const COMMANDS: [&[&str]; 4] = [
    &["build", "--release", "--workspace"],
    &["test", "--release", "--workspace"],
    &["check", "--release", "--workspace", "--all-targets"],
    &["test", "--release", "-p", "flotilla-raft-store"],
];

/// Cargo's plan for a command. It builds nothing, but cargo gives it to nightly only, hence the variable.
fn plan(arguments: &[&str]) -> Value {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(arguments).args(["--locked", "--unit-graph", "-Zunstable-options"]);
    cargo.env("RUSTC_BOOTSTRAP", "1").current_dir(root());
    let output = cargo.output().expect("cargo runs: it is running this test");
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("a plan is JSON")
}

/// Everything that decides which RocksDB a plan builds: its build script's run and all below, with features and profile.
fn recipe(plan: &Value) -> BTreeSet<String> {
    let units = plan["units"].as_array().expect("a plan lists units");
    let is_rocksdb = |unit: &Value| {
        let id = unit["pkg_id"].as_str().unwrap_or_default();
        id.contains("librocksdb-sys") && unit["mode"] == "run-custom-build"
    };
    let mut waiting: Vec<&Value> = units.iter().filter(|unit| is_rocksdb(unit)).collect();
    let mut recipe = BTreeSet::new();
    while let Some(unit) = waiting.pop() {
        let line = format!("{} {} {} {}", unit["pkg_id"], unit["mode"], unit["features"], unit["profile"]);
        if recipe.insert(line) {
            let below = unit["dependencies"].as_array().into_iter().flatten();
            let indices =
                below.filter_map(|edge| edge["index"].as_u64()).filter_map(|at| usize::try_from(at).ok());
            waiting.extend(indices.map(|at| &units[at]));
        }
    }
    recipe
}

#[test]
fn one_rocksdb_serves_every_command() {
    let [first, others @ ..] = COMMANDS;
    let wanted = recipe(&plan(first));
    assert!(!wanted.is_empty(), "cargo {first:?} builds no RocksDB at all");
    for command in others {
        let found = recipe(&plan(command));
        let different: Vec<_> = wanted.symmetric_difference(&found).collect();
        assert!(different.is_empty(), "cargo {command:?} would compile RocksDB again: {different:#?}");
    }
}

#[test]
fn a_saboteur_is_flagged() {
    let plan = |features: &str| {
        let text = format!(
            r#"{{"units": [
                {{"pkg_id": "librocksdb-sys", "mode": "run-custom-build", "features": [], "profile": {{}}, "dependencies": [{{"index": 1}}]}},
                {{"pkg_id": "syn", "mode": "build", "features": [{features}], "profile": {{}}, "dependencies": []}}
            ]}}"#
        );
        serde_json::from_str(&text).expect("JSON")
    };
    assert_eq!(recipe(&plan("")), recipe(&plan("")));
    assert_ne!(recipe(&plan("")), recipe(&plan(r#""full""#)));
}
