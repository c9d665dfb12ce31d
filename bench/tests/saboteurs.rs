//! A benchmark that lies is worse than none: stores that forget, double, mix up or stall are found out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use flotilla_bench::{Op, Pace, Plan, Processes, Report, Store, Subject, Target, Trouble, run};
use parking_lot::Mutex;

/// What a store does wrong, every how manyth time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sabotage {
    Nothing,
    /// Acknowledges a write and forgets it.
    Forgets(u64),
    /// Answers a read with the value before the present one.
    Stale(u64),
    /// Answers a read with another key's value.
    MixesUp(u64),
    /// Damages what it stores.
    Damages(u64),
    /// Does an append twice.
    Doubles(u64),
    /// Leaves rows out of scans.
    Skips(u64),
    /// Fails, having said so, or having done it nevertheless.
    Fails(u64),
    FailsButDoes(u64),
}

#[derive(Clone)]
struct Memory {
    rows: Arc<Mutex<BTreeMap<Bytes, (Bytes, Bytes)>>>,
    calls: Arc<AtomicU64>,
    sabotage: Sabotage,
    /// During one call, so long, nobody gets an answer.
    stall: Option<Duration>,
}

impl Memory {
    fn new(sabotage: Sabotage) -> Self {
        Self { rows: Arc::default(), calls: Arc::default(), sabotage, stall: None }
    }

    /// Whether this call is one that goes wrong.
    async fn strikes(&self) -> bool {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(stall) = self.stall.filter(|_| call == 100) {
            let _everybody_waits = self.rows.lock();
            std::thread::sleep(stall);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        let (Sabotage::Forgets(every)
        | Sabotage::Stale(every)
        | Sabotage::MixesUp(every)
        | Sabotage::Damages(every)
        | Sabotage::Doubles(every)
        | Sabotage::Skips(every)
        | Sabotage::Fails(every)
        | Sabotage::FailsButDoes(every)) = self.sabotage
        else {
            return false;
        };
        call.is_multiple_of(every)
    }

    fn store(&self, key: Bytes, value: Bytes) {
        let mut rows = self.rows.lock();
        let before = rows.get(&key).map(|(value, _)| value.clone()).unwrap_or_default();
        rows.insert(key, (value, before));
    }
}

fn failure(unknown: bool) -> Result<(), Trouble> {
    Err(Trouble { unknown, message: "the disk is full".to_owned() })
}

impl Store for Memory {
    async fn put(&mut self, key: Bytes, value: Bytes) -> Result<(), Trouble> {
        match (self.strikes().await, self.sabotage) {
            (true, Sabotage::Forgets(_)) => return Ok(()),
            (true, Sabotage::Fails(_)) => return failure(false),
            (true, Sabotage::FailsButDoes(_)) => {
                self.store(key, value);
                return failure(true);
            }
            (true, Sabotage::Damages(_)) => {
                let mut damaged = value.to_vec();
                *damaged.last_mut().expect("values have a head") ^= 1;
                self.store(key, damaged.into());
            }
            _ => self.store(key, value),
        }
        Ok(())
    }

    async fn get(&mut self, key: Bytes) -> Result<Option<Bytes>, Trouble> {
        let strikes = self.strikes().await;
        let rows = self.rows.lock();
        Ok(match (strikes, self.sabotage) {
            (true, Sabotage::Stale(_)) => rows.get(&key).map(|(_, before)| before.clone()),
            (true, Sabotage::MixesUp(_)) => rows.values().next().map(|(value, _)| value.clone()),
            _ => rows.get(&key).map(|(value, _)| value.clone()),
        })
    }

    async fn append(&mut self, key: Bytes, suffix: Bytes) -> Result<(), Trouble> {
        let times = match (self.strikes().await, self.sabotage) {
            (true, Sabotage::Forgets(_)) => 0,
            (true, Sabotage::Doubles(_)) => 2,
            _ => 1,
        };
        let mut rows = self.rows.lock();
        let (value, _) = rows.entry(key).or_default();
        *value = [&value[..], &suffix.repeat(times)].concat().into();
        Ok(())
    }

    async fn scan(&mut self, start: Bytes, end: Bytes, rows: usize) -> Result<Vec<(Bytes, Bytes)>, Trouble> {
        let left_out = match (self.strikes().await, self.sabotage) {
            (true, Sabotage::Skips(_)) => 1,
            _ => 0,
        };
        let held = self.rows.lock();
        let range = held.range(start..end).skip(left_out).take(rows);
        Ok(range.map(|(key, (value, _))| (key.clone(), value.clone())).collect())
    }
}

fn plan(op: Op) -> Plan {
    Plan {
        op,
        clients: 8,
        connections: 2,
        keys: 40,
        value_bytes: 40,
        scan_rows: 10,
        duration: Duration::from_millis(400),
        warm_up: Duration::from_millis(100),
        ..Plan::default()
    }
}

async fn measured(memory: &Memory, plan: &Plan) -> Report {
    plan.check(Target::Flotilla).expect("a plan that makes sense");
    let mut subject = Subject::new(Target::Flotilla, 77, plan);
    let stores = [memory.clone(), memory.clone()];
    run(&mut subject, &stores, plan, &Processes::default(), &|_| ()).await.expect("a run")
}

async fn violations(op: Op, sabotage: Sabotage) -> u64 {
    let report = measured(&Memory::new(sabotage), &plan(op)).await;
    assert!(report.ops > 100, "no traffic: {report:?}");
    assert_eq!(report.violations == 0, report.complaints.is_empty());
    report.violations
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_store_has_nothing_said_against_it() {
    for op in Op::ALL {
        let report = measured(&Memory::new(Sabotage::Nothing), &plan(op)).await;
        assert_eq!((report.violations, report.errors), (0, 0), "{op}: {:?}", report.complaints);
        assert!(report.checks >= 40 && report.ops > 100, "{op}: {report:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_writes_are_found() {
    assert!(violations(Op::Put, Sabotage::Forgets(10)).await > 0);
    assert!(violations(Op::Mixed, Sabotage::Forgets(10)).await > 0);
    assert!(violations(Op::Append, Sabotage::Forgets(50)).await > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_reads_are_found() {
    assert!(violations(Op::Mixed, Sabotage::Stale(20)).await > 0);
    assert!(violations(Op::Get, Sabotage::MixesUp(50)).await > 0);
    assert!(violations(Op::Mixed, Sabotage::Damages(20)).await > 0);
    assert!(violations(Op::Scan, Sabotage::Skips(50)).await > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_done_twice_are_found() {
    assert!(violations(Op::Append, Sabotage::Doubles(50)).await > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_counted_and_held_against_nobody() {
    for sabotage in [Sabotage::Fails(20), Sabotage::FailsButDoes(20)] {
        let report = measured(&Memory::new(sabotage), &plan(Op::Put)).await;
        assert!(report.errors > 0 && report.ops > 100, "{report:?}");
        assert_eq!(report.first_error.as_deref(), Some("the disk is full"));
        assert_eq!(report.violations, 0, "{sabotage:?}: {:?}", report.complaints);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stall_is_felt_by_all_who_would_have_come_meanwhile() {
    let stalling = || Memory { stall: Some(Duration::from_millis(300)), ..Memory::new(Sabotage::Nothing) };
    let closed = Plan { warm_up: Duration::ZERO, duration: Duration::from_secs(2), ..plan(Op::Put) };
    let seen = measured(&stalling(), &closed).await;
    assert!(seen.p99_us < 100_000 && seen.max_us >= 300_000, "clients that wait send nothing: {seen:?}");
    assert!(seen.longest_gap_ms >= 250.0, "{seen:?}");
    let open = Plan { pace: Pace::Open(400.0), ..closed };
    let seen = measured(&stalling(), &open).await;
    // 120 of 800 operations fell due during the stall.
    assert!(seen.p99_us > 200_000, "{seen:?}");
    assert!((700..=810).contains(&seen.ops), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_can_be_done_is_not_flattered() {
    // Eight clients and a millisecond each: 8000 a second at the very most.
    let open = Plan { pace: Pace::Open(50_000.0), ..plan(Op::Put) };
    let seen = measured(&Memory::new(Sabotage::Nothing), &open).await;
    assert!(seen.unstarted > 5_000 && (100.0..9_000.0).contains(&seen.ops_per_s), "{seen:?}");
    assert!(seen.p50_us > 50_000, "what was never sent counts as well: {seen:?}");
}
