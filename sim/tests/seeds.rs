//! Whole clusters from seeds: fresh ones as far as time allows, those that once found something, and one seed twice.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use flotilla_sim::farm::{self, Child, Farm, MARK, Summary};
use flotilla_sim::plan::Overrides;

/// How long fresh seeds are run if nobody says otherwise.
const SECONDS: u64 = 150;
/// How many of the newest seeds of the corpus are run.
const NEWEST: usize = 50;

fn child() -> Child {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_flotilla-sim"));
    Child { program, patience: Duration::from_secs(240) }
}

fn failures() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("sim-failures")
}

/// Each commit has seeds of its own, which nobody has run before it; a second run of the same commit runs the same, so that a
/// failure can be looked at. `make sim` runs seeds of the day.
#[test]
fn fresh_seeds() {
    let seconds = std::env::var("FLOTILLA_SIM_SECONDS").ok().and_then(|text| text.parse().ok());
    let seconds = Duration::from_secs(seconds.unwrap_or(SECONDS));
    let farm = Farm {
        first: seed_of_the_commit().unwrap_or_else(farm::seed_of_the_day),
        seeds: None,
        until: Some(Instant::now() + seconds),
        jobs: std::thread::available_parallelism().map_or(2, usize::from).min(8),
        overrides: Overrides::default(),
        failures: failures(),
        child: child(),
    };
    println!("seeds from {}", farm.first);
    let harvest = farm.run();
    println!("{}", harvest.words());
    assert!(harvest.failed.is_empty(), "records of the failures are in {}", failures().display());
}

/// None: there is no git, or no commit.
fn seed_of_the_commit() -> Option<u64> {
    let words = ["rev-parse", "--verify", "HEAD"];
    let output = Command::new("git").args(words).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
    let name = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    u64::from_str_radix(name.get(..12)?, 16).ok()
}

#[test]
fn seeds_that_once_found_something() {
    let corpus = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/seeds.txt"));
    let corpus = corpus.expect("the corpus is part of the repository");
    let lines: Vec<&str> = corpus.lines().filter(|line| line.starts_with("--seed ")).collect();
    for line in lines.iter().rev().take(NEWEST) {
        let options = line.split('#').next().unwrap_or_default();
        let summary = run(options.split_whitespace(), &BTreeMap::new(), Path::new("."));
        assert_eq!(summary.violations, [], "{line}");
    }
}

fn run<'a>(
    options: impl Iterator<Item = &'a str>,
    variables: &BTreeMap<&str, &str>,
    directory: &Path,
) -> Summary {
    let mut command = Command::new(child().program);
    command.args(options).arg("--summary").arg("--failures").arg(failures());
    let output = command.envs(variables).current_dir(directory).output().expect("flotilla-sim runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line =
        text.lines().find_map(|line| line.strip_prefix(MARK)).unwrap_or_else(|| panic!("no summary: {text}"));
    serde_json::from_str(line).expect("a summary is JSON")
}

/// Another process, with other variables, in another directory: the same to the last message.
#[test]
fn equal_seeds_give_equal_traces() {
    for seed in ["11", "12", "13"] {
        let options = ["--seed", seed, "--with", "crash,partition,network,sites,disk", "--faults-ms", "6000"];
        let one = run(options.into_iter(), &BTreeMap::new(), Path::new("."));
        let variables =
            BTreeMap::from([("HOME", "/nowhere"), ("RUST_BACKTRACE", "1"), ("SOME_LONGER_VARIABLE", "x")]);
        let two = run(options.into_iter(), &variables, &std::env::temp_dir());
        assert_eq!(one.hash, two.hash, "seed {seed} is not one world");
    }
    let other = run(["--seed", "14"].into_iter(), &BTreeMap::new(), Path::new("."));
    let another = run(["--seed", "15"].into_iter(), &BTreeMap::new(), Path::new("."));
    assert_ne!(other.hash, another.hash, "a hash that never differs says nothing");
}

/// The harness itself: disks that say they synced and did not lose what was promised, and that must be found.
#[test]
fn lying_disks_are_found() {
    let found = (1..=12u64).find(|seed| {
        let options = format!("--seed {seed} --lying --with crash --classes crash --faults-ms 8000");
        let summary = run(options.split_whitespace(), &BTreeMap::new(), Path::new("."));
        !summary.violations.is_empty()
    });
    println!("found by seed {found:?}");
    assert!(found.is_some(), "disks lied in twelve runs and nobody noticed");
}
