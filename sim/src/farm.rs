//! Many seeds, each in a process of its own: a seed run as the fourth in a process would differ from the same seed in a fresh
//! one, and a run that hangs or dies takes no other with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flotilla_checker::sometimes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::plan::Overrides;

/// What a child says of its run in one line, after [`MARK`].
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Summary {
    /// The seed.
    pub seed: u64,
    /// What was wrong: who said so, and what.
    pub violations: Vec<(String, String)>,
    /// The trace's hash.
    pub hash: String,
    /// How long the run took in the simulated world.
    pub simulated_ms: u64,
    /// How often what happened.
    pub counts: BTreeMap<String, u64>,
    /// How it is run again.
    pub again: String,
}

impl Summary {
    /// The kinds of what was wrong, each once.
    pub fn kinds(&self) -> Vec<String> {
        let mut kinds: Vec<_> = self.violations.iter().map(|(by, _)| by.clone()).collect();
        kinds.sort();
        kinds.dedup();
        kinds
    }
}

/// After so many seeds everything that ever happens should have happened.
const ENOUGH: u64 = 100;

/// What a child's summary line begins with.
pub const MARK: &str = "summary ";

/// A first seed that nobody has run yet: drawn from the time of day, and so to be printed.
pub fn seed_of_the_day() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    now.as_secs() * 1_000
}

/// Which seeds to run, and how.
#[derive(Clone, Debug)]
pub struct Farm {
    /// The first seed; the others follow it.
    pub first: u64,
    /// How many; none: as many as there is time for.
    pub seeds: Option<u64>,
    /// When no further seed is begun.
    pub until: Option<Instant>,
    /// How many run at a time.
    pub jobs: usize,
    /// What is asked otherwise than the seeds would have it.
    pub overrides: Overrides,
    /// Where the records of failures go.
    pub failures: PathBuf,
    /// How one is run.
    pub child: Child,
}

/// What became of many seeds.
#[derive(Clone, Debug, Default)]
pub struct Harvest {
    /// How many were run.
    pub seeds: u64,
    /// How long that took.
    pub took: Duration,
    /// How much time passed in their worlds.
    pub simulated: Duration,
    /// Everything counted.
    pub counts: BTreeMap<String, u64>,
    /// Those that failed.
    pub failed: Vec<Summary>,
}

impl Farm {
    /// Runs the seeds; says each failure as it comes.
    pub fn run(&self) -> Harvest {
        let (began, next) = (Instant::now(), AtomicU64::new(0));
        let harvest = Mutex::new(Harvest::default());
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                scope.spawn(|| self.work(&next, &harvest));
            }
        });
        let mut harvest = harvest.into_inner();
        harvest.took = began.elapsed();
        harvest.failed.sort_by_key(|summary| summary.seed);
        harvest
    }

    fn work(&self, next: &AtomicU64, harvest: &Mutex<Harvest>) {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let enough = self.seeds.is_some_and(|seeds| at >= seeds);
            if enough || self.until.is_some_and(|until| Instant::now() >= until) {
                return;
            }
            let summary = self.child.run(self.first.wrapping_add(at), &self.overrides, &self.failures);
            if !summary.violations.is_empty() {
                say(&summary);
            }
            harvest.lock().add(summary);
        }
    }
}

/// How one seed is run in a process of its own.
#[derive(Clone, Debug)]
pub struct Child {
    /// The program: `flotilla-sim`.
    pub program: PathBuf,
    /// How long one seed may take.
    pub patience: Duration,
}

impl Child {
    /// Runs a seed.
    pub fn run(&self, seed: u64, overrides: &Overrides, failures: &Path) -> Summary {
        let again = format!("flotilla-sim --seed {seed}{}", overrides.words());
        let mut command = Command::new(&self.program);
        command.args(["--seed", &seed.to_string(), "--summary"]);
        command.args(["--patience", &self.patience.as_secs().to_string()]);
        command.arg("--failures").arg(failures);
        command.args(overrides.words().split_whitespace());
        Self::wait(command, seed, again)
    }

    fn wait(mut command: Command, seed: u64, again: String) -> Summary {
        let fail = |what: String| Summary {
            seed,
            violations: vec![("process".to_owned(), what)],
            again: again.clone(),
            ..Summary::default()
        };
        let output = match command.stdin(Stdio::null()).output() {
            Ok(output) => output,
            Err(error) => return fail(format!("{command:?} cannot be started: {error}")),
        };
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find_map(|line| line.strip_prefix(MARK));
        let summary = line.and_then(|line| serde_json::from_str(line).ok());
        summary.unwrap_or_else(|| {
            let errors = String::from_utf8_lossy(&output.stderr);
            let mut last: Vec<&str> = text.lines().chain(errors.lines()).rev().take(12).collect();
            last.reverse();
            fail(format!("ended with {}: {}", output.status, last.join(" | ")))
        })
    }
}

fn say(summary: &Summary) {
    let mut text = format!("FAILED {}", summary.again);
    for (by, what) in summary.violations.iter().take(4) {
        text += &format!("\n    {by}: {what}");
    }
    println!("{text}");
}

impl Harvest {
    fn add(&mut self, summary: Summary) {
        self.seeds += 1;
        self.simulated += Duration::from_millis(summary.simulated_ms);
        for (name, count) in &summary.counts {
            *self.counts.entry(name.clone()).or_default() += count;
        }
        if !summary.violations.is_empty() {
            self.failed.push(summary);
        }
    }

    /// All of it, for people.
    pub fn words(&self) -> String {
        let seconds = self.took.as_secs_f64().max(0.001);
        let mut text = format!(
            "{} seeds in {seconds:.0} s ({:.1} a minute), {:.2} simulated hours, {} operations acknowledged, {} failed\n",
            self.seeds,
            self.seeds as f64 * 60.0 / seconds,
            self.simulated.as_secs_f64() / 3600.0,
            self.counts.get("acked").copied().unwrap_or(0),
            self.failed.len(),
        );
        for (name, count) in &self.counts {
            text += &format!("  {name} {count}\n");
        }
        if self.seeds >= ENOUGH {
            for never in sometimes::missing(&self.counts) {
                text += &format!("NEVER {}: {}\n", never.name, never.means);
            }
        }
        for summary in &self.failed {
            text += &format!("FAILED {}: {}\n", summary.again, summary.kinds().join(" "));
        }
        text
    }
}
