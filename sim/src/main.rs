//! `flotilla-sim`: runs seeds.

mod entropy;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use flotilla_checker::record::Line;
use flotilla_sim::farm::{self, Child, Farm, Summary};
use flotilla_sim::plan::Overrides;
use flotilla_sim::run::{self, Outcome};
use flotilla_sim::{matrix, plants, shrink, stage};

/// A whole cluster in one process, from one seed. Exit code 1: something was wrong; 2: misuse.
#[derive(Parser, Debug)]
#[command(name = "flotilla-sim", version)]
struct Options {
    /// Run this seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Run so many seeds, each in a process of its own.
    #[arg(long, conflicts_with = "seed")]
    seeds: Option<u64>,
    /// Run seeds for so many minutes.
    #[arg(long, conflicts_with = "seed")]
    minutes: Option<f64>,
    /// The first of many seeds; drawn from the time of day if not given.
    #[arg(long, conflicts_with = "seed")]
    from: Option<u64>,
    /// How many seeds run at a time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Make the seed's failure smaller.
    #[arg(long, requires = "seed")]
    shrink: bool,
    /// Run the table of trouble during a move.
    #[arg(long, conflicts_with = "seed")]
    matrix: bool,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    plants: plants::PlantArguments,
    /// Write the record to this file.
    #[arg(long, requires = "seed")]
    record: Option<PathBuf>,
    /// Write a report page to this file.
    #[arg(long, requires = "seed")]
    report: Option<PathBuf>,
    /// Write every line behind the trace's hash to this file.
    #[arg(long, requires = "seed")]
    trace: Option<PathBuf>,
    /// Where the records of failures go.
    #[arg(long, default_value = "target/sim-failures")]
    failures: PathBuf,
    /// How many seconds of real time a seed may take.
    #[arg(long, default_value_t = 300)]
    patience: u64,
    /// Write what the nodes log to standard error.
    #[arg(long, requires = "seed")]
    log: bool,
    /// Say what became of the seed in one line for programs.
    #[arg(long, hide = true)]
    summary: bool,
}

fn main() -> ExitCode {
    let arguments = Options::parse();
    let done = match arguments.seed {
        Some(seed) if arguments.shrink => shrunk(&arguments, seed),
        Some(seed) => one(&arguments, seed),
        None if arguments.plants.plants => plants::run(&arguments.plants),
        None if arguments.matrix => table(&arguments),
        None => many(&arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(2)
        }
    }
}

fn patience(arguments: &Options) -> Duration {
    Duration::from_secs(arguments.patience)
}

fn child(arguments: &Options) -> anyhow::Result<Child> {
    let program = std::env::current_exe().context("this program does not know its own file")?;
    Ok(Child { program, patience: patience(arguments) })
}

fn many(arguments: &Options) -> anyhow::Result<bool> {
    let minutes = arguments.minutes.map(|minutes| Duration::from_secs_f64(minutes.max(0.0) * 60.0));
    let until = minutes.map(|minutes| Instant::now() + minutes);
    let farm = Farm {
        first: arguments.from.unwrap_or_else(farm::seed_of_the_day),
        seeds: arguments.seeds.or(until.is_none().then_some(20)),
        until,
        jobs: arguments.jobs,
        overrides: arguments.overrides.clone(),
        failures: arguments.failures.clone(),
        child: child(arguments)?,
    };
    println!("seeds from {}", farm.first);
    let harvest = farm.run();
    print!("{}", harvest.words());
    Ok(harvest.failed.is_empty())
}

fn table(arguments: &Options) -> anyhow::Result<bool> {
    let (table, good) = matrix::table(&child(arguments)?, arguments.jobs, &arguments.failures);
    println!("{table}");
    Ok(good)
}

fn shrunk(arguments: &Options, seed: u64) -> anyhow::Result<bool> {
    let smallest = shrink::shrink(&child(arguments)?, seed, &arguments.overrides, &arguments.failures);
    let Some(summary) = smallest else {
        println!("seed {seed} does not fail");
        return Ok(true);
    };
    println!("the smallest: {}", summary.again);
    for (by, what) in &summary.violations {
        println!("  {by}: {what}");
    }
    Ok(false)
}

fn one(arguments: &Options, seed: u64) -> anyhow::Result<bool> {
    if arguments.log {
        let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false);
        log.with_timer(stage::Simulated).with_max_level(tracing::Level::DEBUG).init();
    }
    if let Some(bug) = &arguments.plants.plant {
        plants::plant(bug)?;
    }
    entropy::seed(seed);
    stage::catch_panics();
    watchdog(patience(arguments), seed, &arguments.overrides, arguments.summary);
    let options =
        run::Options { seed, overrides: arguments.overrides.clone(), trace: arguments.trace.clone() };
    let outcome = match options.overrides.wire {
        true => flotilla_sim::wire::run(seed)?,
        false => run::run(&options)?,
    };
    let good = outcome.violations.is_empty();
    if let Some(path) = &arguments.record {
        write(path, &outcome.lines)?;
    }
    if let Some(path) = &arguments.report {
        let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
        flotilla_checker::report::write(&outcome.lines, BufWriter::new(file))?;
    }
    if !good && arguments.summary {
        std::fs::create_dir_all(&arguments.failures)?;
        write(&arguments.failures.join(format!("seed-{seed}.jsonl")), &outcome.lines)?;
    }
    say(arguments, seed, &outcome)?;
    Ok(good)
}

fn write(path: &Path, lines: &[Line]) -> anyhow::Result<()> {
    let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
    let mut file = BufWriter::new(file);
    for line in lines {
        serde_json::to_writer(&mut file, line)?;
        file.write_all(b"\n")?;
    }
    Ok(file.flush()?)
}

fn say(arguments: &Options, seed: u64, outcome: &Outcome) -> anyhow::Result<()> {
    let summary = summary(arguments, seed, outcome);
    if arguments.summary {
        println!("{}{}", farm::MARK, serde_json::to_string(&summary)?);
        return Ok(());
    }
    for (name, count) in &summary.counts {
        println!("  {name} {count}");
    }
    for violation in &outcome.violations {
        println!("VIOLATION {}: {}", violation.by, violation.what);
    }
    let (acked, simulated) = (outcome.acked, outcome.simulated.as_secs_f64());
    println!(
        "seed {seed}: {acked} operations acknowledged in {simulated:.1} simulated seconds, trace {}",
        summary.hash
    );
    Ok(())
}

fn summary(arguments: &Options, seed: u64, outcome: &Outcome) -> Summary {
    let wrong = outcome.violations.iter();
    Summary {
        seed,
        violations: wrong.map(|violation| (violation.by.clone(), violation.what.clone())).collect(),
        hash: format!("{:016x}/{}", outcome.hash.0, outcome.hash.1),
        simulated_ms: u64::try_from(outcome.simulated.as_millis()).unwrap_or(u64::MAX),
        counts: outcome.counts.clone(),
        again: format!("flotilla-sim --seed {seed}{}", arguments.overrides.words()),
    }
}

/// Ends a run that does not end by itself: a deadlock or a livelock, with what it waits for.
fn watchdog(patience: Duration, seed: u64, overrides: &Overrides, for_programs: bool) {
    let again = format!("flotilla-sim --seed {seed}{}", overrides.words());
    std::thread::spawn(move || {
        std::thread::sleep(patience);
        let what = format!("did not end within {} s of real time: {}", patience.as_secs(), stage::dump());
        let violations = vec![("stuck".to_owned(), what.clone())];
        let summary = Summary { seed, violations, again, ..Summary::default() };
        match serde_json::to_string(&summary) {
            Ok(line) if for_programs => println!("{}{line}", farm::MARK),
            _ => println!("VIOLATION stuck: {what}"),
        }
        std::process::exit(1);
    });
}
