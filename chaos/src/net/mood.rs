//! How links are.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// How one directed link is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) enum Mood {
    /// Bytes pass at once.
    #[default]
    Clear,
    /// Each piece waits so long, and never overtakes the one before it on the same connection; connections overtake each other.
    Late(Range<Duration>),
    /// Bytes wait until the mood changes. New connections are taken and stay silent.
    Held,
    /// Connections are reset, new ones too.
    Reset,
    /// The far end has gone, and this one is not told: what is sent vanishes.
    HalfOpen,
}

/// One directed link.
#[derive(Debug)]
pub(crate) struct Link {
    mood: watch::Sender<Mood>,
    /// How many pieces or connections a mood other than clear has touched.
    touched: AtomicU64,
}

impl Link {
    /// A view of its mood.
    pub fn mood(&self) -> watch::Receiver<Mood> {
        self.mood.subscribe()
    }

    /// Notes that the mood acted on something.
    pub fn touch(&self) {
        self.touched.fetch_add(1, Ordering::Relaxed);
    }
}

/// All directed links: from whom to whom. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Links {
    links: Arc<Mutex<BTreeMap<(u64, u64), Arc<Link>>>>,
}

impl Links {
    /// The link from one to the other.
    pub fn link(&self, from: u64, to: u64) -> Arc<Link> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Link { mood: watch::Sender::new(Mood::Clear), touched: AtomicU64::new(0) });
        links.entry((from, to)).or_insert_with(new).clone()
    }

    /// Puts these links into a mood.
    pub fn set(&self, which: &[(u64, u64)], mood: &Mood) {
        for (from, to) in which {
            self.link(*from, *to).mood.send_replace(mood.clone());
        }
    }

    /// How much these links' moods have acted on, since the run began.
    pub fn touched(&self, which: &[(u64, u64)]) -> u64 {
        which.iter().map(|(from, to)| self.link(*from, *to).touched.load(Ordering::Relaxed)).sum()
    }
}
