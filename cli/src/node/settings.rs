//! What a node is started with: flags, then environment, then a TOML file, then defaults. Clap merges the first two.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flotilla_node::{NodeOptions, Settings};
use flotilla_types::{ClusterId, NodeId};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::NodeArgs;
use crate::{endpoints, exit};

/// How many shards a cluster has if nobody says.
const SHARDS_DEFAULT: u32 = 64;

/// Everything that can be tuned; what is not given comes from the file, or is the default.
#[derive(clap::Args, Serialize, Debug)]
#[command(next_help_heading = "Settings")]
pub struct SettingFlags {
    /// How often a leader says that it is there, in milliseconds
    #[arg(long, env = "FLOTILLA_HEARTBEAT_MS", value_name = "MS")]
    heartbeat_ms: Option<u64>,
    /// The shortest silence after which a follower asks for an election; at least twice the heartbeat
    #[arg(long, env = "FLOTILLA_ELECTION_MIN_MS", value_name = "MS")]
    election_min_ms: Option<u64>,
    /// The longest one; also the leader's lease
    #[arg(long, env = "FLOTILLA_ELECTION_MAX_MS", value_name = "MS")]
    election_max_ms: Option<u64>,
    /// Take a snapshot, and drop the log before it, after so many entries
    #[arg(long, env = "FLOTILLA_SNAPSHOT_LOG_ENTRIES", value_name = "N")]
    snapshot_log_entries: Option<u64>,
    /// ... or after so many bytes of log
    #[arg(long, env = "FLOTILLA_SNAPSHOT_LOG_BYTES", value_name = "BYTES")]
    snapshot_log_bytes: Option<u64>,
    /// The size that pieces of a moving shard aim at
    #[arg(long, env = "FLOTILLA_CHUNK_BYTES", value_name = "BYTES")]
    chunk_bytes: Option<u64>,
    /// How fast this node pulls moving shards, all together; 0: as fast as it can
    #[arg(long, env = "FLOTILLA_MOVE_BYTES_PER_SECOND", value_name = "BYTES")]
    move_bytes_per_second: Option<u64>,
    /// How many shards this node pulls at a time
    #[arg(long, env = "FLOTILLA_MOVES_MAX", value_name = "N")]
    moves_max: Option<u64>,
    /// RocksDB's block cache, shared by all replicas of this node
    #[arg(long, env = "FLOTILLA_BLOCK_CACHE_BYTES", value_name = "BYTES")]
    block_cache_bytes: Option<u64>,
    /// How many operations may be in work at a time on one client's connection
    #[arg(long, env = "FLOTILLA_STREAM_IN_FLIGHT_MAX", value_name = "N")]
    stream_in_flight_max: Option<u64>,
    /// FOR TESTS ONLY: acknowledge writes that are not on disk yet; a power cut loses them
    #[arg(long, env = "FLOTILLA_UNSAFE_NO_FSYNC", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    unsafe_no_fsync: Option<bool>,
}

/// The settings file.
#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields, default)]
struct SettingsFile {
    node: Option<u64>,
    cluster: Option<String>,
    dir: Option<PathBuf>,
    listen: Option<SocketAddr>,
    advertise: Option<String>,
    http: Option<SocketAddr>,
    controllers: Vec<String>,
    shards: Option<u32>,
    zone: Option<String>,
    settings: Table,
}

/// Puts everything together and checks it.
pub fn options(args: NodeArgs) -> Result<NodeOptions> {
    let file = match &args.file {
        Some(path) => read(path)?,
        None => SettingsFile::default(),
    };
    let settings = merged(file.settings, &args.settings, args.file.as_deref())?;
    let controllers = if args.controllers.is_empty() { file.controllers } else { args.controllers };
    let cluster = need(args.cluster.or(file.cluster), "the cluster id", "cluster")?;
    let options = NodeOptions {
        node: NodeId(need(args.node.or(file.node), "the node id", "node")?),
        cluster: cluster.parse::<ClusterId>().map_err(|error| exit::misuse(error.to_string()))?,
        dir: need(args.dir.or(file.dir), "the data directory", "dir")?,
        listen: need(args.listen.or(file.listen), "the address to listen on", "listen")?,
        advertise: args.advertise.or(file.advertise),
        http: args.http.or(file.http),
        controllers: controllers.iter().map(|text| controller(text)).collect::<Result<_>>()?,
        bootstrap: args.bootstrap,
        shards: args.shards.or(file.shards).unwrap_or(SHARDS_DEFAULT),
        zone: args.zone.or(file.zone).unwrap_or_default(),
        settings,
    };
    if let Some(address) = &options.advertise {
        endpoints::check(address).map_err(|why| exit::misuse(format!("advertise: {why}")))?;
    }
    options.validate().map_err(|error| exit::misuse(error.to_string()))?;
    Ok(options)
}

fn read(path: &Path) -> Result<SettingsFile> {
    let name = path.display();
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read the settings file {name}"))?;
    toml::from_str(&text)
        .map_err(|error| exit::misuse(format!("settings file {name}: {}", error.to_string().trim())))
}

/// The file's settings, with those of flags and environment on top.
fn merged(mut table: Table, flags: &SettingFlags, file: Option<&Path>) -> Result<Settings> {
    let flags =
        Table::try_from(flags).map_err(|error| exit::misuse(format!("a setting is too large: {error}")))?;
    table.extend(flags);
    Value::Table(table).try_into().map_err(|error: toml::de::Error| {
        let name = file.map(|path| format!("settings file {}, ", path.display())).unwrap_or_default();
        exit::misuse(format!("{name}[settings]: {}", error.to_string().trim()))
    })
}

fn need<T>(value: Option<T>, what: &str, name: &str) -> Result<T> {
    value.ok_or_else(|| {
        let variable = format!("FLOTILLA_{}", name.to_uppercase());
        exit::misuse(format!(
            "{what} is missing: give --{name}, {variable}, or {name} in the file of --settings"
        ))
    })
}

fn controller(text: &str) -> Result<(NodeId, String)> {
    let wrong = |why: &str| {
        exit::misuse(format!("controllers: {text:?} is not N=HOST:PORT, as in 1=10.0.0.1:7101: {why}"))
    };
    let (node, address) = text.trim().split_once('=').ok_or_else(|| wrong("the = is missing"))?;
    let node = node.parse::<NodeId>().map_err(|_| wrong("the node is no number"))?;
    endpoints::check(address).map_err(|why| wrong(&why))?;
    Ok((node, address.to_owned()))
}
