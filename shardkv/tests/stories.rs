//! Golden stories: each file of `stories/` is one test. The commands are the variants of [`Command`]; a prefix such as
//! `g1:` names the group. Regenerate with `UPDATE_GOLDENFILES=1` and read the difference.

#[path = "world/commands.rs"]
mod commands;
mod world;

use std::error::Error;
use std::fmt::Write as _;

use commands::Command;
use flotilla_shardkv::api::command::{AtConfig, Kind, Seal, Tick, Write};
use flotilla_shardkv::api::freeze::{Freeze, LapseFreeze, RenewFreeze, Thaw};
use flotilla_shardkv::api::op::{Expected, Kind as OpKind, Op};
use flotilla_shardkv::api::{
    Answer, Query, RowKind, ShardPhase, TransferAnswer, TransferCursor, TransferPhase, WriteId,
};
use flotilla_shardkv::rows::RowKey;
use flotilla_shardkv::values::{ChangeRow, DataRow, SessionRow};
use flotilla_shardkv::{Action, Options};
use flotilla_types::{ConfigNum, GroupId, Machine, ShardConfig, ShardId};
use goldenscript::Context;
use world::{Group, Message, World, invariants, show};

test_each_file::test_each_path! { in "./shardkv/tests/stories" => story }

fn story(path: &std::path::Path) {
    goldenscript::run(&mut Stage { world: World::new(1) }, path).expect("the story runs");
}

struct Stage {
    world: World,
}

impl goldenscript::Runner for Stage {
    type Command = Command;

    fn run(&mut self, command: &Command, context: &Context) -> Result<String, Box<dyn Error>> {
        let gid = context.prefix.as_deref().and_then(|prefix| prefix.strip_prefix('g'));
        let gid = GroupId(gid.map_or(Ok(0), str::parse)?);
        match command {
            Command::Shards(shards) => self.world = World::new(*shards),
            Command::Group { gid, inc, sessions, window, rounds, expire, seal } => {
                let mut options = Options::new(GroupId(*gid), ConfigNum((*inc).max(1)), self.world.shards);
                let limits = &mut options.limits;
                limits.session_rows_max = sessions.unwrap_or(limits.session_rows_max);
                limits.session_window_ms = window.unwrap_or(limits.session_window_ms);
                limits.delta_rounds_max = rounds.unwrap_or(limits.delta_rounds_max);
                limits.seal_when_bytes = seal.unwrap_or(limits.seal_when_bytes);
                limits.expire_keys_max = expire.unwrap_or(limits.expire_keys_max);
                self.world.groups.push(Group::new(options));
            }
            Command::Config(num, owners) => {
                assert_eq!(*num, self.world.configs.len() as u64, "configurations come in order");
                self.world.configs.push(ShardConfig { num: *num, shards: owners.clone() });
            }
            Command::Time(now_ms) => self.world.now_ms = 1_000_000 + now_ms,
            Command::Stamp(answer) => self.world.stamps = answer == "yes",
            Command::Chunk(bytes) => self.world.chunk_bytes = *bytes,
            Command::Settle => return Ok(format!("{} commands\n", self.world.settle())),
            other => return self.at_group(gid, other),
        }
        Ok(String::new())
    }
}

impl Stage {
    fn at_group(&mut self, gid: GroupId, command: &Command) -> Result<String, Box<dyn Error>> {
        let now_ms = self.world.now_ms;
        let reply = match command {
            Command::Put { key, value, id, ttl } => {
                return self.write(gid, key, id, world::put(key.as_bytes(), value.as_bytes(), *ttl));
            }
            Command::Append { key, value, id } => {
                return self.write(gid, key, id, world::append(key.as_bytes(), value.as_bytes()));
            }
            Command::Delete { key, id } => return self.write(gid, key, id, world::delete(key.as_bytes())),
            Command::Cas { key, old, new, id } => return self.write(gid, key, id, cas(key, old, new)),
            Command::Batch { ops, id } => {
                let ops = ops.iter().map(|op| parse_op(op)).collect::<Result<Vec<_>, _>>()?;
                let key = first_key(&ops[0]);
                return self.write(gid, &key, id, world::batch(ops));
            }
            Command::Get(key) => self.group(gid)?.get(&world::copy(key.as_bytes()), now_ms),
            Command::Scan { shard, from, limit } => return self.scan(gid, *shard, from, *limit),
            Command::Tick(shard) => self.group(gid)?.tick(*shard, now_ms),
            Command::Expire(shard) => self.commit(gid, Kind::Expire(Tick { shard: *shard, now_ms }))?,
            Command::Adopt(num) => {
                let config = self.world.configs.get(*num as usize).cloned().ok_or("no such configuration")?;
                self.commit(gid, Kind::Adopt(config))?
            }
            Command::Deliver(message) => {
                let chunk = self.world.messages.get(*message).ok_or("no such message")?.chunk.clone();
                self.commit(gid, Kind::InsertShards(chunk))?
            }
            Command::Seal { shard, config, phase } => {
                let phase =
                    if phase.as_deref() == Some("rows") { TransferPhase::Rows } else { TransferPhase::Delta };
                let cursor = Some(TransferCursor { phase: phase.into(), ..TransferCursor::default() });
                self.commit(gid, Kind::Seal(Seal { shard: *shard, config: *config, cursor, now_ms }))?
            }
            Command::DeleteShards(shard, config) => {
                self.commit(gid, Kind::DeleteShards(AtConfig { shard: *shard, config: *config }))?
            }
            Command::Acknowledge(shard, config) => {
                self.commit(gid, Kind::Acknowledge(AtConfig { shard: *shard, config: *config }))?
            }
            other => return self.freeze(gid, other),
        };
        Ok(format!("{}\n", show::reply(&reply)))
    }

    fn freeze(&mut self, gid: GroupId, command: &Command) -> Result<String, Box<dyn Error>> {
        let now_ms = self.world.now_ms;
        let kind = match command {
            Command::Freeze { freeze, config, lease, migration } => Kind::Freeze(Freeze {
                freeze: *freeze,
                migration: migration.unwrap_or(9),
                config: *config,
                lease_ms: (*lease).max(1),
                now_ms,
            }),
            Command::Thaw(freeze) => Kind::Thaw(Thaw { freeze: *freeze }),
            Command::Renew(freeze) => Kind::RenewFreeze(RenewFreeze { freeze: *freeze }),
            Command::Lapse(freeze, beat) => Kind::LapseFreeze(LapseFreeze { freeze: *freeze, beat: *beat }),
            other => return self.look(gid, other),
        };
        Ok(format!("{}\n", show::reply(&self.commit(gid, kind)?)))
    }

    fn proof(&mut self, gid: GroupId, freeze: u64) -> Result<String, Box<dyn Error>> {
        Ok(match self.group(gid)?.leader.query(Query::Freeze(freeze)) {
            Answer::Freeze(None) => "not in force\n".to_owned(),
            Answer::Freeze(Some(proof)) => format!(
                "freeze {} of migration {} at c{} time {}: {} thaws before, {} writes, beat {}\n",
                proof.freeze,
                proof.migration,
                proof.config,
                proof.at_ms,
                proof.thaws,
                proof.writes,
                proof.beat
            ),
            other => return Err(format!("{other:?}").into()),
        })
    }

    fn ahead(
        &mut self,
        gid: GroupId,
        key: &str,
        value: &str,
        id: &Option<String>,
    ) -> Result<String, Box<dyn Error>> {
        let id = id.as_deref().map(|text| parse_id(text, self.world.now_ms)).transpose()?;
        let id = id.unwrap_or_else(|| self.world.fresh_id());
        let shard = flotilla_types::shard_of_key(key.as_bytes(), self.world.shards).get();
        let op = Op { kind: Some(world::put(key.as_bytes(), value.as_bytes(), 0)) };
        let write = Write { shard, id: Some(id), op: Some(op), now_ms: self.world.now_ms };
        Ok(match self.group(gid)?.leader.query(Query::RefusalAhead(write)) {
            Answer::NoRefusal => "to the log\n".to_owned(),
            Answer::Reply(reply) => format!("{}\n", show::reply(&reply)),
            other => return Err(format!("{other:?}").into()),
        })
    }

    // What is not a command of the log.
    fn look(&mut self, gid: GroupId, command: &Command) -> Result<String, Box<dyn Error>> {
        match command {
            Command::Pull { shard, via } => return self.pull(gid, ShardId(*shard), via.is_some()),
            Command::Act => {
                let actions = self.group(gid)?.leader.kv.actions();
                let done = actions.iter().filter(|action| self.world.step(gid, action)).count();
                return Ok(format!("{done} commands\n"));
            }
            Command::Actions => {
                let actions = self.group(gid)?.leader.kv.actions();
                return Ok(actions.iter().map(|action| format!("{}\n", show::action(action))).collect());
            }
            Command::Status => return self.status(gid),
            Command::Proof(freeze) => return self.proof(gid, *freeze),
            Command::Ahead { key, value, id } => return self.ahead(gid, key, value, id),
            Command::Dump => return self.dump(gid),
            Command::Restart => self.group(gid)?.leader.restart(),
            Command::Lag => {
                let group = self.group(gid)?;
                group.lagging = Some(group.leader.copy());
            }
            Command::Sweep => return Ok(format!("{} ranges\n", self.group(gid)?.leader.sweep())),
            _ => return Err("this command needs no group, or another one".into()),
        }
        Ok(String::new())
    }

    fn group(&mut self, gid: GroupId) -> Result<&mut Group, Box<dyn Error>> {
        self.world.group(gid).ok_or_else(|| "no such group: give a prefix such as g1:".into())
    }

    fn commit(&mut self, gid: GroupId, kind: Kind) -> Result<flotilla_shardkv::api::Reply, Box<dyn Error>> {
        Ok(self.group(gid)?.commit(kind))
    }

    fn write(
        &mut self,
        gid: GroupId,
        key: &str,
        id: &Option<String>,
        op: OpKind,
    ) -> Result<String, Box<dyn Error>> {
        let id = id.as_deref().map(|text| parse_id(text, self.world.now_ms)).transpose()?;
        Ok(format!("{}\n", show::reply(&self.world.write(gid, key.as_bytes(), id, op))))
    }

    fn scan(&mut self, gid: GroupId, shard: u32, from: &str, limit: usize) -> Result<String, Box<dyn Error>> {
        let query = Query::Scan {
            shard: ShardId(shard),
            start: world::copy(from.as_bytes()),
            end: Default::default(),
            rows_max: limit,
            keys_only: false,
            now_ms: self.world.now_ms,
        };
        let page = match self.group(gid)?.leader.query(query) {
            Answer::Page(page) => page,
            Answer::TickFirst(_) => return Ok("tick first\n".to_owned()),
            Answer::Reply(reply) => return Ok(format!("{}\n", show::reply(&reply))),
            other => return Err(format!("{other:?}").into()),
        };
        let mut out = String::new();
        for row in &page.rows {
            writeln!(out, "{} = {} v{}", show::text(&row.key), show::text(&row.value), row.version)?;
        }
        let next = page.next.map_or("end".to_owned(), |key| format!("next {}", show::text(&key)));
        writeln!(out, "{next} c{} v{}", page.config, page.version)?;
        Ok(out)
    }

    fn pull(&mut self, gid: GroupId, shard: ShardId, lagging: bool) -> Result<String, Box<dyn Error>> {
        let Some(action) = self.world.pull_of(gid, shard) else { return Ok("nothing to pull\n".to_owned()) };
        let Action::Pull { from, .. } = &action else { return Err("not a pull".into()) };
        let source = self.world.groups.iter().find(|group| group.leader.kv.gid() == *from);
        let source = source.ok_or("no such source")?;
        let replica = if lagging { source.lagging.as_ref().ok_or("nothing lags")? } else { &source.leader };
        let answer = self.world.ask(replica, &action);
        let mut out = format!("{} -> ", show::action(&action));
        match answer {
            TransferAnswer::Chunk(chunk) => {
                writeln!(out, "message {}: {}", self.world.messages.len(), show::chunk(&chunk))?;
                self.world.messages.push(Message { to: gid, chunk });
            }
            other => writeln!(out, "{other:?}")?,
        }
        Ok(out)
    }

    fn status(&mut self, gid: GroupId) -> Result<String, Box<dyn Error>> {
        let Answer::Status(status) = self.group(gid)?.leader.query(Query::Status) else {
            return Err("not a status".into());
        };
        let mut out = format!("config {} settled {} debts {}\n", status.config, status.settled, status.debts);
        for freeze in &status.freezes {
            writeln!(out, "frozen by {} for migration {}", freeze.freeze, freeze.migration)?;
        }
        for shard in &status.shards {
            let phase: ShardPhase = shard.phase();
            write!(out, "s{} {phase:?} c{} v{}", shard.shard, shard.config, shard.version)?;
            write!(out, " keys {} bytes {} sessions {}", shard.keys, shard.bytes, shard.sessions)?;
            if let Some(moving) = &shard.moving {
                write!(out, "; {} with g{} at c{}", moving.step, moving.peer, moving.config)?;
                write!(out, ", {} done {} remain", moving.bytes_done, moving.bytes_remaining)?;
            }
            out.push('\n');
        }
        Ok(out)
    }

    fn dump(&mut self, gid: GroupId) -> Result<String, Box<dyn Error>> {
        let mut out = String::new();
        for (key, value) in invariants::rows(&self.group(gid)?.leader, b"", b"") {
            let key = RowKey::decode(&key).ok_or("not a row key")?;
            let value = match &key {
                RowKey::Data { .. } => DataRow::decode(&value).map(|row| {
                    let expiry = if row.expires_at_ms == 0 {
                        String::new()
                    } else {
                        format!(" until {}", row.expires_at_ms)
                    };
                    format!("{} v{}{expiry}", show::text(&row.value), row.version)
                }),
                RowKey::Session { .. } => SessionRow::decode(&value).map(|row| {
                    format!(
                        "seq {} at {} {:?} v{}",
                        row.seq, row.issued_at_ms, row.outcome.code, row.outcome.version
                    )
                }),
                RowKey::Change { .. } => ChangeRow::decode(&value).map(|row| match row.kind {
                    RowKind::Data => format!("data {}", show::text(&row.key)),
                    RowKind::Session => "session".to_owned(),
                }),
                _ => None,
            };
            if let Some(value) = value {
                writeln!(out, "{} = {value}", show::row_key(&key))?;
            }
        }
        Ok(out)
    }
}

// `client.seq`, `client.seq@issued`, `client/lane.seq`.
fn parse_id(text: &str, now_ms: u64) -> Result<WriteId, Box<dyn Error>> {
    let (text, issued_at_ms) = match text.split_once('@') {
        Some((text, at)) => (text, 1_000_000 + at.parse::<u64>()?),
        None => (text, now_ms),
    };
    let (client, seq) = text.split_once('.').ok_or("an id is client.seq")?;
    let (client, lane) = client.split_once('/').unwrap_or((client, "0"));
    Ok(WriteId { client: client.parse()?, lane: lane.parse()?, seq: seq.parse()?, issued_at_ms })
}

fn cas(key: &str, old: &str, new: &str) -> OpKind {
    let expected = (old != "nil").then(|| Expected::Value(world::copy(old.as_bytes())));
    let new = (new != "nil").then_some(new.as_bytes());
    world::cas(key.as_bytes(), expected, new)
}

fn parse_op(text: &str) -> Result<OpKind, Box<dyn Error>> {
    let parts: Vec<&str> = text.split('/').collect();
    Ok(match parts[..] {
        ["put", key, value] => world::put(key.as_bytes(), value.as_bytes(), 0),
        ["append", key, value] => world::append(key.as_bytes(), value.as_bytes()),
        ["delete", key] => world::delete(key.as_bytes()),
        ["get", key] => world::get(key.as_bytes()),
        ["cas", key, old, new] => cas(key, old, new),
        _ => return Err(format!("not an operation: {text}").into()),
    })
}

fn first_key(op: &OpKind) -> String {
    let key = match op {
        OpKind::Put(put) => &put.key,
        OpKind::Append(append) => &append.key,
        OpKind::Delete(delete) => &delete.key,
        OpKind::Get(get) => &get.key,
        OpKind::CompareAndSet(cas) => &cas.key,
        OpKind::Batch(_) => return String::new(),
    };
    String::from_utf8_lossy(key).into_owned()
}
