//! What a command says: answers on stdout, remarks on stderr.

use std::fmt;
use std::io::{self, Write};

use anyhow::Result;
use serde_json::{Map, Value};

use crate::escape;

/// Standard output cannot be written. A type of its own, since a broken pipe here means that our reader has what it
/// wanted, and anywhere else it is trouble.
#[derive(Debug)]
pub struct StdoutError(io::Error);

impl StdoutError {
    /// Whether the reader went away.
    pub fn is_broken_pipe(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }
}

impl From<io::Error> for StdoutError {
    fn from(error: io::Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for StdoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot write to standard output: {}", self.0)
    }
}

impl std::error::Error for StdoutError {}

/// Writes `parts` one after the other to stdout, at once.
pub fn raw(parts: &[&[u8]]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    let mut write = || {
        parts.iter().try_for_each(|part| stdout.write_all(part))?;
        stdout.flush()
    };
    Ok(write().map_err(StdoutError)?)
}

/// Writes a line to stdout.
pub fn line(text: impl fmt::Display) -> Result<()> {
    raw(&[format!("{text}\n").as_bytes()])
}

/// Writes one line of JSON to stdout.
pub fn json(value: &Value) -> Result<()> {
    line(value)
}

/// Writes a line to stderr. If nobody listens there, nothing can be done about it.
pub fn note(text: impl fmt::Display) {
    let _ = io::stderr().lock().write_all(format!("{text}\n").as_bytes());
}

/// Puts bytes into a JSON object: as text under `name`, or in hexadecimal digits under `name_hex`.
pub fn put_bytes(object: &mut Map<String, Value>, name: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => object.insert(name.to_owned(), text.into()),
        Err(_) => object.insert(format!("{name}_hex"), escape::hex(bytes).into()),
    };
}

/// A key or value as it is shown to people inside a sentence.
pub fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&escape::escaped(bytes)).into_owned();
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((cut, _)) => format!("{}...", &text[..cut]),
        None => text,
    }
}

/// Longer keys and values are cut in messages.
const SHOWN_CHARS_MAX: usize = 80;
