//! After a change is committed: says so, and waits until every group has carried it out if that was asked for.

use std::time::{Duration, Instant};

use anyhow::Result;
use flotilla_proto::ctrl_v1::{GroupRecord, GroupState};
use serde_json::json;

use crate::args::Common;
use crate::progress::Progress;
use crate::status::{judge, moving};
use crate::{duration, exit, output, probe, table};

/// How often to look.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Whether to wait.
#[derive(clap::Args, Clone, Debug)]
pub struct Wait {
    /// Return only when everything settled: shards have arrived, old owners have deleted, groups that left are gone
    #[arg(long)]
    wait: bool,
    /// Give up waiting after this (exit code 3); the change itself goes on
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, requires = "wait")]
    wait_timeout: Option<Duration>,
}

/// Reports configuration `config`, after waiting for it if asked to; `leaving` are the groups that must be gone then.
pub async fn finish(common: &Common, config: u64, leaving: &[u64], wait: &Wait) -> Result<()> {
    if wait.wait {
        until_settled(common, config, leaving, wait.wait_timeout).await?;
    }
    match (common.json, wait.wait) {
        (true, false) => output::json(&json!({ "config": config })),
        (true, true) => output::json(&json!({ "config": config, "settled": true })),
        (false, false) => output::line(format_args!("config {config} is committed")),
        (false, true) => output::line(format_args!("config {config} is committed and settled")),
    }
}

async fn until_settled(common: &Common, config: u64, leaving: &[u64], limit: Option<Duration>) -> Result<()> {
    let progress = Progress::steps();
    let started = Instant::now();
    loop {
        let waiting = match probe::view(&common.endpoints.0, common.timeout).await {
            Ok(view) => match waiting_for(&view, config, leaving) {
                Some(what) => what,
                None => return Ok(()),
            },
            Err(error) => exit::words(&error),
        };
        progress.say(format!("config {config}: {waiting}"));
        if let Some(limit) = limit.filter(|limit| started.elapsed() >= *limit) {
            let limit = duration::shown(limit);
            return Err(exit::unreachable(format!(
                "config {config} is committed, but not settled after {limit}: {waiting}; it goes on by itself"
            )));
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// What is still to be done; none: everything settled.
fn waiting_for(view: &probe::View, config: u64, leaving: &[u64]) -> Option<String> {
    if view.config.as_ref().is_none_or(|seen| seen.num < config) {
        return Some("waiting for a controller that knows it".to_owned());
    }
    let left = |group: &&GroupRecord| leaving.contains(&group.gid) && group.incarnation <= config;
    let unsettled = |group: &&GroupRecord| {
        let gone = group.state() == GroupState::TornDown;
        group.gid != 0 && !gone && (group.settled < config || left(group))
    };
    let waiting: Vec<_> =
        view.directory.groups.iter().filter(unsettled).map(|group| group.gid.to_string()).collect();
    if waiting.is_empty() {
        return None;
    }
    let mut text = format!("waiting for group {}", waiting.join(", "));
    let moves = moving(view);
    if !moves.is_empty() {
        let done: u64 = moves.iter().map(|one| one.bytes_done).sum();
        let total = moves.iter().map(|one| one.bytes_remaining).sum::<u64>().saturating_add(done);
        text += &format!("; {} shards moving, {} of {}", moves.len(), table::size(done), table::size(total));
    }
    if let Some(trouble) = judge(view).problems.first() {
        text += &format!(" ({trouble})");
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_proto::ctrl_v1::ShardConfig;

    #[test]
    fn settled_means_every_group_and_the_gone_are_gone() {
        let group = |gid, settled, state: GroupState| GroupRecord {
            gid,
            settled,
            state: state.into(),
            ..GroupRecord::default()
        };
        let mut view =
            probe::View { config: Some(ShardConfig { num: 5, shards: vec![] }), ..Default::default() };
        view.directory.groups = vec![group(1, 5, GroupState::Live), group(2, 5, GroupState::Leaving)];
        assert_eq!(waiting_for(&view, 5, &[]), None);
        assert!(waiting_for(&view, 5, &[2]).is_some_and(|text| text.starts_with("waiting for group 2")));
        assert!(waiting_for(&view, 6, &[]).is_some());
        view.directory.groups[1].state = GroupState::TornDown.into();
        assert_eq!(waiting_for(&view, 5, &[2]), None);
        view.directory.groups[0].settled = 4;
        assert!(waiting_for(&view, 5, &[2]).is_some());
    }
}
