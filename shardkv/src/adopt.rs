//! Configurations: adopted one by one, and compared shard by shard.

use std::sync::Arc;

use flotilla_types::{ConfigNum, GroupId, ShardConfig, ShardId, Txn, Wire};

use crate::api::{Code, Reply};
use crate::kv::{ShardKv, done};
use crate::rows::RowKey;
use crate::state::{GroupRow, Phase};

impl ShardKv {
    /// The configuration to adopt next. A new group first needs its base, the one before its Join, to know from whom
    /// its first shards come.
    pub(crate) fn next_config(&self) -> ConfigNum {
        if self.configs.is_empty() { self.config() } else { self.config().next() }
    }

    /// Adopts a configuration, if it is the next: every number in order, none skipped (a group that jumps leaves its
    /// partners waiting for moves that it never took part in).
    pub(crate) fn adopt(&mut self, rows: &mut Txn<'_>, config: ShardConfig) -> Reply {
        let (num, next) = (config.number(), self.next_config());
        if num < next {
            return done();
        }
        if num > next {
            return Reply::refused(Code::NotReady, format!("configuration {num}: adopt {next} first"));
        }
        if let Some(refusal) = self.misfit(&config) {
            return refusal;
        }
        let is_base = self.configs.is_empty();
        rows.put(RowKey::Config { num }.encode(), config.to_bytes());
        Arc::make_mut(&mut self.configs).insert(num, Arc::new(config));
        self.store_group(rows, GroupRow { config: num.get(), ..self.group });
        if !is_base {
            (0..self.options.shards)
                .map(ShardId)
                .for_each(|shard| self.advance_from(rows, shard, num.previous()));
        }
        self.drop_configs(rows);
        done()
    }

    // What no controller would make; adopting it would strand shards.
    fn misfit(&self, config: &ShardConfig) -> Option<Reply> {
        let (num, found, want) = (config.num, config.shards.len(), self.options.shards);
        if found != want as usize {
            let message = format!("configuration {num} has {found} shards, this cluster has {want}");
            return Some(Reply::refused(Code::Invalid, message));
        }
        let before = self.latest()?;
        let lost = config
            .owners()
            .find(|(shard, gid)| *gid == GroupId::NOBODY && before.owner(*shard) != GroupId::NOBODY);
        lost.map(|(shard, _)| {
            Reply::refused(
                Code::Invalid,
                format!("configuration {num} takes shard {shard} away and gives it to nobody"),
            )
        })
    }

    /// A shard that settled the move of configuration `at` takes what came meanwhile.
    pub(crate) fn advance(&mut self, rows: &mut Txn<'_>, shard: ShardId, at: ConfigNum) {
        self.advance_from(rows, shard, at);
        self.drop_configs(rows);
    }

    // Compares owner by owner until the shard has to move, or has processed all there is.
    fn advance_from(&mut self, rows: &mut Txn<'_>, shard: ShardId, at: ConfigNum) {
        let mut at = at;
        while at < self.config() && self.state(shard).moving_at().is_none() {
            let (before, after) = (self.owner(at, shard), self.owner(at.next(), shard));
            at = at.next();
            self.cross(rows, shard, at, before, after);
        }
    }

    // One step of one shard over one configuration.
    fn cross(&mut self, rows: &mut Txn<'_>, shard: ShardId, num: ConfigNum, before: GroupId, after: GroupId) {
        let mut state = self.state(shard).clone();
        let me = self.options.gid;
        match (&state.phase, before == me, after == me) {
            (Some(Phase::Serving(_)), true, false) => state.start_leaving(num, after),
            (None, false, true) if before == GroupId::NOBODY => state.start_empty(num),
            (None, false, true) => state.start_coming(num, before),
            _ => return,
        }
        self.store(rows, shard, state);
    }

    /// The owner of a shard in a kept configuration; nobody if it is not kept.
    pub(crate) fn owner(&self, num: ConfigNum, shard: ShardId) -> GroupId {
        self.configs.get(&num).map_or(GroupId::NOBODY, |config| config.owner(shard))
    }

    // A configuration is needed until every shard has compared it with its successor.
    fn drop_configs(&mut self, rows: &mut Txn<'_>) {
        let needed = self.moving.iter().map(|shard| self.at(*shard)).min().unwrap_or(self.config());
        while let Some((&num, _)) = self.configs.first_key_value()
            && num < needed
        {
            rows.delete(RowKey::Config { num }.encode());
            Arc::make_mut(&mut self.configs).remove(&num);
        }
    }

    /// Everything up to here is processed by every shard, and nothing is owed.
    pub(crate) fn settled(&self) -> ConfigNum {
        let moves = self.moving.iter().map(|shard| self.at(*shard).previous());
        let debts = self.debts.keys().map(|(config, _)| config.previous());
        moves.chain(debts).min().unwrap_or(self.config()).min(self.config())
    }
}
