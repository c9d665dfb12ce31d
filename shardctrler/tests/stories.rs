//! Golden stories: each file in `stories/` is a list of commands and what they answer. The invariants of `common` are
//! checked at every step.
//!
//! A line's prefix (`r7:`) is its request id. `join GID=NODE-NODE ...` and so on as in the command line.
//! To write the expected output anew: `UPDATE_GOLDENFILES=1 cargo test -p flotilla-shardctrler --test stories`;
//! then read every line of it.

mod common;
#[path = "words/migrations.rs"]
mod migrations;

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

use common::{CLUSTER, World};
use flotilla_shardctrler::api::command::{
    Bootstrap, Command, Join, Kind, Leave, Lock, Move, NewGroup, Register, Report, Unlock,
};
use flotilla_shardctrler::api::{GroupRecord, Replica};
use flotilla_shardctrler::{Answer, Code, ConfigAnswer, Options, Query, Response, RowKey};
use flotilla_types::ShardConfig;
use goldenscript::ArgumentConsumer;

test_each_file::test_each_path! { in "./shardctrler/tests/stories" as stories => super::story }

fn story(path: &Path) {
    let mut teller = Teller { world: World::new(Options::default()), now_ms: 0 };
    goldenscript::run(&mut teller, path).expect("the story's file is readable and well formed");
}

struct Teller {
    world: World,
    now_ms: u64,
}

type Text = Result<String, Box<dyn Error>>;

impl goldenscript::Runner for Teller {
    type Command = goldenscript::Command;

    fn run(&mut self, command: &goldenscript::Command, context: &goldenscript::Context) -> Text {
        let mut args = command.consume_args();
        let text = match command.name.as_str() {
            "options" => self.options(&mut args)?,
            "clock" => self.clock(&mut args)?,
            "reopen" => self.reopen(),
            "config" => show_answer(&self.world.config(optional(&mut args)?)),
            "directory" => self.directory(),
            "nodes" => self.nodes(),
            "status" => self.status(),
            "rows" => self.rows(),
            "digest" => self.digest(),
            "migrations" => self.migrations(),
            "files" => self.files(required(&mut args)?),
            name => {
                let kind = kind(name, &mut args)?;
                self.propose(context.prefix.as_deref(), kind)?
            }
        };
        args.reject_next()?;
        Ok(text)
    }
}

impl Teller {
    fn propose(&mut self, prefix: Option<&str>, mut kind: Kind) -> Text {
        if let Kind::Report(report) = &mut kind
            && report.member == 0
        {
            let group = self.world.machine.directory().group(report.gid);
            report.member = group.map_or(0, |group| group.replicas[0].member);
        }
        let request_id = prefix.map(|id| id.trim_start_matches('r').parse()).transpose()?.unwrap_or(0);
        let old = self.world.machine.latest().clone();
        if let Kind::Migration(_) = kind {
            let response = self.world.command(Command { request_id, now_ms: self.now_ms, kind: Some(kind) });
            return Ok(show_migration(&response));
        }
        let locking = matches!(kind, Kind::Lock(_) | Kind::Unlock(_));
        let command = Command { request_id, now_ms: self.now_ms, kind: Some(kind) };
        let response = self.world.command(command);
        let mut text = show_response(&response, locking);
        let new = self.world.machine.latest();
        if new.num != old.num {
            let moved = old.shards.iter().zip(&new.shards).filter(|(old, new)| old != new).count();
            write!(text, "\n  {}; {moved} moved", show_config(new))?;
        }
        Ok(text)
    }

    fn options(&mut self, args: &mut ArgumentConsumer<'_>) -> Text {
        let mut options = Options::default();
        while let Some((key, value)) = args.next_key() {
            match key {
                "configs_kept_min" => options.configs_kept_min = value.parse()?,
                "configs_kept_max" => options.configs_kept_max = value.parse()?,
                "requests_kept" => options.requests_kept = value.parse()?,
                "torn_down_kept" => options.torn_down_kept = value.parse()?,
                "locks_max" => options.locks_max = value.parse()?,
                _ => return Err(format!("unknown option {key}").into()),
            }
        }
        self.world = World::new(options);
        Ok(String::new())
    }

    fn clock(&mut self, args: &mut ArgumentConsumer<'_>) -> Text {
        self.now_ms = required(args)?;
        Ok(String::new())
    }

    fn reopen(&mut self) -> String {
        self.world.reopen();
        "opened from its rows".to_owned()
    }

    fn directory(&self) -> String {
        let directory = self.world.machine.directory();
        let header = format!("revision {}, {} shards", directory.revision, directory.shards);
        std::iter::once(header).chain(directory.groups.iter().map(show_group)).collect::<Vec<_>>().join("\n")
    }

    fn nodes(&self) -> String {
        let nodes = self.world.machine.directory().nodes.iter();
        nodes
            .map(|n| format!("n{} at {} zone {:?} disk {}", n.node, n.address, n.zone, n.disk))
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn status(&self) -> String {
        match self.world.query(Query::Status) {
            Answer::Status(status) => format!("{status:?}"),
            other => format!("{other:?}"),
        }
    }

    fn migrations(&self) -> String {
        let all = self.world.machine.migrations().values();
        all.map(migrations::show).collect::<Vec<_>>().join("\n")
    }

    fn files(&self, id: u64) -> String {
        match self.world.query(Query::MigrationFiles(id, 0, u32::MAX)) {
            Answer::MigrationFiles(files) => {
                files.iter().map(migrations::show_file).collect::<Vec<_>>().join("\n")
            }
            other => format!("{other:?}"),
        }
    }

    fn rows(&self) -> String {
        let view = self.world.engine.view();
        let keys = flotilla_types::Reader::scan(&view, b"", b"").map(|row| {
            let (key, _) = row.expect("memory");
            format!("{:?}", RowKey::decode(&key).expect("its own key"))
        });
        keys.collect::<Vec<_>>().join(" ")
    }

    fn digest(&self) -> String {
        format!("{:016x}", self.world.digest())
    }
}

fn kind(name: &str, args: &mut ArgumentConsumer<'_>) -> Result<Kind, Box<dyn Error>> {
    Ok(match name {
        "bootstrap" => Kind::Bootstrap(bootstrap(args)?),
        "register" => Kind::Register(register(args)?),
        "join" => Kind::Join(join(args)?),
        "leave" => Kind::Leave(Leave { gids: numbers(args)? }),
        "move" => Kind::Move(Move { shard: required(args)?, gid: required(args)? }),
        "report" => Kind::Report(Report {
            gid: required(args)?,
            incarnation: required(args)?,
            settled: required(args)?,
            initialised: key(args, "initialised", true)?,
            member: key(args, "member", 0)?,
        }),
        "lock" => {
            Kind::Lock(Lock { name: required(args)?, holder: required(args)?, ttl_ms: required(args)? })
        }
        "unlock" => Kind::Unlock(Unlock { name: required(args)?, token: required(args)? }),
        _ => match migrations::command(name, args)? {
            Some(command) => Kind::Migration(command),
            None => return Err(format!("unknown command {name}").into()),
        },
    })
}

fn bootstrap(args: &mut ArgumentConsumer<'_>) -> Result<Bootstrap, Box<dyn Error>> {
    let nodes: u64 = key(args, "controllers", 3)?;
    let unknown: bool = key(args, "disks_unknown", false)?;
    let replica = |node| Replica { node, member: node, disk: if unknown { 0 } else { 100 + node } };
    Ok(Bootstrap {
        cluster: key(args, "cluster", CLUSTER.to_owned())?,
        shards: key(args, "shards", 8)?,
        controllers: (1..=nodes).map(replica).collect(),
    })
}

fn register(args: &mut ArgumentConsumer<'_>) -> Result<Register, Box<dyn Error>> {
    let node = required(args)?;
    Ok(Register {
        cluster: key(args, "cluster", CLUSTER.to_owned())?,
        node,
        disk: key(args, "disk", node.saturating_add(100))?,
        address: key(args, "address", format!("10.0.0.{node}:7100"))?,
        zone: key(args, "zone", String::new())?,
    })
}

fn join(args: &mut ArgumentConsumer<'_>) -> Result<Join, Box<dyn Error>> {
    let mut groups = Vec::new();
    while let Some((gid, nodes)) = args.next_key() {
        let nodes = nodes.split('-').filter(|node| !node.is_empty()).map(str::parse);
        groups.push(NewGroup { gid: gid.parse()?, nodes: nodes.collect::<Result<_, _>>()? });
    }
    Ok(Join { groups })
}

fn required<T: std::str::FromStr<Err: Error + 'static>>(
    args: &mut ArgumentConsumer<'_>,
) -> Result<T, Box<dyn Error>> {
    Ok(args.next_pos().ok_or("an argument is missing")?.parse()?)
}

fn optional<T: std::str::FromStr<Err: Error + 'static>>(
    args: &mut ArgumentConsumer<'_>,
) -> Result<Option<T>, Box<dyn Error>> {
    Ok(args.next_pos().map(str::parse).transpose()?)
}

fn key<T: std::str::FromStr<Err: Error + 'static>>(
    args: &mut ArgumentConsumer<'_>,
    name: &str,
    default: T,
) -> Result<T, Box<dyn Error>> {
    Ok(args.take_key(name).map(str::parse).transpose()?.unwrap_or(default))
}

fn numbers(args: &mut ArgumentConsumer<'_>) -> Result<Vec<u64>, Box<dyn Error>> {
    let mut numbers = Vec::new();
    while let Some(number) = args.next_pos() {
        numbers.push(number.parse()?);
    }
    Ok(numbers)
}

fn show_response(response: &Response, locking: bool) -> String {
    let Response { config, revision, token, .. } = response;
    let mut text = match response.code() {
        Code::Ok => format!("ok: config {config}, revision {revision}"),
        code => format!("{code:?}: {}", response.message),
    };
    if locking && !response.holder.is_empty() {
        write!(text, ", held by {} until {}", response.holder, response.expires_at_ms).expect("a string");
    }
    if *token > 0 {
        write!(text, ", token {token}").expect("a string");
    }
    text
}

fn show_migration(response: &Response) -> String {
    let Response { migration, token, count, .. } = response;
    let mut text = match response.code() {
        Code::Ok => format!("ok: m{migration}"),
        code => format!("{code:?}: {} (m{migration})", response.message),
    };
    for (name, number) in [("token", token), ("count", count)] {
        if *number > 0 {
            write!(text, ", {name} {number}").expect("a string");
        }
    }
    text
}

fn show_answer(answer: &ConfigAnswer) -> String {
    match answer {
        ConfigAnswer::Found(config) => show_config(config),
        other => format!("{other:?}"),
    }
}

/// Runs of shards with one owner: `config 2: g1=0..3 g2=4..7`.
fn show_config(config: &ShardConfig) -> String {
    let mut runs: Vec<(u64, usize, usize)> = Vec::new();
    for (shard, gid) in config.shards.iter().enumerate() {
        match runs.last_mut() {
            Some((owner, _, last)) if owner == gid => *last = shard,
            _ => runs.push((*gid, shard, shard)),
        }
    }
    let show = |(gid, first, last): &(u64, usize, usize)| match first == last {
        true => format!(" g{gid}={first}"),
        false => format!(" g{gid}={first}..{last}"),
    };
    format!("config {}:{}", config.num, runs.iter().map(show).collect::<String>())
}

fn show_group(group: &GroupRecord) -> String {
    let replicas = group.replicas.iter().map(|r| format!("n{}/m{}/disk{}", r.node, r.member, r.disk));
    let left = if group.left > 0 { format!(" left {}", group.left) } else { String::new() };
    format!(
        "g{} life {} {:?}{} settled {}{left}: {}",
        group.gid,
        group.incarnation,
        group.state(),
        if group.initialised { " initialised" } else { "" },
        group.settled,
        replicas.collect::<Vec<_>>().join(" "),
    )
}
