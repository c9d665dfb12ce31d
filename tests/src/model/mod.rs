//! The move protocol as a model to be explored exhaustively (layer L0 of the tests; `wiki/Model.md`).
//!
//! A shard goes from group to group while clients write to it. The model holds every group as the
//! deterministic machine behind its log, so one step is one committed command, and the network as everything
//! ever sent, so that any message may arrive late, twice, out of order or never:
//!
//! ```text
//!            S                                           T
//!     Serving at n-1                              Absent at n-1
//!        | Adopt(n)                                  | Adopt(n)
//!     BePulling at n, unsealed  <- GetShardsData - Pulling at n, cursor Base(0)
//!        |  serves on                - rows ->       | InsertShards: Base(1), Delta(0), Delta(c), ...
//!        |                        <- Seal(n) -       |
//!     BePulling at n, sealed         - last ->    Serving at n, debt n   (this is GCing)
//!        | DeleteShards(n)        <- DeleteShards -  |
//!     Absent at n                    - done ->    Serving at n
//! ```
//!
//! * [`schedule`]: the bounds: owners of each shard by config, writes of each client.
//! * [`data`], [`shard`], [`state`]: what is held; [`promise`] is what clients were promised, the oracle.
//! * [`moves`], `writes`, `handover`: the rules, each with its guard; [`chunk`] is what a copy carries.
//! * [`network`], `memory`: which steps are possible, and what they leave under way.
//! * [`properties`], `liveness`: what must hold, and that everything settles.
//! * [`omission`]: the guards that can be taken out.
//!
//! Invariants of the model itself: every step raises [`State::progress`], so no run goes on for ever; a
//! handler never looks at another group's state, except through a message that could have carried it.
//!
//! Absent: Raft (a group has a leader whenever it is asked), rows larger than a chunk, the throttle and the
//! transfer slots, teardown of groups, anything in seconds.

pub mod chunk;
pub mod data;
mod handover;
mod liveness;
mod memory;
pub mod migration;
pub mod moves;
pub mod network;
pub mod omission;
pub mod promise;
pub mod properties;
pub mod schedule;
pub mod shard;
pub mod state;
mod writes;

pub use moves::Moves;
pub use omission::Omission;
pub use schedule::Schedule;
pub use state::State;
