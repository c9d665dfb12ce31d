//! A running hash over everything that happens, in the order in which it happens: equal seeds must give equal hashes.
//! Written to a file as well, two traces show the first thing that differed.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use parking_lot::Mutex;
use tokio::time::Instant;

/// What happened so far, as a hash.
pub struct Trace {
    started: Instant,
    state: Mutex<State>,
}

struct State {
    hash: u64,
    lines: u64,
    file: Option<BufWriter<File>>,
}

impl Trace {
    /// Nothing yet; with `file`, the lines are kept there.
    pub fn new(file: Option<&Path>) -> std::io::Result<Self> {
        let file = file.map(File::create).transpose()?.map(BufWriter::new);
        let state = State { hash: 0xcbf2_9ce4_8422_2325, lines: 0, file };
        Ok(Self { started: Instant::now(), state: Mutex::new(state) })
    }

    /// When the world began.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Nanoseconds since the world began.
    pub fn now_ns(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Something happened now.
    pub fn note(&self, what: fmt::Arguments<'_>) {
        let at = self.now_ns();
        let mut state = self.state.lock();
        let state = &mut *state;
        state.lines += 1;
        let mut hasher = Hasher(&mut state.hash);
        // Hashing cannot fail.
        let _ = writeln!(hasher, "{at} {what}");
        if let Some(file) = &mut state.file {
            let _ = writeln!(file, "{at} {what}");
        }
    }

    /// The hash and how many lines it is of.
    pub fn hash(&self) -> (u64, u64) {
        let mut state = self.state.lock();
        if let Some(file) = &mut state.file {
            let _ = file.flush();
        }
        (state.hash, state.lines)
    }
}

/// FNV-1a over what is written to it.
struct Hasher<'a>(&'a mut u64);

impl fmt::Write for Hasher<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            *self.0 = (*self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Ok(())
    }
}
