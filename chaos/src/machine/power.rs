//! The power switch of a file system.
#![allow(unsafe_code)]

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::ioctl::{Opcode, Setter, ioctl, opcode};

/// `FS_IOC_SHUTDOWN` of Linux: `_IOR('X', 125, __u32)`.
const SHUTDOWN: Opcode = opcode::read::<u32>(b'X', 125);
/// Do not write the journal out first: what was not synced is gone, as when the power goes.
const NO_LOG_FLUSH: u32 = 2;

/// Cuts the file system at this path off its disk. Nothing more is written to it until it is unmounted and mounted again.
pub(crate) fn cut(mount: &Path) -> Result<()> {
    let root = File::open(mount).with_context(|| format!("cannot open {}", mount.display()))?;
    // SAFETY: the kernel reads one u32 through the pointer, which lives for the call; it needs CAP_SYS_ADMIN and touches
    // nothing but the file system that `root` lies on.
    unsafe { ioctl(&root, Setter::<SHUTDOWN, u32>::new(NO_LOG_FLUSH)) }
        .with_context(|| format!("cannot cut the power of {}", mount.display()))
}
