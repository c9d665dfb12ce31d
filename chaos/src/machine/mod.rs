//! The machine below: what it can do, commands it runs, and how everything that was made on it goes again.

pub(crate) mod able;
pub(crate) mod cgroup;
pub(crate) mod command;
pub(crate) mod disk;
pub(crate) mod power;
pub(crate) mod sweep;
