//! One key at a time, and pages of keys.

use std::ffi::OsString;

use anyhow::Result;
use bytes::Bytes;
use flotilla_client::{Cas, Expected, ScanOptions, ScanRange, Versioned, Written};
use serde_json::{Map, Value, json};

use crate::args::Common;
use crate::output::{self, put_bytes, shown};
use crate::{connect, escape, exit, value};

/// A key.
#[derive(clap::Args, Debug)]
pub struct KeyArgs {
    /// The key: 1 to 4096 bytes, any
    #[arg(allow_hyphen_values = true)]
    key: OsString,
}

/// What `get` takes.
#[derive(clap::Args, Debug)]
pub struct GetArgs {
    #[command(flatten)]
    key: KeyArgs,
    /// Take whatever one replica has, which may be old, instead of asking for every acknowledged write
    #[arg(long)]
    stale: bool,
}

/// A key and a value.
#[derive(clap::Args, Debug)]
pub struct WriteArgs {
    #[command(flatten)]
    key: KeyArgs,
    /// The value, up to 8 MiB; `-` reads standard input, all of it
    #[arg(allow_hyphen_values = true)]
    value: OsString,
}

/// What `put` takes.
#[derive(clap::Args, Debug)]
pub struct PutArgs {
    #[command(flatten)]
    write: WriteArgs,
    /// Only if there is no such key yet; otherwise exit code 1
    #[arg(long)]
    if_absent: bool,
}

/// What `cas` takes.
#[derive(clap::Args, Debug)]
pub struct CasArgs {
    #[command(flatten)]
    key: KeyArgs,
    /// What the value must be; `-` reads standard input
    #[arg(allow_hyphen_values = true)]
    old: OsString,
    /// What it becomes; `-` reads standard input
    #[arg(allow_hyphen_values = true)]
    new: OsString,
}

/// What `scan` takes.
#[derive(clap::Args, Debug)]
pub struct ScanArgs {
    /// Only keys that begin with this
    #[arg(allow_hyphen_values = true)]
    prefix: Option<OsString>,
    /// At most so many keys
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Leave the values out
    #[arg(long)]
    keys_only: bool,
}

/// `flotilla get`.
pub async fn get(common: &Common, args: GetArgs) -> Result<()> {
    let key = value::bytes(args.key.key);
    let client = connect::once(common).await?;
    let found =
        if args.stale { client.get_stale(key.clone()).await? } else { client.get(key.clone()).await? };
    match found {
        Some(found) if common.json => output::json(&versioned(&key, Some(&found))),
        Some(found) => output::raw(&[&found.value, b"\n"]),
        None => {
            if common.json {
                output::json(&versioned(&key, None))?;
            }
            Err(no_such_key(&key))
        }
    }
}

/// `flotilla put`.
pub async fn put(common: &Common, args: PutArgs) -> Result<()> {
    let WriteArgs { key, value } = args.write;
    let (key, value) = (value::bytes(key.key), value::read(value)?);
    let client = connect::once(common).await?;
    if args.if_absent {
        let outcome = client.compare_and_set(key.clone(), Expected::Absent, Some(value)).await?;
        return compared(common, &key, outcome, "it is there already");
    }
    done(common, &key, &client.put(key.clone(), value).await?)
}

/// `flotilla append`.
pub async fn append(common: &Common, args: WriteArgs) -> Result<()> {
    let (key, suffix) = (value::bytes(args.key.key), value::read(args.value)?);
    let client = connect::once(common).await?;
    done(common, &key, &client.append(key.clone(), suffix).await?)
}

/// `flotilla delete`.
pub async fn delete(common: &Common, args: KeyArgs) -> Result<()> {
    let key = value::bytes(args.key);
    let client = connect::once(common).await?;
    match client.delete(key.clone()).await? {
        Some(written) => done(common, &key, &written),
        None => {
            if common.json {
                output::json(&versioned(&key, None))?;
            }
            Err(no_such_key(&key))
        }
    }
}

/// `flotilla cas`.
pub async fn cas(common: &Common, args: CasArgs) -> Result<()> {
    if args.old == "-" && args.new == "-" {
        return Err(exit::misuse("standard input can be OLD or NEW, not both"));
    }
    let key = value::bytes(args.key.key);
    let (old, new) = (value::read(args.old)?, value::read(args.new)?);
    let client = connect::once(common).await?;
    let outcome = client.compare_and_set(key.clone(), Expected::Value(old), Some(new)).await?;
    compared(common, &key, outcome, "the value is not OLD, or there is none")
}

/// `flotilla scan`.
pub async fn scan(common: &Common, args: ScanArgs) -> Result<()> {
    let range = match args.prefix {
        Some(prefix) if !prefix.is_empty() => ScanRange::Prefix(value::bytes(prefix)),
        _ => ScanRange::All,
    };
    let limit = args.limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let options = ScanOptions { keys_only: args.keys_only, limit, ..ScanOptions::default() };
    let mut scan = connect::many(common, 1).await?.scan(range, options);
    let mut rows = Vec::new();
    while let Some(page) = scan.next_page().await? {
        if common.json {
            rows.extend(page.iter().map(|(key, found)| row(key, found, args.keys_only)));
        } else {
            output::raw(&[&lines(&page, args.keys_only)])?;
        }
    }
    if common.json { output::json(&json!({ "rows": rows })) } else { Ok(()) }
}

fn row(key: &Bytes, found: &Versioned, keys_only: bool) -> Value {
    let mut object = Map::new();
    put_bytes(&mut object, "key", key);
    if !keys_only {
        put_bytes(&mut object, "value", &found.value);
    }
    object.insert("version".into(), found.version.into());
    object.into()
}

fn lines(page: &[(Bytes, Versioned)], keys_only: bool) -> Vec<u8> {
    let mut text = Vec::new();
    for (key, found) in page {
        escape::escape_to(&mut text, key);
        if !keys_only {
            text.push(b'\t');
            escape::escape_to(&mut text, &found.value);
        }
        text.push(b'\n');
    }
    text
}

fn versioned(key: &Bytes, found: Option<&Versioned>) -> Value {
    let mut object = Map::new();
    put_bytes(&mut object, "key", key);
    object.insert("found".into(), found.is_some().into());
    if let Some(Versioned { value, version, config, gid, .. }) = found {
        put_bytes(&mut object, "value", value);
        object.insert("version".into(), (*version).into());
        object.insert("config".into(), (*config).into());
        object.insert("gid".into(), (*gid).into());
    }
    object.into()
}

fn done(common: &Common, key: &Bytes, written: &Written) -> Result<()> {
    if !common.json {
        return output::line("ok");
    }
    let Written { version, config, gid, .. } = written;
    let mut object = Map::new();
    put_bytes(&mut object, "key", key);
    object.insert("done".into(), true.into());
    object.insert("version".into(), (*version).into());
    object.insert("config".into(), (*config).into());
    object.insert("gid".into(), (*gid).into());
    output::json(&object.into())
}

fn compared(common: &Common, key: &Bytes, outcome: Cas, why: &str) -> Result<()> {
    let version = match outcome {
        Cas::Done(written) => return done(common, key, &written),
        Cas::Failed { version, .. } => version,
    };
    if common.json {
        let mut object = Map::new();
        put_bytes(&mut object, "key", key);
        object.insert("done".into(), false.into());
        object.insert("version".into(), version.into());
        output::json(&object.into())?;
    }
    Err(exit::no(format!("key {} was not changed: {why} (version {version})", shown(key))))
}

fn no_such_key(key: &Bytes) -> anyhow::Error {
    exit::no(format!("no such key: {}", shown(key)))
}
