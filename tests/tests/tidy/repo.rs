//! Where the house stands, and its files.

use std::fs;
use std::path::{Path, PathBuf};

use crate::rust;

/// The rooms, which are the workspace's members.
pub const ROOMS: [&str; 16] = [
    "types",
    "cloud-migration",
    "shardkv",
    "shardctrler",
    "proto",
    "raft-store",
    "client",
    "backup",
    "node",
    "checker",
    "workload",
    "bench",
    "chaos",
    "cli",
    "sim",
    "tests",
];

/// The repository's root.
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the tests room stands in the repository").to_owned()
}

/// A file's text; a missing one fails the test by name.
pub fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

/// A path as people write it, from the root.
pub fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Every file below `dir` with one of these extensions, sorted. Build output and hidden folders are not ours.
pub fn files(dir: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.expect("a folder that we may read").path()) {
        let file_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && file_name != "target" && !file_name.starts_with('.') {
            found.extend(files(&path, extensions));
        } else if path.extension().is_some_and(|ext| extensions.iter().any(|wanted| ext == *wanted)) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// One Rust file of a room's `src`, as far as it is product code.
pub struct Source {
    /// Where it is.
    pub path: PathBuf,
    /// Its code: comments, literals and test items are blanks.
    pub code: String,
    /// Its lines that are not test items.
    pub lines: usize,
}

/// The product code of a room: its `src` without test items and without files that are test modules.
pub fn sources(room: &str) -> Vec<Source> {
    let src = root().join(room).join("src");
    let paths = files(&src, &["rs"]);
    let mut tests = Vec::new();
    let mut sources = Vec::new();
    for path in paths {
        let product = rust::product(&read(&path));
        for module in &product.test_modules {
            tests.extend(module_places(&path, module));
        }
        sources.push(Source { path, code: product.code, lines: product.lines });
    }
    sources.retain(|source| !tests.iter().any(|test| source.path.starts_with(test)));
    sources
}

/// Where `mod module;`, declared in the file `path`, may live: a file or a folder.
fn module_places(path: &Path, module: &str) -> Vec<PathBuf> {
    let beside = path.with_file_name(module);
    let below = path.with_extension("").join(module);
    [beside, below].into_iter().flat_map(|place| [place.with_extension("rs"), place]).collect()
}
