//! The table of trouble during a move (scenario B17): each party of a move dies or is paused at each step of it, and every time
//! all must converge with nothing lost. Nothing here is drawn: the table is the same every time.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flotilla_checker::record::Fault;
use flotilla_client::Client;
use flotilla_proto::faults::mark;
use flotilla_types::{GroupId, ShardId};
use parking_lot::Mutex;
use tokio::time::{sleep, timeout};

use crate::farm::{Child, Summary};
use crate::net::{MachineId, Weather};
use crate::observe;
use crate::plan::{Overrides, Plan};
use crate::world::World;

/// The parties of a move.
const ROLES: [&str; 5] =
    ["source-leader", "source-follower", "target-leader", "target-follower", "controller-leader"];
/// The steps of a move, by their marks.
const STEPS: [(&str, &str); 8] = [
    ("adopt", mark::MOVE_ADOPTED),
    ("first-chunk", mark::MOVE_FIRST_CHUNK),
    ("mid-copy", mark::MOVE_MID_COPY),
    ("delta", mark::MOVE_DELTA),
    ("seal", mark::MOVE_SEALED),
    ("install", mark::MOVE_INSTALLED),
    ("delete", mark::MOVE_DELETED),
    ("acknowledge", mark::MOVE_ACKNOWLEDGED),
];
/// What happens to it.
const ACTS: [&str; 2] = ["kill", "pause"];

/// The group that gives the shard away, and the one that gets it.
const SOURCE: u64 = 1;
const TARGET: u64 = 2;
/// How long a party is gone: longer than an election takes.
const GONE: Duration = Duration::from_millis(1_500);
/// How long a step may take to come.
const STEP: Duration = Duration::from_secs(30);

/// One cell of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cell {
    role: &'static str,
    step: &'static str,
    mark: &'static str,
    act: &'static str,
}

/// Every cell.
pub fn cells() -> Vec<Cell> {
    let of = |act| move |(step, mark)| ROLES.map(|role| Cell { role, step, mark, act });
    ACTS.into_iter().flat_map(|act| STEPS.into_iter().flat_map(of(act))).collect()
}

impl Cell {
    /// Its name: party, step and what happens.
    pub fn name(&self) -> String {
        format!("{}:{}:{}", self.role, self.step, self.act)
    }

    /// The cell of a name.
    pub fn named(name: &str) -> Option<Self> {
        cells().into_iter().find(|cell| cell.name() == name)
    }
}

/// The world of the table: every party on a node of its own, small pieces, a steady load.
pub fn plan(drawn: Plan) -> Plan {
    let mut plan = drawn;
    plan.nodes = 9;
    plan.groups = vec![(SOURCE, vec![4, 5, 6]), (TARGET, vec![7, 8, 9])];
    plan.groups_first = 2;
    plan.shards = 2;
    plan.classes.clear();
    plan.weather = Weather::calm();
    plan.clients = 4;
    plan.admins = 0;
    plan.settings = flotilla_node::Settings {
        chunk_bytes: 256,
        snapshot_log_entries: 50,
        block_cache_bytes: 1 << 20,
        ..flotilla_node::Settings::default()
    };
    plan.load.think = Duration::ZERO..Duration::from_millis(20);
    plan
}

/// Makes the cell's trouble; says what is wrong if it could not be made.
pub async fn trouble(world: &Arc<World>, client: &Client, cell: Cell) -> Result<(), String> {
    let shard = prepare(client, world.plan.shards).await?;
    let victim = victim(world, cell.role).ok_or_else(|| format!("nobody is the {}", cell.role))?;
    let fired = Arc::new(AtomicBool::new(false));
    let (weak, seen) = (Arc::downgrade(world), fired.clone());
    world.faults.on_mark(move |mark| {
        if mark == cell.mark
            && !seen.swap(true, Ordering::SeqCst)
            && let Some(world) = weak.upgrade()
        {
            strike(&world, victim, cell);
        }
    });
    while let Err(error) = client.admin().move_shard(shard, GroupId(TARGET)).await {
        world.event("move_failed", None, &error.to_string());
    }
    let step = async {
        while !fired.load(Ordering::SeqCst) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(STEP, step).await.map_err(|_| format!("the step {} never came", cell.step))?;
    sleep(GONE * 2).await;
    Ok(())
}

/// Fills a shard of the source; gives its number.
async fn prepare(client: &Client, shards: u32) -> Result<ShardId, String> {
    let failed = |error: flotilla_client::ClientError| error.to_string();
    let config = client.admin().query(None).await.map_err(failed)?.config.unwrap_or_default();
    let owned = config.owners().find(|(_, owner)| owner.get() == SOURCE);
    let (shard, _) = owned.ok_or("the source owns nothing")?;
    let keys = (0..).map(|number| format!("fill-{number}"));
    let own = keys.filter(|key| flotilla_types::slot::shard_of_key(key.as_bytes(), shards) == shard);
    for key in own.take(40) {
        client.put(key, vec![b'x'; 100]).await.map_err(failed)?;
    }
    Ok(shard)
}

/// Whoever plays a role now.
fn victim(world: &World, role: &str) -> Option<MachineId> {
    let views = observe::look(world, false);
    let gid = match role.split('-').next() {
        Some("source") => SOURCE,
        Some("target") => TARGET,
        _ => 0,
    };
    let (leader, _) = observe::leader(&views, gid)?;
    match role.ends_with("leader") {
        true => Some(leader),
        false => observe::hosts(&views, gid).into_iter().find(|node| *node != leader),
    }
}

/// In the very task that passes the step.
fn strike(world: &Arc<World>, victim: MachineId, cell: Cell) {
    let at_ns = world.stopwatch.now_ns();
    match cell.act {
        "kill" => drop(world.crash(victim, false)),
        _ => world.pause(victim, true),
    }
    let world = world.clone();
    tokio::spawn(async move {
        sleep(GONE).await;
        match cell.act {
            "kill" => world.start(victim),
            _ => world.pause(victim, false),
        }
        let until_ns = Some(world.stopwatch.now_ns());
        let (kind, nodes) = (cell.act.to_owned(), vec![victim]);
        let evidence = format!("struck at {}", cell.step);
        world.fault(Fault { at_ns, until_ns, kind, nodes, detail: cell.name(), evidence });
    });
}

/// Runs every cell; gives the table, and whether all is well.
pub fn table(child: &Child, jobs: usize, failures: &Path) -> (String, bool) {
    let cells = cells();
    let next = Mutex::new(cells.iter());
    let done: Mutex<Vec<(String, Summary)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let Some(cell) = next.lock().next() else { return };
                    let overrides = Overrides { cell: Some(cell.name()), ..Overrides::default() };
                    let summary = child.run(1, &overrides, failures);
                    done.lock().push((cell.name(), summary));
                }
            });
        }
    });
    let done = done.into_inner();
    let good = done.iter().all(|(_, summary)| summary.violations.is_empty());
    (words(&done), good)
}

fn words(done: &[(String, Summary)]) -> String {
    let mut text = String::new();
    for act in ACTS {
        text += &format!("\n| {act} at | {} |\n|---|{}\n", ROLES.join(" | "), "---|".repeat(ROLES.len()));
        for (step, _) in STEPS {
            let cell = |role: &str| {
                let name = format!("{role}:{step}:{act}");
                let found = done.iter().find(|(cell, _)| *cell == name);
                found.map_or("?".to_owned(), |(_, summary)| match summary.violations.is_empty() {
                    true => "converged".to_owned(),
                    false => format!("FAILED ({})", summary.kinds().join(" ")),
                })
            };
            text += &format!("| {step} | {} |\n", ROLES.map(cell).join(" | "));
        }
    }
    for (name, summary) in done.iter().filter(|(_, summary)| !summary.violations.is_empty()) {
        text += &format!("FAILED {name}: {}\n", summary.again);
        for (by, what) in summary.violations.iter().take(3) {
            text += &format!("    {by}: {what}\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_cell_for_every_party_step_and_act() {
        assert_eq!(cells().len(), 80);
        assert!(cells().into_iter().all(|cell| Cell::named(&cell.name()) == Some(cell)));
        assert_eq!(Cell::named("source-leader:lunch:kill"), None);
    }
}
