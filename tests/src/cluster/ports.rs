//! Free loopback ports, below the range from which the kernel takes the ports of outgoing connections: so that a node
//! finds its port free again when it is restarted.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::Mutex;

use rand::Rng;

/// Linux takes outgoing ports from 32768 on.
const RANGE: std::ops::Range<u16> = 10_000..32_000;

/// What this process has handed out; another process may still take one between the probe and its use.
static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port on which nobody listens now, and which this process has not handed out.
pub fn free() -> u16 {
    free_run(0, &[0])
}

/// A number such that its sums with all `offsets`, below `span`, are free.
pub fn free_run(span: u16, offsets: &[u16]) -> u16 {
    let mut taken = TAKEN.lock().expect("nobody panics while holding the ports");
    for _ in 0..10_000 {
        let base = rand::rng().random_range(RANGE.start..RANGE.end - span);
        let wanted = offsets.iter().map(|offset| base + offset);
        if wanted.clone().all(|port| !taken.contains(&port) && is_free(port)) {
            taken.extend(wanted);
            return base;
        }
    }
    panic!("no free ports between {} and {} on this machine", RANGE.start, RANGE.end);
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}
