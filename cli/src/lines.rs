//! The lines of an import: key, tab, value, each escaped as [`crate::escape`] says.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use bytes::Bytes;
use flotilla_types::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

use crate::escape::{self, EscapeError};

/// The longest line: every byte of key and value escaped, the tab and the newline.
const LINE_BYTES_MAX: u64 = 4 * (KEY_BYTES_MAX as u64 + VALUE_BYTES_MAX as u64) + 2;
/// How much is read from the file at once.
const BUFFER_BYTES: usize = 256 * 1024;

/// One line that means something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// From 1.
    pub number: u64,
    /// How long the line is in the file, with its newline.
    pub length: u64,
    /// What it says.
    pub key: Bytes,
    /// What it says.
    pub value: Bytes,
}

/// Why a line means nothing.
#[derive(PartialEq, Eq, Debug)]
pub enum LineError {
    /// No tab.
    NoTab,
    /// More than one tab.
    Tabs,
    /// Nothing before the tab.
    NoKey,
    /// A wrong escape in the key or the value.
    Escape(&'static str, EscapeError),
    /// The key or the value is over its limit.
    TooLong(&'static str, usize, usize),
    /// The line is longer than any key and value can be.
    Endless,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTab => f.write_str("there is no tab between key and value"),
            Self::Tabs => {
                f.write_str("there is more than one tab; write \\t for a tab inside a key or value")
            }
            Self::NoKey => f.write_str("the key is empty; keys have at least one byte"),
            Self::Escape(part, error) => write!(f, "the {part} is wrongly escaped: {error}"),
            Self::TooLong(part, length, limit) => {
                write!(f, "the {part} has {length} bytes, the limit is {limit}")
            }
            Self::Endless => {
                write!(f, "it is longer than {LINE_BYTES_MAX} bytes, the most a key and a value can need")
            }
        }
    }
}

/// Reads lines one by one.
pub struct Lines {
    reader: Box<dyn AsyncBufRead + Unpin + Send>,
    number: u64,
    name: String,
}

impl Lines {
    /// Opens a file, or standard input for `-`. Gives its size too, if it has one.
    pub async fn open(path: &Path) -> Result<(Self, Option<u64>)> {
        if path == Path::new("-") {
            return Ok((Self::new(tokio::io::stdin(), "standard input"), None));
        }
        let file = tokio::fs::File::open(path).await;
        let file = file.with_context(|| format!("cannot open {}", path.display()))?;
        let about = file.metadata().await.with_context(|| format!("cannot read {}", path.display()))?;
        let size = about.is_file().then_some(about.len());
        Ok((Self::new(file, &path.display().to_string()), size))
    }

    fn new(source: impl AsyncRead + Unpin + Send + 'static, name: &str) -> Self {
        let reader = Box::new(BufReader::with_capacity(BUFFER_BYTES, source));
        Self { reader, number: 0, name: name.to_owned() }
    }

    /// What is being read, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of the line read last.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The next line; none at the end. The outer error is the file's, the inner one the line's.
    pub async fn next(&mut self) -> Result<Option<Result<Line, LineError>>> {
        let mut bytes = Vec::new();
        let mut bounded = (&mut self.reader).take(LINE_BYTES_MAX + 1);
        let read = bounded.read_until(b'\n', &mut bytes).await;
        let length = read.with_context(|| format!("cannot read {}", self.name))? as u64;
        if length == 0 {
            return Ok(None);
        }
        self.number += 1;
        if length > LINE_BYTES_MAX {
            return Ok(Some(Err(LineError::Endless)));
        }
        let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let parsed = parse(text);
        Ok(Some(parsed.map(|(key, value)| Line { number: self.number, length, key, value })))
    }
}

fn parse(text: &[u8]) -> Result<(Bytes, Bytes), LineError> {
    let tab = text.iter().position(|&byte| byte == b'\t').ok_or(LineError::NoTab)?;
    let (key, value) = (&text[..tab], &text[tab + 1..]);
    if value.contains(&b'\t') {
        return Err(LineError::Tabs);
    }
    if key.is_empty() {
        return Err(LineError::NoKey);
    }
    Ok((part("key", key, KEY_BYTES_MAX)?, part("value", value, VALUE_BYTES_MAX)?))
}

fn part(name: &'static str, text: &[u8], limit: usize) -> Result<Bytes, LineError> {
    let bytes = escape::unescaped(text).map_err(|error| LineError::Escape(name, error))?;
    if bytes.len() > limit {
        return Err(LineError::TooLong(name, bytes.len(), limit));
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_key_a_tab_and_a_value() {
        assert_eq!(parse(b"a\tb"), Ok(("a".into(), "b".into())));
        assert_eq!(parse(b"a\\tb\t"), Ok(("a\tb".into(), "".into())));
        assert_eq!(parse(b"ab"), Err(LineError::NoTab));
        assert_eq!(parse(b""), Err(LineError::NoTab));
        assert_eq!(parse(b"a\tb\tc"), Err(LineError::Tabs));
        assert_eq!(parse(b"\tb"), Err(LineError::NoKey));
        assert_eq!(parse(b"a\t\\"), Err(LineError::Escape("value", EscapeError::End)));
        let long = [&[b'k'; KEY_BYTES_MAX + 1][..], b"\tv"].concat();
        assert_eq!(parse(&long), Err(LineError::TooLong("key", KEY_BYTES_MAX + 1, KEY_BYTES_MAX)));
    }

    #[tokio::test]
    async fn the_last_line_needs_no_newline() {
        let mut lines = Lines::new(&b"a\tb\nc\td"[..], "test");
        let mut found = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            let line = line.unwrap();
            found.push((line.number, line.length, line.key));
        }
        assert_eq!(found, [(1, 4, "a".into()), (2, 3, "c".into())]);
    }
}
