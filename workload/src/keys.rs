//! The keys that a crew works on.

use std::sync::{Mutex, PoisonError};

use crate::dice::Dice;
use crate::plan::{OPS_PER_KEY_MAX, Plan};

/// The keys of one crew. Each place holds one key at a time; a key that has seen enough operations makes room for another.
#[derive(Debug)]
pub(crate) struct Keys {
    prefix: String,
    crew: usize,
    append_keys: usize,
    ops_max: u64,
    places: Mutex<Vec<Place>>,
}

#[derive(Clone, Debug, Default)]
struct Place {
    /// How many keys were here before.
    generation: u64,
    /// How many operations the present one has seen.
    ops: u64,
}

/// A key to do one operation on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Key {
    /// Its name.
    pub name: String,
    /// Whether it is only appended to and read.
    pub append_only: bool,
}

impl Keys {
    /// The keys of a plan's crew.
    pub fn new(plan: &Plan, crew: usize) -> Self {
        let places = (plan.append_keys + plan.shared_keys).max(1);
        Self {
            prefix: plan.prefix.clone(),
            crew,
            append_keys: plan.append_keys,
            ops_max: plan.ops_per_key.clamp(1, OPS_PER_KEY_MAX),
            places: Mutex::new(vec![Place::default(); places]),
        }
    }

    /// A key for one operation, which is counted.
    pub fn draw(&self, dice: &mut Dice) -> Key {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let at = usize::try_from(dice.below(places.len() as u64)).unwrap_or(0);
        let place = &mut places[at];
        if place.ops == self.ops_max {
            *place = Place { generation: place.generation + 1, ops: 0 };
        }
        place.ops += 1;
        Key { name: self.name(at, place.generation), append_only: at < self.append_keys }
    }

    /// Every key that was drawn so far.
    pub fn used(&self) -> Vec<String> {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let used = places.iter().enumerate().filter(|(_, place)| place.ops > 0);
        used.flat_map(|(at, place)| (0..=place.generation).map(move |past| self.name(at, past))).collect()
    }

    fn name(&self, at: usize, generation: u64) -> String {
        let kind = if at < self.append_keys { 'a' } else { 's' };
        format!("{}{kind}{}-{at}-{generation}", self.prefix, self.crew)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn no_key_sees_too_many_operations_and_all_are_remembered() {
        let plan = Plan { append_keys: 1, shared_keys: 2, ops_per_key: 7, ..Plan::default() };
        let keys = Keys::new(&plan, 3);
        assert!(keys.used().is_empty());
        let (mut dice, mut seen) = (Dice::new(5), BTreeMap::<String, u64>::new());
        for _ in 0..1000 {
            let key = keys.draw(&mut dice);
            assert_eq!(key.append_only, key.name.starts_with('a'));
            *seen.entry(key.name).or_default() += 1;
        }
        assert!(seen.values().all(|ops| *ops <= 7), "{seen:?}");
        let mut used = keys.used();
        used.sort();
        assert_eq!(used, seen.into_keys().collect::<Vec<_>>());
    }
}
