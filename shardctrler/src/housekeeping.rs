//! What is forgotten: configurations that everybody settled, and groups that were torn down long ago.

use crate::api::GroupState;
use crate::draft::Draft;
use crate::machine::ShardCtrler;

/// The configuration that every present group has settled. A group reads configurations from this one on: the next one it
/// adopts, and this one, to see what the next one changes. A group that joins at `n` starts at `n - 1`.
pub(crate) fn settled_by_all(state: &ShardCtrler) -> u64 {
    state.present().map(|group| group.settled).min().unwrap_or(state.counters.config)
}

/// Forgets what is no longer asked for.
pub(crate) fn run(draft: &mut Draft<'_, '_, '_>) {
    let settled = settled_by_all(draft);
    forget_configs(draft, settled);
    forget_torn_down(draft, settled);
}

fn forget_configs(draft: &mut Draft<'_, '_, '_>, settled: u64) {
    let newest_kept = (draft.counters.config + 1).saturating_sub(draft.options.configs_kept_min.max(1));
    let oldest = settled.min(newest_kept);
    if oldest > draft.counters.config_oldest {
        draft.forget_configs(oldest);
    }
}

/// The oldest go first, so that nodes had time to see them. A record stays while a present group has not settled the
/// Leave: it may still have to learn that this group did all it was asked (see `Directory::departed`).
fn forget_torn_down(draft: &mut Draft<'_, '_, '_>, settled: u64) {
    let groups = draft.directory.groups.iter();
    let mut torn_down: Vec<_> = groups
        .filter(|group| group.state() == GroupState::TornDown)
        .map(|group| (group.torn_down, group.left, group.gid, group.incarnation))
        .collect();
    torn_down.sort_unstable();
    let excess = torn_down.len().saturating_sub(draft.options.torn_down_kept.max(1));
    for (_, left, gid, incarnation) in torn_down.into_iter().take(excess) {
        if left <= settled {
            draft.forget_group(gid, incarnation);
        }
    }
}
