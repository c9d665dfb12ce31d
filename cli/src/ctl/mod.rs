//! `flotilla ctl`: asks the controller, and tells it what to change.

mod settle;
pub mod show;
mod spec;

use anyhow::Result;
use clap::Subcommand;
use flotilla_client::{Client, Configs};
use flotilla_proto::ctrl_v1::NewGroup;
use flotilla_types::{GroupId, ShardId};
use serde_json::json;

use crate::args::Common;
use crate::{connect, exit, output};

pub use settle::Wait;

/// What `ctl` takes.
#[derive(clap::Args, Debug)]
pub struct CtlArgs {
    /// What to ask or do.
    #[command(subcommand)]
    pub command: CtlCommand,
}

/// The commands of `ctl`.
#[derive(Subcommand, Debug)]
pub enum CtlCommand {
    /// Show a configuration: who owns each shard, and where each group's replicas are
    Query {
        /// Its number; without one, the latest
        num: Option<u64>,
    },
    /// Create groups and spread the shards anew: as few as possible move
    #[command(
        after_help = "All groups of one call join in one configuration. It returns when that is committed; --wait, when the \
shards have arrived."
    )]
    Join {
        /// A new group and the nodes of its replicas, as in 3=1,2,3
        #[arg(required = true, value_name = "GID=NODE,NODE,...", value_parser = spec::parse)]
        groups: Vec<NewGroup>,
        #[command(flatten)]
        wait: Wait,
    },
    /// Let groups go: their shards move to the others
    Leave {
        /// The group
        #[arg(required = true, value_name = "GID")]
        gids: Vec<GroupId>,
        #[command(flatten)]
        wait: Wait,
    },
    /// Give one shard to one group, until the next join or leave
    Move {
        /// The shard, from 0
        shard: ShardId,
        /// Its new owner
        gid: GroupId,
        #[command(flatten)]
        wait: Wait,
    },
    /// List the nodes that have registered
    Nodes,
    /// List the groups with their replicas
    Groups,
}

/// `flotilla ctl`.
pub async fn run(common: &Common, command: CtlCommand) -> Result<()> {
    let client = connect::once(common).await?;
    match command {
        CtlCommand::Query { num } => query(common, &client, num).await,
        CtlCommand::Join { groups, wait } => {
            let done = client.admin().join(groups).await?;
            settle::finish(common, done.config, &[], &wait).await
        }
        CtlCommand::Leave { gids, wait } => {
            let done = client.admin().leave(gids.clone()).await?;
            let gids: Vec<u64> = gids.into_iter().map(GroupId::get).collect();
            settle::finish(common, done.config, &gids, &wait).await
        }
        CtlCommand::Move { shard, gid, wait } => {
            let done = client.admin().move_shard(shard, gid).await?;
            settle::finish(common, done.config, &[], &wait).await
        }
        CtlCommand::Nodes => nodes(common, &client).await,
        CtlCommand::Groups => groups(common, &client).await,
    }
}

async fn query(common: &Common, client: &Client, num: Option<u64>) -> Result<()> {
    let Configs { config, latest, oldest } = client.admin().query(num).await?;
    let config = config.ok_or_else(|| {
        let asked = num.map_or_else(|| "the configuration".to_owned(), |num| format!("config {num}"));
        exit::no(format!("{asked} is not kept: kept are {oldest} to {latest}"))
    })?;
    let directory = client.admin().directory().await?;
    if common.json {
        output::json(&show::config(&config, &directory))
    } else {
        output::raw(&[show::config_text(&config, &directory).as_bytes()])
    }
}

async fn nodes(common: &Common, client: &Client) -> Result<()> {
    let directory = client.admin().directory().await?;
    if common.json {
        output::json(&json!({ "nodes": show::nodes(&directory) }))
    } else {
        output::raw(&[show::nodes_text(&directory).as_bytes()])
    }
}

async fn groups(common: &Common, client: &Client) -> Result<()> {
    let directory = client.admin().directory().await?;
    if common.json {
        output::json(&json!({ "groups": show::groups(&directory) }))
    } else {
        output::raw(&[show::groups_text(&directory).as_bytes()])
    }
}
