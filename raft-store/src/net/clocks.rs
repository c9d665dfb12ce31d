//! What the other members' clocks say, as this replica hears it in their answers while it leads.
//!
//! A stamp that a leader puts into a command drives expiry for good: replicated time never goes back. So a leader stamps
//! only while a majority of the members, itself among them, agree about the time within a bound. Answers are noted by
//! the monotonic clock: so a jump of the leader's own clock shows at once, not with the next answer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flotilla_types::MemberId;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How far two clocks may be apart and still agree, in milliseconds.
const SKEW_MS_MAX: u64 = 10_000;
/// An answer older than this says nothing any more: clocks drift.
const AGE_MAX: Duration = Duration::from_secs(60);

/// What the members think of a leader's clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Opinion {
    /// A majority agrees with it.
    Right,
    /// A majority was heard, and too few agree.
    Wrong,
    /// Too few were heard.
    Unheard,
}

/// The clocks of the other members of one group.
#[derive(Default)]
pub(crate) struct Clocks {
    heard: Mutex<BTreeMap<MemberId, Heard>>,
    news: Notify,
    /// The last opinion was that it is wrong.
    wrong: AtomicBool,
}

#[derive(Clone, Copy)]
struct Heard {
    clock_ms: u64,
    at: Instant,
}

impl Clocks {
    /// A member's answer to what was sent at `sent` said `clock_ms`; 0: it said nothing of its clock.
    pub fn heard(&self, member: MemberId, clock_ms: u64, sent: Instant) {
        if clock_ms == 0 {
            return;
        }
        let at = sent + sent.elapsed() / 2;
        self.heard.lock().insert(member, Heard { clock_ms, at });
        self.news.notify_waiters();
    }

    /// What `voters` think of the clock of `own`, which shows `own_ms`.
    pub fn opinion(&self, voters: impl Iterator<Item = MemberId>, own: MemberId, own_ms: u64) -> Opinion {
        let heard = self.heard.lock();
        let (mut count, mut known, mut agree) = (0, 0, 0);
        for voter in voters {
            count += 1;
            if voter == own {
                (known, agree) = (known + 1, agree + 1);
            } else if let Some(present_ms) = heard.get(&voter).and_then(Heard::present_ms) {
                known += 1;
                agree += usize::from(present_ms.abs_diff(own_ms) <= SKEW_MS_MAX);
            }
        }
        match (agree * 2 > count, known * 2 > count) {
            (true, _) => Opinion::Right,
            (false, true) => Opinion::Wrong,
            (false, false) => Opinion::Unheard,
        }
    }

    /// Whether this opinion is that the clock is wrong, and the one before was another: to be told once.
    pub fn is_news(&self, opinion: Opinion) -> bool {
        let wrong = opinion == Opinion::Wrong;
        // Nearly always nothing changes, and then nothing is written.
        self.wrong.load(Ordering::Relaxed) != wrong && !self.wrong.swap(wrong, Ordering::Relaxed) && wrong
    }

    /// Resolves when a member was heard that had not been when `ask` was called first.
    pub async fn until<T>(&self, mut ask: impl FnMut() -> Option<T>) -> T {
        loop {
            let mut news = std::pin::pin!(self.news.notified());
            news.as_mut().enable();
            if let Some(answer) = ask() {
                return answer;
            }
            news.await;
        }
    }
}

impl Heard {
    /// What that clock shows now, if it was heard not too long ago.
    fn present_ms(&self) -> Option<u64> {
        let age = self.at.elapsed();
        let age_ms = u64::try_from(age.as_millis()).ok()?;
        (age <= AGE_MAX).then(|| self.clock_ms.saturating_add(age_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn opinion(clocks: &Clocks, voters: u64, own_ms: u64) -> Opinion {
        clocks.opinion((1..=voters).map(MemberId), MemberId(1), own_ms)
    }

    #[tokio::test(start_paused = true)]
    async fn a_majority_decides_and_its_own_clock_counts() {
        let clocks = Clocks::default();
        assert_eq!(opinion(&clocks, 1, NOW), Opinion::Right, "alone it is the majority");
        assert_eq!(opinion(&clocks, 3, NOW), Opinion::Unheard);
        clocks.heard(MemberId(2), NOW + 600_000, Instant::now());
        assert_eq!(opinion(&clocks, 3, NOW), Opinion::Wrong, "one against one: nobody knows who is right");
        clocks.heard(MemberId(3), NOW + 9_000, Instant::now());
        assert_eq!(opinion(&clocks, 3, NOW), Opinion::Right, "the second is the one that is off");
        assert_eq!(opinion(&clocks, 3, NOW + 600_000), Opinion::Right, "and now the third is");
        assert_eq!(opinion(&clocks, 3, NOW - 3_600_000), Opinion::Wrong);
        let told = [Opinion::Right, Opinion::Wrong, Opinion::Wrong, Opinion::Right, Opinion::Wrong];
        assert_eq!(told.map(|opinion| clocks.is_news(opinion)), [false, true, false, false, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_jump_of_its_own_clock_shows_at_once_and_old_answers_count_no_more() {
        let clocks = Clocks::default();
        for member in [2, 3] {
            clocks.heard(MemberId(member), NOW, Instant::now());
        }
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(opinion(&clocks, 3, NOW + 30_000), Opinion::Right);
        assert_eq!(opinion(&clocks, 3, NOW + 30_000 + 3_600_000), Opinion::Wrong);
        tokio::time::advance(Duration::from_secs(31)).await;
        assert_eq!(opinion(&clocks, 3, NOW + 61_000), Opinion::Unheard);
    }

    #[tokio::test(start_paused = true)]
    async fn half_of_the_way_is_the_answers_age() {
        let clocks = Clocks::default();
        let sent = Instant::now();
        tokio::time::advance(Duration::from_secs(30)).await;
        clocks.heard(MemberId(2), NOW, sent);
        // Fifteen seconds old, give or take: the other clock would show this now.
        assert_eq!(opinion(&clocks, 2, NOW + 15_000), Opinion::Right);
        assert_eq!(opinion(&clocks, 2, NOW), Opinion::Wrong);
    }
}
