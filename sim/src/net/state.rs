//! The network's state: who listens, which links are blocked, which calls are under way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use flotilla_checker::record::Message;
use flotilla_proto::env::Random as _;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use super::MachineId;
use super::fate::Weather;
use crate::dice::Dice;
use crate::trace::Trace;

/// How many messages are remembered for the record of a failure.
const NOTES: usize = 400;
/// How often blocked calls are looked at.
const KEEPALIVE: Duration = Duration::from_millis(250);

/// How often things happened, by name.
pub type Counts = BTreeMap<&'static str, u64>;

/// The network. Shared by every port.
pub struct SimNet {
    pub(super) state: Mutex<State>,
    pub(super) dice: Dice,
    pub(super) trace: Arc<Trace>,
    changed: Notify,
}

pub(super) struct State {
    servers: BTreeMap<String, Server>,
    links: BTreeMap<(MachineId, MachineId), Link>,
    paused: BTreeSet<MachineId>,
    pub weather: Weather,
    calls: BTreeMap<u64, Call>,
    next_call: u64,
    notes: VecDeque<Message>,
    counts: Counts,
}

/// Who listens at an address.
#[derive(Clone)]
pub(super) struct Server {
    pub machine: MachineId,
    pub routes: Routes,
    /// Cancelled when that life of the machine ends.
    pub alive: CancellationToken,
}

#[derive(Clone, Default)]
struct Link {
    blocked: bool,
    slow: Duration,
    /// Unary messages lost besides those of the weather, in a thousand.
    loss_permille: u64,
}

struct Call {
    from: MachineId,
    to: MachineId,
    broken: CancellationToken,
    /// One of its machines crashed: nothing arrives any more.
    dead: bool,
    /// How long it bears a block, and since when there is one.
    patience: Duration,
    blocked_since: Option<Instant>,
}

impl SimNet {
    /// A calm network.
    pub fn new(dice: Dice, trace: Arc<Trace>) -> Arc<Self> {
        let state = State {
            servers: BTreeMap::new(),
            links: BTreeMap::new(),
            paused: BTreeSet::new(),
            weather: Weather::calm(),
            calls: BTreeMap::new(),
            next_call: 0,
            notes: VecDeque::new(),
            counts: Counts::new(),
        };
        Arc::new(Self { state: Mutex::new(state), dice, trace, changed: Notify::new() })
    }

    /// Breaks calls that have been blocked for longer than they bear. Never ends.
    pub async fn keep_alive(self: Arc<Self>) {
        loop {
            sleep(KEEPALIVE).await;
            self.break_blocked();
        }
    }

    fn break_blocked(&self) {
        let now = Instant::now();
        let mut broken = Vec::new();
        let mut state = self.state.lock();
        let State { calls, links, paused, .. } = &mut *state;
        for call in calls.values_mut() {
            let cut = |from, to| links.get(&(from, to)).is_some_and(|link| link.blocked);
            let still = paused.contains(&call.from) || paused.contains(&call.to);
            if !still && !cut(call.from, call.to) && !cut(call.to, call.from) {
                call.blocked_since = None;
                continue;
            }
            if now - *call.blocked_since.get_or_insert(now) >= call.patience {
                broken.push(call.broken.clone());
            }
        }
        drop(state);
        for call in broken {
            self.count("broken_by_silence");
            call.cancel();
        }
    }

    /// Another weather from now on.
    pub fn set_weather(&self, weather: Weather) {
        self.state.lock().weather = weather;
    }

    /// Nothing passes from one machine to the other, until [`SimNet::heal`].
    pub fn block(&self, from: MachineId, to: MachineId) {
        self.state.lock().links.entry((from, to)).or_default().blocked = true;
    }

    /// What passes from one machine to the other takes longer and, if unary, is lost more often.
    pub fn spoil(&self, from: MachineId, to: MachineId, slow: Duration, loss_permille: u64) {
        let mut state = self.state.lock();
        let link = state.links.entry((from, to)).or_default();
        (link.slow, link.loss_permille) = (slow, loss_permille);
    }

    /// One link as it should be.
    pub fn heal(&self, from: MachineId, to: MachineId) {
        self.state.lock().links.remove(&(from, to));
        self.changed.notify_waiters();
    }

    /// Every link as it should be.
    pub fn heal_all(&self) {
        let mut state = self.state.lock();
        state.links.clear();
        state.paused.clear();
        drop(state);
        self.changed.notify_waiters();
    }

    /// Holds everything from and to a machine, or lets it go.
    pub fn pause(&self, machine: MachineId, paused: bool) {
        let mut state = self.state.lock();
        match paused {
            true => state.paused.insert(machine),
            false => state.paused.remove(&machine),
        };
        drop(state);
        self.changed.notify_waiters();
    }

    /// Breaks every connection between two machines.
    pub fn reset(&self, one: MachineId, other: MachineId) {
        let broken: Vec<_> = {
            let state = self.state.lock();
            let between = |call: &&Call| [(one, other), (other, one)].contains(&(call.from, call.to));
            state.calls.values().filter(between).map(|call| call.broken.clone()).collect()
        };
        for call in broken {
            self.count("reset");
            call.cancel();
        }
    }

    /// A life of a machine is over: nothing of it arrives any more. Its peers learn that at once (`loud`) or by silence.
    pub fn fence(&self, machine: MachineId, loud: bool) {
        let mut state = self.state.lock();
        state.servers.retain(|_, server| server.machine != machine);
        for call in state.calls.values_mut().filter(|call| call.from == machine || call.to == machine) {
            if call.dead {
                continue;
            }
            call.dead = true;
            let wait = match loud {
                true => self.dice.micros(100, 20_000),
                false => self.dice.millis(2_000, 8_000),
            };
            let broken = call.broken.clone();
            tokio::spawn(async move {
                sleep(wait).await;
                broken.cancel();
            });
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// The last messages.
    pub fn notes(&self) -> Vec<Message> {
        self.state.lock().notes.iter().cloned().collect()
    }

    /// What the network did, by name.
    pub fn counts(&self) -> Counts {
        self.state.lock().counts.clone()
    }

    /// How often a block or a pause has held something up.
    pub fn held(&self) -> u64 {
        let state = self.state.lock();
        let names = ["held", "connect_timeout", "broken_by_silence", "reset"];
        names.iter().filter_map(|name| state.counts.get(name)).sum()
    }

    pub(super) fn count(&self, what: &'static str) {
        *self.state.lock().counts.entry(what).or_default() += 1;
    }

    pub(super) fn remember(&self, message: Message) {
        let mut state = self.state.lock();
        if state.notes.len() == NOTES {
            state.notes.pop_front();
        }
        state.notes.push_back(message);
    }

    pub(super) fn listen(&self, address: String, server: Server) -> bool {
        let mut state = self.state.lock();
        let free = !state.servers.contains_key(&address);
        if free {
            state.servers.insert(address, server);
        }
        free
    }

    pub(super) fn is_taken(&self, address: &str) -> bool {
        self.state.lock().servers.contains_key(address)
    }

    /// Nobody listens there any more, if it was this life of its machine that did.
    pub(super) fn close(&self, address: &str, alive: &CancellationToken) {
        let mut state = self.state.lock();
        // A fenced life has lost its place already, perhaps to its successor.
        if !alive.is_cancelled() {
            state.servers.remove(address);
        }
    }

    pub(super) fn server(&self, address: &str) -> Option<Server> {
        self.state.lock().servers.get(address).cloned()
    }

    /// Whether something may pass from one machine to another now.
    pub(super) fn is_open(&self, from: MachineId, to: MachineId) -> bool {
        let state = self.state.lock();
        let blocked = state.links.get(&(from, to)).is_some_and(|link| link.blocked);
        !blocked && !state.paused.contains(&from) && !state.paused.contains(&to)
    }

    /// How long a frame takes on a link.
    pub(super) fn latency(&self, from: MachineId, to: MachineId) -> Duration {
        let state = self.state.lock();
        let slow = state.links.get(&(from, to)).map_or(Duration::ZERO, |link| link.slow);
        state.weather.latency(&self.dice, slow)
    }

    /// Whether a unary message is lost.
    pub(super) fn loses(&self, from: MachineId, to: MachineId, reply: bool) -> bool {
        let state = self.state.lock();
        let weather = match reply {
            true => state.weather.lose_reply_permille,
            false => state.weather.lose_request_permille,
        };
        let link = state.links.get(&(from, to)).map_or(0, |link| link.loss_permille);
        self.dice.permille(weather + link)
    }

    /// Whether a unary request arrives twice.
    pub(super) fn doubles(&self) -> bool {
        let permille = self.state.lock().weather.duplicate_permille;
        self.dice.permille(permille)
    }

    /// Whether a frame breaks its stream.
    pub(super) fn resets(&self) -> bool {
        let permyriad = self.state.lock().weather.reset_permyriad;
        permyriad > 0 && self.dice.below(10_000) < permyriad
    }

    pub(super) fn begin(&self, from: MachineId, to: MachineId, broken: CancellationToken) -> u64 {
        // As keep-alive does, mostly; some connections hang for much longer, as behind a firewall that forgot them.
        let patience = match self.dice.permille(150) {
            true => self.dice.millis(5_000, 20_000),
            false => self.dice.millis(2_000, 3_500),
        };
        let call = Call { from, to, broken, dead: false, patience, blocked_since: None };
        let mut state = self.state.lock();
        state.next_call += 1;
        let id = state.next_call;
        state.calls.insert(id, call);
        id
    }

    pub(super) fn end(&self, call: u64) {
        self.state.lock().calls.remove(&call);
    }

    /// Waits until a frame of this call may pass; never ends for a call whose machine crashed.
    pub(super) async fn pass(&self, call: u64, from: MachineId, to: MachineId) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let dead = self.state.lock().calls.get(&call).is_none_or(|call| call.dead);
            if !dead && self.is_open(from, to) {
                return;
            }
            self.count("held");
            changed.await;
        }
    }
}
