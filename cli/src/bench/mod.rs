//! `flotilla bench`: how much a cluster does and how long its users wait, beside its peers if they are there.
//!
//! ```text
//!   flotilla bench           one shape of load, against one or several targets in turn      (load)
//!   flotilla bench matrix    many shapes, a table, a page and a picture                     (matrix)
//!   flotilla bench move      what clients see while shards move                             (moving)
//! ```

mod live;
mod load;
mod matrix;
mod moving;
mod show;

use anyhow::Result;
use clap::{Args, Subcommand};
use flotilla_bench::BenchError;

use crate::args::Common;
use crate::exit;

const AFTER: &str = "\
Latencies count from when an operation should have been sent: with --rate, from its place in the schedule. Writes to some keys are \
noted and read back; a run whose acknowledged writes are not there fails.

Exit codes: 0 measured; 1 something acknowledged is not there, or nothing was; 2 misuse; 3 nobody answered.";

/// What `bench` takes.
#[derive(Args, Debug)]
#[command(after_help = AFTER, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct BenchArgs {
    #[command(flatten)]
    load: load::LoadArgs,
    #[command(subcommand)]
    command: Option<BenchCommand>,
}

/// Benchmarks of several parts.
#[derive(Subcommand, Debug)]
enum BenchCommand {
    /// Measure many shapes of load, targets in turn; write a table, a page and a picture
    Matrix(Box<matrix::MatrixArgs>),
    /// Measure what clients see while shards move between two groups
    Move(moving::MoveArgs),
}

/// `flotilla bench`.
pub async fn run(common: &Common, args: BenchArgs) -> Result<()> {
    match args.command {
        None => Box::pin(load::run(common, args.load)).await,
        Some(BenchCommand::Matrix(args)) => Box::pin(matrix::run(common, *args)).await,
        Some(BenchCommand::Move(args)) => Box::pin(moving::run(common, args)).await,
    }
}

/// An error of the benchmark with its exit code.
fn failed(error: BenchError) -> anyhow::Error {
    match &error {
        BenchError::Plan(words) => exit::misuse(words),
        BenchError::Connect { .. } | BenchError::Fill { .. } => exit::unreachable(error.to_string()),
        BenchError::File { .. } | BenchError::Move(_) => exit::no(error.to_string()),
    }
}
