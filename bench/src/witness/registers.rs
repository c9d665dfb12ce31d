//! Watched keys that are put and read.

use std::collections::BTreeMap;

use super::watched::Watched;
use super::{Complaints, Ended};
use crate::value::{Seen, Token};

/// Writes are remembered so long after they were replaced, in nanoseconds: longer than any read may take.
const HORIZON: u64 = 30_000_000_000;
/// So many writes of a key are always remembered.
const REMEMBERED_MIN: usize = 64;

/// The watched keys. Times are nanoseconds since any moment, never 0.
#[derive(Debug)]
pub struct Registers {
    keys: Watched<Register>,
    complaints: Complaints,
}

/// A write that is under way.
#[derive(Clone, Copy, Debug)]
pub struct Writing {
    token: Token,
    start: u64,
}

/// A read that is under way.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    key: u32,
    /// When the newest write began that was acknowledged before this read began; 0: there was none.
    newest: u64,
}

#[derive(Debug, Default)]
struct Register {
    /// When each write was acknowledged; none: not yet, as far as is known.
    writes: BTreeMap<Token, Option<u64>>,
    /// When the newest acknowledged write began.
    newest: u64,
    /// With how many writes to look for some that can be forgotten.
    crowded: usize,
}

impl Registers {
    /// Watches about `watched` of these keys.
    pub fn new(keys: u32, watched: u32) -> Self {
        Self { keys: Watched::new(keys, watched), complaints: Complaints::default() }
    }

    /// The numbers of the watched keys.
    pub fn watched(&self) -> Vec<u32> {
        self.keys.numbers()
    }

    /// What was found.
    pub fn complaints(&self) -> &Complaints {
        &self.complaints
    }

    /// A write is about to be sent.
    pub fn begin_write(&self, token: Token, now: u64) -> Option<Writing> {
        let mut register = self.keys.place(token.key)?.lock();
        register.writes.insert(token, None);
        Some(Writing { token, start: now })
    }

    /// It ended.
    pub fn end_write(&self, writing: Writing, ended: Ended, now: u64) {
        let Writing { token, start } = writing;
        let Some(place) = self.keys.place(token.key) else { return };
        let mut register = place.lock();
        match ended {
            Ended::Done => {
                register.writes.insert(token, Some(now));
                register.newest = register.newest.max(start);
                register.forget(now);
            }
            Ended::Not => drop(register.writes.remove(&token)),
            Ended::Unknown => {}
        }
    }

    /// A read is about to be sent.
    pub fn begin_read(&self, key: u32) -> Option<Reading> {
        Some(Reading { key, newest: self.keys.place(key)?.lock().newest })
    }

    /// It saw this; none: there was no such key.
    pub fn end_read(&self, reading: Reading, seen: Option<Seen>) {
        let Reading { key, newest } = reading;
        self.complaints.checked();
        let wrong = match seen {
            None | Some(Seen::Foreign) if newest == 0 => None,
            None => Some("nothing, though a write was acknowledged before".to_owned()),
            Some(Seen::Foreign) => {
                Some("a value from before this run, though a write was acknowledged".to_owned())
            }
            Some(Seen::Torn(token)) => Some(format!("a damaged value of {token}")),
            Some(Seen::Ours(token)) if token.key != key => Some(format!("a value of another key: {token}")),
            Some(Seen::Ours(token)) => self.stale(token, newest),
        };
        if let Some(wrong) = wrong {
            self.complaints.add(format_args!("a read of key {key} gave {wrong}"));
        }
    }

    /// What is wrong with reading this value, if newer writes had been acknowledged.
    fn stale(&self, token: Token, newest: u64) -> Option<String> {
        let register = self.keys.place(token.key)?.lock();
        match register.writes.get(&token) {
            Some(Some(end)) if *end < newest => {
                let ms = (newest - end) / 1_000_000;
                Some(format!("{token}, which ended {ms} ms before a newer one began that was acknowledged"))
            }
            Some(_) => None,
            None => Some(format!("{token}, which was replaced long before or never sent")),
        }
    }
}

impl Register {
    /// Forgets writes that no read may see any more.
    fn forget(&mut self, now: u64) {
        if self.writes.len() < self.crowded.max(REMEMBERED_MIN) {
            return;
        }
        let newest = self.newest;
        let visible = |end: u64| end >= newest || end + HORIZON >= now;
        self.writes.retain(|_, end| end.is_none_or(visible));
        // Twice as many, so that the looking costs little for each write.
        self.crowded = self.writes.len() * 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(number: u32) -> Token {
        Token { key: 0, client: 1, number }
    }

    fn write(registers: &Registers, number: u32, start: u64, end: u64) {
        let writing = registers.begin_write(token(number), start).unwrap();
        registers.end_write(writing, Ended::Done, end);
    }

    #[test]
    fn any_of_overlapping_writes_may_be_read_and_no_older_one() {
        let registers = Registers::new(10, 10);
        write(&registers, 1, 10, 20);
        write(&registers, 2, 30, 50);
        write(&registers, 3, 40, 60);
        let read = |seen| registers.end_read(registers.begin_read(0).unwrap(), seen);
        read(Some(Seen::Ours(token(2))));
        read(Some(Seen::Ours(token(3))));
        assert_eq!(registers.complaints().count(), 0);
        read(Some(Seen::Ours(token(1))));
        read(Some(Seen::Ours(token(9))));
        read(Some(Seen::Ours(Token { key: 5, ..token(3) })));
        read(Some(Seen::Torn(token(3))));
        read(Some(Seen::Foreign));
        read(None);
        assert_eq!(registers.complaints().count(), 6, "{:?}", registers.complaints().first());
        assert_eq!(registers.complaints().checks(), 8);
    }

    #[test]
    fn a_read_that_began_before_an_acknowledgement_may_see_what_was_before() {
        let registers = Registers::new(1, 1);
        write(&registers, 1, 10, 20);
        let early = registers.begin_read(0).unwrap();
        write(&registers, 2, 30, 40);
        registers.end_read(early, Some(Seen::Ours(token(1))));
        assert_eq!(registers.complaints().count(), 0);
        registers.end_read(registers.begin_read(0).unwrap(), Some(Seen::Ours(token(1))));
        assert_eq!(registers.complaints().count(), 1);
    }

    #[test]
    fn unknown_writes_may_show_up_and_refused_ones_may_not() {
        let registers = Registers::new(1, 1);
        write(&registers, 1, 10, 20);
        for (number, ended) in [(2, Ended::Unknown), (3, Ended::Not)] {
            let writing = registers.begin_write(token(number), 30).unwrap();
            registers.end_write(writing, ended, 40);
        }
        write(&registers, 4, 50, 60);
        let read =
            |number| registers.end_read(registers.begin_read(0).unwrap(), Some(Seen::Ours(token(number))));
        read(2);
        assert_eq!(registers.complaints().count(), 0);
        read(3);
        assert_eq!(registers.complaints().count(), 1);
    }

    #[test]
    fn memory_is_bounded_and_old_writes_stay_wrong() {
        let registers = Registers::new(1, 1);
        let second = 1_000_000_000;
        for number in 1..=10_000 {
            let now = u64::from(number) * second;
            write(&registers, number, now, now + 1);
        }
        assert!(registers.keys.place(0).expect("a watched key").lock().writes.len() < 2 * REMEMBERED_MIN);
        registers.end_read(registers.begin_read(0).unwrap(), Some(Seen::Ours(token(5))));
        assert_eq!(registers.complaints().count(), 1);
        registers.end_read(registers.begin_read(0).unwrap(), Some(Seen::Ours(token(10_000))));
        assert_eq!(registers.complaints().count(), 1);
    }

    #[test]
    fn only_some_keys_are_watched() {
        let registers = Registers::new(1000, 10);
        assert_eq!(registers.watched().len(), 10);
        assert!(registers.begin_read(100).is_some() && registers.begin_read(101).is_none());
        assert!(Registers::new(1000, 0).watched().is_empty());
        assert!(Registers::new(1000, 0).begin_read(0).is_none());
    }
}
