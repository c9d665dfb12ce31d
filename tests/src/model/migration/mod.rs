//! The record of a cloud migration as a model to be explored exhaustively (`wiki/Model.md`).
//!
//! A migration is one replicated record, moved on by an owner that may crash, be replaced, or act long after it
//! was replaced; groups that it freezes; and a store that must never hold a manifest of anything but one cut:
//!
//! ```text
//!   record (controller)            owner, epoch e                 group g
//!     init                           Claim(e)
//!     setup                          Freeze  -------------------> read-only, at its counter
//!       acks[g]                 <--- Frozen{e, g, counter}
//!     dump (needs every ack)         read while frozen <--------- rows
//!       files[g]                <--- Dumped{e, g, counter}
//!     upload (needs every file)      Thaw -----------------------> writes again; a mark refuses the freeze
//!       uploaded[g]             <--- Uploaded{e, g}, once the object is there
//!     done (needs every object)      the manifest, create-only
//! ```
//!
//! Which state may follow which is not modelled but used: it is the `State` of the crate `cloud-migration`. The
//! record's commands are not in that crate yet; [`record`] is what they are to be.
//!
//! * [`record`]: the record and its compare-and-set commands, decided when they are applied.
//! * [`group`]: a group's writes, freeze and thaw.
//! * [`world`]: everything at one moment; [`owner`] is what a node does that believes it owns the job.
//! * [`network`]: which steps are possible; everything ever sent may arrive late, twice, or never.
//! * [`properties`], [`omission`]: what must hold, and the guards that can be taken out.
//!
//! Invariant of the model itself: every step raises [`World::progress`], so no run goes on for ever.
//!
//! Absent: several migrations, files smaller than a group, parts and ETags, paused moves, seconds.

pub mod group;
pub mod network;
pub mod omission;
pub mod owner;
pub mod properties;
pub mod record;
pub mod world;

pub use network::Step;
pub use omission::Omission;
pub use world::World;

/// Groups of the cluster that is carried.
pub const GROUPS: usize = 2;
/// Nodes that may own the job.
pub const NODES: usize = 2;

/// One bounded world to explore, whole or with one guard taken out.
#[derive(Clone, Debug)]
pub struct Migration {
    /// How often the job may be claimed. Until the last claim owners crash, and leases expire, at any moment.
    pub epochs: u8,
    /// Writes of clients to each group.
    pub writes: u8,
    /// Whether somebody may cancel, at any moment.
    pub cancels: bool,
    /// Whether a group's freeze may lapse by itself, at any moment.
    pub lapses: bool,
    /// The guard taken out.
    pub omission: Option<Omission>,
}

impl Migration {
    pub(super) fn omits(&self, omission: Omission) -> bool {
        self.omission == Some(omission)
    }
}
