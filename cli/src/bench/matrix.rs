//! Many shapes of load, a table, a page and a picture.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use flotilla_bench::{Contender, Machine, Matrix, Op, Plan, Row, Sheet, Target, plot, put_into, today};
use serde_json::json;

use super::live::LiveLine;
use super::load::{ShapeArgs, TargetArgs, verdict};
use super::{failed, show};
use crate::args::Common;
use crate::{duration, exit, output};

/// What `bench matrix` takes.
#[derive(Args, Debug)]
pub struct MatrixArgs {
    #[command(flatten)]
    targets: TargetArgs,
    #[command(flatten)]
    shape: ShapeArgs,
    /// What clients do, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "put,get")]
    ops: Vec<Op>,
    /// How many clients, separated by commas. The largest number below 100 is measured once more with a connection for each
    #[arg(long, value_delimiter = ',', default_value = "1,16,64,256")]
    clients: Vec<usize>,
    /// Write the figures into this page, between its marks
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
    /// Write the picture to this file
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Write every figure to this file, as JSON
    #[arg(long, value_name = "FILE")]
    figures: Option<PathBuf>,
    /// What a target is, in words for the page: flotilla=..., etcd=...
    #[arg(long = "say", value_name = "TARGET=WORDS", value_parser = say)]
    say: Vec<(Target, String)>,
}

fn say(text: &str) -> Result<(Target, String), String> {
    let (target, words) = text.split_once('=').ok_or_else(|| format!("{text:?} is not TARGET=WORDS"))?;
    Ok((target.parse()?, words.to_owned()))
}

/// `flotilla bench matrix`.
pub async fn run(common: &Common, args: MatrixArgs) -> Result<()> {
    let plan = args.shape.plan();
    let matrix = Matrix::new(&args.ops, &args.clients);
    let mut contenders = args.targets.contenders(common, &plan)?;
    check(&matrix, &contenders, &plan, &args)?;
    let (machine, before) = (Machine::here(), args.targets.measure_disk()?);
    let rows = measure(&matrix, &mut contenders, &plan, args.shape.rounds(), common.json).await?;
    let sheet = Sheet {
        date: today(),
        machine,
        disks: [before, args.targets.measure_disk()?],
        runs: runs(&plan, args.shape.rounds()),
        targets: args.say.clone(),
        rows,
    };
    write(&args, &sheet)?;
    if common.json {
        output::json(&figures(&sheet))?;
    } else {
        show::surroundings(&sheet.disks[1], &sheet.machine)?;
    }
    let all: Vec<_> = sheet.rows.iter().flat_map(|row| row.runs.clone()).collect();
    verdict(&all)
}

/// Everything that can be wrong is found before hours of measuring.
fn check(matrix: &Matrix, contenders: &[Contender], plan: &Plan, args: &MatrixArgs) -> Result<()> {
    for cell in &matrix.cells {
        let plan = Plan { op: cell.op, clients: cell.clients, connections: cell.connections, ..plan.clone() };
        let able: Vec<_> = contenders.iter().filter(|one| one.target().why_not(cell.op).is_none()).collect();
        able.iter().try_for_each(|one| plan.check(one.target()).map_err(failed))?;
        if able.is_empty() {
            return Err(exit::misuse(format!("none of the targets can {}: leave it out of --ops", cell.op)));
        }
    }
    let Some(page) = &args.page else { return Ok(()) };
    let text = fs::read_to_string(page).with_context(|| format!("cannot read {}", page.display()))?;
    match put_into(&text, "") {
        Some(_) => Ok(()),
        None => Err(exit::misuse(format!(
            "{} has no place for figures: it needs the marks of wiki/Performance.md",
            page.display()
        ))),
    }
}

async fn measure(
    matrix: &Matrix,
    contenders: &mut [Contender],
    plan: &Plan,
    rounds: usize,
    quiet: bool,
) -> Result<Vec<Row>> {
    let line = LiveLine::new();
    let voice = |live: &_| line.show("matrix", live);
    let mut each = |row: &Row| {
        let told = if quiet { Ok(()) } else { show::row(row) };
        // If nobody reads any more, the files are still wanted.
        told.unwrap_or_else(|error| line.note(error));
    };
    let measuring = Box::pin(matrix.run(contenders, plan, rounds, &voice, &mut each));
    tokio::select! {
        rows = measuring => rows.map_err(failed),
        _ = tokio::signal::ctrl_c() => Err(exit::no("stopped before the end: nothing was written")),
    }
}

fn runs(plan: &Plan, rounds: usize) -> String {
    format!(
        "Each figure is the middle one of {rounds} runs of {} after {} of warm-up, targets in turn; values of {} bytes, {} keys, {}.",
        duration::shown(plan.duration),
        duration::shown(plan.warm_up),
        plan.value_bytes,
        plan.keys,
        plan.distribution
    )
}

fn figures(sheet: &Sheet) -> serde_json::Value {
    json!({ "date": sheet.date, "machine": sheet.machine, "disks": sheet.disks, "rows": sheet.rows })
}

fn write(args: &MatrixArgs, sheet: &Sheet) -> Result<()> {
    if let Some(path) = &args.plot {
        put(path, &plot(&sheet.rows))?;
    }
    if let Some(path) = &args.figures {
        put(path, &format!("{}\n", figures(sheet)))?;
    }
    let Some(path) = &args.page else { return Ok(()) };
    // The picture is named as it is seen from the page: they stand in one folder.
    let picture =
        args.plot.as_deref().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
    let page = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let page = put_into(&page, &sheet.markdown(&picture))
        .context("the page lost its marks while it was measured")?;
    put(path, &page)
}

fn put(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
