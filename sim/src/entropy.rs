//! The one source of randomness below the code that is simulated: libc's `getrandom`, answered from the seed.
//!
//! Hash maps (`RandomState`) and crates that draw from the operating system would otherwise make two runs of a seed differ.
//! An executable's own symbol goes before the library's, so this one serves everything in the process.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};

static STATE: AtomicU64 = AtomicU64::new(0x5eed);

/// Everything drawn from now on follows from this seed.
pub fn seed(seed: u64) {
    STATE.store(flotilla_sim::dice::mix(seed ^ 0xf107_111a), Ordering::SeqCst);
}

/// libc's `getrandom(2)`: fills the buffer and says how much it filled.
///
/// # Safety
///
/// As for libc's: `buffer` must be valid for writes of `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut u8, length: usize, _flags: u32) -> isize {
    // SAFETY: the caller promises that these bytes may be written.
    let bytes = unsafe { std::slice::from_raw_parts_mut(buffer, length) };
    for chunk in bytes.chunks_mut(8) {
        let next = STATE.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
        let next = flotilla_sim::dice::mix(next).to_le_bytes();
        chunk.copy_from_slice(&next[..chunk.len()]);
    }
    isize::try_from(length).unwrap_or(isize::MAX)
}
