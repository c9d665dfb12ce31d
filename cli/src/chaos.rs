//! `flotilla chaos`: a cluster of real processes, faults, load, and a verdict.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use flotilla_chaos::{Able, Class, Options, Outcome, Tag, named, stale};
use serde_json::{Value, json};

use crate::args::Common;
use crate::stop::Signals;
use crate::{exit, output};

/// How much of a violation is shown: the record and the report have the rest.
const SHOWN_MAX: usize = 2000;

/// How long the healed cluster may take for each step of its recovery; less, where it is expected to be broken.
const PATIENCE: Duration = Duration::from_secs(120);
const PATIENCE_SELF_CHECK: Duration = Duration::from_secs(20);

const AFTER: &str = "\
As root, each node gets a network namespace and a disk of its own; without, all run on 127.0.0.1, and faults that need more are left
out and named. Nothing of it stays on the machine, however the run ends; only its folder does, if something was wrong.

Exit codes: 0 the cluster held; 1 something is wrong, or the run failed; 2 misuse.";

/// What `chaos` takes.
#[derive(clap::Args, Debug)]
#[command(after_help = AFTER)]
pub struct ChaosArgs {
    /// How long faults strike
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,
    /// How many nodes: 3 to 99
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(3..=99))]
    nodes: u64,
    /// How many groups at the start; one more comes and goes
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=64))]
    groups: u64,
    /// How many clients
    #[arg(long, value_name = "N", default_value_t = 10)]
    clients: usize,
    /// Which faults, separated by commas: names as in --list, what several of them begin with, or all
    #[arg(long, default_value = "all")]
    faults: String,
    /// What cluster, load and faults are drawn from; without one, a new one is drawn and named
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Where the folder of the run is made; without one, where temporary files go
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Write the record to this file: lines of JSON, for `check --history` and `report`
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Write a page to look at to this file
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Let groups and shards stay where they are
    #[arg(long)]
    no_moves: bool,
    /// All on 127.0.0.1, also where namespaces could be had
    #[arg(long)]
    loopback: bool,
    /// Fewer acknowledged operations per second outside of faults fail the run
    #[arg(long, value_name = "N", default_value_t = 20.0)]
    floor: f64,
    /// Check this command itself: every disk lies about syncs, all lose power, and the loss must be found (needs root)
    #[arg(long)]
    self_check: bool,
    /// Name the faults and say what this machine lets us do
    #[arg(long)]
    list: bool,
    /// The program to run nodes with
    #[arg(long, hide = true)]
    binary: Option<PathBuf>,
}

/// `flotilla chaos`.
pub async fn run(common: &Common, args: ChaosArgs) -> Result<()> {
    let left = stale();
    if !left.is_empty() {
        output::note(format_args!(
            "cleaned up after {}",
            left.iter().map(Tag::text).collect::<Vec<_>>().join(", ")
        ));
    }
    let able = Able::find(&Tag::mine());
    if args.list {
        return list(&able);
    }
    let options = options(&args, &able)?;
    output::note(format_args!("this machine lets us have:\n{}", able.words()));
    output::note(format_args!("running: {options:?}"));
    let mut signals = Signals::listen()?;
    let outcome = tokio::select! {
        outcome = Box::pin(flotilla_chaos::run(&options, &able)) => outcome?,
        signal = signals.next() => return Err(exit::no(format!("{signal}: everything was cleaned up, there is no verdict"))),
    };
    if let Some(path) = &args.report {
        write_report(path, &outcome)?;
    }
    let undone = undone(&args, &options, &able, &outcome);
    tell(common, &options, &outcome, &undone)?;
    verdict(common, &args, &outcome)
}

fn list(able: &Able) -> Result<()> {
    for class in Class::ALL {
        let not = class.why_not(able).map(|why| format!(" (not here: {why})")).unwrap_or_default();
        output::line(format_args!("{:18} {}{not}", class.name(), class.about()))?;
    }
    output::line(format_args!("\nthis machine lets us have:\n{}", able.words()))
}

fn options(args: &ChaosArgs, able: &Able) -> Result<Options> {
    let mut classes = named(&args.faults).map_err(exit::misuse)?;
    if args.self_check {
        classes = vec![Class::PowerLossAll];
        if let Some(why) = Class::PowerLossAll.why_not(able) {
            return Err(exit::no(format!(
                "the self-check needs power loss, which this machine does not let us have: {why}"
            )));
        }
    }
    let binary = match &args.binary {
        Some(binary) => binary.clone(),
        None => std::env::current_exe().context("cannot find the path of this program")?,
    };
    Ok(Options {
        binary,
        // One power cut is enough for the self-check.
        length: Duration::from_secs(if args.self_check { 1 } else { args.seconds }),
        nodes: args.nodes,
        groups: args.groups,
        clients: args.clients,
        classes,
        seed: args.seed.unwrap_or_else(rand::random),
        dir: args.dir.clone().unwrap_or_else(std::env::temp_dir),
        record: args.record.clone(),
        moves: !args.no_moves,
        floor: if args.self_check { 0.0 } else { args.floor },
        loopback: args.loopback,
        patience: if args.self_check { PATIENCE_SELF_CHECK } else { PATIENCE },
        lying: args.self_check,
        voice: Arc::new(|words: &str| output::note(words)),
    })
}

fn write_report(path: &Path, outcome: &Outcome) -> Result<()> {
    let page = flotilla_checker::report::page(&outcome.lines);
    std::fs::write(path, page).with_context(|| format!("cannot write the report {}", path.display()))
}

/// The classes that were wanted and did not strike, with the reason.
fn undone(args: &ChaosArgs, options: &Options, able: &Able, outcome: &Outcome) -> Vec<String> {
    let struck: BTreeSet<Class> = outcome.struck.keys().copied().collect();
    let missing = options.classes.iter().filter(|class| !struck.contains(class));
    let seconds = args.seconds;
    let why = |class: &Class| {
        class
            .why_not(able)
            .unwrap_or_else(|| format!("in {seconds} s its turn did not come, or it made no sense"))
    };
    missing.map(|class| format!("{}: {}", class.name(), why(class))).collect()
}

fn tell(common: &Common, options: &Options, outcome: &Outcome, undone: &[String]) -> Result<()> {
    if common.json {
        return output::json(&as_json(options, outcome, undone));
    }
    let (done, service) = (&outcome.done, &outcome.service);
    for (kind, (count, ms)) in &service.silence_ms {
        output::line(format_args!(
            "{kind:18} {count:4} times, longest silence {:.1} s",
            *ms as f64 / 1000.0
        ))?;
    }
    for line in undone {
        output::line(format_args!("not done  {line}"))?;
    }
    let calm = service.calm_per_second;
    let calm =
        calm.map_or_else(|| "hardly a second without".to_owned(), |rate| format!("{rate:.0}/s without"));
    output::line(format_args!(
        "{} operations acknowledged ({:.0}/s, {calm} faults), {} refused, {} of unknown outcome; {} changes of groups and shards",
        done.ok, service.per_second, done.failed, done.unknown, outcome.changes
    ))?;
    outcome.verdicts.iter().try_for_each(output::line)?;
    for violation in &outcome.violations {
        let what: String = violation.what.chars().take(SHOWN_MAX).collect();
        output::line(format_args!("VIOLATION {}: {what}", violation.by))?;
    }
    Ok(())
}

fn as_json(options: &Options, outcome: &Outcome, undone: &[String]) -> Value {
    let Outcome { violations, verdicts, service, done, changes, struck, .. } = outcome;
    let fault = |(class, count): (&Class, &u64)| json!({ "fault": class.name(), "count": count });
    let silence =
        |(kind, (_, ms)): (&String, &(u64, u64))| json!({ "fault": kind, "longest_silence_ms": ms });
    json!({
        "seed": options.seed, "again": options.again(), "violations": violations, "verdicts": verdicts,
        "acknowledged": done.ok, "refused": done.failed, "unknown": done.unknown, "changes": changes,
        "per_second": service.per_second, "calm_per_second": service.calm_per_second, "undone": undone,
        "faults": struck.iter().map(fault).collect::<Vec<_>>(),
        "silence": service.silence_ms.iter().map(silence).collect::<Vec<_>>(),
    })
}

/// A good run's folder goes; one with something wrong in it stays, and is named.
fn verdict(common: &Common, args: &ChaosArgs, outcome: &Outcome) -> Result<()> {
    let (folder, wrong) = (outcome.folder.display(), outcome.violations.len());
    let lost = outcome.violations.iter().any(|violation| ["A", "B", "C", "D"].contains(&&violation.by[..]));
    let good = match (args.self_check, wrong) {
        (true, _) if lost => "the self-check holds: the loss was found",
        (true, _) => {
            return Err(exit::no(format!(
                "the self-check fails: disks lied and nobody noticed; see {folder}"
            )));
        }
        (false, 0) => "the cluster held",
        (false, _) => {
            return Err(exit::no(format!("{wrong} things are wrong; logs and data are in {folder}")));
        }
    };
    std::fs::remove_dir_all(&outcome.folder).with_context(|| format!("cannot remove {folder}"))?;
    if common.json { Ok(()) } else { output::line(good) }
}
