//! Whoever makes the faults: draws one after the other, installs it, heals it, and writes down what showed that it fired.

use std::sync::Arc;
use std::time::Duration;

use flotilla_checker::record::Fault;
use flotilla_proto::env::Random as _;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::cuts;
use crate::dice::Dice;
use crate::net::{CLIENTS, MachineId};
use crate::observe;
use crate::plan::Class;
use crate::world::{World, signed};

/// Makes faults until `until`; returns when the last one is healed.
pub async fn rage(world: Arc<World>, until: Instant) {
    let dice = Arc::new(world.dice.fork("nemesis", 0));
    let acts: Vec<Class> = world.plan.classes.iter().copied().filter(|class| acts(*class)).collect();
    if world.plan.classes.contains(&Class::Network) {
        world.net.set_weather(world.plan.weather.clone());
    }
    let mut running = JoinSet::new();
    let (low, high) = world.plan.fault_pause_ms;
    while let Some(class) = dice.pick(&acts).copied() {
        let pause = dice.millis(low, high);
        if Instant::now() + pause >= until {
            break;
        }
        sleep(pause).await;
        let fault = One { world: world.clone(), dice: dice.clone(), until };
        running.spawn(async move { fault.make(class).await });
    }
    tokio::time::sleep_until(until).await;
    running.join_all().await;
}

/// Whether faults of a class are made one by one; the others are always there.
fn acts(class: Class) -> bool {
    !matches!(class, Class::Network | Class::Sites)
}

struct One {
    world: Arc<World>,
    dice: Arc<Dice>,
    until: Instant,
}

impl One {
    async fn make(self, class: Class) {
        match class {
            Class::Crash => self.crash().await,
            Class::Pause => self.pause().await,
            Class::Partition => self.partition().await,
            Class::Clock => self.clock(),
            Class::Disk => self.disk().await,
            Class::Rot | Class::Wipe => self.damage(class).await,
            Class::Network | Class::Sites => {}
        }
    }

    /// A duration, cut at the end of the faults.
    async fn wait(&self, low: u64, high: u64) {
        let wait = self.dice.millis(low, high);
        let left = self.until.saturating_duration_since(Instant::now());
        sleep(wait.min(left)).await;
    }

    fn note(&self, since_ns: u64, kind: &str, nodes: &[MachineId], detail: String, evidence: String) {
        if evidence.is_empty() {
            // Nothing went that way just then; a fault that nobody met is none.
            return;
        }
        let nodes = nodes.to_vec();
        let until_ns = Some(self.world.stopwatch.now_ns());
        let kind = kind.to_owned();
        self.world.fault(Fault { at_ns: since_ns, until_ns, kind, nodes, detail, evidence });
    }

    /// Some machines, by what they do: any one, a leader, a follower, a group's, all.
    fn victims(&self) -> (Vec<MachineId>, &'static str) {
        let views = observe::look(&self.world, false);
        let gids: Vec<u64> = (0..=self.world.plan.groups.len() as u64).collect();
        let gid = self.dice.of(&gids);
        let leader = observe::leader(&views, gid).map(|(node, _)| node);
        let hosts = observe::hosts(&views, gid);
        let any = self.dice.of(&self.world.ids());
        match self.dice.below(12) {
            0..=3 => (vec![leader.unwrap_or(any)], "a leader"),
            4..=5 => {
                let followers: Vec<_> = hosts.into_iter().filter(|node| Some(*node) != leader).collect();
                (vec![self.dice.pick(&followers).copied().unwrap_or(any)], "a follower")
            }
            6..=8 => (vec![any], "any node"),
            9 if !hosts.is_empty() => (hosts, "a whole group"),
            10 => {
                let mut ids = self.world.ids();
                self.dice.shuffle(&mut ids);
                ids.truncate(2);
                (ids, "two nodes")
            }
            11 => (self.world.ids(), "everything"),
            _ => (vec![any], "any node"),
        }
    }

    async fn crash(&self) {
        if self.dice.permille(150) {
            return self.roll().await;
        }
        let (victims, whom) = self.victims();
        let since = self.world.stopwatch.now_ns();
        // A killed process leaves what it wrote with the operating system; a power cut does not.
        let killed = self.dice.permille(400);
        if self.dice.permille(300) {
            // In the middle of whatever is being written.
            victims.iter().for_each(|id| self.world.machine(*id).drive.cut_after(self.dice.range(0, 40)));
            sleep(self.dice.millis(1, 100)).await;
        }
        let crashed: Vec<_> = victims.into_iter().filter(|id| self.world.crash(*id, killed)).collect();
        if crashed.is_empty() {
            return;
        }
        self.wait(20, 5_000).await;
        let together = self.dice.permille(500);
        for id in &crashed {
            if !together {
                self.wait(0, 1_000).await;
            }
            self.world.start(*id);
        }
        let kind = if killed { "kill" } else { "power_loss" };
        self.note(since, kind, &crashed, whom.to_owned(), format!("{} lives ended", crashed.len()));
    }

    /// One node after the other is stopped politely and started again.
    async fn roll(&self) {
        let since = self.world.stopwatch.now_ns();
        let mut stopped = Vec::new();
        for id in self.world.ids() {
            if Instant::now() < self.until && self.world.stop(id) {
                stopped.push(id);
                while self.world.machine(id).is_on() {
                    sleep(Duration::from_millis(20)).await;
                }
                self.world.start(id);
                self.wait(0, 500).await;
            }
        }
        let evidence = if stopped.is_empty() { String::new() } else { format!("{} stopped", stopped.len()) };
        self.note(since, "rolling_restart", &stopped, "one after the other".to_owned(), evidence);
    }

    async fn pause(&self) {
        let (victims, whom) = self.victims();
        let before = self.world.net.held();
        let since = self.world.stopwatch.now_ns();
        for id in &victims {
            self.world.pause(*id, true);
        }
        let election = self.world.plan.settings.election_max_ms;
        let times = self.dice.of(&[1, 4, 20]);
        self.wait(election * times / 2, election * times / 2 + 50).await;
        for id in &victims {
            self.world.pause(*id, false);
        }
        self.note(since, "pause", &victims, whom.to_owned(), held(self.world.net.held() - before));
    }

    async fn partition(&self) {
        let views = observe::look(&self.world, false);
        let clients = (0..self.world.plan.clients as u64).map(|client| CLIENTS + client).collect::<Vec<_>>();
        let cut = cuts::draw(&self.dice, &views, &self.world.plan, &clients);
        let before = self.world.net.held();
        let since = self.world.stopwatch.now_ns();
        for (from, to) in &cut.links {
            self.world.net.block(*from, *to);
        }
        // Some connections notice at once, as with a firewall that rejects.
        if self.dice.permille(200) {
            cut.links.iter().for_each(|(from, to)| self.world.net.reset(*from, *to));
        }
        self.wait(100, 6_000).await;
        for (from, to) in &cut.links {
            self.world.net.heal(*from, *to);
        }
        let nodes = cut.nodes();
        let detail = format!("{}: {} links", cut.kind, cut.links.len());
        self.note(since, "partition", &nodes, detail, held(self.world.net.held() - before));
    }

    fn clock(&self) {
        let id = self.dice.of(&self.world.ids());
        let jump = signed(&self.dice, 5_000);
        self.world.machine(id).clock.jump(jump);
        let since = self.world.stopwatch.now_ns();
        self.note(since, "clock", &[id], format!("jumped by {jump} ms"), "set".to_owned());
    }

    async fn disk(&self) {
        let id = self.dice.of(&self.world.ids());
        let since = self.world.stopwatch.now_ns();
        let before = self.world.machine(id).drive.counts();
        let (kind, detail) = self.world.spoil_disk(id, &self.dice);
        self.wait(100, 4_000).await;
        self.world.mend_disk(id);
        let after = self.world.machine(id).drive.counts();
        let (syncs, errors) = (after.syncs - before.syncs, after.errors - before.errors);
        let evidence = match (kind, syncs, errors) {
            ("slow_disk", 0, _) | ("full_disk" | "failing_writes" | "failing_syncs", _, 0) => String::new(),
            _ => format!("{syncs} syncs and {errors} errors"),
        };
        self.note(since, kind, &[id], detail, evidence);
    }

    /// Rot or loss of a disk: always the same machine's, so that of no group more than a minority is damaged.
    async fn damage(&self, class: Class) {
        let id = self.world.plan.weakest;
        let since = self.world.stopwatch.now_ns();
        // What rots together with a power cut may be a tail that nobody can tell from one that was never written: the log's
        // mark is exact only after the end of a process.
        if !self.world.crash(id, class == Class::Rot) {
            return;
        }
        self.wait(20, 1_000).await;
        if self.world.machine(id).is_on() {
            // Somebody else's fault has ended meanwhile and has started it.
            return;
        }
        let (kind, detail) = match class {
            Class::Wipe => ("wipe", self.world.wipe_disk(id)),
            _ => ("rot", self.world.rot_disk(id, &self.dice)),
        };
        self.world.start(id);
        self.note(since, kind, &[id], detail.clone(), detail);
    }
}

fn held(frames: u64) -> String {
    match frames {
        0 => String::new(),
        frames => format!("{frames} frames held"),
    }
}

/// How long somebody who operates the cluster takes to notice a node that ended.
const NOTICE: Duration = Duration::from_millis(500);

/// Restarts nodes that gave up, and replaces the disk of one that cannot start from it. Never ends.
pub async fn operate(world: Arc<World>) {
    loop {
        sleep(NOTICE).await;
        for id in world.ids() {
            world.care(id);
        }
    }
}
