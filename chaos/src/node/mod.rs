//! Nodes: real processes, each with a directory, perhaps a disk and a namespace of its own.

pub(crate) mod fleet;
pub(crate) mod process;
pub(crate) mod view;
pub(crate) mod watch;
