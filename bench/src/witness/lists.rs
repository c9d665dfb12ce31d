//! Watched keys that are appended to.

use std::collections::{BTreeMap, BTreeSet};

use super::watched::Watched;
use super::{Complaints, Ended};
use crate::value::{Seen, Token, Values};

/// The watched keys. Times are nanoseconds since any moment.
#[derive(Debug)]
pub struct Lists {
    keys: Watched<BTreeMap<Token, Appended>>,
    complaints: Complaints,
}

/// One append.
#[derive(Clone, Copy, Debug)]
struct Appended {
    start: u64,
    /// None: of unknown outcome.
    end: Option<u64>,
}

impl Lists {
    /// Watches about `watched` of these keys, which are empty.
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

    /// An append ended.
    pub fn note(&self, token: Token, start: u64, ended: Ended, end: u64) {
        let Some(place) = self.keys.place(token.key) else { return };
        let end = match ended {
            Ended::Done => Some(end),
            Ended::Unknown => None,
            Ended::Not => return,
        };
        place.lock().insert(token, Appended { start, end });
    }

    /// Compares a watched key's value, read when all was over, with what was appended.
    pub fn judge(&self, key: u32, value: Option<&[u8]>, values: &Values) {
        let Some(place) = self.keys.place(key) else { return };
        self.complaints.checked();
        let appended = place.lock();
        let chunks = value.unwrap_or_default().chunks(values.length());
        let mut seen = BTreeSet::new();
        // When the latest of the appends so far began: what stands behind it must not have ended before.
        let mut latest = 0;
        for chunk in chunks {
            let told = values.read(chunk, true);
            let Seen::Ours(token) = told else {
                self.complaints.add(format_args!("key {key} holds {told:?}, which nobody appended"));
                continue;
            };
            let Some(append) = appended.get(&token).filter(|_| seen.insert(token)) else {
                self.complaints.add(format_args!("key {key} holds {token} twice, or though it was refused"));
                continue;
            };
            if append.end.is_some_and(|end| end < latest) {
                self.complaints
                    .add(format_args!("key {key} holds {token} behind one that began after it ended"));
            }
            latest = latest.max(append.start);
        }
        let missing = appended.iter().filter(|(token, append)| append.end.is_some() && !seen.contains(token));
        missing.for_each(|(token, _)| {
            self.complaints.add(format_args!("key {key} lacks {token}, which was acknowledged"));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(number: u32) -> Token {
        Token { key: 0, client: 1, number }
    }

    /// Three appends, the last of unknown outcome; how many complaints this order of them gives.
    fn complaints(order: &[u32]) -> u64 {
        let (lists, values) = (Lists::new(1, 1), Values::new(3, 24));
        lists.note(token(1), 10, Ended::Done, 20);
        lists.note(token(2), 30, Ended::Done, 40);
        lists.note(token(3), 50, Ended::Unknown, 60);
        lists.note(token(4), 50, Ended::Not, 60);
        let value: Vec<u8> = order.iter().flat_map(|number| values.make(token(*number))).collect();
        lists.judge(0, Some(&value), &values);
        lists.complaints().count()
    }

    #[test]
    fn each_acknowledged_append_is_there_once_and_in_order() {
        assert_eq!(complaints(&[1, 2]), 0);
        assert_eq!(complaints(&[1, 2, 3]), 0);
        assert_eq!(complaints(&[1]), 1, "lost");
        assert_eq!(complaints(&[]), 2, "both lost");
        assert_eq!(complaints(&[1, 2, 2]), 1, "twice");
        assert_eq!(complaints(&[2, 1]), 1, "turned round");
        assert_eq!(complaints(&[1, 2, 4]), 1, "refused");
        assert_eq!(complaints(&[3, 1, 2]), 2, "before what had ended when it began");
    }

    #[test]
    fn damage_is_found() {
        let (lists, values) = (Lists::new(1, 1), Values::new(3, 24));
        lists.note(token(1), 10, Ended::Done, 20);
        let value = values.make(token(1));
        lists.judge(0, Some(&value[..20]), &values);
        assert_eq!(lists.complaints().count(), 2, "damaged, so the append is not there either");
    }
}
