//! What the clients' host does: birth, load, and after the faults the proof that everything works again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flotilla_client::{Client, ClientOptions};
use flotilla_proto::ctrl_v1::NewGroup;
use flotilla_proto::faults::Faults;
use flotilla_workload::{AdminPlan, Admins, Load, Memory, Plan, Site, Stopwatch, last_reads};
use tokio::time::{Instant, sleep, timeout};

use super::{NODES, Phase, SHARDS, Stage, address, environment};
use crate::dice::Dice;
use crate::liveness::key_of;

/// How long a healed cluster may take for anything.
const RECOVERY: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);
/// The numbers of the clients that are not the load's.
const DIRECTOR: u64 = 900;
const READERS: u64 = 910;
const ADMINS: u64 = 500;

/// Goes through all phases; what goes wrong is noted on the stage.
pub(super) async fn direct(stage: Arc<Stage>, record: Arc<Memory>, dice: Dice) {
    let endpoints: Vec<String> = (1..=NODES).map(address).collect();
    let worlds = {
        let dice = dice.fork("clients", 0);
        move |number: u64| environment(dice.fork("client", number).fork("at", elapsed_ns()), &Faults::none())
    };
    let site = Site::new(ClientOptions::new(endpoints), worlds, Stopwatch::start(), record);
    if let Err(why) = phases(&stage, &site, &dice).await {
        stage.violation("liveness", why);
    }
    stage.enter(Phase::Healed);
}

fn elapsed_ns() -> u64 {
    turmoil::sim_elapsed().map_or(0, |elapsed| u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))
}

async fn phases(stage: &Arc<Stage>, site: &Site, dice: &Dice) -> Result<(), String> {
    let client = timeout(RECOVERY, born(site)).await.map_err(|_| format!("no cluster after {RECOVERY:?}"))?;
    let plan = Plan { clients: 6, crew: 3, seed: dice.range(0, u64::MAX - 1), ..Plan::default() };
    let load = Load::start(plan, site);
    let groups = vec![(1, vec![1, 2, 3]), (2, vec![1, 2, 3])];
    let plan = AdminPlan {
        seed: dice.range(0, u64::MAX - 1),
        admins: 1,
        first: ADMINS,
        groups,
        ..AdminPlan::default()
    };
    let admins = Admins::start(plan, site);
    stage.enter(Phase::Rage);
    while stage.phase() != Phase::Healed {
        sleep(PAUSE).await;
    }
    let stuck = |what: &'static str| move |_| format!("{what} does not end within {RECOVERY:?} of healing");
    timeout(RECOVERY, admins.stop()).await.map_err(stuck("an administrator's call"))?;
    load.more(20, RECOVERY).await.map_err(|stalled| stalled.to_string())?;
    let done = timeout(RECOVERY, load.stop()).await.map_err(stuck("a client's call"))?;
    stage.acked.store(done.ok, Ordering::SeqCst);
    for shard in 0..SHARDS {
        let written = client.with_timeout(RECOVERY).put(key_of(shard, SHARDS), "last").await;
        written.map_err(|error| format!("the last write to shard {shard}: {error}"))?;
    }
    last_reads(site, READERS, done.keys, RECOVERY).await.map_err(|unread| unread.to_string())?;
    equal_replicas(&client).await
}

/// Waits until the cluster knows all its nodes, and lets two groups join.
async fn born(site: &Site) -> Client {
    let client = loop {
        match Box::pin(site.connect(DIRECTOR)).await {
            Ok(client) => break client,
            Err(_) => sleep(PAUSE).await,
        }
    };
    let known = async || client.admin().directory().await.map_or(0, |known| known.nodes.len() as u64);
    while known().await < NODES {
        sleep(PAUSE).await;
    }
    let groups = || (1..=2).map(|gid| NewGroup { gid, nodes: (1..=NODES).collect() }).collect();
    while client.admin().join(groups()).await.is_err() {
        sleep(PAUSE).await;
    }
    client
}

/// Waits until every group's replicas hold the same at the same index.
async fn equal_replicas(client: &Client) -> Result<(), String> {
    let until = Instant::now() + RECOVERY;
    loop {
        let mut differs = None;
        for gid in 0..=2 {
            let digests = client.digests(gid).await;
            let all: Vec<_> =
                digests.iter().map(|digest| (digest.node, digest.answer.as_ref().ok())).collect();
            let equal = all.windows(2).all(|pair| pair[0].1 == pair[1].1);
            if all.len() < NODES as usize || !equal || all.iter().any(|(_, answer)| answer.is_none()) {
                differs = Some(format!("group {gid}: replicas differ or do not answer: {all:?}"));
            }
        }
        match differs {
            None => return Ok(()),
            Some(why) if Instant::now() > until => return Err(why),
            Some(_) => sleep(PAUSE).await,
        }
    }
}
