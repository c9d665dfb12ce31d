//! On a key that is only read and appended to, the longest read tells the order.
//!
//! Every value there is the beginning of each later one. So a value that neither begins the longest read nor begins with
//! it leads nowhere, and is not tried: without this, appends between two reads that are far apart could stand in more
//! orders than anybody can try.

use bytes::Bytes;

use super::Entry;
use crate::record::Action;
use crate::value::{Value, answer};

/// What is known of all values; none: nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guide(Option<Bytes>);

impl Guide {
    pub(crate) fn of(entries: &[Entry<'_>]) -> Self {
        if !entries.iter().all(|entry| matches!(entry.op.action, Action::Get | Action::Append { .. })) {
            return Self(None);
        }
        let reads = entries.iter().filter_map(|entry| answer(entry.op)?.value.as_ref());
        Self(reads.map(|text| text.0.clone()).max_by_key(Bytes::len))
    }

    /// Whether it says anything.
    pub(crate) fn leads(&self) -> bool {
        self.0.is_some()
    }

    /// Whether a value can lead anywhere.
    pub(crate) fn allows(&self, value: &Value) -> bool {
        let value = value.as_deref().unwrap_or_default();
        self.0.as_ref().is_none_or(|longest| longest.starts_with(value) || value.starts_with(longest))
    }
}
