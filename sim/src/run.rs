//! One run: birth, safety under faults, healing, liveness, verdicts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use flotilla_checker::record::{End, Fault, Line, Operation, Run, Violation};
use flotilla_client::Client;
use flotilla_proto::ctrl_v1::NewGroup;
use flotilla_workload::{AdminPlan, Admins, Load, Sink as _, Site, last_reads};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::matrix::Cell;
use crate::net::Weather;
use crate::plan::{Overrides, Plan};
use crate::trace::Trace;
use crate::watch::Watch;
use crate::world::World;
use crate::{liveness, matrix, nemesis, observe, stage, verdict};

/// How to run a seed.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The seed.
    pub seed: u64,
    /// What is asked otherwise than it would have it.
    pub overrides: Overrides,
    /// Where the lines behind the hash go.
    pub trace: Option<PathBuf>,
}

/// What became of a run.
#[derive(Debug)]
pub struct Outcome {
    /// The record.
    pub lines: Vec<Line>,
    /// What was wrong.
    pub violations: Vec<Violation>,
    /// The trace's hash and length.
    pub hash: (u64, u64),
    /// How long it took in the simulated world.
    pub simulated: Duration,
    /// How many operations were acknowledged.
    pub acked: u64,
    /// How often what happened.
    pub counts: BTreeMap<String, u64>,
}

/// How long birth may take.
const BIRTH: Duration = Duration::from_secs(60);
/// How long the healed cluster may take to acknowledge something, and to converge.
const RECOVERY: Duration = Duration::from_secs(60);
/// How many acknowledgements prove that the healed cluster works.
const RECOVERED_ACKS: u64 = 20;
/// The client of the run itself, and the last readers.
const DIRECTOR: u64 = 900;
const READERS: u64 = 910;

/// Runs one seed in a runtime of its own.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let mut plan = Plan::draw(options.seed, &options.overrides);
    let cell = match &options.overrides.cell {
        Some(name) => Some(Cell::named(name).with_context(|| format!("the table has no cell {name:?}"))?),
        None => None,
    };
    if cell.is_some() {
        plan = matrix::plan(plan);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .rng_seed(tokio::runtime::RngSeed::from_bytes(&options.seed.to_le_bytes()))
        .build()?;
    let run = Run {
        kind: "sim".to_owned(),
        seed: Some(options.seed),
        again: format!("flotilla-sim --seed {}{}", options.seed, options.overrides.words()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        choices: plan.words(),
    };
    let outcome = runtime.block_on(async {
        let trace = Arc::new(Trace::new(options.trace.as_deref())?);
        let world = World::new(plan, trace, PathBuf::from("/sim"));
        stage::set(&world);
        world.record.put(Line::Run(run));
        Ok(Box::pin(live(world, cell)).await)
    });
    runtime.shutdown_background();
    outcome
}

async fn live(world: Arc<World>, cell: Option<Cell>) -> Outcome {
    let helpers: Vec<JoinHandle<()>> = vec![
        tokio::spawn(world.net.clone().keep_alive()),
        tokio::spawn(nemesis::operate(world.clone())),
        tokio::spawn(Watch::new(world.clone()).run()),
    ];
    let site = world.site();
    let healed_ns = match phases(&world, &site, cell).await {
        Ok(healed_ns) => Some(healed_ns),
        Err(Failed { by, what }) => {
            world.violation(by, what);
            None
        }
    };
    helpers.iter().for_each(JoinHandle::abort);
    finish(&world, healed_ns)
}

/// A run that cannot go on.
struct Failed {
    by: &'static str,
    what: String,
}

impl Failed {
    fn new(by: &'static str, what: impl std::fmt::Display) -> Self {
        Self { by, what: what.to_string() }
    }
}

async fn phases(world: &Arc<World>, site: &Site, cell: Option<Cell>) -> Result<u64, Failed> {
    let plan = &world.plan;
    stage::enter("birth");
    world.ids().into_iter().for_each(|id| world.start(id));
    let client = timeout(BIRTH, born(world, site));
    let client = client.await.map_err(|_| Failed::new("birth", format!("no cluster after {BIRTH:?}")))?;

    stage::enter("safety");
    let load = flotilla_workload::Plan { clients: plan.clients, ..plan.load.clone() };
    let load = Load::start(load, site);
    let admins = Admins::start(admin_plan(plan), site);
    match cell {
        None => nemesis::rage(world.clone(), Instant::now() + plan.faults_for).await,
        Some(cell) => {
            converge(world, &client).await?;
            let made = Box::pin(matrix::trouble(world, &client, cell)).await;
            made.map_err(|why| Failed::new("matrix", why))?;
        }
    }

    stage::enter("healing");
    heal(world);
    let healed_ns = world.stopwatch.now_ns();
    let changes = timeout(RECOVERY, admins.stop()).await;
    let changes = changes.map_err(|_| Failed::new("liveness", "an administrator's call does not end"))?;
    world.count("admin_changes", changes);
    load.more(RECOVERED_ACKS, RECOVERY).await.map_err(|stalled| Failed::new("liveness", stalled))?;
    let done = timeout(RECOVERY, load.stop()).await;
    let done = done.map_err(|_| Failed::new("liveness", "a client's call does not end"))?;
    world.count("acked", done.ok);
    world.count("failed", done.failed);
    world.count("unknown", done.unknown);

    stage::enter("convergence");
    converge(world, &client).await?;
    stage::enter("last writes");
    write_everywhere(world, &client).await?;
    stage::enter("last reads");
    let read = last_reads(site, READERS, done.keys, RECOVERY).await;
    read.map_err(|unread| Failed::new("liveness", unread))?;
    stage::enter("last convergence");
    converge(world, &client).await?;
    Ok(healed_ns)
}

fn admin_plan(plan: &Plan) -> AdminPlan {
    AdminPlan {
        seed: plan.seed,
        admins: plan.admins,
        first: 500,
        groups: plan.groups.clone(),
        groups_min: 1,
        pause: plan.admin_pause.clone(),
        weights: plan.admin_weights,
    }
}

/// Waits until the cluster knows all its nodes, and lets the first groups join.
async fn born(world: &Arc<World>, site: &Site) -> Client {
    let pause = Duration::from_millis(100);
    let client = loop {
        match Box::pin(site.connect(DIRECTOR)).await {
            Ok(client) => break client,
            Err(_) => sleep(pause).await,
        }
    };
    let known = async || client.admin().directory().await.map_or(0, |known| known.nodes.len() as u64);
    while known().await < world.plan.nodes {
        sleep(pause).await;
    }
    let first = || world.plan.groups.iter().take(world.plan.groups_first);
    let groups = || first().map(|(gid, nodes)| NewGroup { gid: *gid, nodes: nodes.clone() }).collect();
    while let Err(error) = client.admin().join(groups()).await {
        world.event("join_failed", None, &error.to_string());
        sleep(pause).await;
    }
    client
}

/// No faults any more.
fn heal(world: &Arc<World>) {
    world.net.set_weather(Weather::calm());
    world.net.heal_all();
    world.faults.set_quiet(true);
    for (id, machine) in world.machines() {
        machine.drive.hold(false);
        machine.drive.mend();
        machine.clock.set_right();
        world.start(id);
    }
    world.event("healed", None, "");
}

/// Waits until nothing is missing.
async fn converge(world: &Arc<World>, client: &Client) -> Result<(), Failed> {
    let until = Instant::now() + RECOVERY;
    loop {
        let why = match lacks(world, client).await {
            None => return Ok(()),
            Some(why) => why,
        };
        stage::say(&why);
        if Instant::now() > until {
            return Err(Failed::new("liveness", format!("not converged after {RECOVERY:?}: {why}")));
        }
        sleep(Duration::from_millis(200)).await;
    }
}

async fn lacks(world: &Arc<World>, client: &Client) -> Option<String> {
    let admin = client.admin();
    let config = match admin.query(None).await {
        Ok(answer) => answer.config.unwrap_or_default(),
        Err(error) => return Some(format!("the controller does not answer: {error}")),
    };
    let directory = match admin.directory().await {
        Ok(directory) => directory,
        Err(error) => return Some(format!("the controller does not answer: {error}")),
    };
    liveness::missing(&observe::look(world, true), &config, &directory)
}

/// A write to every shard succeeds.
async fn write_everywhere(world: &Arc<World>, client: &Client) -> Result<(), Failed> {
    for shard in 0..world.plan.shards {
        let key = liveness::key_of(shard, world.plan.shards);
        let client = client.with_timeout(Duration::from_secs(20));
        let written = client.put(key, "last").await;
        written
            .map_err(|error| Failed::new("liveness", format!("the last write to shard {shard}: {error}")))?;
    }
    Ok(())
}

fn finish(world: &Arc<World>, healed_ns: Option<u64>) -> Outcome {
    stage::enter("verdict");
    let mut lines = world.record.take();
    let history: Vec<Operation> = lines.iter().filter_map(operation).collect();
    let faults: Vec<Fault> = lines.iter().filter_map(fault).collect();
    for violation in verdict::judge(world, &history, &faults, healed_ns.is_some()) {
        world.report(violation);
    }
    lines.extend(world.net.notes().into_iter().map(Line::Message));
    lines.extend(world.record.take());
    let counts = world.counts();
    let simulated = world.trace.started().elapsed();
    let at_ns = world.stopwatch.now_ns();
    lines.push(Line::End(End { at_ns, healed_ns, counts: counts.clone() }));
    let violations = lines.iter().filter_map(violation).chain(stage::panics(at_ns)).collect();
    for operation in &history {
        world.trace.note(format_args!("op {operation:?}"));
    }
    let acked = counts.get("acked").copied().unwrap_or(0);
    Outcome { lines, violations, hash: world.trace.hash(), simulated, acked, counts }
}

fn operation(line: &Line) -> Option<Operation> {
    match line {
        Line::Op(operation) => Some(operation.clone()),
        _ => None,
    }
}

fn fault(line: &Line) -> Option<Fault> {
    match line {
        Line::Fault(fault) => Some(fault.clone()),
        _ => None,
    }
}

fn violation(line: &Line) -> Option<Violation> {
    match line {
        Line::Violation(violation) => Some(violation.clone()),
        _ => None,
    }
}
