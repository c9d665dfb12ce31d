//! The machine: what it holds in memory, and the doors through which everything passes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use flotilla_types::engine::prefix_end;
use flotilla_types::{ConfigNum, EngineError, GroupId, Machine, Reader, ShardConfig, ShardId, Txn, Wire};

use crate::actions::{Action, Outcome};
use crate::api::command::Kind;
use crate::api::{Answer, Code, Command, Query, Reply, Response, ShardPhase};
use crate::options::Options;
use crate::rows::RowKey;
use crate::shard_txn::ShardTxn;
use crate::state::{FreezeRow, GroupRow, ShardState};
use crate::table::ShardTable;
use crate::values::{decode_u64, sound};

/// A shard group's replicated state: a mirror in memory of all rows but the clients'.
#[derive(Clone, PartialEq, Debug)]
pub struct ShardKv {
    pub(crate) options: Options,
    pub(crate) group: GroupRow,
    /// Every adopted configuration that some shard still has to compare with its successor, and the newest.
    /// Empty only before a new group has seen its base, the configuration before its Join.
    pub(crate) configs: Arc<BTreeMap<ConfigNum, Arc<ShardConfig>>>,
    pub(crate) shards: ShardTable,
    /// Shards in Pulling or BePulling.
    pub(crate) moving: Arc<BTreeSet<ShardId>>,
    /// Shards with keys that expire.
    pub(crate) expiring: Arc<BTreeSet<ShardId>>,
    /// Old owners that still have to delete, by configuration and shard.
    pub(crate) debts: Arc<BTreeMap<(ConfigNum, ShardId), GroupId>>,
    /// The freezes in force, by id.
    pub(crate) freezes: Arc<BTreeMap<u64, FreezeRow>>,
}

impl ShardKv {
    /// This group.
    pub fn gid(&self) -> GroupId {
        self.options.gid
    }

    /// The newest configuration adopted.
    pub fn config(&self) -> ConfigNum {
        ConfigNum(self.group.config)
    }

    /// The newest configuration adopted, in full; none before a new group has adopted any.
    pub fn latest(&self) -> Option<&ShardConfig> {
        self.configs.get(&self.config()).map(AsRef::as_ref)
    }

    /// Where a shard stands here; `Absent` if there is no such shard.
    pub fn phase(&self, shard: ShardId) -> ShardPhase {
        self.shards.get(shard).map_or(ShardPhase::Absent, |state| {
            let acquired = ConfigNum(state.acquired);
            state.shard_phase(self.debts.contains_key(&(acquired, shard)))
        })
    }

    /// The state of a shard that is known to exist.
    pub(crate) fn state(&self, shard: ShardId) -> &ShardState {
        self.shards.get(shard).expect("callers check that the shard exists")
    }

    /// The configuration a shard has processed.
    pub(crate) fn at(&self, shard: ShardId) -> ConfigNum {
        self.state(shard).moving_at().unwrap_or(self.config())
    }

    /// Opens a working copy of one shard's state, to be given back to [`ShardKv::store`].
    pub(crate) fn begin<'w, 't>(&self, rows: &'w mut Txn<'t>, shard: ShardId) -> ShardTxn<'w, 't> {
        ShardTxn { rows, shard, state: self.state(shard).clone(), limits: self.options.limits }
    }

    /// Replaces a shard's state, in memory and in its row. The one place where either changes.
    pub(crate) fn store(&mut self, rows: &mut Txn<'_>, shard: ShardId, state: ShardState) {
        let key = RowKey::Shard { shard }.encode();
        if state == ShardState::default() {
            rows.delete(key);
        } else {
            rows.put(key, state.to_bytes());
        }
        self.mirror(shard, state);
    }

    fn mirror(&mut self, shard: ShardId, state: ShardState) {
        mark(&mut self.moving, shard, state.moving_at().is_some());
        mark(&mut self.expiring, shard, state.next_expiry_ms != 0);
        self.shards.set(shard, state);
    }

    /// Writes the group's own row.
    pub(crate) fn store_group(&mut self, rows: &mut Txn<'_>, group: GroupRow) {
        rows.put(RowKey::Group.encode(), group.to_bytes());
        self.group = group;
    }

    /// A machine without rows: the group before its Join.
    fn unborn(options: &Options) -> Self {
        let base = options.incarnation.previous();
        let mut configs = BTreeMap::new();
        if base == ConfigNum(0) {
            // Configuration 0 needs no fetching: it gives every shard to nobody.
            let nobody = vec![GroupId::NOBODY.get(); options.shards as usize];
            configs.insert(base, Arc::new(ShardConfig { num: 0, shards: nobody }));
        }
        Self {
            options: *options,
            group: GroupRow { config: base.get(), reported: base.get(), ..GroupRow::default() },
            configs: Arc::new(configs),
            shards: ShardTable::new(options.shards),
            moving: Arc::default(),
            expiring: Arc::default(),
            debts: Arc::default(),
            freezes: Arc::default(),
        }
    }
}

impl Machine for ShardKv {
    type Options = Options;
    type Command = Command;
    type Response = Response;
    type Query = Query;
    type Answer = Answer;
    type Action = Action;
    type Outcome = Outcome;

    fn open(options: &Options, rows: &dyn Reader) -> Result<Self, EngineError> {
        let mut machine = Self::unborn(options);
        let Some(group) = rows.get(&RowKey::Group.encode())? else { return Ok(machine) };
        machine.group = GroupRow::decode_from(group)?;
        machine.configs = Arc::new(open_configs(rows)?);
        machine.debts = Arc::new(open_debts(rows)?);
        machine.freezes = Arc::new(open_freezes(rows)?);
        for row in rows.scan(&RowKey::SHARDS, &prefix_end(&RowKey::SHARDS)) {
            let (key, value) = row?;
            let Some(RowKey::Shard { shard }) = RowKey::decode(&key) else { return Err(foreign(&key)) };
            if shard.get() >= options.shards {
                return Err(foreign(&key));
            }
            machine.mirror(shard, ShardState::decode_from(value)?);
        }
        Ok(machine)
    }

    fn apply(&mut self, rows: &mut Txn<'_>, command: Command) -> Result<Response, EngineError> {
        let refusal = |kind| self.frozen_out(kind).or_else(|| self.restored_out(kind));
        if let Some(refusal) = command.kind.as_ref().and_then(refusal) {
            return Ok(Response { reply: Some(refusal) });
        }
        let reply = match command.kind {
            None => {
                Reply::refused(Code::Invalid, "a command without a kind: this node may be too old for it")
            }
            Some(Kind::Write(write)) => self.write(rows, write)?,
            Some(Kind::Adopt(config)) => self.adopt(rows, config),
            Some(Kind::InsertShards(chunk)) => self.insert_shards(rows, chunk)?,
            Some(Kind::Seal(seal)) => self.seal(rows, seal),
            Some(Kind::DeleteShards(at)) => self.delete_shards(rows, at),
            Some(Kind::Acknowledge(at)) => self.acknowledge(rows, at),
            Some(Kind::Tick(tick)) => self.tick(rows, tick),
            Some(Kind::Expire(tick)) => self.expire(rows, tick)?,
            Some(Kind::Reported(reported)) => self.reported(rows, reported),
            Some(Kind::Freeze(freeze)) => self.freeze(rows, freeze),
            Some(Kind::Thaw(thaw)) => self.thaw(rows, thaw),
            Some(Kind::RenewFreeze(renew)) => self.renew_freeze(rows, renew),
            Some(Kind::LapseFreeze(lapse)) => self.lapse_freeze(rows, lapse),
            Some(Kind::OpenRestore(open)) => self.open_restore(rows, open),
            Some(Kind::RestoreRows(piece)) => self.restore_rows(rows, piece)?,
            Some(Kind::PublishRestore(publish)) => self.publish_restore(rows, publish),
        };
        Ok(Response { reply: Some(reply) })
    }

    fn query(&self, rows: &dyn Reader, query: Query) -> Result<Answer, EngineError> {
        match query {
            Query::Get { shard, key, now_ms } => self.get(rows, shard, &key, now_ms),
            Query::Scan { shard, start, end, rows_max, keys_only, now_ms } => {
                let range = crate::read::Range { start, end, rows_max, keys_only };
                self.scan(rows, shard, &range, now_ms)
            }
            Query::Transfer { shard, config, cursor, seal, bytes_max } => {
                let ask = crate::transfer::Ask { shard, config, cursor, seal, bytes_max };
                self.transfer(rows, ask).map(Answer::Transfer)
            }
            Query::RefusalAhead(write) => {
                Ok(self.refusal_ahead(rows, write)?.map_or(Answer::NoRefusal, Answer::Reply))
            }
            Query::Restore { restore, file, shard } => {
                self.restore_state(rows, restore, file, shard).map(Answer::Restore)
            }
            Query::Freeze(freeze) => Ok(Answer::Freeze(self.proof(freeze))),
            Query::Status => Ok(Answer::Status(self.status())),
            Query::Digest => self.digest(rows).map(Answer::Digest),
        }
    }

    fn actions(&self) -> Vec<Action> {
        self.wanted()
    }

    fn resolve(&self, action: &Action, outcome: Outcome) -> Option<Command> {
        self.resolved(action, outcome).map(|kind| Command { kind: Some(kind) })
    }

    fn garbage_mark(&self) -> u64 {
        self.group.deaths
    }

    fn garbage(&self, rows: &dyn Reader) -> Result<Vec<(Bytes, Bytes)>, EngineError> {
        self.dead_homes(rows)
    }
}

/// Done, or done before.
pub(crate) fn done() -> Reply {
    Reply::default()
}

fn mark(set: &mut Arc<BTreeSet<ShardId>>, shard: ShardId, member: bool) {
    if set.contains(&shard) != member {
        let set = Arc::make_mut(set);
        if member {
            set.insert(shard)
        } else {
            set.remove(&shard)
        };
    }
}

fn open_configs(rows: &dyn Reader) -> Result<BTreeMap<ConfigNum, Arc<ShardConfig>>, EngineError> {
    let mut configs = BTreeMap::new();
    for row in rows.scan(&RowKey::CONFIGS, &prefix_end(&RowKey::CONFIGS)) {
        let config = ShardConfig::decode_from(row?.1)?;
        configs.insert(config.number(), Arc::new(config));
    }
    Ok(configs)
}

fn open_debts(rows: &dyn Reader) -> Result<BTreeMap<(ConfigNum, ShardId), GroupId>, EngineError> {
    let mut debts = BTreeMap::new();
    for row in rows.scan(&RowKey::DEBTS, &prefix_end(&RowKey::DEBTS)) {
        let (key, value) = row?;
        let Some(RowKey::Debt { config, shard }) = RowKey::decode(&key) else { return Err(foreign(&key)) };
        debts.insert((config, shard), GroupId(sound(decode_u64(&value), "debt")?));
    }
    Ok(debts)
}

fn open_freezes(rows: &dyn Reader) -> Result<BTreeMap<u64, FreezeRow>, EngineError> {
    let mut freezes = BTreeMap::new();
    for row in rows.scan(&RowKey::FREEZES, &prefix_end(&RowKey::FREEZES)) {
        let (key, value) = row?;
        let Some(RowKey::Freeze { freeze }) = RowKey::decode(&key) else { return Err(foreign(&key)) };
        freezes.insert(freeze, FreezeRow::decode_from(value)?);
    }
    Ok(freezes)
}

fn foreign(key: &[u8]) -> EngineError {
    EngineError::corrupt(format!("a row that is not of this group: key {key:02x?}"))
}
