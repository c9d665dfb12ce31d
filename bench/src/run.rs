//! One run against one target.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use crate::error::BenchError;
use crate::live::Live;
use crate::op::Op;
use crate::pacer::Pacer;
use crate::plan::{Pace, Plan};
use crate::report::{Collected, Report};
use crate::servers::{Processes, Usage};
use crate::store::Store;
use crate::subject::Subject;
use crate::tally::{Tally, histogram};
use crate::witness::{Complaints, Lists};
use crate::worker::{Shared, Worker};

/// How often it is told how far a run is.
const TICK: Duration = Duration::from_secs(1);
/// So many clients fill keys and read back.
const HELPERS: usize = 64;
/// A key that could not be filled is tried again so often, after a pause.
const FILL_TRIES: usize = 10;
const FILL_PAUSE: Duration = Duration::from_millis(300);

/// Told how far a run is.
pub type Voice<'a> = &'a dyn Fn(&Live);

/// Runs a plan that was checked. The clients share these connections, at least one.
pub async fn run<S: Store>(
    subject: &mut Subject,
    stores: &[S],
    plan: &Plan,
    servers: &Processes,
    voice: Voice<'_>,
) -> Result<Report, BenchError> {
    if plan.op.reads() && !subject.filled {
        fill(subject, stores, plan, voice).await?;
        subject.filled = true;
    }
    let shared = Arc::new(shared(subject, plan, plan.duration));
    let before = judged(&shared);
    let clients = start(subject, stores, &shared);
    let watched = watch(&shared, clients, servers, voice).await;
    voice(&Live::Checking);
    read_back(subject, stores, &shared).await;
    Ok(Report::new(subject.target, plan, collected(&shared, watched, before)))
}

fn shared(subject: &mut Subject, plan: &Plan, duration: Duration) -> Shared {
    let appends = plan.op == Op::Append;
    let keys = if appends { subject.lists(plan) } else { Subject::keys(plan) };
    let begin = Instant::now();
    let measured_from = begin + plan.warm_up;
    let nanos = measured_from.saturating_duration_since(subject.epoch).as_nanos();
    Shared {
        keys,
        values: subject.values.clone(),
        registers: subject.registers.clone(),
        lists: Lists::new(plan.keys, if appends { plan.watched } else { 0 }),
        tally: Tally::new(u64::try_from(nanos).unwrap_or(u64::MAX)),
        pacer: Pacer::new(plan.pace, begin, measured_from + duration),
        epoch: subject.epoch,
        measured_from,
        acknowledged: AtomicU64::new(0),
        plan: plan.clone(),
    }
}

fn start<S: Store>(subject: &mut Subject, stores: &[S], shared: &Arc<Shared>) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    for at in 0..shared.plan.clients {
        let store = stores[at % stores.len()].clone();
        clients.spawn(Worker::new(store, shared.clone(), at, subject.client()).go());
    }
    clients
}

/// What was seen from outside while the clients worked.
struct Watched {
    times: Histogram<u64>,
    each_second: Vec<u64>,
    client: (Usage, Usage),
    servers: Option<(Usage, Usage)>,
    length: Duration,
}

async fn watch(shared: &Shared, mut clients: JoinSet<()>, servers: &Processes, voice: Voice<'_>) -> Watched {
    let begin = tokio::time::Instant::from_std(shared.measured_from);
    warm_up(shared, begin, voice).await;
    shared.pacer.forgive(shared.measured_from);
    let own = Processes::own();
    let before = (own.usage(), servers.usage());
    let (mut times, mut each_second) = (histogram(), Vec::new());
    let end = begin + shared.plan.duration;
    let mut tick = begin;
    while tick < end {
        tick = (tick + TICK).min(end);
        tokio::time::sleep_until(tick).await;
        let mut latest = histogram();
        shared.tally.drain(&mut latest);
        voice(&measuring(shared, &latest));
        each_second.push(latest.len());
        times.add(&latest).expect("the bounds are the same");
    }
    let after = (own.usage(), servers.usage());
    // A client that panicked is a mistake of this program: go on panicking.
    while clients.join_next().await.transpose().expect("clients do not panic").is_some() {}
    shared.tally.drain(&mut times);
    Watched {
        times,
        each_second,
        client: (before.0, after.0),
        servers: (!servers.is_empty()).then_some((before.1, after.1)),
        length: shared.measured_from.elapsed(),
    }
}

async fn warm_up(shared: &Shared, until: tokio::time::Instant, voice: Voice<'_>) {
    let mut seen = 0;
    while tokio::time::Instant::now() < until {
        tokio::time::sleep_until(until.min(tokio::time::Instant::now() + TICK)).await;
        let acknowledged = shared.acknowledged.load(Ordering::Relaxed);
        voice(&Live::WarmingUp { ops_per_s: acknowledged - seen });
        seen = acknowledged;
    }
}

fn measuring(shared: &Shared, latest: &Histogram<u64>) -> Live {
    Live::Measuring {
        second: shared.measured_from.elapsed().as_secs_f64().round() as u64,
        of: shared.plan.duration.as_secs_f64().round() as u64,
        ops_per_s: latest.len(),
        p50_us: latest.value_at_quantile(0.5),
        p99_us: latest.value_at_quantile(0.99),
        errors: shared.tally.errors(),
    }
}

/// What the run's witness has checked until now, and found wrong: it may have served other runs before.
fn judged(shared: &Shared) -> (u64, u64) {
    let complaints = complaints(shared);
    (complaints.checks(), complaints.count())
}

fn complaints(shared: &Shared) -> &Complaints {
    match shared.plan.op {
        Op::Append => shared.lists.complaints(),
        _ => shared.registers.complaints(),
    }
}

fn collected(shared: &Shared, watched: Watched, before: (u64, u64)) -> Collected {
    let end = shared.measured_from + shared.plan.duration;
    // Silence at the end counts too.
    shared.tally.gap_until(shared.stamp(end));
    let left: Vec<_> = shared.pacer.left().into_iter().filter(|due| *due >= shared.measured_from).collect();
    left.iter().for_each(|due| shared.tally.at_least(end.saturating_duration_since(*due)));
    let mut times = watched.times;
    shared.tally.drain(&mut times);
    let (checks, wrong) = judged(shared);
    let (checks, wrong) = (checks - before.0, wrong - before.1);
    let first = if wrong == 0 { Vec::new() } else { complaints(shared).first() };
    Collected {
        times,
        each_second: watched.each_second,
        unstarted: left.len() as u64,
        errors: shared.tally.errors(),
        first_error: shared.tally.first_error(),
        longest_gap: shared.tally.longest_gap(),
        length: watched.length,
        client: watched.client,
        servers: watched.servers,
        checks: (checks, wrong, first),
    }
}

/// Writes every key once.
async fn fill<S: Store>(
    subject: &mut Subject,
    stores: &[S],
    plan: &Plan,
    voice: Voice<'_>,
) -> Result<(), BenchError> {
    let at_once = Plan { pace: Pace::Closed, op: Op::Put, ..plan.clone() };
    let shared = Arc::new(shared(subject, &at_once, Duration::ZERO));
    let next = Arc::new(AtomicU64::new(0));
    let mut helpers = JoinSet::new();
    for at in 0..HELPERS {
        let worker = Worker::new(stores[at % stores.len()].clone(), shared.clone(), at, subject.client());
        helpers.spawn(fill_some(worker, next.clone(), plan.keys, shared.clone()));
    }
    let mut tick = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            ended = helpers.join_next() => match ended.transpose().expect("helpers do not panic") {
                None => break,
                Some(()) => continue,
            },
            _ = tick.tick() => {
                voice(&Live::Filling { done: next.load(Ordering::Relaxed).min(u64::from(plan.keys)), of: plan.keys });
            }
        }
    }
    match shared.tally.first_error() {
        Some(first) => Err(BenchError::Fill { failed: shared.tally.errors(), keys: plan.keys, first }),
        None => Ok(()),
    }
}

async fn fill_some<S: Store>(mut worker: Worker<S>, next: Arc<AtomicU64>, keys: u32, shared: Arc<Shared>) {
    while let Some(key) = u32::try_from(next.fetch_add(1, Ordering::Relaxed)).ok().filter(|key| *key < keys) {
        let mut result = worker.put(key).await;
        for _ in 1..FILL_TRIES {
            if result.is_ok() {
                break;
            }
            tokio::time::sleep(FILL_PAUSE).await;
            result = worker.put(key).await;
        }
        if let Err(trouble) = result {
            return shared.tally.failed(&trouble.message);
        }
    }
}

/// Reads every watched key once more, now that all is over.
async fn read_back<S: Store>(subject: &mut Subject, stores: &[S], shared: &Arc<Shared>) {
    let appends = shared.plan.op == Op::Append;
    let watched = if appends { shared.lists.watched() } else { shared.registers.watched() };
    let id = subject.client();
    let look = |(at, key): (usize, u32)| {
        let (mut store, shared) = (stores[at % stores.len()].clone(), shared.clone());
        async move {
            let result = if appends {
                let found = store.get(shared.keys.name(key)).await;
                found.map(|value| shared.lists.judge(key, value.as_deref(), &shared.values))
            } else {
                Worker::new(store, shared.clone(), at, id).get(key).await
            };
            if let Err(trouble) = result {
                complaints(&shared)
                    .add(format_args!("key {key} could not be read back: {}", trouble.message));
            }
        }
    };
    stream::iter(watched.into_iter().enumerate().map(look)).buffer_unordered(HELPERS).collect::<()>().await;
}
