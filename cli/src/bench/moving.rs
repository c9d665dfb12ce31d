//! What clients see while shards move.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use flotilla_bench::{MovePlan, MoveReport, measure_moves};
use serde_json::json;

use super::failed;
use crate::args::Common;
use crate::progress::Progress;
use crate::table::size;
use crate::{duration, exit, output};

/// Writes that are so late without a move are not late because of one.
const BEHIND_MS: f64 = 1000.0;

/// What `bench move` takes.
#[derive(Args, Debug)]
pub struct MoveArgs {
    /// How often the shard moves, to and fro between two groups
    #[arg(long, value_name = "N", default_value_t = 10)]
    moves: u32,
    /// How much the shard holds
    #[arg(long, value_name = "BYTES", default_value_t = 100_000_000)]
    shard_bytes: u64,
    /// Writes a second to the moving shard
    #[arg(long, value_name = "OPS/S", default_value_t = 2000.0)]
    rate: f64,
    /// Writes a second to all other shards together
    #[arg(long, value_name = "OPS/S", default_value_t = 2000.0)]
    other_rate: f64,
    /// Length of these writes, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 256)]
    value_size: usize,
    /// How long to measure without a move before each move, for comparison
    #[arg(long, default_value = "3s", value_parser = duration::parse)]
    peace: Duration,
    /// The shard is filled from an earlier run with the same --shard-bytes
    #[arg(long)]
    filled: bool,
}

/// `flotilla bench move`.
pub async fn run(common: &Common, args: MoveArgs) -> Result<()> {
    let plan = MovePlan {
        endpoints: common.endpoints.0.clone(),
        moves: args.moves,
        shard_bytes: args.shard_bytes,
        rate: args.rate,
        other_rate: args.other_rate,
        value_bytes: args.value_size,
        peace: args.peace,
        filled: args.filled,
        run: rand::random(),
        connect_max: common.timeout,
    };
    let progress = Progress::steps();
    let say = |words: &str| match words.starts_with("move") {
        true => progress.note(words),
        false => progress.label(words),
    };
    let report = tokio::select! {
        report = Box::pin(measure_moves(&plan, &say)) => report.map_err(failed)?,
        _ = tokio::signal::ctrl_c() => return Err(exit::no("stopped before the end: there is no figure")),
    };
    drop(progress);
    if common.json {
        output::json(&json!(report))?
    } else {
        show(&report)?
    }
    if report.violations > 0 {
        let (violations, checks, first) = (report.violations, report.checks, report.complaints.join("; "));
        return Err(exit::no(format!("{violations} of {checks} checks failed: {first}")));
    }
    Ok(())
}

fn show(report: &MoveReport) -> Result<()> {
    let MoveReport { moves, bytes, mb_per_s, .. } = report;
    output::line(format_args!("{moves} moves, {} together, {mb_per_s:.0} MB/s", size(*bytes)))?;
    output::line(format_args!(
        "moving shard: pause {:.1} ms (p50), {:.1} ms (worst), {:.1} ms without moves; p99 {:.1} ms",
        report.pause_p50_ms, report.pause_max_ms, report.baseline_pause_max_ms, report.moving_p99_ms
    ))?;
    output::line(format_args!(
        "other shards: longest gap {:.1} ms, {:.1} ms without moves; p99 {:.1} ms, {:.1} ms without moves",
        report.other_gap_max_ms, report.baseline_gap_max_ms, report.other_p99_ms, report.baseline_p99_ms
    ))?;
    if report.baseline_p99_ms > BEHIND_MS {
        output::line(
            "the writers cannot keep their schedule here even without moves: lower --rate and --other-rate",
        )?;
    }
    output::line(format_args!(
        "{} writes acknowledged, {} failed; {} checks held",
        report.writes,
        report.errors,
        report.checks - report.violations.min(report.checks)
    ))
}
