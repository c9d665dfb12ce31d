//! The fuzz targets without a fuzzer: their corpus is replayed, and each of its files is shaken a little, from a fixed seed.
//! `make fuzz` searches; what it finds becomes a file of `fuzz/corpus`, and a test here.
//!
//! Does not check the targets that are private to `raft-store`: that room replays its own.

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::{fs, iter};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

#[path = "../../fuzz/src/lib.rs"]
mod fuzz;

/// The most that all corpora together may take: a repository is no place for gigabytes.
const BYTES_MAX: u64 = 200 * 1024;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut found: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    found.sort();
    found
}

/// A few bytes changed, removed or repeated.
fn shaken(input: &[u8], rng: &mut StdRng) -> Vec<u8> {
    let mut output = input.to_vec();
    for _ in 0..rng.random_range(1..4) {
        let at = rng.random_range(0..=output.len());
        match rng.random_range(0..4) {
            0 => output.insert(at, rng.random()),
            1 => output.truncate(at.max(output.len() / 2)),
            2 => output.extend_from_within(at..),
            _ => output.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << rng.random_range(0..8)),
        }
    }
    output
}

fn replay(name: &str, target: fn(&[u8]), shakes: usize) {
    let paths = files(&corpus().join(name));
    assert!(!paths.is_empty(), "the corpus of {name} is empty");
    for path in paths {
        let input = fs::read(&path).expect("a file of the corpus");
        let mut rng = StdRng::seed_from_u64(input.len() as u64);
        let mutants = iter::repeat_with(|| shaken(&input, &mut rng)).take(shakes);
        for tried in iter::once(input.clone()).chain(mutants) {
            if catch_unwind(|| target(&tried)).is_err() {
                panic!("{name} fails near {}: {}", path.display(), tried.escape_ascii());
            }
        }
    }
}

#[test]
fn wire() {
    replay("wire", fuzz::wire::run, 100);
}

#[test]
fn rows() {
    replay("rows", fuzz::rows::run, 100);
}

#[test]
fn cursor() {
    replay("cursor", fuzz::cursor::run, 100);
}

#[test]
fn settings() {
    replay("settings", fuzz::settings::run, 100);
}

#[test]
fn text() {
    replay("text", fuzz::text::run, 100);
}

#[test]
fn history() {
    replay("history", fuzz::history::run, 100);
}

#[test]
fn kv() {
    replay("kv", fuzz::kv::run, 3);
}

#[test]
fn schedule() {
    replay("schedule", fuzz::schedule::run, 3);
}

#[test]
fn ctrler() {
    replay("ctrler", fuzz::ctrler::run, 3);
}

#[test]
#[should_panic(expected = "wire fails near")]
fn a_target_that_fails_is_flagged_with_its_input() {
    replay("wire", |_| panic!("a saboteur"), 0);
}

/// The examples that searches begin with are in the corpus; `UPDATE_CORPUS=1` writes them there.
#[test]
fn the_corpus_holds_the_examples_and_is_small() {
    for (nth, (target, example)) in fuzz::seeds::all().into_iter().enumerate() {
        let path = corpus().join(target).join(format!("example-{nth:02}"));
        if std::env::var_os("UPDATE_CORPUS").is_some() {
            fs::create_dir_all(path.parent().expect("a folder")).expect("the corpus can be written");
            fs::write(&path, &example).expect("the corpus can be written");
        }
        let stored = fs::read(&path).unwrap_or_default();
        assert!(stored == example, "{} is not the example: run with UPDATE_CORPUS=1", path.display());
    }
    let inputs = files(&corpus()).into_iter().flat_map(|folder| files(&folder));
    let bytes: u64 = inputs.map(|path| path.metadata().expect("a file").len()).sum();
    assert!(bytes <= BYTES_MAX, "the corpus has {bytes} bytes, the limit is {BYTES_MAX}: minimise it");
}
