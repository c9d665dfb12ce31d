//! I10: disk and memory stay bounded, from measurements that are given.
//!
//! A measurement has a name and a limit. It may pass its limit for a moment (a snapshot is being built, the old one not
//! yet removed), but not stay above it for longer than is allowed.
//!
//! What it does not check: whether a limit is wise; anything that is not measured.

use std::collections::BTreeMap;

use crate::record::Violation;

/// The limit of one kind of measurement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    /// The most that is allowed to stay.
    pub most: u64,
    /// For how long more than that may be there.
    pub grace_ns: u64,
}

/// Measurements against their limits.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    limits: BTreeMap<String, Limit>,
    /// Since when a measurement of a node has been above its limit.
    above: BTreeMap<(String, u64), u64>,
}

impl Bounds {
    /// With these limits, by name (`storage_bytes`, `memory_bytes`, `log_entries` ...).
    pub fn new(limits: impl IntoIterator<Item = (String, Limit)>) -> Self {
        Self { limits: limits.into_iter().collect(), above: BTreeMap::new() }
    }

    /// One measurement of one node.
    pub fn measure(&mut self, at_ns: u64, node: u64, name: &str, value: u64) -> Option<Violation> {
        let limit = *self.limits.get(name)?;
        let key = (name.to_owned(), node);
        if value <= limit.most {
            self.above.remove(&key);
            return None;
        }
        let since = *self.above.entry(key).or_insert(at_ns);
        let what = format!("{name} of node {node} is {value} and has been above {} for too long", limit.most);
        (at_ns - since > limit.grace_ns).then(|| Violation { at_ns, by: "I10".to_owned(), what, key: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_found_and_a_peak_is_not() {
        let limit = Limit { most: 100, grace_ns: 10 };
        let mut bounds = Bounds::new([("storage_bytes".to_owned(), limit)]);
        let mut at = |at_ns, value| bounds.measure(at_ns, 1, "storage_bytes", value).is_some();
        assert!(!at(0, 50) && !at(5, 150) && !at(15, 150) && !at(16, 90) && !at(17, 150) && !at(27, 150));
        assert!(at(28, 150), "above for 11 ns");
        assert_eq!(bounds.measure(0, 1, "unknown", u64::MAX), None);
    }
}
