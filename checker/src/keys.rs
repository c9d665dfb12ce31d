//! A history, key by key.

use std::collections::BTreeMap;

use crate::record::Operation;
use crate::text::Text;

/// The operations on each key, in the order of the history.
pub(crate) fn by_key(history: &[Operation]) -> BTreeMap<&Text, Vec<&Operation>> {
    let mut keys: BTreeMap<&Text, Vec<&Operation>> = BTreeMap::new();
    for operation in history {
        keys.entry(&operation.key).or_default().push(operation);
    }
    keys
}
