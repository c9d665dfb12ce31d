//! Administrators who join groups, make them leave and move shards, all the time.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use flotilla_checker::record::Event;
use flotilla_client::{Client, ClientError};
use flotilla_proto::ctrl_v1::{Directory, GroupState, NewGroup, ShardConfig};
use flotilla_types::{GroupId, ShardId};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::dice::Dice;
use crate::site::Site;

/// What administrators do.
#[derive(Clone, Debug)]
pub struct AdminPlan {
    /// Everything random comes from it.
    pub seed: u64,
    /// How many administrators, each with a client of its own.
    pub admins: usize,
    /// The number of the first one's client: apart from the load's workers.
    pub first: u64,
    /// Groups that may join, with their nodes.
    pub groups: Vec<(u64, Vec<u64>)>,
    /// How many groups must stay; at least 1. An administrator goes by what it knows: two at once may go below, and
    /// the cluster itself refuses to lose its last group.
    pub groups_min: usize,
    /// How long an administrator rests between two changes.
    pub pause: Range<Duration>,
    /// How often joins, leaves and moves are drawn, as weights.
    pub weights: [u32; 3],
}

impl Default for AdminPlan {
    fn default() -> Self {
        Self {
            seed: 1,
            admins: 2,
            first: 1_000_000,
            groups: Vec::new(),
            groups_min: 1,
            pause: Duration::from_millis(200)..Duration::from_secs(2),
            weights: [1, 1, 3],
        }
    }
}

/// Administrators at work.
#[derive(Debug)]
pub struct Admins {
    stop: CancellationToken,
    tasks: JoinSet<u64>,
}

impl Admins {
    /// Starts them.
    pub fn start(plan: AdminPlan, site: &Site) -> Self {
        let (plan, stop) = (Arc::new(plan), CancellationToken::new());
        let mut tasks = JoinSet::new();
        for at in 0..plan.admins as u64 {
            let one = One { number: plan.first + at, plan: plan.clone(), site: site.clone() };
            tasks.spawn(one.run(stop.clone()));
        }
        Self { stop, tasks }
    }

    /// Stops them after the changes in flight; gives how many changes were committed.
    pub async fn stop(self) -> u64 {
        self.stop.cancel();
        self.tasks.join_all().await.into_iter().sum()
    }
}

struct One {
    number: u64,
    plan: Arc<AdminPlan>,
    site: Site,
}

/// One change.
#[derive(Clone, PartialEq, Debug)]
enum Change {
    Join(u64, Vec<u64>),
    Leave(u64),
    Move(u32, u64),
}

impl One {
    async fn run(self, stop: CancellationToken) -> u64 {
        let mut dice = Dice::fork(self.plan.seed, self.number);
        let (mut client, mut committed) = (None, 0);
        loop {
            tokio::select! {
                () = stop.cancelled() => return committed,
                () = sleep(dice.duration(self.plan.pause.clone())) => {}
            }
            if client.is_none() {
                client = Box::pin(self.site.connect(self.number)).await.ok();
            }
            let Some(client) = &client else { continue };
            if self.one(client, &mut dice).await {
                committed += 1;
            }
        }
    }

    /// Makes one change; says whether it was committed.
    async fn one(&self, client: &Client, dice: &mut Dice) -> bool {
        let (config, directory) = (client.config(), client.directory());
        let Some(change) = draw(&self.plan, &config, &directory, dice) else { return false };
        let asked = self.ask(client, &change).await;
        let (committed, outcome) = match asked {
            Ok(config) => (true, format!("configuration {config}")),
            Err(error) => (false, error.to_string()),
        };
        self.note(change, &outcome);
        committed
    }

    async fn ask(&self, client: &Client, change: &Change) -> Result<u64, ClientError> {
        let admin = client.admin();
        let done = match change {
            Change::Join(gid, nodes) => admin.join(vec![NewGroup { gid: *gid, nodes: nodes.clone() }]).await,
            Change::Leave(gid) => admin.leave([GroupId(*gid)]).await,
            Change::Move(shard, gid) => admin.move_shard(ShardId(*shard), GroupId(*gid)).await,
        };
        done.map(|done| done.config)
    }

    fn note(&self, change: Change, outcome: &str) {
        let (name, gid, shard) = match change {
            Change::Join(gid, _) => ("join", gid, None),
            Change::Leave(gid) => ("leave", gid, None),
            Change::Move(shard, gid) => ("move", gid, Some(shard)),
        };
        let event = Event {
            at_ns: 0,
            name: name.to_owned(),
            node: None,
            gid: Some(gid),
            shard,
            detail: outcome.to_owned(),
        };
        self.site.event_of(event);
    }
}

/// What to do in this situation; none: nothing of what was drawn fits it.
fn draw(plan: &AdminPlan, config: &ShardConfig, directory: &Directory, dice: &mut Dice) -> Option<Change> {
    let live: BTreeSet<u64> = directory
        .groups
        .iter()
        .filter(|group| group.state() == GroupState::Live && group.gid != 0)
        .map(|group| group.gid)
        .collect();
    let groups: Vec<u64> = live.iter().copied().collect();
    let [join, leave, other] = plan.weights.map(u64::from);
    let dice_number = dice.below(join + leave + other);
    if dice_number < join {
        let absent: Vec<_> = plan.groups.iter().filter(|(gid, _)| !live.contains(gid)).collect();
        dice.pick(&absent).map(|(gid, nodes)| Change::Join(*gid, nodes.clone()))
    } else if dice_number < join + leave {
        let may = groups.len() > plan.groups_min.max(1);
        dice.pick(&groups).filter(|_| may).map(|gid| Change::Leave(*gid))
    } else {
        let shard = u32::try_from(dice.below(config.shards.len() as u64)).ok()?;
        dice.pick(&groups).map(|gid| Change::Move(shard, *gid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_proto::ctrl_v1::GroupRecord;

    fn drawn(live: &[u64], seed: u64) -> Option<Change> {
        let groups = live.iter().map(|gid| GroupRecord { gid: *gid, ..GroupRecord::default() }).collect();
        let directory = Directory { groups, ..Directory::default() };
        let config = ShardConfig { num: 1, shards: vec![1; 8] };
        let groups = (1..=3).map(|gid| (gid, vec![1, 2, 3])).collect();
        draw(&AdminPlan { groups, ..AdminPlan::default() }, &config, &directory, &mut Dice::new(seed))
    }

    #[test]
    fn the_last_group_is_not_asked_to_leave_and_no_live_one_to_join() {
        let (mut joins, mut leaves, mut moves) = (0, 0, 0);
        for seed in 0..500 {
            assert!(!matches!(drawn(&[2], seed), Some(Change::Leave(_))));
            assert!(!matches!(drawn(&[1, 2, 3], seed), Some(Change::Join(..))));
            match drawn(&[1, 2], seed) {
                Some(Change::Join(gid, _)) => {
                    assert_eq!(gid, 3);
                    joins += 1;
                }
                Some(Change::Leave(_)) => leaves += 1,
                Some(Change::Move(shard, gid)) => {
                    assert!(shard < 8 && (1..=2).contains(&gid));
                    moves += 1;
                }
                None => {}
            }
        }
        assert!(joins > 0 && leaves > 0 && moves > 0);
    }
}
