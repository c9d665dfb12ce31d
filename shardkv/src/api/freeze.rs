//! What a cloud migration tells a group that is to become read-only, and what the group says of it.
//!
//! A group holds a *set* of freezes: it is read-only while there is any. Freeze ids are given out by the controller, grow, and
//! are never used twice.

/// The group becomes read-only, on behalf of a migration. Repeats are answered again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Freeze {
    /// The freeze; above every one that this group has thawed.
    #[prost(uint64, tag = "1")]
    pub freeze: u64,
    /// The migration it is for.
    #[prost(uint64, tag = "2")]
    pub migration: u64,
    /// The configuration at which all groups freeze: refused unless this group has settled exactly that one.
    #[prost(uint64, tag = "3")]
    pub config: u64,
    /// How long the freeze lasts if nobody renews it, on the clock of whoever leads the group.
    #[prost(uint64, tag = "4")]
    pub lease_ms: u64,
    /// The leader's clock: keys expire up to here, and then not until the thaw.
    #[prost(uint64, tag = "5")]
    pub now_ms: u64,
}

/// One freeze ends: its owner is done with it, or somebody thaws by hand. Afterwards no freeze up to this one can begin: a
/// late message must not stop a group for which nobody is responsible any more.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Thaw {
    /// The freeze.
    #[prost(uint64, tag = "1")]
    pub freeze: u64,
}

/// Its owner is alive: the lease begins anew. Refused when the freeze is not in force.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct RenewFreeze {
    /// The freeze.
    #[prost(uint64, tag = "1")]
    pub freeze: u64,
}

/// The lease ran out on the leader's clock. Acts only if nobody has renewed it since.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct LapseFreeze {
    /// The freeze.
    #[prost(uint64, tag = "1")]
    pub freeze: u64,
    /// How often it had been renewed when the leader began to wait.
    #[prost(uint64, tag = "2")]
    pub beat: u64,
}

/// A freeze in force, as the group itself says. Two proofs of one freeze with equal `thaws` and `writes` mean that nothing was
/// written in between: the acknowledgement is the first, and one taken after the last group's acknowledgement the second.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct FreezeProof {
    /// The freeze.
    #[prost(uint64, tag = "1")]
    pub freeze: u64,
    /// The migration it is for.
    #[prost(uint64, tag = "2")]
    pub migration: u64,
    /// The configuration at which the group froze.
    #[prost(uint64, tag = "3")]
    pub config: u64,
    /// How many freezes have ended here, ever.
    #[prost(uint64, tag = "4")]
    pub thaws: u64,
    /// The sum of the shards' write counters.
    #[prost(uint64, tag = "5")]
    pub writes: u64,
    /// How often it has been renewed.
    #[prost(uint64, tag = "6")]
    pub beat: u64,
    /// The leader's clock when it began.
    #[prost(uint64, tag = "7")]
    pub at_ms: u64,
    /// How long it lasts without being renewed.
    #[prost(uint64, tag = "8")]
    pub lease_ms: u64,
}

impl FreezeProof {
    /// Whether nothing was written between the two.
    pub fn continues(&self, earlier: &Self) -> bool {
        (self.freeze, self.migration, self.config) == (earlier.freeze, earlier.migration, earlier.config)
            && (self.thaws, self.writes) == (earlier.thaws, earlier.writes)
    }
}
