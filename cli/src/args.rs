//! What can be typed: the commands, and the flags that all of them share.

use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::bench::BenchArgs;
use crate::chaos::ChaosArgs;
use crate::check::CheckArgs;
use crate::ctl::CtlArgs;
use crate::data::{CasArgs, GetArgs, KeyArgs, PutArgs, ScanArgs, WriteArgs};
use crate::down::DownArgs;
use crate::endpoints::{self, Endpoints};
use crate::export::ExportArgs;
use crate::import::ImportArgs;
use crate::migration::MigrationArgs;
use crate::migration::store::StoreArgs;
use crate::node::NodeArgs;
use crate::report::ReportArgs;
use crate::up::UpArgs;
use crate::{duration, endpoints::DEFAULT_ENDPOINTS};

const AFTER: &str = "\
Exit codes:
  0  done; for `status`: healthy; for `check`: everything holds
  1  no: the key is not there, the compare failed, the cluster refused, something went wrong
  2  misuse: the command line, a setting or the input makes no sense
  3  nobody answered, or not before the deadline (--timeout); the outcome of a write may be unknown, and then is said to be

With --json, keys and values that are UTF-8 stand in \"key\" and \"value\", others in \"key_hex\" and \"value_hex\" (lower-case
hexadecimal digits, two for each byte).";

/// A distributed key-value store: starts clusters, reads and writes, administers.
#[derive(Parser, Debug)]
#[command(name = "flotilla", version, after_help = AFTER, max_term_width = 110)]
pub struct Args {
    /// Shared by all commands.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that every command takes.
#[derive(clap::Args, Clone, Debug)]
pub struct Common {
    /// gRPC addresses of nodes of the cluster, separated by commas; a bare port has the host before it. Any one that
    /// answers will do
    #[arg(long, global = true, env = "FLOTILLA_ENDPOINTS", default_value = DEFAULT_ENDPOINTS, value_parser = endpoints::parse)]
    pub endpoints: Endpoints,
    /// How long one operation may take, retries included: 10, 10s, 500ms, 2m
    #[arg(long, global = true, env = "FLOTILLA_TIMEOUT", default_value = "10s", value_parser = duration::parse)]
    pub timeout: Duration,
    /// Print JSON instead of text and tables
    #[arg(long, global = true)]
    pub json: bool,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Start a cluster of real processes on this machine, or those of its nodes that are not running
    Up(UpArgs),
    /// Stop the cluster that `up` started; its data stays
    Down(DownArgs),
    /// Run one node in the foreground
    Node(Box<NodeArgs>),
    /// Print the value of a key and a newline
    Get(GetArgs),
    /// Store a value
    Put(PutArgs),
    /// Add to the end of a value (an absent key counts as empty)
    Append(WriteArgs),
    /// Remove a key
    Delete(KeyArgs),
    /// Compare and set: store NEW only if the value is OLD
    Cas(CasArgs),
    /// List keys and values in key order
    Scan(ScanArgs),
    /// Store every line of a file: key, tab, value
    Import(ImportArgs),
    /// Write all keys and values to a file, in key order
    Export(ExportArgs),
    /// Administer: groups, shards, nodes
    Ctl(CtlArgs),
    /// Carry the cluster to object storage, and look after that
    Migration(Box<MigrationArgs>),
    /// Stand in front of a bucket and hand out presigned URLs, so that clusters need none of its keys
    MigrationStore(Box<StoreArgs>),
    /// Say what is healthy, what is not and why, and what is moving
    Status,
    /// Compare the replicas of each group and the shards of all groups, or judge a recorded run (--history)
    Check(CheckArgs),
    /// Measure this cluster, or its peers beside it: throughput, latencies, pauses of moves
    Bench(Box<BenchArgs>),
    /// Put a cluster of real processes on this machine through faults, and judge it
    Chaos(ChaosArgs),
    /// Make pages to look at of recorded runs
    Report(ReportArgs),
}
