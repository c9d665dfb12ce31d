//! The record of the run: kept, and written to a file as it grows.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use flotilla_checker::record::{Event, Line, Violation};
use flotilla_workload::{Sink, Stopwatch};

/// The record of a run.
pub(crate) struct Recorder {
    stopwatch: Stopwatch,
    inner: Mutex<Inner>,
}

struct Inner {
    file: BufWriter<File>,
    lines: Vec<Line>,
    /// Why the file is not whole.
    trouble: Option<String>,
}

impl Recorder {
    /// Writes to this file.
    pub fn create(path: &Path, stopwatch: Stopwatch) -> Result<Self> {
        let file =
            File::create(path).with_context(|| format!("cannot create the record {}", path.display()))?;
        let inner = Inner { file: BufWriter::new(file), lines: Vec::new(), trouble: None };
        Ok(Self { stopwatch, inner: Mutex::new(inner) })
    }

    /// Notes something worth a mark.
    pub fn event(&self, name: &str, node: Option<u64>, detail: &str) {
        let event = Event {
            at_ns: self.stopwatch.now_ns(),
            name: name.to_owned(),
            node,
            gid: None,
            shard: None,
            detail: detail.to_owned(),
        };
        self.put(Line::Event(event));
    }

    /// Notes something wrong.
    pub fn violation(&self, by: &str, what: &str) {
        let at_ns = self.stopwatch.now_ns();
        self.put(Line::Violation(Violation { at_ns, by: by.to_owned(), what: what.to_owned(), key: None }));
    }

    /// All lines so far.
    pub fn with_lines<T>(&self, look: impl FnOnce(&[Line]) -> T) -> T {
        look(&self.lock().lines)
    }

    /// Everything wrong so far.
    pub fn violations(&self) -> Vec<Violation> {
        let violation = |line: &Line| match line {
            Line::Violation(violation) => Some(violation.clone()),
            _ => None,
        };
        self.with_lines(|lines| lines.iter().filter_map(violation).collect())
    }

    /// Makes the file whole.
    pub fn flush(&self) -> Result<()> {
        let mut inner = self.lock();
        inner.file.flush().context("cannot write the record")?;
        match &inner.trouble {
            Some(trouble) => Err(anyhow::anyhow!("the record is not whole: {trouble}")),
            None => Ok(()),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Recorder {
    fn put(&self, line: Line) {
        let text = serde_json::to_string(&line).map_err(std::io::Error::from);
        let mut inner = self.lock();
        let written = text.and_then(|text| writeln!(inner.file, "{text}"));
        if let Err(error) = written {
            inner.trouble = Some(error.to_string());
        }
        inner.lines.push(line);
    }
}
