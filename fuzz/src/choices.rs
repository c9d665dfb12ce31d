//! Bytes as a source of choices: each byte, or a few, decides one thing, so that a small change of the bytes is a small
//! change of what is tried.

/// What is left of the input.
pub struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    /// Choices from these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next byte; none: the input is used up.
    pub fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// A byte, 0 at the end.
    pub fn byte(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }

    /// One of `0..bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        u64::from(self.byte()) % bound.max(1)
    }

    /// One of `0..bound`, as an index.
    pub fn index(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound.max(1)
    }

    /// Yes or no.
    pub fn flag(&mut self) -> bool {
        self.byte() % 2 == 1
    }

    /// Up to `max` bytes of the input as they are.
    pub fn slice(&mut self, max: usize) -> &'a [u8] {
        let length = self.index(max + 1).min(self.0.len());
        let (slice, rest) = self.0.split_at(length);
        self.0 = rest;
        slice
    }

    /// The input cut into pieces, each behind its length in two bytes.
    pub fn pieces(bytes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = bytes;
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first_chunk::<2>()?;
            let length = usize::from(u16::from_le_bytes(*length)).min(after.len());
            let (piece, after) = after.split_at(length);
            rest = after;
            Some(piece)
        })
    }
}

/// The pieces as one input again.
pub fn join(pieces: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Vec<u8> {
    let mut all = Vec::new();
    for piece in pieces {
        let piece = piece.as_ref();
        let length = u16::try_from(piece.len()).expect("pieces of an example are short");
        all.extend_from_slice(&length.to_le_bytes());
        all.extend_from_slice(piece);
    }
    all
}
