//! A new cluster with load on it: what is drawn from the seed, and how it comes to life.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use flotilla_checker::record::{Line, Run};
use flotilla_client::{Client, ClientOptions};
use flotilla_proto::ctrl_v1::NewGroup;
use flotilla_proto::env::Environment;
use flotilla_workload::{AdminPlan, Dice, Plan, Sink, Site, Stopwatch};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::arena::Arena;
use super::recorder::Recorder;
use crate::Options;
use crate::faults::Class;
use crate::machine::able::{Able, Need, lying_disk};
use crate::machine::sweep::Tag;
use crate::net::ground::Ground;
use crate::node::fleet::{Fleet, FleetPlan};
use crate::node::watch::{Picture, Watcher};

/// How long a new cluster may take until it serves.
pub(crate) const BIRTH_MAX: Duration = Duration::from_secs(60);
/// How long one call of a client may take.
const CALL_MAX: Duration = Duration::from_secs(5);
/// The most replicas of a group.
const REPLICAS: u64 = 3;

/// What is drawn from the seed or follows from the options and the machine.
#[derive(Clone, Debug)]
pub(crate) struct Choices {
    pub classes: Vec<Class>,
    pub shards: u32,
    /// Groups with their nodes: those that are joined at the start, and one more that may join.
    groups: Vec<(u64, Vec<u64>)>,
    settings: Vec<(String, String)>,
    /// How long values are at most.
    value_bytes: u64,
    spaces: bool,
    filters: bool,
    disks: bool,
}

/// A cluster that serves.
pub(crate) struct Born {
    pub arena: Arena,
    pub site: Site,
    pub watcher: Watcher,
    pub watching: JoinHandle<()>,
    pub folder: PathBuf,
}

impl Choices {
    /// Draws them.
    pub fn draw(options: &Options, able: &Able) -> Self {
        let mut dice = Dice::fork(options.seed, 2);
        let classes: Vec<Class> =
            options.classes.iter().copied().filter(|class| class.why_not(able).is_none()).collect();
        let pick = |dice: &mut Dice, from: &[u64]| dice.pick(from).copied().unwrap_or(1).to_string();
        let settings = vec![
            ("block_cache_bytes".to_owned(), (8 << 20).to_string()),
            ("snapshot_log_entries".to_owned(), pick(&mut dice, &[50, 500, 5000])),
            ("chunk_bytes".to_owned(), pick(&mut dice, &[1024, 16 * 1024, 1 << 20])),
            ("move_bytes_per_second".to_owned(), pick(&mut dice, &[0, 16 * 1024, 256 * 1024])),
        ];
        let groups = (1..=options.groups + 1).map(|gid| (gid, members(gid, options.nodes))).collect();
        Self {
            shards: u32::try_from(dice.within(4..24)).unwrap_or(8),
            groups,
            settings,
            value_bytes: dice.pick(&[100, 100, 2000, 20_000]).copied().unwrap_or(100),
            spaces: able.can(Need::Spaces) && !options.loopback,
            filters: able.can(Need::Spaces) && able.can(Need::Packets) && !options.loopback,
            disks: options.lying || classes.iter().any(|class| class.needs().contains(&Need::Disks)),
            classes,
        }
    }

    /// For the record's first line.
    pub fn run(&self, options: &Options) -> Run {
        let mut choices = vec![
            ("nodes".to_owned(), options.nodes.to_string()),
            ("groups".to_owned(), format!("{:?}", self.groups)),
            ("shards".to_owned(), self.shards.to_string()),
            ("clients".to_owned(), options.clients.to_string()),
            ("value_bytes".to_owned(), self.value_bytes.to_string()),
            ("namespaces".to_owned(), self.spaces.to_string()),
            ("disks".to_owned(), self.disks.to_string()),
            (
                "faults".to_owned(),
                self.classes.iter().map(|class| class.name()).collect::<Vec<_>>().join(","),
            ),
        ];
        choices.extend(self.settings.iter().cloned());
        Run {
            kind: "chaos".to_owned(),
            seed: Some(options.seed),
            again: options.again(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            choices: choices.into_iter().collect(),
        }
    }

    /// The load.
    pub fn load(&self, options: &Options) -> Plan {
        Plan {
            clients: options.clients,
            value_bytes: 8..self.value_bytes,
            think: Duration::ZERO..Duration::from_millis(8),
            ..Plan::new(options.seed)
        }
    }

    /// The administrators.
    pub fn admins(&self, options: &Options) -> AdminPlan {
        AdminPlan { seed: options.seed, groups: self.groups.clone(), ..AdminPlan::default() }
    }

    async fn ground(&self, tag: &Tag, nodes: u64) -> Result<Ground> {
        let nodes: Vec<u64> = (1..=nodes).collect();
        if self.spaces { Ground::spaces(tag, &nodes).await } else { Ok(Ground::loopback()) }
    }
}

/// Three neighbours in the ring of nodes, another three for each group.
fn members(gid: u64, nodes: u64) -> Vec<u64> {
    (0..REPLICAS.min(nodes)).map(|at| (gid - 1 + at) % nodes + 1).collect()
}

/// Starts a cluster and waits until it serves.
pub(crate) async fn bear(options: &Options, choices: &Choices, tag: &Tag) -> Result<Born> {
    let folder = tag.folder(&options.dir);
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let ground = choices.ground(tag, options.nodes).await?;
    let stopwatch = Stopwatch::start();
    let record = options.record.clone().unwrap_or_else(|| folder.join("record.jsonl"));
    let recorder = Arc::new(Recorder::create(&record, stopwatch.clone())?);
    recorder.put(Line::Run(choices.run(options)));
    let fleet = Fleet::start(&plan(options, choices, folder.clone()), ground).await?;
    let (pictures, latest) = watch::channel(Picture::default());
    let watcher = |sink: Arc<Recorder>| Watcher {
        env: Environment::real(),
        addresses: fleet.addresses(),
        stopwatch: stopwatch.clone(),
        sink,
    };
    let watching = tokio::spawn(watcher(recorder.clone()).run(pictures));
    let site_options = ClientOptions::new(fleet.endpoints()).timeout(CALL_MAX);
    // Each client has connections of its own, so that they break apart.
    let site = Site::new(site_options, |_| Environment::real(), stopwatch.clone(), recorder.clone());
    let client = join(&site, &choices.groups[..choices.groups.len() - 1]).await?;
    let watcher = watcher(recorder.clone());
    let arena = Arena {
        tag: tag.clone(),
        fleet,
        stopwatch,
        filters: choices.filters,
        pictures: latest,
        recorder,
        env: Environment::real(),
        client,
        site: site.clone(),
        patience: options.patience,
        claimed: Arc::default(),
        keys: Mutex::default(),
    };
    if !arena.wait_healthy(BIRTH_MAX).await {
        let missing = arena.picture().healthy(&arena.fleet.ids()).err().unwrap_or_default();
        bail!("the new cluster is not there after {BIRTH_MAX:?}: {missing}");
    }
    if options.lying {
        lie(&arena).await?;
    }
    Ok(Born { arena, site, watcher, watching, folder })
}

fn plan(options: &Options, choices: &Choices, folder: PathBuf) -> FleetPlan {
    let mut dice = Dice::new(u64::from(std::process::id()) ^ options.seed);
    FleetPlan {
        binary: options.binary.clone(),
        folder,
        nodes: options.nodes,
        shards: choices.shards,
        settings: choices.settings.clone(),
        disks: choices.disks,
        cluster: format!("{:016x}{:016x}", dice.next_u64(), dice.next_u64()),
    }
}

/// From now on, all disks lie: what is there is made durable, and no later sync does anything.
async fn lie(arena: &Arena) -> Result<()> {
    arena.fleet.set_variables(vec![("LD_PRELOAD".into(), lying_disk()?.into_os_string())]);
    for node in arena.fleet.ids() {
        arena.fleet.may_be_down(node);
        arena.fleet.node(node)?.process.stop().await?;
        if let Some(disk) = &arena.fleet.node(node)?.disk {
            disk.sync().await?;
        }
        arena.start(node)?;
        arena.fleet.listening(node).await?;
    }
    Ok(())
}

/// Connects and joins the first groups, for as long as it takes the controller to be born.
async fn join(site: &Site, groups: &[(u64, Vec<u64>)]) -> Result<Client> {
    let until = Instant::now() + BIRTH_MAX;
    let client = loop {
        match Box::pin(site.connect(u64::MAX)).await {
            Ok(client) => break client,
            Err(error) if Instant::now() >= until => return Err(error).context("nobody could connect"),
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    };
    let groups: Vec<NewGroup> =
        groups.iter().map(|(gid, nodes)| NewGroup { gid: *gid, nodes: nodes.clone() }).collect();
    loop {
        match client.admin().join(groups.clone()).await {
            Ok(_) => return Ok(client),
            Err(error) if Instant::now() >= until => return Err(error).context("the first join"),
            // Not all nodes have announced themselves yet.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_spread_over_the_nodes() {
        assert_eq!(members(1, 5), [1, 2, 3]);
        assert_eq!(members(4, 5), [4, 5, 1]);
        assert_eq!(members(2, 3), [2, 3, 1]);
        assert_eq!(members(1, 1), [1]);
    }
}
