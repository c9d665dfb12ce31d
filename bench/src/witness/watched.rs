//! The keys that are watched: every so manyth.

use parking_lot::Mutex;

/// What is noted of each watched key.
#[derive(Debug)]
pub(super) struct Watched<T> {
    /// Every how manyth key is watched; none: no key is.
    stride: Option<u32>,
    notes: Vec<Mutex<T>>,
}

impl<T: Default> Watched<T> {
    /// About `watched` of these keys.
    pub fn new(keys: u32, watched: u32) -> Self {
        let stride = (watched > 0).then(|| keys.div_ceil(watched).max(1));
        let count = stride.map_or(0, |stride| keys.div_ceil(stride));
        Self { stride, notes: (0..count).map(|_| Mutex::default()).collect() }
    }

    /// Their numbers.
    pub fn numbers(&self) -> Vec<u32> {
        let count = u32::try_from(self.notes.len()).unwrap_or(u32::MAX);
        (0..count).map(|at| at * self.stride.unwrap_or(1)).collect()
    }

    /// What is noted of `key`; none: it is not watched.
    pub fn place(&self, key: u32) -> Option<&Mutex<T>> {
        let stride = self.stride?;
        let at = key.is_multiple_of(stride).then_some(key / stride)?;
        self.notes.get(usize::try_from(at).ok()?)
    }
}
