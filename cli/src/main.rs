//! The `flotilla` command: starts clusters and nodes, reads and writes data, administers, tells how things are.
//!
//! ```text
//!   args ----> one file per command ----> exit code 0 done, 1 no, 2 misuse, 3 nobody answered
//!                |            |
//!                |            `-- connect (the client library): data and `ctl`
//!                `--------------- probe (plain gRPC): status, check, up; works with a dead controller too
//! ```
//!
//! * What a command says goes to stdout ([`output`]); progress, warnings and errors go to stderr.
//! * A cluster on this machine is a directory ([`cluster_dir`]) of node processes ([`process`]).
//! * Absent on purpose: any rule of the cluster. What a server must refuse, the server refuses.

mod args;
mod bench;
mod chaos;
mod check;
mod cluster_dir;
mod connect;
mod ctl;
mod data;
mod down;
mod duration;
mod endpoints;
mod escape;
mod exit;
mod export;
mod import;
mod lines;
mod migration;
mod node;
mod output;
mod ports;
mod probe;
mod process;
mod progress;
mod report;
mod status;
mod stop;
mod table;
mod up;
mod value;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use args::{Args, Command};

fn main() -> ExitCode {
    let args = Args::parse();
    let is_node = matches!(args.command, Command::Node(_));
    let code = match run(args) {
        Ok(()) => 0,
        Err(error) => exit::report(&error),
    };
    if is_node {
        exit::at_once(code);
    }
    ExitCode::from(code)
}

fn run(args: Args) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    let done = runtime.block_on(Box::pin(dispatch(args)));
    // A read of standard input that will never come must not keep the process.
    runtime.shutdown_background();
    done
}

async fn dispatch(Args { common, command }: Args) -> Result<()> {
    match command {
        Command::Up(args) => Box::pin(up::run(&common, args)).await,
        Command::Down(args) => down::run(&common, &args).await,
        Command::Node(args) => Box::pin(node::run(*args)).await,
        Command::Get(args) => Box::pin(data::get(&common, args)).await,
        Command::Put(args) => Box::pin(data::put(&common, args)).await,
        Command::Append(args) => Box::pin(data::append(&common, args)).await,
        Command::Delete(args) => Box::pin(data::delete(&common, args)).await,
        Command::Cas(args) => Box::pin(data::cas(&common, args)).await,
        Command::Scan(args) => Box::pin(data::scan(&common, args)).await,
        Command::Import(args) => Box::pin(import::run(&common, args)).await,
        Command::Export(args) => Box::pin(export::run(&common, args)).await,
        Command::Ctl(args) => Box::pin(ctl::run(&common, args.command)).await,
        Command::Migration(args) => Box::pin(migration::run(&common, args.command)).await,
        Command::MigrationStore(args) => Box::pin(migration::store::run(&common, *args)).await,
        Command::Status => Box::pin(status::run(&common)).await,
        Command::Bench(args) => Box::pin(bench::run(&common, *args)).await,
        Command::Chaos(args) => Box::pin(chaos::run(&common, args)).await,
        Command::Check(args) => Box::pin(check::run(&common, args)).await,
        Command::Report(args) => report::run(&common, &args),
    }
}
