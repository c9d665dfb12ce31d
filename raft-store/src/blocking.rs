//! Work that may wait for the disk, called from async code.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs `work` here and now. On a multi-threaded runtime other tasks move to another thread meanwhile; on a
/// current-thread runtime (a simulation) it simply runs, so that the order of events stays determined.
pub(crate) fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
