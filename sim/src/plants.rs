//! How fast planted bugs are found (`types/src/planted.rs`): seeds are run with one bug until it has been found some times,
//! for each bug, and a table tells of it.
//!
//! A complaint counts only if the same seed makes none of that kind without the bug.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use clap::Args;
use flotilla_types::planted::Bug;

/// Asks for planted bugs.
#[derive(Args, Clone, Debug)]
pub struct PlantArguments {
    /// Plant this bug (needs a build with the feature `planted`).
    #[arg(long)]
    pub plant: Option<String>,
    /// Plant every bug in turn, run seeds until it is found, and print a table.
    #[arg(long)]
    pub plants: bool,
    /// With --plants: only this bug, or several.
    #[arg(long)]
    only: Vec<String>,
    /// With --plants: how often each bug is to be found.
    #[arg(long, default_value_t = 5)]
    tries: usize,
    /// With --plants: give up on a bug after so many seeds.
    #[arg(long, default_value_t = 400)]
    plant_seeds_max: u64,
    /// With --plants: the first seed.
    #[arg(long, default_value_t = 1)]
    first_seed: u64,
    /// With --plants: so many seeds at a time.
    #[arg(long, default_value_t = 2)]
    plant_jobs: usize,
}

/// Plants a bug in this process.
pub fn plant(name: &str) -> anyhow::Result<()> {
    let names = || Bug::ALL.map(Bug::name).join(", ");
    let bug = Bug::named(name).with_context(|| format!("no bug named {name}: there are {}", names()))?;
    plant_bug(bug)
}

#[cfg(feature = "planted")]
fn plant_bug(bug: Bug) -> anyhow::Result<()> {
    flotilla_types::planted::plant(bug);
    Ok(())
}

#[cfg(not(feature = "planted"))]
fn plant_bug(bug: Bug) -> anyhow::Result<()> {
    anyhow::bail!("{} cannot be planted: build flotilla-sim with --features planted", bug.name())
}

/// What was learnt of one bug.
#[derive(Default)]
struct Found {
    /// The seeds that found it, with who did, in the order of the seeds.
    seeds: BTreeMap<u64, String>,
    /// Seeds that complain of the same without it.
    spoilt: u64,
    /// Seeds run.
    run: u64,
}

/// Runs the table. True: every bug was found.
pub fn run(arguments: &PlantArguments) -> anyhow::Result<bool> {
    println!("| bug | seeds to detect (median) | of | found by | first seed |\n|---|---|---|---|---|");
    let mut all = true;
    for bug in Bug::ALL.into_iter().filter(|bug| is_asked(arguments, *bug)) {
        let found = hunt(arguments, bug)?;
        all &= !found.seeds.is_empty();
        println!("{}", row(arguments, bug, &found));
    }
    Ok(all)
}

fn is_asked(arguments: &PlantArguments, bug: Bug) -> bool {
    arguments.only.is_empty() || arguments.only.iter().any(|name| name == bug.name())
}

fn hunt(arguments: &PlantArguments, bug: Bug) -> anyhow::Result<Found> {
    let next = AtomicU64::new(arguments.first_seed);
    let end = arguments.first_seed.saturating_add(arguments.plant_seeds_max);
    let found = Mutex::new(Found::default());
    let worker = || -> anyhow::Result<()> {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let enough = lock(&found).seeds.len() >= arguments.tries;
            if enough || seed >= end {
                return Ok(());
            }
            let complaints = complaints(seed, Some(bug))?;
            let usual = if complaints.is_empty() { BTreeSet::new() } else { self::complaints(seed, None)? };
            let own: Vec<String> = complaints.difference(&usual).cloned().collect();
            let mut found = lock(&found);
            found.run += 1;
            if !own.is_empty() {
                found.seeds.insert(seed, own.join(" and "));
            } else if !complaints.is_empty() {
                found.spoilt += 1;
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..arguments.plant_jobs.max(1)).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a worker does not panic"))
    })?;
    Ok(found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
}

fn lock(found: &Mutex<Found>) -> std::sync::MutexGuard<'_, Found> {
    found.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Who complains of a seed, in a process of its own.
fn complaints(seed: u64, bug: Option<Bug>) -> anyhow::Result<BTreeSet<String>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--seed", &seed.to_string()]);
    if let Some(bug) = bug {
        command.args(["--plant", bug.name()]);
    }
    let output = command.output().context("start a seed")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let by = |line: &str| Some(line.strip_prefix("VIOLATION ")?.split(':').next()?.to_owned());
    let mut by: BTreeSet<String> = text.lines().filter_map(by).collect();
    // That a run takes too long says more of a busy machine than of the bug.
    by.remove("stuck");
    let died = !output.status.success() && !text.contains("VIOLATION ");
    if died {
        by.insert("the process died".to_owned());
    }
    Ok(by)
}

fn row(arguments: &PlantArguments, bug: Bug, found: &Found) -> String {
    let mut before = arguments.first_seed.saturating_sub(1);
    let mut gaps = Vec::new();
    for seed in found.seeds.keys() {
        gaps.push(seed - before);
        before = *seed;
    }
    gaps.sort_unstable();
    let mut by: BTreeMap<&str, u32> = BTreeMap::new();
    found.seeds.values().for_each(|name| *by.entry(name).or_default() += 1);
    let by: Vec<String> = by.into_iter().map(|(name, times)| format!("{name} ({times})")).collect();
    let spoilt = if found.spoilt == 0 { String::new() } else { format!(", {} spoilt", found.spoilt) };
    let median = match gaps.get(gaps.len() / 2) {
        Some(median) => median.to_string(),
        None => format!("not in {}", found.run),
    };
    let first = found.seeds.keys().next().map(u64::to_string).unwrap_or_default();
    format!("| {} | {median} | {}{spoilt} | {} | {first} |", bug.name(), gaps.len(), by.join(", "))
}
