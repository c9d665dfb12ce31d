//! `flotilla check`: whether a live cluster holds together, or a recorded run kept its promises.

mod history;
mod key_space;
mod live;

use std::path::PathBuf;

use anyhow::Result;

use crate::args::Common;

const AFTER: &str = "\
A live cluster: all replicas of a group at the same applied index must hold the same rows (I6), and the groups' shards must
make up the whole key space, each served by the group that the configuration names, with nothing left behind (I7). While
shards move the second is not known; it is asked for some seconds.

A record (--history): four checkers judge the operations (A by versions, B and C by search, D by appended tokens), and
the nodes' own words are judged too. The file holds one JSON object on each line; a line may be an operation alone:
  {\"client\":1,\"key\":\"k\",\"action\":{\"do\":\"put\",\"value\":\"v\"},\"called_ns\":10,\"returned_ns\":20,
   \"outcome\":{\"ok\":{\"done\":true,\"version\":1}}}

Exit codes: 0 everything holds; 1 something does not, or is not known; 2 the file is no record; 3 nobody answered.";

/// Arguments of `flotilla check`.
#[derive(clap::Args, Debug)]
#[command(after_help = AFTER)]
pub struct CheckArgs {
    /// Judge the operations in this record, instead of a live cluster
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
}

/// `flotilla check`.
pub async fn run(common: &Common, args: CheckArgs) -> Result<()> {
    match args.history {
        Some(file) => history::run(common, &file),
        None => live::run(common).await,
    }
}
