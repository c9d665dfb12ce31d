//! What a seed stands for: every choice of a run, drawn before it begins.
//!
//! A fifth of the seeds have no faults at all, a fifth have one class only, the rest a random mix: a fault that is always
//! there hides what happens without it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flotilla_node::Settings;
use flotilla_proto::env::Random as _;
use flotilla_workload as workload;

use crate::dice::Dice;
use crate::drive::usual_sync;
use crate::net::Weather;

/// A class of faults. A run uses some of them, or none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, clap::ValueEnum)]
pub enum Class {
    /// Machines die and come back: one, a group's, all.
    Crash,
    /// Machines hold their breath.
    Pause,
    /// Links are cut: halves, bridges, rings, one way, two groups apart, a client from a leader.
    Partition,
    /// Messages are late, lost, doubled; connections break.
    Network,
    /// Disks are slow, full, or fail.
    Disk,
    /// What lies on a disk rots while its machine is down.
    Rot,
    /// A machine comes back with an empty disk.
    Wipe,
    /// Clocks are off, drift and jump.
    Clock,
    /// The code itself does the unusual: its fault sites.
    Sites,
}

/// Every class.
pub const CLASSES: [Class; 9] = [
    Class::Crash,
    Class::Pause,
    Class::Partition,
    Class::Network,
    Class::Disk,
    Class::Rot,
    Class::Wipe,
    Class::Clock,
    Class::Sites,
];

/// Every choice of one run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where everything comes from.
    pub seed: u64,
    /// How many nodes.
    pub nodes: u64,
    /// How many of them, the first ones, run the controller.
    pub controllers: u64,
    /// The shard groups that may join, with their nodes.
    pub groups: Vec<(u64, Vec<u64>)>,
    /// How many of them join at the start.
    pub groups_first: usize,
    /// How many shards.
    pub shards: u32,
    /// What every node is told.
    pub settings: Settings,
    /// The faults of this run.
    pub classes: BTreeSet<Class>,
    /// The network, while there are faults.
    pub weather: Weather,
    /// How long there are faults.
    pub faults_for: Duration,
    /// Between two faults.
    pub fault_pause_ms: (u64, u64),
    /// How many clients.
    pub clients: usize,
    /// How many administrators.
    pub admins: usize,
    /// The load, apart from its clients.
    pub load: workload::Plan,
    /// How long a sync takes on a disk that works, in milliseconds from and to.
    pub sync_ms: (u64, u64),
    /// Disks say that they synced and did not.
    pub lying: bool,
    /// The one machine whose disk may be lost or rot.
    pub weakest: u64,
    /// Between two changes of an administrator.
    pub admin_pause: std::ops::Range<Duration>,
    /// How often an administrator joins, leaves, moves.
    pub admin_weights: [u32; 3],
}

/// What is asked otherwise than the seed would have it: to shrink a failure, or to look for one.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Overrides {
    /// Only these classes of faults, as far as the seed has them.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub classes: Option<Vec<Class>>,
    /// Without these classes of faults.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub without: Vec<Class>,
    /// No faults at all.
    #[arg(long)]
    pub calm: bool,
    /// With these classes of faults, whatever the seed says.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub with: Vec<Class>,
    /// On the wire instead: a smaller cluster with real HTTP/2 over a simulated TCP, and faults of its own.
    #[arg(long)]
    pub wire: bool,
    /// How many simulated milliseconds there are faults.
    #[arg(long)]
    pub faults_ms: Option<u64>,
    /// How many clients.
    #[arg(long)]
    pub clients: Option<usize>,
    /// How many administrators.
    #[arg(long)]
    pub admins: Option<usize>,
    /// Disks say that they synced and did not: the harness must find out.
    #[arg(long)]
    pub lying: bool,
    /// One cell of the table of trouble during a move, as `source-leader:seal:kill`.
    #[arg(long)]
    pub cell: Option<String>,
}

impl Overrides {
    /// The options that say the same on a command line.
    pub fn words(&self) -> String {
        let mut words = String::new();
        if let Some(classes) = &self.classes {
            words += &format!(" --classes {}", names(classes));
        }
        if !self.without.is_empty() {
            words += &format!(" --without {}", names(&self.without));
        }
        if !self.with.is_empty() {
            words += &format!(" --with {}", names(&self.with));
        }
        if self.calm {
            words += " --calm";
        }
        if self.wire {
            words += " --wire";
        }
        if self.lying {
            words += " --lying";
        }
        if let Some(cell) = &self.cell {
            words += &format!(" --cell {cell}");
        }
        let numbers = [
            ("faults-ms", self.faults_ms),
            ("clients", self.clients.map(|count| count as u64)),
            ("admins", self.admins.map(|count| count as u64)),
        ];
        for (name, number) in numbers {
            if let Some(number) = number {
                words += &format!(" --{name} {number}");
            }
        }
        words
    }

    fn apply(&self, drawn: BTreeSet<Class>) -> BTreeSet<Class> {
        if self.calm {
            return BTreeSet::new();
        }
        let mut classes = drawn;
        classes.extend(&self.with);
        classes.retain(|class| self.classes.as_ref().is_none_or(|only| only.contains(class)));
        classes.retain(|class| !self.without.contains(class));
        classes
    }
}

fn names(classes: &[Class]) -> String {
    let names: Vec<String> = classes.iter().map(|class| format!("{class:?}").to_lowercase()).collect();
    names.join(",")
}

impl Plan {
    /// The plan of a seed.
    pub fn draw(seed: u64, overrides: &Overrides) -> Self {
        let dice = Dice::new(seed).fork("plan", 0);
        let nodes = dice.range(3, 5);
        let groups = (1..=dice.range(1, 3)).map(|gid| (gid, members(&dice, nodes))).collect::<Vec<_>>();
        let groups_first = usize::try_from(dice.range(1, groups.len() as u64)).unwrap_or(1);
        let shards = u32::try_from(dice.of(&[1, 2, 4, 6, 8, 12])).unwrap_or(4);
        let settings = settings(&dice);
        let classes = overrides.apply(classes(&dice));
        let weather = match classes.contains(&Class::Network) {
            true => weather(&dice),
            false => Weather::calm(),
        };
        let faults_for = Duration::from_millis(overrides.faults_ms.unwrap_or(dice.range(8_000, 25_000)));
        let slowest = dice.of(&[500, 1_500, 4_000]);
        let clients = usize::try_from(dice.range(2, 10)).unwrap_or(4);
        let admins = usize::try_from(dice.of(&[0, 1, 1, 2, 3])).unwrap_or(1);
        Self {
            seed,
            nodes,
            controllers: 3,
            groups,
            groups_first,
            shards,
            settings,
            classes,
            weather,
            faults_for,
            fault_pause_ms: (slowest / 10, slowest),
            clients: overrides.clients.unwrap_or(clients),
            admins: overrides.admins.unwrap_or(admins),
            load: load(&dice, seed),
            sync_ms: usual_sync(&dice),
            lying: overrides.lying,
            weakest: dice.range(1, nodes),
            admin_pause: Duration::from_millis(50)..Duration::from_millis(dice.of(&[300, 1_500, 5_000])),
            admin_weights: [1, 1, 3],
        }
    }

    /// The choices, for the record.
    pub fn words(&self) -> BTreeMap<String, String> {
        let say = |name: &str, value: String| (name.to_owned(), value);
        BTreeMap::from([
            say("nodes", self.nodes.to_string()),
            say("groups", format!("{:?}, {} at first", self.groups, self.groups_first)),
            say("shards", self.shards.to_string()),
            say("settings", format!("{:?}", self.settings)),
            say("faults", format!("{:?} for {:?}", self.classes, self.faults_for)),
            say("weather", format!("{:?}", self.weather)),
            say("clients", format!("{} and {} administrators", self.clients, self.admins)),
        ])
    }
}

/// Three nodes of these many; now and then one or two would do as well, but only three survive a crash.
fn members(dice: &Dice, nodes: u64) -> Vec<u64> {
    let mut all: Vec<u64> = (1..=nodes).collect();
    dice.shuffle(&mut all);
    all.truncate(3);
    all.sort_unstable();
    all
}

fn classes(dice: &Dice) -> BTreeSet<Class> {
    match dice.below(5) {
        0 => BTreeSet::new(),
        1 => dice.pick(&CLASSES).copied().into_iter().collect(),
        _ => {
            // Each with the same chance, which differs from run to run.
            let permille = dice.range(200, 800);
            CLASSES.into_iter().filter(|_| dice.permille(permille)).collect()
        }
    }
}

fn settings(dice: &Dice) -> Settings {
    let heartbeat_ms = dice.of(&[50, 100, 100, 200]);
    let election_min_ms = heartbeat_ms * dice.range(3, 5);
    Settings {
        heartbeat_ms,
        election_min_ms,
        election_max_ms: election_min_ms * dice.range(14, 20) / 10,
        snapshot_log_entries: dice.of(&[10, 20, 50, 100, 200_000]),
        chunk_bytes: usize::try_from(dice.of(&[1, 64, 1024, 1 << 20])).unwrap_or(1024),
        moves_max: usize::try_from(dice.of(&[1, 2, 4, 8])).unwrap_or(4),
        block_cache_bytes: 1 << 20,
        ..Settings::default()
    }
}

fn weather(dice: &Dice) -> Weather {
    let slow = dice.of(&[200, 1_000, 5_000, 40_000]);
    let some = |permille: &[u64]| dice.of(permille);
    Weather {
        latency_us_min: slow / 5,
        latency_us_max: slow,
        tail_permille: some(&[0, 1, 10, 50]),
        tail_ms_max: some(&[20, 200, 2_000]),
        lose_request_permille: some(&[0, 5, 30, 100]),
        lose_reply_permille: some(&[0, 5, 30, 100]),
        duplicate_permille: some(&[0, 10, 100]),
        reset_permyriad: some(&[0, 1, 5, 30]),
    }
}

fn load(dice: &Dice, seed: u64) -> workload::Plan {
    workload::Plan {
        seed: dice.next_u64() ^ seed,
        crew: usize::try_from(dice.range(2, 6)).unwrap_or(4),
        append_keys: usize::try_from(dice.range(1, 6)).unwrap_or(4),
        shared_keys: usize::try_from(dice.range(1, 6)).unwrap_or(4),
        ops_per_key: dice.of(&[40, 100, 200]),
        value_bytes: 8..dice.of(&[20, 100, 1_000]),
        think: Duration::ZERO..Duration::from_millis(dice.of(&[40, 100, 200])),
        ..workload::Plan::default()
    }
}
