//! The log of a node: to stderr, in lines for people or in JSON.

use std::io::{IsTerminal, stderr};

use anyhow::Result;
use tracing_subscriber::EnvFilter;

use crate::exit;

/// The environment variable that filters the log.
const VARIABLE: &str = "FLOTILLA_LOG";
/// Without it: everything from info on; openraft warns of each attempt to reach a peer that is down.
const FILTER: &str = "info,openraft=error";

/// Starts logging.
pub fn start(json: bool) -> Result<()> {
    let filter = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
    let filter = EnvFilter::try_new(filter.as_deref().unwrap_or(FILTER)).map_err(|error| {
        exit::misuse(format!(
            "{VARIABLE} makes no sense: {error}; write a level, or info,flotilla_node=debug"
        ))
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    let done = match json {
        true => builder.json().try_init(),
        false => builder.with_ansi(stderr().is_terminal()).compact().try_init(),
    };
    done.map_err(|error| anyhow::anyhow!("cannot start logging: {error}"))
}
