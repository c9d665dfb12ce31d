//! Planted bugs: mistakes that were thought of, each put at its place in the code, to see how long the simulation takes
//! to find it. A checker that was never seen to fail proves nothing.
//!
//! ```text
//!   if planted::is(Bug::StaleRead) { return Ok(()); }      always false, and gone from the program, unless it was
//!                                                        built with the feature `planted`; then one bug may be planted
//! ```
//!
//! Only `flotilla-sim` has that feature. What a bug does when it is planted stands here as far as it can, so that the
//! code beside it stays readable. The table of how fast each is found is in `wiki/Testing.md`.

use crate::Engine;

/// A mistake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Bug {
    /// A follower answers an append before it has taken it: the leader counts a quorum that is not there.
    AckBeforeQuorum = 1,
    /// A vote is given before it is on disk, and reaches it with whatever is written next.
    VoteNotSynced,
    /// An append is reported as flushed before it is written.
    LogNotSynced,
    /// A failed write of the log is taken for done.
    FsyncErrorSwallowed,
    /// A leader reads without asking whether it still is one.
    StaleRead,
    /// A snapshot is installed without its session rows.
    SessionsNotInSnapshot,
    /// An installed snapshot's rows are served with the machine from before: its counters, and its idea of what stands.
    StaleAfterSnapshot,
    /// The log is purged up to what was applied, not up to what a snapshot holds.
    PurgeBeforeSnapshot,
    /// Writes are compared with the sessions where they are proposed, by the node's memory, not where they are applied.
    DedupAtPropose,
    /// The order in which a write's changes are noted depends on the order of a hash table.
    HashOrder,
    /// A shard that is leaving applies a write, forgets to remember it, and answers that it is served elsewhere.
    WrongGroupAfterApplying,
    /// A sealed shard goes on serving.
    ServesAfterSeal,
    /// A moving shard's session rows stay behind.
    SessionsNotMoved,
    /// The rows that a moving shard has deleted stay at its new owner.
    TombstonesNotMoved,
    /// A shard's write counter stays behind when it moves.
    CounterNotMoved,
    /// A piece of a moving shard is installed as often as it comes.
    InstallTwice,
    /// The old owner is told to delete when the last piece has been received, before it is installed.
    DeleteBeforeInstall,
    /// A shard that is leaving answers with the configuration that takes it away, as its new owner does.
    NewConfigInAnswer,
}

impl Bug {
    /// Every bug, in the order of the table.
    pub const ALL: [Bug; 18] = [
        Bug::AckBeforeQuorum,
        Bug::VoteNotSynced,
        Bug::LogNotSynced,
        Bug::FsyncErrorSwallowed,
        Bug::StaleRead,
        Bug::SessionsNotInSnapshot,
        Bug::StaleAfterSnapshot,
        Bug::PurgeBeforeSnapshot,
        Bug::DedupAtPropose,
        Bug::HashOrder,
        Bug::WrongGroupAfterApplying,
        Bug::ServesAfterSeal,
        Bug::SessionsNotMoved,
        Bug::TombstonesNotMoved,
        Bug::CounterNotMoved,
        Bug::InstallTwice,
        Bug::DeleteBeforeInstall,
        Bug::NewConfigInAnswer,
    ];

    /// Its name on a command line.
    pub const fn name(self) -> &'static str {
        match self {
            Bug::AckBeforeQuorum => "ack-before-quorum",
            Bug::VoteNotSynced => "vote-not-synced",
            Bug::LogNotSynced => "log-not-synced",
            Bug::FsyncErrorSwallowed => "fsync-error-swallowed",
            Bug::StaleRead => "stale-read",
            Bug::SessionsNotInSnapshot => "sessions-not-in-snapshot",
            Bug::StaleAfterSnapshot => "stale-after-snapshot",
            Bug::PurgeBeforeSnapshot => "purge-before-snapshot",
            Bug::DedupAtPropose => "dedup-at-propose",
            Bug::HashOrder => "hash-order",
            Bug::WrongGroupAfterApplying => "wrong-group-after-applying",
            Bug::ServesAfterSeal => "serves-after-seal",
            Bug::SessionsNotMoved => "sessions-not-moved",
            Bug::TombstonesNotMoved => "tombstones-not-moved",
            Bug::CounterNotMoved => "counter-not-moved",
            Bug::InstallTwice => "install-twice",
            Bug::DeleteBeforeInstall => "delete-before-install",
            Bug::NewConfigInAnswer => "new-config-in-answer",
        }
    }

    /// The bug of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bug| bug.name() == name)
    }
}

/// Which write is meant, at which node: node, client, lane, sequence number.
pub type EdgeKey = [u64; 4];

#[cfg(not(feature = "planted"))]
mod soil {
    use super::*;

    /// Whether this bug is planted. It is not.
    #[inline(always)]
    pub const fn is(_bug: Bug) -> bool {
        false
    }

    /// What a node remembers of a write under [`Bug::DedupAtPropose`].
    #[inline(always)]
    pub fn recall(_write: EdgeKey) -> Option<Vec<u8>> {
        None
    }

    /// Lets a node remember its answer to a write under [`Bug::DedupAtPropose`].
    #[inline(always)]
    pub fn remember(_write: EdgeKey, _answer: impl FnOnce() -> Vec<u8>) {}

    /// Removes session rows under [`Bug::SessionsNotInSnapshot`].
    #[inline(always)]
    pub fn forget_sessions(_rows: &dyn Engine) {}

    /// Heads or tails by a hash table's order under [`Bug::HashOrder`].
    #[inline(always)]
    pub const fn hash_order() -> bool {
        false
    }
}

#[cfg(feature = "planted")]
mod soil {
    use std::collections::BTreeMap;
    use std::hash::BuildHasher;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::*;
    use crate::WriteBatch;

    /// The bug of this process; 0: none.
    static PLANTED: AtomicU8 = AtomicU8::new(0);
    static EDGE: Mutex<BTreeMap<EdgeKey, Vec<u8>>> = Mutex::new(BTreeMap::new());

    /// Plants one bug, for the rest of the process.
    pub fn plant(bug: Bug) {
        PLANTED.store(bug as u8, Ordering::Relaxed);
    }

    /// Whether this bug is planted.
    pub fn is(bug: Bug) -> bool {
        PLANTED.load(Ordering::Relaxed) == bug as u8
    }

    /// What a node remembers of a write under [`Bug::DedupAtPropose`].
    pub fn recall(write: EdgeKey) -> Option<Vec<u8>> {
        let planted = is(Bug::DedupAtPropose);
        planted.then(|| EDGE.lock().ok()?.get(&write).cloned()).flatten()
    }

    /// Lets a node remember its answer to a write under [`Bug::DedupAtPropose`].
    pub fn remember(write: EdgeKey, answer: impl FnOnce() -> Vec<u8>) {
        if is(Bug::DedupAtPropose)
            && let Ok(mut edge) = EDGE.lock()
        {
            edge.insert(write, answer());
        }
    }

    /// Removes the session rows of a shard group (tables 1 and 2 of each home: `shardkv/src/rows.rs`) under
    /// [`Bug::SessionsNotInSnapshot`].
    pub fn forget_sessions(rows: &dyn Engine) {
        if !is(Bug::SessionsNotInSnapshot) {
            return;
        }
        let mut batch = WriteBatch::default();
        for (key, _) in rows.snapshot().scan(&[0x10], &[0x11]).flatten() {
            if matches!(key.get(13), Some(1 | 2)) {
                batch.delete(key);
            }
        }
        drop(rows.write(batch));
    }

    /// Heads or tails by a hash table's order under [`Bug::HashOrder`].
    #[expect(clippy::disallowed_types, reason = "to be different on every replica is what it is for")]
    pub fn hash_order() -> bool {
        is(Bug::HashOrder) && std::hash::RandomState::new().hash_one(0) % 2 == 0
    }
}

pub use soil::*;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for bug in Bug::ALL {
            assert_eq!(Bug::named(bug.name()), Some(bug));
        }
        assert_eq!(Bug::named("none"), None);
    }

    #[test]
    fn nothing_is_planted() {
        assert!(Bug::ALL.into_iter().all(|bug| !is(bug)));
    }
}
