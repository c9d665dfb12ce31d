//! Whether what was acknowledged is there. A benchmark of a store that forgets measures nothing.
//!
//! Some keys are watched: every write to them is noted when it is sent and when it is acknowledged. Every read of them
//! during the run, and one of each when all is over, must give a value that a register with one place could hold:
//!
//! * not one that an acknowledged write replaced before the read began ([`Registers`]);
//! * of appends, every acknowledged one exactly once, in an order that fits the times ([`Lists`]).
//!
//! A write of unknown outcome may be there or not. Not checked: keys that are not watched, beyond that their values are
//! whole and theirs; and whether two reads agree on the order of writes that overlapped (`checker` does that).

mod complaints;
mod lists;
mod registers;
mod watched;

pub use complaints::Complaints;
pub use lists::Lists;
pub use registers::Registers;

/// How a write ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// It was acknowledged.
    Done,
    /// It may have been done.
    Unknown,
    /// It was not done.
    Not,
}
