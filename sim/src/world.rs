//! The simulated world: machines, each with a disk, a clock and a port, and what is written down of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flotilla_checker::invariants::Invariants;
use flotilla_checker::record::{Event, Fault, Line, View, Violation};
use flotilla_client::ClientOptions;
use flotilla_node::replicas::chain;
use flotilla_node::{Node, NodeError, NodeOptions};
use flotilla_proto::env::{Environment, Spawner};
use flotilla_proto::faults::Faults;
use flotilla_raft_store::Writer;
use flotilla_types::{ClusterId, NodeId};
use flotilla_workload::{Memory, Sink as _, Site, Stopwatch};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::clock::SimClock;
use crate::counts::named;
use crate::dice::Dice;
use crate::drive::Drive;
use crate::machine::{Alive, Life, Machine};
use crate::net::{CLIENTS, MachineId, Port, SimNet, address};
use crate::plan::{Class, Plan};
use crate::trace::Trace;

/// How many looks in a row an operator finds a node unwell before restarting it.
const UNWELL: u32 = 6;

/// The cluster's name.
const CLUSTER: ClusterId = ClusterId(0x51);

/// The world of one run.
pub struct World {
    /// What was drawn.
    pub plan: Plan,
    /// Its randomness.
    pub dice: Dice,
    /// Its network.
    pub net: Arc<SimNet>,
    /// What happened, as a hash.
    pub trace: Arc<Trace>,
    /// The record.
    pub record: Arc<Memory>,
    /// The record's clock.
    pub stopwatch: Stopwatch,
    /// Fault sites and marks, shared by all nodes.
    pub faults: Faults,
    machines: BTreeMap<MachineId, Machine>,
    violations: AtomicU64,
    counts: Mutex<BTreeMap<String, u64>>,
    invariants: Mutex<Invariants>,
}

impl World {
    /// A world in which nothing runs yet.
    pub fn new(plan: Plan, trace: Arc<Trace>, dir: PathBuf) -> Arc<Self> {
        let dice = Dice::new(plan.seed).fork("world", 0);
        let net = SimNet::new(dice.fork("net", 0), trace.clone());
        let faults = match plan.classes.contains(&Class::Sites) {
            true => Faults::seeded(plan.seed),
            false => Faults::counting(),
        };
        let machine = |id| {
            let drive =
                Drive::new(dir.join(format!("n{id}")), dice.fork("disk", id), plan.sync_ms, plan.lying);
            (id, Machine::new(clock(&plan, &dice, &trace, id), drive))
        };
        let machines = (1..=plan.nodes).map(machine).collect();
        Arc::new(Self {
            dice,
            net,
            record: Arc::default(),
            stopwatch: Stopwatch::start(),
            faults,
            machines,
            violations: AtomicU64::new(0),
            counts: Mutex::default(),
            invariants: Mutex::default(),
            trace,
            plan,
        })
    }

    /// One machine.
    pub fn machine(&self, id: MachineId) -> &Machine {
        &self.machines[&id]
    }

    /// Every machine.
    pub fn machines(&self) -> impl Iterator<Item = (MachineId, &Machine)> {
        self.machines.iter().map(|(id, machine)| (*id, machine))
    }

    /// Every machine's id.
    pub fn ids(&self) -> Vec<MachineId> {
        self.machines.keys().copied().collect()
    }

    /// Where clients find the cluster.
    pub fn site(self: &Arc<Self>) -> Site {
        let endpoints: Vec<String> = self.machines.keys().map(|id| address(*id)).collect();
        let world = self.clone();
        let worlds = move |number: u64| world.client_world(number);
        Site::new(ClientOptions::new(endpoints), worlds, self.stopwatch.clone(), self.record.clone())
    }

    /// The environment of a client. Its clock is a little off, like anybody's.
    fn client_world(&self, number: u64) -> Environment {
        let dice = self.dice.fork("client", number);
        let offset = i64::try_from(dice.range(0, 200)).unwrap_or(0) - 100;
        // One client of the library after the other may have the same number; each is a session of its own.
        let again = self.trace.now_ns();
        Environment {
            clock: Arc::new(SimClock::new(self.trace.started(), offset, 0)),
            random: Arc::new(self.dice.fork("client session", number).fork("at", again)),
            network: Arc::new(Port::new(self.net.clone(), CLIENTS + number, CancellationToken::new())),
            spawner: Spawner::default(),
            faults: Faults::none(),
        }
    }

    /// Starts a machine's node, in the background.
    pub fn start(self: &Arc<Self>, id: MachineId) {
        let machine = self.machine(id);
        let (life, alive) = {
            let mut state = machine.state.lock();
            if !matches!(state.life, Life::Down) {
                return;
            }
            state.lives += 1;
            let alive = self.alive(id, state.lives, &machine.clock);
            state.life = Life::Starting(alive.clone());
            (state.lives, alive)
        };
        self.invariants.lock().restarted(id);
        self.event("started", Some(id), &format!("life {life}"));
        let (options, disk) = (self.options(id, life == 1), machine.drive.open());
        let world = self.clone();
        tokio::spawn(async move {
            let started = Node::start_on(options, alive.env.clone(), disk, Writer::Task).await;
            world.started(id, life, alive, started);
        });
    }

    fn started(&self, id: MachineId, life: u64, alive: Alive, started: Result<Node, NodeError>) {
        let mut state = self.machine(id).state.lock();
        let current = state.lives == life && matches!(state.life, Life::Starting(_));
        match started {
            Ok(node) if current => {
                (state.life, state.failures) = (Life::Up(Box::new(node), alive), 0);
            }
            Ok(node) => {
                drop(state);
                bury(node);
            }
            Err(error) if current => {
                (state.life, state.failures) = (Life::Down, state.failures + 1);
                drop(state);
                self.net.fence(id, true);
                alive.token.cancel();
                self.machine(id).drive.cut(false);
                self.event("start_failed", Some(id), &chain(&error));
            }
            Err(_) => {}
        }
    }

    /// Ends a machine's life without a word: like a killed process (its peers' connections break, the operating system keeps
    /// what was written) or a lost power supply (they fall silent, and what was not synced is gone).
    pub fn crash(&self, id: MachineId, killed: bool) -> bool {
        let machine = self.machine(id);
        let life = std::mem::replace(&mut machine.state.lock().life, Life::Down);
        let alive = match &life {
            Life::Down => return false,
            Life::Starting(alive) | Life::Stopping(alive) | Life::Up(_, alive) => alive.clone(),
        };
        self.net.fence(id, killed);
        alive.token.cancel();
        machine.drive.cut(!killed);
        if let Life::Up(node, _) = life {
            bury(*node);
        }
        self.event("crashed", Some(id), if killed { "killed" } else { "lost power" });
        true
    }

    /// Ends a machine's life politely, in the background.
    pub fn stop(self: &Arc<Self>, id: MachineId) -> bool {
        let machine = self.machine(id);
        let (node, alive, life) = {
            let mut state = machine.state.lock();
            match std::mem::replace(&mut state.life, Life::Down) {
                Life::Up(node, alive) => {
                    state.life = Life::Stopping(alive.clone());
                    (node, alive, state.lives)
                }
                other => {
                    state.life = other;
                    return false;
                }
            }
        };
        self.event("stopping", Some(id), "");
        let world = self.clone();
        tokio::spawn(async move {
            node.stop().await;
            let machine = world.machine(id);
            let ended = {
                let mut state = machine.state.lock();
                let current = state.lives == life && matches!(state.life, Life::Stopping(_));
                if current {
                    state.life = Life::Down;
                }
                current
            };
            if ended {
                world.net.fence(id, true);
                alive.token.cancel();
                machine.drive.cut(false);
                world.event("stopped", Some(id), "");
            }
        });
        true
    }

    /// Holds a machine's breath: nothing goes in or out, nothing reaches its disk.
    pub fn pause(&self, id: MachineId, paused: bool) {
        self.net.pause(id, paused);
        self.machine(id).drive.hold(paused);
    }

    /// Trouble for a machine's disk: its class and what it is.
    pub fn spoil_disk(&self, id: MachineId, dice: &Dice) -> (&'static str, String) {
        self.machine(id).drive.spoil(dice)
    }

    /// A machine's disk works again.
    pub fn mend_disk(&self, id: MachineId) {
        self.machine(id).drive.mend();
    }

    /// Everything on the disk of a machine that is down is gone.
    pub fn wipe_disk(&self, id: MachineId) -> String {
        self.machine(id).drive.wipe()
    }

    /// Something on the disk of a machine that is down rots.
    pub fn rot_disk(&self, id: MachineId, dice: &Dice) -> String {
        self.machine(id).drive.rot(dice)
    }

    /// What somebody who looks after the cluster does: starts again what gave up, and replaces a disk that a node cannot start
    /// from if it is the one that may be lost.
    pub fn care(self: &Arc<Self>, id: MachineId) {
        let machine = self.machine(id);
        if let Some(why) = machine.gave_up() {
            let why = why.err().map(|error| chain(&error)).unwrap_or_default();
            self.event("gave_up", Some(id), &why);
            self.crash(id, true);
            machine.state.lock().failures += 1;
            if why.contains("corrupt") && self.may_lose_disk(id) {
                self.replace_disk(id);
            }
        }
        if machine.unwell(self.may_lose_disk(id)) >= UNWELL {
            self.treat(id);
            return;
        }
        let (down, failures) = {
            let state = machine.state.lock();
            (matches!(state.life, Life::Down), state.failures)
        };
        if !down || failures == 0 {
            return;
        }
        if failures >= 2 && self.may_lose_disk(id) {
            self.replace_disk(id);
        }
        self.start(id);
    }

    /// A replica has stopped and its node goes on: restarting the node helps unless what it has is corrupt.
    fn treat(self: &Arc<Self>, id: MachineId) {
        let problems = self.machine(id).problems(self.may_lose_disk(id));
        self.event("restarted_by_operator", Some(id), &problems);
        self.crash(id, true);
        if problems.contains("corrupt") && self.may_lose_disk(id) {
            self.replace_disk(id);
        }
        self.start(id);
    }

    /// Whether this is the machine whose disk may be lost, in a run in which disks are lost.
    fn may_lose_disk(&self, id: MachineId) -> bool {
        let damages = [Class::Rot, Class::Wipe].iter().any(|class| self.plan.classes.contains(class));
        damages && id == self.plan.weakest
    }

    fn replace_disk(&self, id: MachineId) {
        let how = self.machine(id).drive.wipe();
        self.event("disk_replaced", Some(id), &how);
    }

    fn alive(&self, id: MachineId, life: u64, clock: &Arc<SimClock>) -> Alive {
        let token = CancellationToken::new();
        let env = Environment {
            clock: clock.clone(),
            random: Arc::new(self.dice.fork("node", id).fork("life", life)),
            network: Arc::new(Port::new(self.net.clone(), id, token.clone())),
            spawner: Spawner::default(),
            faults: self.faults.clone(),
        };
        Alive { token, env }
    }

    fn options(&self, id: MachineId, first: bool) -> NodeOptions {
        let controllers = 1..=self.plan.controllers;
        NodeOptions {
            node: NodeId(id),
            cluster: CLUSTER,
            dir: self.machine(id).drive.dir().to_owned(),
            listen: address(id).parse().expect("addresses of nodes are made well"),
            advertise: None,
            http: None,
            controllers: controllers.clone().map(|node| (NodeId(node), address(node))).collect(),
            bootstrap: first && controllers.contains(&id),
            shards: self.plan.shards,
            zone: String::new(),
            settings: self.plan.settings.clone(),
        }
    }

    /// Writes an event down.
    pub fn event(&self, name: &str, node: Option<u64>, detail: &str) {
        self.count(&format!("event_{name}"), 1);
        let at_ns = self.stopwatch.now_ns();
        self.trace.note(format_args!("event {name} {node:?} {detail}"));
        let (name, detail) = (name.to_owned(), detail.to_owned());
        self.record.put(Line::Event(Event { at_ns, name, node, gid: None, shard: None, detail }));
    }

    /// Writes a fault down.
    pub fn fault(&self, fault: Fault) {
        self.count(&format!("fault_{}", fault.kind), 1);
        self.trace.note(format_args!("fault {} {:?} {}", fault.kind, fault.nodes, fault.detail));
        self.record.put(Line::Fault(fault));
    }

    /// Something is wrong.
    pub fn violation(&self, by: &str, what: String) {
        self.report(Violation { at_ns: self.stopwatch.now_ns(), by: by.to_owned(), what, key: None });
    }

    /// Something is wrong, as a checker says it.
    pub fn report(&self, violation: Violation) {
        self.trace.note(format_args!("violation {} {}", violation.by, violation.what));
        self.violations.fetch_add(1, Ordering::Relaxed);
        self.record.put(Line::Violation(violation));
    }

    /// Judges what a node says of itself.
    pub fn judge_view(&self, view: &View) {
        let found = self.invariants.lock().see(view);
        found.into_iter().for_each(|violation| self.report(violation));
    }

    /// Adds to a count of the run.
    pub fn count(&self, name: &str, by: u64) {
        *self.counts.lock().entry(name.to_owned()).or_default() += by;
    }

    /// How often what happened, all together.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        let mut counts = self.counts.lock().clone();
        let mut add = |prefix: &str, more: BTreeMap<&'static str, u64>| {
            counts.extend(more.into_iter().map(|(name, count)| (format!("{prefix}{name}"), count)));
        };
        add("net_", self.net.counts());
        add("site_", self.faults.fired());
        add("", self.faults.marks());
        let torn = self.machines.values().map(|machine| machine.drive.counts().torn).sum();
        counts.insert("torn_changes".to_owned(), torn);
        named(counts)
    }

    /// How much is wrong.
    pub fn violations(&self) -> u64 {
        self.violations.load(Ordering::Relaxed)
    }
}

/// A clock that is right where clocks are not a fault of the run.
fn clock(plan: &Plan, dice: &Dice, trace: &Trace, id: MachineId) -> Arc<SimClock> {
    let dice = dice.fork("clock", id);
    let (offset, drift) = match plan.classes.contains(&Class::Clock) {
        true => (signed(&dice, 3_000), signed(&dice, 2_000)),
        false => (signed(&dice, 20), signed(&dice, 50)),
    };
    Arc::new(SimClock::new(trace.started(), offset, drift))
}

/// From minus to plus `bound`.
pub fn signed(dice: &Dice, bound: u64) -> i64 {
    let bound = bound.min(1 << 40);
    i64::try_from(dice.range(0, 2 * bound)).unwrap_or(0) - i64::try_from(bound).unwrap_or(0)
}

/// Lets go of a node whose life is over: its tasks end, nothing of it acts any more.
fn bury(node: Node) {
    tokio::spawn(node.crash());
}
