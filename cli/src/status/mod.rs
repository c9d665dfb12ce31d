//! `flotilla status`: the cluster as it is now, and whether that is well.

mod health;
mod json;
mod moving;
mod text;

use std::collections::BTreeMap;

use anyhow::Result;
use flotilla_proto::kv_v1::ShardPhase;

use crate::args::Common;
use crate::{exit, output, probe};

pub use health::{Health, group_name, groups, judge};
pub use moving::moving;
pub use text::state_name;

/// `flotilla status`.
pub async fn run(common: &Common) -> Result<()> {
    let view = probe::view(&common.endpoints.0, common.timeout).await?;
    let (health, moving) = (judge(&view), moving(&view));
    if common.json {
        output::json(&json::view(&view, &health, &moving))?;
    } else {
        output::raw(&[text::view(&view, &health, &moving).as_bytes()])?;
    }
    if health.problems.is_empty() { Ok(()) } else { Err(exit::told_no()) }
}

/// How many keys there are, by the count of whoever leads the groups. A shard that changes hands counts once.
pub fn keys(view: &probe::View) -> u64 {
    let mut keys: BTreeMap<u32, u64> = BTreeMap::new();
    for group in groups(view) {
        let here =
            health::shards(view, group.gid).iter().filter(|shard| shard.phase() != ShardPhase::Pulling);
        for shard in here {
            let count = keys.entry(shard.shard).or_default();
            *count = shard.keys.max(*count);
        }
    }
    keys.values().sum()
}

/// A phase in a word, as in the `.proto` file.
pub fn phase_name(phase: ShardPhase) -> &'static str {
    match phase {
        ShardPhase::Absent => "ABSENT",
        ShardPhase::Pulling => "PULLING",
        ShardPhase::Gcing => "GCING",
        ShardPhase::Serving => "SERVING",
        ShardPhase::BePulling => "BE_PULLING",
        ShardPhase::Sealed => "SEALED",
    }
}
