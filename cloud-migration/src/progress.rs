//! How far a migration is, as a number from 0 to 100 that people and programs lean on.

use crate::record::{Record, Totals};
use crate::state::State;

/// The least and the greatest progress of a state that goes well.
pub const fn range(state: State) -> (u32, u32) {
    match state {
        State::Init => (0, 0),
        State::Setup => (1, 19),
        State::Dump => (20, 49),
        State::Upload => (50, 99),
        State::Done => (100, 100),
        State::Error | State::Cancelled => (0, 100),
    }
}

/// What the record's sums say. Ending badly leaves progress where it was.
pub fn of(record: &Record) -> u32 {
    let totals = record.totals();
    match record.state() {
        State::Init => 0,
        State::Setup => setup(record),
        State::Dump => share(20, 49, totals.bytes_dumped, totals.bytes_planned),
        State::Upload => upload(totals),
        State::Done => 100,
        State::Error | State::Cancelled => record.progress,
    }
}

fn setup(record: &Record) -> u32 {
    let acked = record.groups.iter().filter(|group| group.is_frozen()).count() as u64;
    if record.freeze.is_some() { share(2, 19, acked, record.groups.len() as u64) } else { 1 }
}

/// 50 until the first byte is there, then `int(51 + (99 - 51) * percent / 100)`.
fn upload(totals: Totals) -> u32 {
    if totals.bytes_uploaded == 0 { 50 } else { share(51, 99, totals.bytes_uploaded, totals.bytes_files) }
}

fn share(from: u32, to: u32, done: u64, of: u64) -> u32 {
    let span = u128::from(to - from);
    let part = (span * u128::from(done)).checked_div(u128::from(of)).unwrap_or(0).min(span);
    from + u32::try_from(part).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uploads_count_from_51_to_99() {
        let at = |done| upload(Totals { bytes_uploaded: done, bytes_files: 1000, ..Totals::default() });
        assert_eq!([0, 1, 500, 999, 1000].map(at), [50, 51, 75, 98, 99]);
        assert_eq!(share(20, 49, 5, 0), 20, "an empty cluster has nothing to dump");
        assert_eq!(share(20, 49, u64::MAX, 1), 49, "more than was planned is still dump");
    }
}
