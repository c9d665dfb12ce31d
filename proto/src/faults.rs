//! Fault sites and marks: places in the code where a simulation may make the unusual happen, and places whose passing
//! is worth counting. In production both are nothing: one branch on an absent pointer.
//!
//! ```text
//!   if env.faults.fires(site::LOST_WAKE_UP) { return; }     a quarter of the seeds use a site at all,
//!                                                          then it fires in a twentieth of the calls
//!   env.faults.seen(mark::MOVE_SEALED);                     "sometimes": a night without it is red
//! ```
//!
//! A site may only do what could happen anyway: be slow, small, early or late; lose what may be lost. Every name stands
//! in one of the two lists below.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

/// Declares names, each with a sentence, and the list of them all.
macro_rules! names {
    ($(#[$list_doc:meta])* $list:ident; $($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $(#[$list_doc])*
        pub const $list: &[&str] = &[$($text),*];
        $($(#[$doc])* pub const $name: &str = $text;)*
    };
}

/// Where a fault may be made.
pub mod site {
    names! {
        /// Every site.
        ALL;
        /// A piece of a moving shard is asked for with a few bytes as its bound: one row a piece.
        TINY_TRANSFER_CHUNK = "tiny_transfer_chunk";
        /// A log entry takes one proposal only.
        TINY_ENTRY = "tiny_entry";
        /// A read of the log for a follower returns one entry.
        TINY_LOG_READ = "tiny_log_read";
        /// A chunk of a snapshot has a few bytes.
        TINY_SNAPSHOT_CHUNK = "tiny_snapshot_chunk";
        /// A snapshot's sender pauses before a chunk.
        SLOW_SNAPSHOT_CHUNK = "slow_snapshot_chunk";
        /// A snapshot is built although few entries were applied since the last one.
        EARLY_SNAPSHOT = "early_snapshot";
        /// A purge keeps nothing that the snapshot covers.
        GREEDY_PURGE = "greedy_purge";
        /// A stream of appends is given up long before its time.
        EARLY_APPEND_TIMEOUT = "early_append_timeout";
        /// A proposal is refused as overloaded before it is queued.
        REFUSED_PROPOSAL = "refused_proposal";
        /// The answer to a proposal that was applied is replaced by "unknown".
        LOST_PROPOSAL_ANSWER = "lost_proposal_answer";
        /// A leader's reconciler hands its leadership to another voter.
        FORCED_HAND_OVER = "forced_hand_over";
        /// The reconciler sleeps through a wake-up: its timer must save it.
        LOST_WAKE_UP = "lost_wake_up";
        /// The reconciler forgets what it is doing and begins anew.
        RECONCILER_RESTART = "reconciler_restart";
        /// What the reconciler learnt is proposed twice: a config adopted, a chunk installed, a debt settled again.
        DOUBLE_PROPOSAL = "double_proposal";
        /// The reconciler pauses between an outcome (the last chunk after the seal, say) and its proposal.
        SLOW_PROPOSAL = "slow_proposal";
        /// A watch of the controller breaks just when it brings news.
        BROKEN_WATCH = "broken_watch";
        /// A replica of another group is given a few milliseconds to answer.
        EARLY_PEER_TIMEOUT = "early_peer_timeout";
    }
}

/// What is worth counting.
pub mod mark {
    names! {
        /// Every mark.
        ALL;
        /// A replica became leader.
        ELECTION_WON = "election_won";
        /// A leader asked another voter to lead, and it does.
        LEADER_HANDED_OVER = "leader_handed_over";
        /// A snapshot was built.
        SNAPSHOT_BUILT = "snapshot_built";
        /// A snapshot from a leader was installed.
        SNAPSHOT_INSTALLED = "snapshot_installed";
        /// The log was purged.
        LOG_PURGED = "log_purged";
        /// The voters of a group were changed.
        REPLICA_REPLACED = "replica_replaced";
        /// A group's leader recorded a new configuration.
        MOVE_ADOPTED = "move_adopted";
        /// The first piece of a moving shard was recorded at the new owner.
        MOVE_FIRST_CHUNK = "move_first_chunk";
        /// A further piece of the base copy was recorded.
        MOVE_MID_COPY = "move_mid_copy";
        /// A piece of what changed meanwhile was recorded.
        MOVE_DELTA = "move_delta";
        /// The old owner was sealed.
        MOVE_SEALED = "move_sealed";
        /// The last piece was recorded: the new owner serves.
        MOVE_INSTALLED = "move_installed";
        /// The old owner deleted.
        MOVE_DELETED = "move_deleted";
        /// The new owner recorded that the old one deleted.
        MOVE_ACKNOWLEDGED = "move_acknowledged";
        /// A write was answered from the memory of retries.
        DEDUP_HIT = "dedup_hit";
        /// A request of a configuration that is over was refused.
        STALE_CONFIG_REFUSED = "stale_config_refused";
        /// An operation was sent to another group.
        WRONG_GROUP_ANSWERED = "wrong_group_answered";
        /// A write older than the memory of retries was refused.
        SESSION_EXPIRED_REFUSED = "session_expired_refused";
    }
}

/// How the seeded faults are drawn.
const ACTIVE_IN: u64 = 4;
const FIRES_IN: u64 = 20;

/// The faults and marks of an environment. Cheap to clone.
#[derive(Clone, Default)]
pub struct Faults(Option<Arc<Mutex<Seeded>>>);

struct Seeded {
    seed: u64,
    quiet: bool,
    sites: BTreeMap<&'static str, Site>,
    marks: BTreeMap<&'static str, u64>,
    hook: Option<Hook>,
}

/// Called at every mark with its name.
type Hook = Arc<dyn Fn(&'static str) + Send + Sync>;

/// One site's own random numbers: another site, or another call of one, does not change what this one does.
struct Site {
    active: bool,
    random: u64,
    fired: u64,
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "seeded faults" } else { "no faults" })
    }
}

impl Faults {
    /// No faults, and nothing is counted: production.
    pub fn none() -> Self {
        Self(None)
    }

    /// Faults that follow from `seed`.
    pub fn seeded(seed: u64) -> Self {
        let seeded =
            Seeded { seed, quiet: false, sites: BTreeMap::new(), marks: BTreeMap::new(), hook: None };
        Self(Some(Arc::new(Mutex::new(seeded))))
    }

    /// Marks are counted and nothing ever fires.
    pub fn counting() -> Self {
        let faults = Self::seeded(0);
        faults.set_quiet(true);
        faults
    }

    /// Whether anybody counts: what only a mark needs to know need not be found out otherwise.
    #[inline]
    pub fn counts(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the fault at `site` is to happen now.
    #[inline]
    pub fn fires(&self, site: &'static str) -> bool {
        self.0.as_ref().is_some_and(|seeded| seeded.lock().fires(site))
    }

    /// `odd` if the fault at `site` is to happen now, else `normal`.
    #[inline]
    pub fn choose<T>(&self, site: &'static str, normal: T, odd: T) -> T {
        if self.fires(site) { odd } else { normal }
    }

    /// Counts that `mark` was passed.
    #[inline]
    pub fn seen(&self, mark: &'static str) {
        let Some(seeded) = &self.0 else { return };
        let hook = {
            let mut seeded = seeded.lock();
            *seeded.marks.entry(mark).or_default() += 1;
            seeded.hook.clone()
        };
        // Outside the lock: the hook may ask for faults itself.
        if let Some(hook) = hook {
            hook(mark);
        }
    }

    /// From now on nothing fires (or may again): a cluster is healed before it is asked to converge.
    pub fn set_quiet(&self, quiet: bool) {
        if let Some(seeded) = &self.0 {
            seeded.lock().quiet = quiet;
        }
    }

    /// Calls `hook` at every mark, in the task that passes it.
    pub fn on_mark(&self, hook: impl Fn(&'static str) + Send + Sync + 'static) {
        if let Some(seeded) = &self.0 {
            seeded.lock().hook = Some(Arc::new(hook));
        }
    }

    /// How often each site has fired; those that never did are left out.
    pub fn fired(&self) -> BTreeMap<&'static str, u64> {
        let Some(seeded) = &self.0 else { return BTreeMap::new() };
        let seeded = seeded.lock();
        seeded
            .sites
            .iter()
            .filter(|(_, site)| site.fired > 0)
            .map(|(name, site)| (*name, site.fired))
            .collect()
    }

    /// How often each mark was passed; those that never were are left out.
    pub fn marks(&self) -> BTreeMap<&'static str, u64> {
        self.0.as_ref().map_or_else(BTreeMap::new, |seeded| seeded.lock().marks.clone())
    }
}

impl Seeded {
    fn fires(&mut self, name: &'static str) -> bool {
        let seed = self.seed;
        let site = self.sites.entry(name).or_insert_with(|| Site::new(seed, name));
        if self.quiet || !site.active || !site.next().is_multiple_of(FIRES_IN) {
            return false;
        }
        site.fired += 1;
        true
    }
}

impl Site {
    fn new(seed: u64, name: &str) -> Self {
        let own = name.bytes().fold(seed, |hash, byte| mix(hash ^ u64::from(byte)));
        let mut site = Self { active: false, random: own, fired: 0 };
        site.active = site.next().is_multiple_of(ACTIVE_IN);
        site
    }

    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.random)
    }
}

/// SplitMix64's finalizer.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn firings(seed: u64, name: &'static str) -> Vec<bool> {
        let faults = Faults::seeded(seed);
        (0..2000).map(|_| faults.fires(name)).collect()
    }

    #[test]
    fn a_quarter_of_the_seeds_use_a_site_and_then_a_twentieth_of_the_calls_fires() {
        let active: Vec<_> = (0..1000)
            .map(|seed| firings(seed, site::TINY_ENTRY).iter().filter(|fired| **fired).count())
            .filter(|count| *count > 0)
            .collect();
        assert!((200..300).contains(&active.len()), "{} of 1000 seeds", active.len());
        assert!(active.iter().all(|count| (50..170).contains(count)), "{active:?}");
    }

    #[test]
    fn the_same_seed_fires_the_same_and_other_sites_do_not_matter() {
        let seed = (0..100).find(|seed| firings(*seed, site::TINY_ENTRY).contains(&true)).expect("a seed");
        let faults = Faults::seeded(seed);
        let between = (0..2000).map(|_| {
            faults.fires(site::TINY_LOG_READ);
            faults.fires(site::TINY_ENTRY)
        });
        assert_eq!(between.collect::<Vec<_>>(), firings(seed, site::TINY_ENTRY));
        faults.set_quiet(true);
        assert!((0..2000).all(|_| !faults.fires(site::TINY_ENTRY)));
    }

    #[test]
    fn production_neither_fires_nor_counts() {
        let faults = Faults::none();
        faults.seen(mark::DEDUP_HIT);
        assert!(site::ALL.iter().all(|site| !faults.fires(site)));
        assert!(faults.marks().is_empty() && faults.fired().is_empty());
    }

    #[test]
    fn names_are_there_once() {
        let mut all: Vec<_> = site::ALL.iter().chain(mark::ALL).collect();
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
