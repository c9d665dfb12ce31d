//! When each operation should be sent.
//!
//! With a fixed rate, operation k of a run belongs at `start + k / rate`, whatever happened before. A client that is free takes
//! the next one that is due; if all are busy, it waits, and its latency counts from when it should have been sent. So a
//! pause of the server is seen by everyone who would have come meanwhile, not only by those who were just being served
//! (Tene's "coordinated omission").

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::plan::Pace;

/// The kernel wakes a thread no more exactly than that.
const NAP_MIN: Duration = Duration::from_micros(100);
/// A schedule that was stopped is noticed so soon.
const NAP_MAX: Duration = Duration::from_millis(20);
/// So many operations may become due at once: the rest follows when the thread looks again.
const DUE_MAX: u64 = 100_000;

/// Hands out the moments at which operations should be sent.
#[derive(Clone, Debug)]
pub struct Pacer {
    end: Instant,
    schedule: Option<Arc<Schedule>>,
}

#[derive(Debug)]
struct Schedule {
    start: Instant,
    rate: f64,
    /// How many are due and not taken.
    due: Semaphore,
    issued: AtomicU64,
    taken: AtomicU64,
    stopped: AtomicBool,
}

impl Pacer {
    /// From `start` to `end`.
    pub fn new(pace: Pace, start: Instant, end: Instant) -> Self {
        let Pace::Open(rate) = pace else { return Self { end, schedule: None } };
        let (issued, taken) = (AtomicU64::new(0), AtomicU64::new(0));
        let (due, stopped) = (Semaphore::new(0), AtomicBool::new(false));
        let schedule = Arc::new(Schedule { start, rate, due, issued, taken, stopped });
        let issuing = schedule.clone();
        // A thread, since the runtime's timers are exact to a millisecond only. It ends with the run.
        thread::spawn(move || issuing.issue(end));
        Self { end, schedule: Some(schedule) }
    }

    /// When the next operation should be sent: now, or some time ago. None: the run is over.
    pub async fn next(&self) -> Option<Instant> {
        let Some(schedule) = &self.schedule else {
            let now = Instant::now();
            return (now < self.end).then_some(now);
        };
        schedule.due.acquire().await.ok()?.forget();
        let number = schedule.taken.fetch_add(1, Ordering::Relaxed);
        Some(schedule.at(number))
    }

    /// Leaves out what was due before this moment and not sent yet: a backlog of the warm-up is not to be measured.
    pub fn forgive(&self, before: Instant) {
        let Some(schedule) = &self.schedule else { return };
        let due =
            (before.saturating_duration_since(schedule.start).as_secs_f64() * schedule.rate).ceil() as u64;
        let late = due.saturating_sub(schedule.taken.load(Ordering::Relaxed));
        // What a client has taken meanwhile is not there to be forgotten.
        let forgotten = schedule.due.forget_permits(usize::try_from(late).unwrap_or(usize::MAX));
        schedule.taken.fetch_add(forgotten as u64, Ordering::Relaxed);
    }

    /// Ends a schedule before its time.
    pub fn stop(&self) {
        if let Some(schedule) = &self.schedule {
            schedule.stopped.store(true, Ordering::Relaxed);
            schedule.due.close();
        }
    }

    /// When the operations should have been sent that were due in the run, and for which no client was free.
    pub fn left(&self) -> Vec<Instant> {
        let Some(schedule) = &self.schedule else { return Vec::new() };
        let numbers = schedule.taken.load(Ordering::Relaxed)..schedule.issued.load(Ordering::Relaxed);
        numbers.map(|number| schedule.at(number)).collect()
    }
}

impl Schedule {
    fn at(&self, number: u64) -> Instant {
        self.start + Duration::from_secs_f64(number as f64 / self.rate)
    }

    /// Makes operations due at their time, until the end.
    fn issue(&self, end: Instant) {
        while !self.stopped.load(Ordering::Relaxed) {
            let now = Instant::now();
            let elapsed = now.min(end).saturating_duration_since(self.start).as_secs_f64();
            let due = (elapsed * self.rate).ceil() as u64;
            let issued = self.issued.load(Ordering::Relaxed);
            let more = due.saturating_sub(issued).min(DUE_MAX);
            self.issued.store(issued + more, Ordering::Relaxed);
            self.due.add_permits(usize::try_from(more).unwrap_or(0));
            if now >= end && issued + more >= due {
                self.due.close();
                return;
            }
            let next = self.at(issued + more).min(end);
            thread::sleep(next.saturating_duration_since(Instant::now()).clamp(NAP_MIN, NAP_MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits until the schedule's thread has done something.
    fn wait(pacer: &Pacer, done: impl Fn(&Schedule) -> bool) {
        let schedule = pacer.schedule.as_ref().unwrap();
        while !done(schedule) {
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[tokio::test]
    async fn a_schedule_is_kept_and_goes_on_while_nobody_is_free() {
        let start = Instant::now();
        let end = start + Duration::from_millis(100);
        let pacer = Pacer::new(Pace::Open(1000.0), start, end);
        let first = pacer.next().await.unwrap();
        assert_eq!(first, start);
        // Nobody is free for a while: what was due meanwhile keeps its time.
        wait(&pacer, |schedule| schedule.issued.load(Ordering::Relaxed) >= 50);
        let second = pacer.next().await.unwrap();
        assert_eq!(second, start + Duration::from_millis(1));
        wait(&pacer, |schedule| schedule.due.is_closed());
        assert!(pacer.next().await.is_none(), "the run is over");
        assert_eq!(pacer.left().len(), 98);
    }

    #[tokio::test]
    async fn a_backlog_can_be_forgiven() {
        let start = Instant::now();
        let pacer = Pacer::new(Pace::Open(1000.0), start, start + Duration::from_millis(100));
        wait(&pacer, |schedule| schedule.issued.load(Ordering::Relaxed) >= 50);
        pacer.forgive(start + Duration::from_millis(40));
        assert_eq!(pacer.next().await, Some(start + Duration::from_millis(40)));
        // Nothing is late any more.
        pacer.forgive(start + Duration::from_millis(40));
        assert_eq!(pacer.next().await, Some(start + Duration::from_millis(41)));
    }

    #[tokio::test]
    async fn without_a_rate_operations_are_sent_at_once_until_the_end() {
        let now = Instant::now();
        let pacer = Pacer::new(Pace::Closed, now, now + Duration::from_millis(20));
        assert!(pacer.next().await.unwrap() >= now);
        thread::sleep(Duration::from_millis(25));
        assert!(pacer.next().await.is_none());
        assert!(pacer.left().is_empty());
    }
}
