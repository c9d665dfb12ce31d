//! Move: one shard goes to one group, by hand. It stays there until a Join or a Leave balances again.

use flotilla_types::ShardConfig;

use crate::api::command::Move;
use crate::apply::groups::{check_live, laggard};
use crate::apply::migrations::check_moving;
use crate::draft::Draft;
use crate::housekeeping;
use crate::machine::ShardCtrler;
use crate::refusal::{Grant, Refusal, Verdict};

/// Gives one shard to one group. To its owner: done already, no new configuration.
pub(crate) fn move_shard(draft: &mut Draft<'_, '_, '_>, wish: &Move) -> Verdict {
    let shard = wish.shard as usize;
    let Some(owner) = draft.latest.shards.get(shard).copied() else {
        let last = draft.latest.shards.len() - 1;
        return Err(Refusal::not_found(format!("shard: {shard} does not exist; shards are 0 to {last}")));
    };
    check_live(draft, wish.gid)?;
    if owner == wish.gid {
        return Ok(Grant::default());
    }
    check_moving(draft)?;
    check_room(draft)?;
    let mut config = ShardConfig { num: draft.counters.config + 1, shards: draft.latest.shards.clone() };
    config.shards[shard] = wish.gid;
    draft.put_config(config);
    housekeeping::run(draft);
    Ok(Grant::default())
}

/// Refuses when one more configuration would be more than are kept at most.
pub(crate) fn check_room(state: &ShardCtrler) -> Result<(), Refusal> {
    let kept = state.counters.config + 1 - state.counters.config_oldest;
    if kept < state.options.configs_kept_max {
        return Ok(());
    }
    Err(Refusal::too_many(format!("{kept} configurations are not settled by all yet; {}", laggard(state))))
}
