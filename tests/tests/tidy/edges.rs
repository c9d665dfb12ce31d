//! Dependencies point up the picture in `wiki/Architecture.md`, and each outside library stays in its room.

use toml::{Table, Value};

use crate::repo::{ROOMS, read, root};

/// Crates that decide and never act. They may use little from outside.
const PURE: [&str; 4] = ["types", "cloud-migration", "shardkv", "shardctrler"];
/// Compression and digests compute only: the same bytes in, the same bytes out.
const PURE_MAY_USE: [&str; 9] =
    ["prost", "bytes", "serde", "serde_json", "thiserror", "crc32c", "zstd", "blake3", "xxhash-rust"];
const PURE_TESTS_MAY_USE: [&str; 3] = ["goldenscript", "test_each_file", "proptest"];

/// Libraries that only one room may name, so that replacing one touches that room alone.
const KEPT_IN: [(&str, &str); 5] = [
    ("openraft", "raft-store"),
    ("rocksdb", "raft-store"),
    ("bincode", "proto"),
    ("object_store", "backup"),
    ("reqwest", "backup"),
];

/// Who may have the feature that lets a bug be planted (`types/src/planted.rs`), and never by default.
const MAY_PLANT: [&str; 2] = ["types", "sim"];

/// One dependency of a manifest.
#[derive(Debug)]
struct Edge {
    section: String,
    package: String,
}

/// The rooms that `room` may name: those above it. Everything else is an edge that the picture does not draw.
fn above(room: &str) -> &'static [&'static str] {
    match room {
        "types" => &[],
        "cloud-migration" | "shardkv" => &["types"],
        "shardctrler" => &["types", "cloud-migration"],
        "proto" => &["types", "cloud-migration", "shardkv", "shardctrler"],
        // Replicates any Machine, so it names none of them.
        "raft-store" => &["types", "proto"],
        "client" => &["types", "cloud-migration", "shardkv", "shardctrler", "proto"],
        // The way of a dump to object storage; it knows no cluster.
        "backup" => &["types", "cloud-migration"],
        // Not the client: a node talks to its peers itself.
        "node" => &["types", "cloud-migration", "shardkv", "shardctrler", "proto", "raft-store", "backup"],
        // Judges what was written down; it runs nothing.
        "checker" => &["types"],
        "workload" => &["types", "proto", "client", "checker"],
        // Measures from outside; its random numbers are the workload's.
        "bench" => &["types", "proto", "client", "workload"],
        // Drives processes from outside, as a user would: it names no node.
        "chaos" => &["types", "proto", "client", "checker", "workload"],
        "cli" => &[
            "types",
            "cloud-migration",
            "shardkv",
            "shardctrler",
            "proto",
            "client",
            "backup",
            "node",
            "checker",
            "workload",
            "bench",
            "chaos",
        ],
        "sim" => &[
            "types",
            "cloud-migration",
            "shardkv",
            "shardctrler",
            "proto",
            "raft-store",
            "client",
            "node",
            "checker",
            "workload",
        ],
        "tests" => &ROOMS,
        _ => panic!("the room {room} is new: draw it in wiki/Architecture.md and say here what it may name"),
    }
}

fn edges(manifest: &Table) -> Vec<Edge> {
    let mut found = Vec::new();
    for (section, value) in manifest {
        match (&section[..], value) {
            ("dependencies" | "dev-dependencies" | "build-dependencies", Value::Table(listed)) => {
                found.extend(listed.iter().map(|(key, value)| edge(section, key, value)));
            }
            ("target", Value::Table(targets)) => {
                found.extend(targets.values().filter_map(Value::as_table).flat_map(edges));
            }
            _ => {}
        }
    }
    found
}

/// A renamed dependency counts by its real name.
fn edge(section: &str, key: &str, value: &Value) -> Edge {
    let package = value.get("package").and_then(Value::as_str).unwrap_or(key);
    Edge { section: section.to_owned(), package: package.to_owned() }
}

fn complaints(room: &str, manifest: &Table) -> Vec<String> {
    let edges = edges(manifest);
    let mut found: Vec<String> = edges.iter().filter_map(|edge| complaint(room, edge)).collect();
    let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
    if lints != Some(&Value::Boolean(true)) {
        found.push(format!("{room} does not inherit the workspace's lints: [lints] workspace = true"));
    }
    // Cargo unites features: one room that asks for planted bugs would give them to all.
    if !MAY_PLANT.contains(&room) && manifest.to_string().contains("planted") {
        found.push(format!("{room} must not speak of planted bugs: only {MAY_PLANT:?} may"));
    }
    let default = manifest.get("features").and_then(|features| features.get("default"));
    if default.is_some_and(|default| default.to_string().contains("planted")) {
        found.push(format!("{room} plants bugs by default"));
    }
    found
}

fn complaint(room: &str, edge: &Edge) -> Option<String> {
    let Edge { section, package } = edge;
    if let Some(named) = package.strip_prefix("flotilla-") {
        let drawn = above(room).contains(&named);
        return (!drawn)
            .then(|| format!("{room} must not name {named} ({section}): dependencies point up only"));
    }
    if let Some((_, keeper)) = KEPT_IN.iter().find(|(library, _)| library == package) {
        return (room != *keeper)
            .then(|| format!("{room} must not name {package} ({section}): only {keeper} does"));
    }
    let in_tests = section == "dev-dependencies" && PURE_TESTS_MAY_USE.contains(&&package[..]);
    let allowed = !PURE.contains(&room) || PURE_MAY_USE.contains(&&package[..]) || in_tests;
    (!allowed).then(|| format!("{room} is pure and must not name {package} ({section})"))
}

fn manifest(room: &str) -> Table {
    let path = root().join(room).join("Cargo.toml");
    read(&path).parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn dependencies_point_up_only() {
    let found: Vec<_> = ROOMS.iter().flat_map(|room| complaints(room, &manifest(room))).collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn the_workspace_has_exactly_these_rooms() {
    let workspace: Table = read(&root().join("Cargo.toml")).parse().expect("the root manifest is TOML");
    let members = workspace["workspace"]["members"].as_array().expect("a list of members");
    let members: Vec<_> = members.iter().filter_map(Value::as_str).collect();
    assert_eq!(members, ROOMS, "a new room is drawn in wiki/Architecture.md and judged here");
    for room in ROOMS {
        let name = format!("flotilla-{room}");
        assert_eq!(manifest(room)["package"]["name"].as_str(), Some(&name[..]), "{room}/Cargo.toml");
    }
}

#[test]
fn each_pure_crate_bans_what_would_make_replicas_differ() {
    let bans = [
        "HashMap",
        "HashSet",
        "Instant",
        "SystemTime",
        "std::fs::",
        "std::net::",
        "std::thread::",
        "std::env::",
        "rand::",
    ];
    for room in PURE {
        let text = read(&root().join(room).join("clippy.toml"));
        for ban in bans {
            assert!(text.contains(ban), "{room}/clippy.toml does not ban {ban}");
        }
        assert_eq!(
            text,
            read(&root().join("types/clippy.toml")),
            "{room}/clippy.toml differs from types/clippy.toml"
        );
    }
}

#[test]
fn the_pure_crates_repeat_the_roots_thresholds() {
    let thresholds: Table = read(&root().join("clippy.toml")).parse().expect("clippy.toml is TOML");
    let pure: Table = read(&root().join("types/clippy.toml")).parse().expect("clippy.toml is TOML");
    for (key, value) in &thresholds {
        assert_eq!(pure.get(key), Some(value), "clippy merges no files: repeat {key} in the pure crates");
    }
}

#[test]
fn every_package_comes_from_this_repository_or_crates_io() {
    let lock: Table = read(&root().join("Cargo.lock")).parse().expect("Cargo.lock is TOML");
    for package in lock["package"].as_array().expect("a list of packages") {
        let (name, source) = (package["name"].as_str(), package.get("source").and_then(Value::as_str));
        let ours = name.is_some_and(|name| name.starts_with("flotilla-"));
        let known = source == Some("registry+https://github.com/rust-lang/crates.io-index");
        assert!(ours || known, "{name:?} comes from {source:?}");
    }
}

#[test]
fn saboteurs_are_flagged() {
    let sabotage = |room: &str, text: &str| {
        let manifest = format!("{text}\n[lints]\nworkspace = true\n").parse().expect("TOML");
        complaints(room, &manifest).len()
    };
    assert_eq!(sabotage("shardkv", "[dependencies]\nflotilla-types.workspace = true\nprost = \"1\""), 0);
    assert_eq!(sabotage("types", "[dependencies]\nflotilla-shardkv.workspace = true"), 1);
    assert_eq!(sabotage("node", "[dev-dependencies]\nflotilla-client.workspace = true"), 1);
    assert_eq!(
        sabotage("raft-store", "[dependencies]\nx = { package = \"flotilla-shardkv\", path = \"x\" }"),
        1
    );
    assert_eq!(sabotage("shardkv", "[dependencies]\ntokio = \"1\""), 1);
    assert_eq!(sabotage("shardkv", "[dependencies]\nproptest = \"1\""), 1);
    assert_eq!(sabotage("node", "[target.'cfg(unix)'.dependencies]\nrocksdb = \"1\""), 1);
    assert_eq!(sabotage("client", "[build-dependencies]\nbincode = \"1\""), 1);
    assert_eq!(
        sabotage("cli", "[dependencies]\nflotilla-types = { path = \"x\", features = [\"planted\"] }"),
        1
    );
    assert_eq!(sabotage("sim", "[features]\ndefault = [\"planted\"]\nplanted = []"), 1);
    assert_eq!(complaints("types", &Table::new()).len(), 1, "no lints");
}
