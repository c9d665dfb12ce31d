//! Numbers of migrations for `/metrics` and status: counted by this process since it started, or read from the records.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flotilla_cloud_migration::{Record, State};
use flotilla_proto::migration_v1::WorkResponse;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::jobs::Known;

/// Counters of this node; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Meters(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    bytes_dumped: AtomicU64,
    bytes_sent: AtomicU64,
    in_flight: AtomicU64,
    retries: AtomicU64,
    resumes: AtomicU64,
    aborted: AtomicU64,
    errors: AtomicU64,
    last_duration_ms: AtomicU64,
    problem: Mutex<String>,
    /// Dumped and sent bytes a while ago, and the speeds since.
    pace: Mutex<Option<Pace>>,
}

#[derive(Clone, Copy, Debug)]
struct Pace {
    at: Instant,
    dumped: u64,
    sent: u64,
    dump_speed: u64,
    send_speed: u64,
}

/// How long speeds are averaged over, at least.
const PACE_SECONDS: f64 = 1.0;

impl Meters {
    /// So many bytes of rows were dumped.
    pub fn dumped(&self, bytes: u64) {
        self.0.bytes_dumped.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many bytes went out.
    pub fn sent(&self, bytes: u64) {
        self.0.bytes_sent.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many requests with data are under way.
    pub fn in_flight(&self, requests: usize) {
        self.0.in_flight.store(requests as u64, Ordering::Relaxed);
    }

    /// A request is tried again.
    pub fn retried(&self) {
        self.0.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// An upload that was begun earlier goes on.
    pub fn resumed(&self) {
        self.0.resumes.fetch_add(1, Ordering::Relaxed);
    }

    /// So many uploads were aborted at the store.
    pub fn aborted(&self, uploads: u64) {
        self.0.aborted.fetch_add(uploads, Ordering::Relaxed);
    }

    /// What this node's work failed on last; empty: nothing.
    pub fn problem(&self, problem: &str) {
        problem.clone_into(&mut self.0.problem.lock());
    }

    /// A migration that this node owned is over.
    pub fn over(&self, record: &Record) {
        if record.state() == State::Error {
            self.0.errors.fetch_add(1, Ordering::Relaxed);
        }
        let took = record.updated_ms.saturating_sub(record.created_ms);
        self.0.last_duration_ms.store(took, Ordering::Relaxed);
    }

    /// For status: what a node says of its own work.
    pub fn work(&self, node: u64) -> WorkResponse {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (dump_speed, send_speed) = self.speeds();
        WorkResponse {
            node,
            bytes_dumped: load(&self.0.bytes_dumped),
            bytes_sent: load(&self.0.bytes_sent),
            dump_bytes_per_second: dump_speed,
            upload_bytes_per_second: send_speed,
            parts_in_flight: u32::try_from(load(&self.0.in_flight)).unwrap_or(u32::MAX),
            part_retries: load(&self.0.retries),
            problem: self.0.problem.lock().clone(),
            ..WorkResponse::default()
        }
    }

    /// Bytes per second dumped and sent, averaged since the question before the last second.
    fn speeds(&self) -> (u64, u64) {
        let dumped = self.0.bytes_dumped.load(Ordering::Relaxed);
        let sent = self.0.bytes_sent.load(Ordering::Relaxed);
        let fresh = Pace { at: Instant::now(), dumped, sent, dump_speed: 0, send_speed: 0 };
        let mut pace = self.0.pace.lock();
        let before = *pace.get_or_insert(fresh);
        let seconds = before.at.elapsed().as_secs_f64();
        if seconds >= PACE_SECONDS {
            let speed = |now: u64, then: u64| ((now - then) as f64 / seconds) as u64;
            let (dump_speed, send_speed) = (speed(dumped, before.dumped), speed(sent, before.sent));
            *pace = Some(Pace { dump_speed, send_speed, ..fresh });
        }
        pace.map_or((0, 0), |pace| (pace.dump_speed, pace.send_speed))
    }

    /// Every metric: name, kind, help, and its samples as labels and value.
    pub fn samples(
        &self,
        known: &Known,
    ) -> Vec<(&'static str, &'static str, &'static str, Vec<(String, u64)>)> {
        let newest = known.records.values().next_back();
        let one = |value: u64| vec![(String::new(), value)];
        let load = |counter: &AtomicU64| one(counter.load(Ordering::Relaxed));
        let in_state = |state: State| {
            let here = newest.is_some_and(|record| record.state() == state);
            (format!("{{state=\"{state}\"}}"), u64::from(here))
        };
        let (dump_speed, send_speed) = self.speeds();
        let read_only = newest.and_then(|record| record.freeze).map_or(0, |freeze| {
            if freeze.thawed_ms > 0 { freeze.thawed_ms.saturating_sub(freeze.started_ms) } else { 0 }
        });
        let progress = one(newest.map_or(0, |record| record.progress.into()));
        vec![
            ("migration_progress", "gauge", "The newest migration, 0 to 100.", progress),
            (
                "migration_state",
                "gauge",
                "1 for the state of the newest migration.",
                State::ALL.map(in_state).to_vec(),
            ),
            (
                "migration_cleanup_pending",
                "gauge",
                "Things that migrations have still to tidy up.",
                one(pending(known)),
            ),
            (
                "migration_errors",
                "counter",
                "Migrations that ended in error while this node owned them.",
                load(&self.0.errors),
            ),
            (
                "migration_read_only_milliseconds",
                "gauge",
                "How long the newest migration kept writes away.",
                one(read_only),
            ),
            (
                "backup_duration_milliseconds",
                "gauge",
                "How long the last migration of this owner took.",
                load(&self.0.last_duration_ms),
            ),
            ("dump_bytes", "counter", "Bytes of rows that this node dumped.", load(&self.0.bytes_dumped)),
            ("dump_speed_bytes_per_second", "gauge", "How fast this node dumps.", one(dump_speed)),
            (
                "upload_bytes",
                "counter",
                "Bytes that this node sent to object stores.",
                load(&self.0.bytes_sent),
            ),
            ("upload_speed_bytes_per_second", "gauge", "How fast this node sends.", one(send_speed)),
            ("upload_parts_in_flight", "gauge", "Requests with data under way.", load(&self.0.in_flight)),
            ("upload_part_retries", "counter", "Requests that were tried again.", load(&self.0.retries)),
            (
                "upload_resumes",
                "counter",
                "Uploads that went on where another process had left them.",
                load(&self.0.resumes),
            ),
            ("uploads_aborted", "counter", "Uploads that were aborted at the store.", load(&self.0.aborted)),
        ]
    }
}

fn pending(known: &Known) -> u64 {
    known.records.values().map(|record| record.compensations.len() as u64).sum()
}
