//! Reading a record back, line by line, with trouble named by its line.

use std::io::{self, BufRead, Read};

use crate::record::Line;

/// The longest line of a record: well above the largest value with every byte escaped.
pub const LINE_BYTES_MAX: u64 = 32 << 20;

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file could not be read.
    #[error("line {line}: {source}")]
    Io {
        /// From 1.
        line: u64,
        /// Why.
        source: io::Error,
    },
    /// No line of a record is so long.
    #[error("line {line} is longer than {LINE_BYTES_MAX} bytes: this is no record")]
    TooLong {
        /// From 1.
        line: u64,
    },
    /// It is no line of a record.
    #[error("line {line} is no line of a record: {source}")]
    Bad {
        /// From 1.
        line: u64,
        /// Why.
        source: serde_json::Error,
    },
    /// The last line stops in its middle, as it does when the writer was killed.
    #[error("line {line} is cut off: the record was not written to its end")]
    CutOff {
        /// From 1.
        line: u64,
    },
}

/// The lines of a record. Empty ones are passed over; after an error there are no more.
pub fn lines(input: impl BufRead) -> impl Iterator<Item = Result<Line, ReadError>> {
    Lines { input, line: 0, done: false }
}

struct Lines<R> {
    input: R,
    line: u64,
    done: bool,
}

impl<R: BufRead> Lines<R> {
    fn read(&mut self) -> Result<Option<Line>, ReadError> {
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            self.line += 1;
            let line = self.line;
            let mut limited = self.input.by_ref().take(LINE_BYTES_MAX + 1);
            let read =
                limited.read_until(b'\n', &mut bytes).map_err(|source| ReadError::Io { line, source })?;
            if read as u64 > LINE_BYTES_MAX {
                return Err(ReadError::TooLong { line });
            }
            if read == 0 {
                return Ok(None);
            }
            if !bytes.trim_ascii().is_empty() {
                return parse(line, &bytes).map(Some);
            }
        }
    }
}

/// An operation alone, without its `line`, is one as well: so a history needs nothing else.
fn parse(line: u64, bytes: &[u8]) -> Result<Line, ReadError> {
    let parsed = serde_json::from_slice(bytes);
    let parsed = parsed.or_else(|why| serde_json::from_slice(bytes).map(Line::Op).map_err(|_| why));
    parsed.map_err(|source| match source.is_eof() && !bytes.ends_with(b"\n") {
        true => ReadError::CutOff { line },
        false => ReadError::Bad { line, source },
    })
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<Line, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.read().transpose();
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::End;

    fn read(text: &str) -> (usize, String) {
        let all: Vec<_> = lines(text.as_bytes()).collect();
        let trouble = all.iter().find_map(|line| line.as_ref().err()).map(ReadError::to_string);
        (all.iter().filter(|line| line.is_ok()).count(), trouble.unwrap_or_default())
    }

    #[test]
    fn trouble_is_named_by_its_line() {
        let end = serde_json::to_string(&Line::End(End::default())).expect("a line");
        assert_eq!(read(&format!("{end}\n\n{end}")), (2, String::new()));
        assert_eq!(read(""), (0, String::new()));
        let (good, trouble) = read(&format!("{end}\n\n{{\"line\":\"op\"}}\n{end}\n"));
        assert!(
            good == 1 && trouble.starts_with("line 3 is no line of a record: missing field"),
            "{trouble}"
        );
        let op =
            r#"{"client":1,"key":"k","action":{"do":"get"},"called_ns":1,"outcome":{"unknown":{"why":""}}}"#;
        assert_eq!(read(op), (1, String::new()), "an operation alone");
        let (good, trouble) = read(&format!("{end}\n{}", &end[..end.len() / 2]));
        assert_eq!((good, &trouble[..]), (1, "line 2 is cut off: the record was not written to its end"));
    }

    #[test]
    fn a_line_without_end_costs_bounded_memory() {
        let endless = io::BufReader::new(io::repeat(b' '));
        assert!(matches!(lines(endless).next(), Some(Err(ReadError::TooLong { line: 1 }))));
    }
}
