//! What a shard group is: data, sessions, moves. Pure.
//!
//! A group is a [`ShardKv`]: a [`Machine`](flotilla_types::Machine) that a Raft group replicates. Through its log come
//! clients' writes, configurations, and the steps of moves; `query` reads without the log; `actions` names what it wants
//! done outside: fetch the next configuration, pull a piece of a shard, tell an old owner to delete, report progress.
//!
//! # The life of a shard, in one group
//!
//! ```text
//!             a configuration gives it to us                a configuration takes it away
//!
//!             (from nobody: empty)
//!          +------------------------------------+
//!          |                                    v
//!       Absent --> Pulling --> Gcing -------> Serving
//!          ^       copies,     serves, the    serves
//!          |       does not    old owner still   |
//!          |       serve       has to delete     |  adopt n
//!          |                      |              v
//!          |                      +--------> BePulling --> Sealed --+
//!          |                     adopt n     serves; what  does not |
//!          |                                 changes is    serve    |
//!          |                                 noted                  |
//!          +--------------------------------------------------------+
//!                         DeleteShards(n): the incarnation dies
//! ```
//!
//! # A move of shard `s` from S to T at configuration `n`
//!
//! ```text
//!     S                                         T
//!     adopt n: BePulling(n)                     adopt n: Pulling(n, cursor)
//!       |<-------- GetShardsData(s, n, cursor) ------|  rows, then sessions, then what changed
//!       |------------ Chunk(cursor -> next) -------->|  InsertShards: exactly once, by its cursor
//!       |                   ...                      |
//!       |<-------- GetShardsData(seal) --------------|  little remains
//!     Seal(n): stops                                 |
//!       |------------ Chunk(last) ------------------>|  InsertShards: counter, time, floor; serves
//!       |<-------- DeleteShardsData(s, n) -----------|
//!     DeleteShards(n): dead                        Acknowledge(n)
//! ```
//!
//! # Invariants
//!
//! * At any moment at most one group serves a shard, and at any configuration number at most one answers with it.
//! * Configurations are adopted one by one. Each shard compares each with the next, in order, when its last move is over:
//!   so a dead group holds up only the shards that it is part of.
//! * A move command acts only if the shard stands exactly at its configuration (and cursor). Past that it answers *done*.
//! * Rows live under (shard, configuration of acquisition), a key never used twice. DeleteShards only changes the shard's
//!   state; the rows it leaves are garbage, which answers no read and counts in no digest.
//! * While a shard is leaving, every row that changes has one change row, its latest. The copy ends only where a replica
//!   that has applied the seal sees none beyond the cursor.
//! * A shard's write counter, time and session floor only grow, wherever the shard goes.
//! * A lane's write is applied at most once: its row says so, or the floor forbids it. Refusals never touch a session.
//! * Counts of keys, bytes and sessions are exact. Every index row has its row, and every row its index row.
//! * While a group is frozen, nothing changes that a dump holds: neither rows of homes, nor counters, times or floors.
//! * `open` over the rows gives a machine equal to the one that wrote them.
//!
//! # Absent on purpose
//!
//! * A clock: time comes in commands, and only the shard's replicated time expires anything.
//! * Timers: nothing undoes a seal but the end of its move. (A freeze has a lease, and its end is a command too.)
//! * The members of groups: who to call is the shell's business; here groups are numbers.
//! * Sweeping: the machine says what is dead, and each replica removes it when it likes.
//!
//! # Where to read on
//!
//! [`api`] is what is asked and answered. [`rows`] lists every key in the engine, [`values`] and [`state`] what stands
//! under them. A write goes through `write`, `session` and `stage`; a move through `adopt`, `transfer` (the old owner),
//! `install` (the new one) and `moves` (seal, death, acknowledgement). What is refused while a cloud migration holds the
//! group still stands in `freeze`; how a dump is read out in [`export`], and how one comes back in `restore`.

mod actions;
mod adopt;
pub mod api;
mod check;
mod digest;
mod expiry;
pub mod export;
mod freeze;
mod garbage;
mod hint;
mod install;
mod kv;
mod moves;
mod options;
mod read;
mod restore;
pub mod rows;
mod session;
mod shard_txn;
mod stage;
pub mod state;
mod status;
mod table;
mod transfer;
pub mod values;
mod write;

pub use actions::{Action, Outcome};
pub use kv::ShardKv;
pub use options::{KvLimits, Options};
