//! The guards of a migration that can be taken out, one at a time, to see that the model notices.

/// A mistake that an implementation could make.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Omission {
    /// An error, a cancellation or a step overwrites a terminal state.
    TerminalOverwritten,
    /// A write is checked against the freeze where it enters, not where it is applied.
    FreezeAtTheEdge,
    /// A step of the record does not compare the state it starts from.
    StateNotCompared,
    /// A thaw leaves no mark, so that a late Freeze of the same job sticks.
    FreezeWithoutMark,
    /// The epoch of a command is not compared.
    EpochNotCompared,
    /// The dump takes a group as it is, whether or not its freeze still stands.
    DumpUnfrozen,
    /// The dump begins before every group has acknowledged its freeze.
    DumpBeforeAcks,
    /// A job that fails leaves no compensations behind.
    ErrorForgetsThaw,
    /// A cancelled job leaves no compensations behind.
    CancelForgetsThaw,
    /// Only a living job can be claimed, so nobody goes on with a dead owner's compensations.
    TerminalIsNotClaimed,
}
