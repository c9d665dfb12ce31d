//! The Machine: state in, actions out, commands back.
//!
//! ```text
//!                propose                 every replica
//!   command  ---------------> log ---------------------> apply -> response
//!      ^                                                   |
//!      |                                                 state
//!      |                                                   |
//!   resolve <--- outcome <--- I/O by the leader <--- actions
//! ```
//!
//! Work that needs I/O is not *emitted* by `apply` (an emitted effect would run on every replica and die with
//! the leader that held it); it is *derived* from state by [`Machine::actions`], so the next leader finds it
//! again. The leader's reconciler performs it and proposes what [`Machine::resolve`] answers.
//!
//! Laws of use:
//! * `apply` is deterministic: same state and command, same rows and response, on every replica.
//! * A refusal is a value in the response. `Err` means that the storage failed; the replica stops.
//! * `&self` mirrors what the rows hold: `open` over the rows that `apply` wrote gives an equal machine.
//! * The machine is cheap to clone: it is cloned once a round, so that readers keep the one they have.

use std::fmt::Debug;

use crate::engine::{EngineError, Reader};
use crate::txn::Txn;
use crate::wire::Wire;

/// What a Raft group replicates.
pub trait Machine: Clone + Send + Sync + 'static {
    /// What a machine must know before its first row: the same on every replica.
    type Options: Clone + Send + Sync + 'static;
    /// What goes through the log.
    type Command: Wire + Clone + Debug + Send + Sync + 'static;
    /// What applying a command answers.
    type Response: Wire + Clone + Debug + Send + Sync + 'static;
    /// What can be asked without touching the log.
    type Query: Send + 'static;
    /// What a query answers.
    type Answer: Send + 'static;
    /// One piece of I/O that the present state calls for. Equal actions are the same piece of work.
    type Action: Clone + Debug + PartialEq + Send + Sync + 'static;
    /// What performing an action gave.
    type Outcome: Send + 'static;

    /// Builds the machine from its rows (none, for a new replica).
    fn open(options: &Self::Options, rows: &dyn Reader) -> Result<Self, EngineError>;

    /// Applies one command: changes `self` and the rows together.
    fn apply(&mut self, rows: &mut Txn<'_>, command: Self::Command) -> Result<Self::Response, EngineError>;

    /// Answers a query from `self` and a view of the rows of the same moment.
    fn query(&self, rows: &dyn Reader, query: Self::Query) -> Result<Self::Answer, EngineError>;

    /// What the present state calls for, in the order it should be started.
    fn actions(&self) -> Vec<Self::Action>;

    /// The command to propose now that `action` gave `outcome`; none if there is nothing to record.
    fn resolve(&self, action: &Self::Action, outcome: Self::Outcome) -> Option<Self::Command>;

    /// Changes whenever rows may have become garbage; the replica then asks [`Machine::garbage`].
    fn garbage_mark(&self) -> u64 {
        0
    }

    /// Local housekeeping outside the replicated state: ranges `start <= key < end` of rows that belong to nothing
    /// alive, found by looking at the rows themselves. Each replica sweeps them piecemeal, off the write path; sweeping
    /// changes no answer and no digest, and an interrupted sweep is simply found again.
    fn garbage(&self, rows: &dyn Reader) -> Result<Vec<(bytes::Bytes, bytes::Bytes)>, EngineError> {
        let _ = rows;
        Ok(Vec::new())
    }
}
