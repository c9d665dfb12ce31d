//! Which cluster: the one that the directory holds, if the flags do not contradict it, or a new one.

use std::fmt::Display;

use anyhow::Result;
use flotilla_types::ClusterId;
use flotilla_types::limits::{GROUPS_MAX, SHARDS_MAX};

use super::UpArgs;
use crate::cluster_dir::{self, ClusterDir, Lock, Record};
use crate::{exit, ports};

/// What a new cluster is like if nobody says.
const NODES_DEFAULT: u32 = 3;
const GROUPS_DEFAULT: u32 = 2;
const SHARDS_DEFAULT: u32 = 64;

/// Opens or creates the cluster's directory. A new cluster that cannot be leaves nothing behind.
pub async fn open(args: &UpArgs) -> Result<(ClusterDir, Lock)> {
    if ClusterDir::open(&args.dir)?.is_none() {
        let record = record(args);
        check(&record)?;
        cluster_dir::refuse_strangers(&args.dir)?;
        for node in 1..=record.nodes {
            ports::check_free(record.base_port, node).await?;
        }
    }
    let lock = ClusterDir::lock(&args.dir)?;
    let dir = match ClusterDir::open(&args.dir)? {
        Some(dir) => {
            agree(args, &dir)?;
            dir
        }
        None => ClusterDir::create(&args.dir, record(args))?,
    };
    Ok((dir, lock))
}

fn record(args: &UpArgs) -> Record {
    Record::new(
        ClusterId(rand::random()),
        args.nodes.unwrap_or(NODES_DEFAULT),
        args.groups.unwrap_or(GROUPS_DEFAULT),
        args.shards.unwrap_or(SHARDS_DEFAULT),
        args.base_port.unwrap_or(ports::BASE_PORT_DEFAULT),
    )
}

fn check(record: &Record) -> Result<()> {
    let groups_max = u32::try_from(GROUPS_MAX).unwrap_or(u32::MAX);
    within("--nodes", record.nodes, 1, ports::NODES_MAX)?;
    within("--groups", record.groups, 1, groups_max)?;
    within("--shards", record.shards, 1, SHARDS_MAX)?;
    within("--base-port", u32::from(record.base_port), 1, ports::base_max(record.nodes))
}

fn within(flag: &str, value: u32, min: u32, max: u32) -> Result<()> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(exit::misuse(format!("{flag} {value} is out of range: {min} to {max}")))
}

fn agree(args: &UpArgs, dir: &ClusterDir) -> Result<()> {
    let record = &dir.record;
    same(dir, "--nodes", args.nodes, record.nodes)?;
    same(dir, "--groups", args.groups, record.groups)?;
    same(dir, "--shards", args.shards, record.shards)?;
    same(dir, "--base-port", args.base_port, record.base_port)
}

fn same<T: PartialEq + Display>(dir: &ClusterDir, flag: &str, asked: Option<T>, recorded: T) -> Result<()> {
    let Some(asked) = asked.filter(|asked| *asked != recorded) else { return Ok(()) };
    Err(exit::misuse(format!(
        "the cluster in {} was created with {flag} {recorded}, not {asked}: leave the flag out, or choose another --dir \
         for another cluster",
        dir.path().display()
    )))
}
