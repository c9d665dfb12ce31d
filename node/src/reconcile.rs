//! The reconciler: what makes a group do its work.
//!
//! ```text
//! wake --> actions() --> perform (I/O, bounded) --> resolve() --> propose --> (applied) --> wake
//! ```
//!
//! One runs for each replica, and works while the replica leads. It wakes when something was applied, when the
//! leadership changed, when work ended, and by a jittered timer. It takes no other input and knows nothing of the domain:
//! what is to be done stands in the machine's state, so a new leader simply goes on. Work that comes to nothing is
//! tried again after a growing wait, for as long as the state asks for it.

use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::env::Environment;
use flotilla_proto::faults::site;
use flotilla_raft_store::Group;
use flotilla_types::Machine;
use flotilla_types::limits::SHARDS_MAX;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::debug;

use crate::backoff;

/// The most pieces of work of one group at a time: a move of every shard there can be, and the rest. What uses the
/// network waits for its turn in the performer.
const IN_FLIGHT_MAX: usize = 2 * SHARDS_MAX as usize;
/// The least time between two looks at the state under a stream of applies.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);
/// How long to sleep when nothing happens. Only a safety net: every change wakes.
const IDLE_INTERVAL: Duration = Duration::from_secs(1);
/// How long an outcome may lie about on a simulation's bad days.
const SLOW_PROPOSAL_MS: u64 = 1500;

/// Why a piece of work came to nothing this time; for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);

/// Does the I/O of one kind of machine.
pub trait Performer<M: Machine>: Send + Sync + 'static {
    /// Performs one action. Must bound its own time; may be dropped at any await.
    fn perform(&self, action: M::Action) -> BoxFuture<'static, Result<M::Outcome, Failure>>;

    /// Whether the state may call for the very same work again after it was done, without anything being wrong.
    fn comes_again(&self, action: &M::Action) -> bool {
        let _ = action;
        false
    }

    /// What is worth counting once this outcome has been recorded.
    fn mark(&self, action: &M::Action, outcome: &M::Outcome) -> Option<&'static str> {
        let _ = (action, outcome);
        None
    }

    /// Told of work that came to nothing, for status.
    fn failed(&self, action: &M::Action, failures: u32, failure: &Failure) {
        let _ = (action, failures, failure);
    }
}

struct Waiting<A> {
    action: A,
    failures: u32,
    until: Instant,
}

struct Reconciler<M: Machine> {
    group: Group<M>,
    performer: Arc<dyn Performer<M>>,
    env: Environment,
    running: FuturesUnordered<BoxFuture<'static, (M::Action, Result<(), Failure>)>>,
    in_flight: Vec<M::Action>,
    waiting: Vec<Waiting<M::Action>>,
}

/// Runs until the group stops.
pub async fn reconcile<M: Machine>(group: Group<M>, performer: Arc<dyn Performer<M>>, env: Environment) {
    let mut progress = group.watch();
    let mut reconciler = Reconciler {
        group,
        performer,
        env,
        running: FuturesUnordered::new(),
        in_flight: Vec::new(),
        waiting: Vec::new(),
    };
    loop {
        progress.mark_unchanged();
        let looked = Instant::now();
        let wake = reconciler.look(looked);
        tokio::select! {
            changed = progress.changed() => match changed {
                Ok(()) if reconciler.env.faults.fires(site::LOST_WAKE_UP) => sleep_until(wake).await,
                Ok(()) => {}
                Err(_) => return,
            },
            Some((action, result)) = reconciler.running.next() => reconciler.ended(action, result),
            () = sleep_until(wake) => if reconciler.env.faults.fires(site::RECONCILER_RESTART) { reconciler.forget() },
        }
        sleep_until(looked + LOOK_INTERVAL).await;
    }
}

impl<M: Machine> Reconciler<M> {
    // Starts what the state calls for; answers when to look again at the latest.
    fn look(&mut self, now: Instant) -> Instant {
        let jitter = Duration::from_millis(self.env.random.below(250));
        let idle = now + IDLE_INTERVAL + jitter;
        if !self.group.is_leader() {
            self.forget();
            return idle;
        }
        let actions = self.group.actions();
        self.waiting.retain(|waiting| actions.contains(&waiting.action));
        for action in actions {
            let busy = self.in_flight.contains(&action) || self.in_flight.len() >= IN_FLIGHT_MAX;
            let waits = self.waiting.iter().any(|waiting| waiting.action == action && waiting.until > now);
            if !busy && !waits {
                self.start(action);
            }
        }
        self.waiting.iter().map(|waiting| waiting.until).filter(|until| *until > now).fold(idle, Instant::min)
    }

    // Gives up all work. It is found again in the state.
    fn forget(&mut self) {
        self.running.clear();
        self.in_flight.clear();
        self.waiting.clear();
    }

    fn start(&mut self, action: M::Action) {
        self.in_flight.push(action.clone());
        let (group, performer, env) = (self.group.clone(), self.performer.clone(), self.env.clone());
        self.running.push(Box::pin(async move {
            let result = carry_out(&group, &*performer, &action, &env).await;
            (action, result)
        }));
    }

    fn ended(&mut self, action: M::Action, result: Result<(), Failure>) {
        self.in_flight.retain(|busy| *busy != action);
        let position = self.waiting.iter().position(|waiting| waiting.action == action);
        let before = position.map(|position| self.waiting.swap_remove(position));
        let Err(failure) = result else { return };
        let failures = before.map_or(0, |waiting| waiting.failures).saturating_add(1);
        debug!(gid = %self.group.id().gid, ?action, failures, %failure, "work came to nothing");
        self.performer.failed(&action, failures, &failure);
        let until = Instant::now() + backoff::wait(failures, &*self.env.random);
        self.waiting.push(Waiting { action, failures, until });
    }
}

async fn carry_out<M: Machine>(
    group: &Group<M>,
    performer: &dyn Performer<M>,
    action: &M::Action,
    env: &Environment,
) -> Result<(), Failure> {
    let outcome = performer.perform(action.clone()).await?;
    let mark = performer.mark(action, &outcome);
    let command = group.machine().resolve(action, outcome);
    let command = command.ok_or_else(|| Failure("not yet".to_owned()))?;
    if env.faults.fires(site::SLOW_PROPOSAL) {
        sleep(Duration::from_millis(env.random.below(SLOW_PROPOSAL_MS))).await;
    }
    let again = env.faults.fires(site::DOUBLE_PROPOSAL).then(|| command.clone());
    group.propose(command).await.map_err(|error| Failure(error.to_string()))?;
    if let Some(command) = again {
        group.propose(command).await.map_err(|error| Failure(error.to_string()))?;
    }
    if !performer.comes_again(action) && group.actions().contains(action) {
        return Err(Failure("what was recorded changed nothing".to_owned()));
    }
    mark.into_iter().for_each(|mark| env.faults.seen(mark));
    Ok(())
}
