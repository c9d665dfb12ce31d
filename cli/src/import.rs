//! `flotilla import`: stores every line of a file, many at a time.
//!
//! Lines with equal keys are stored in the file's order, others in any. A line that cannot be read, or a put that
//! fails, ends the import: nothing after it is sent, what is on its way is waited for, and it is said how much is there.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use flotilla_client::{Client, ClientError};
use serde_json::json;
use tokio::task::JoinSet;

use crate::args::Common;
use crate::lines::{Line, Lines};
use crate::progress::Progress;
use crate::{connect, duration, exit, output, table};

/// How many bytes of keys and values may be on their way at a time, so that large values do not fill the memory.
const IN_FLIGHT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What `import` takes.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "A line is: key, tab, value. Inside both, \\\\ \\t \\n \\r and \\xNN stand for a backslash, a tab, a newline, a carriage \
return and the byte NN. Each put is retried until --timeout. Importing the same file again is harmless."
)]
pub struct ImportArgs {
    /// The file; `-` reads standard input
    file: PathBuf,
    /// How many puts may be on their way at a time
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=4096))]
    in_flight: u16,
}

/// What became of one line's put.
struct Put {
    line: u64,
    length: u64,
    key: Bytes,
    bytes: u64,
    result: Result<(), ClientError>,
}

/// An import on its way.
struct Import {
    client: Client,
    progress: Progress,
    in_flight_max: usize,
    puts: JoinSet<Put>,
    keys: HashSet<Bytes>,
    bytes_in_flight: u64,
    /// Lines whose put was acknowledged, and their bytes of keys and values.
    imported: u64,
    imported_bytes: u64,
    /// Of the puts that failed, the one that stands first in the file.
    failed: Option<(u64, ClientError)>,
}

/// `flotilla import`.
pub async fn run(common: &Common, args: ImportArgs) -> Result<()> {
    let (mut lines, size) = Lines::open(&args.file).await?;
    let in_flight_max = usize::from(args.in_flight);
    let client = connect::many(common, in_flight_max).await?;
    let started = Instant::now();
    let mut import = Import {
        client,
        progress: Progress::bytes(size),
        in_flight_max,
        puts: JoinSet::new(),
        keys: HashSet::new(),
        bytes_in_flight: 0,
        imported: 0,
        imported_bytes: 0,
        failed: None,
    };
    let unread = import.feed(&mut lines).await;
    import.drain().await?;
    import.conclude(&lines, unread)?;
    import.summary(common, started.elapsed())
}

impl Import {
    /// Sends lines until the end or the first trouble, which is returned if it is the file's.
    async fn feed(&mut self, lines: &mut Lines) -> Result<()> {
        while self.failed.is_none() {
            let Some(line) = lines.next().await? else { return Ok(()) };
            let line = line.map_err(|error| exit::misuse(error.to_string()))?;
            self.make_room(&line).await?;
            if self.failed.is_none() {
                self.send(line);
            }
        }
        Ok(())
    }

    /// Waits until the line may be sent: few enough on their way, and none with the same key.
    async fn make_room(&mut self, line: &Line) -> Result<()> {
        let bytes = bytes_of(line);
        while self.puts.len() >= self.in_flight_max
            || (self.bytes_in_flight > 0 && self.bytes_in_flight + bytes > IN_FLIGHT_BYTES_MAX)
            || self.keys.contains(&line.key)
        {
            self.take_one().await?;
        }
        Ok(())
    }

    fn send(&mut self, line: Line) {
        self.keys.insert(line.key.clone());
        let bytes = bytes_of(&line);
        self.bytes_in_flight += bytes;
        let client = self.client.clone();
        self.puts.spawn(async move {
            let Line { number, length, key, value } = line;
            let result = client.put(key.clone(), value).await.map(drop);
            Put { line: number, length, key, bytes, result }
        });
    }

    async fn take_one(&mut self) -> Result<()> {
        let Some(put) = self.puts.join_next().await else { return Ok(()) };
        let put = put.context("a put ended without an answer")?;
        self.keys.remove(&put.key);
        self.bytes_in_flight -= put.bytes;
        match put.result {
            Ok(()) => {
                self.imported += 1;
                self.imported_bytes += put.bytes;
                self.progress.label(format!("{} lines", self.imported));
                self.progress.advance(put.length);
            }
            Err(error) if self.failed.as_ref().is_none_or(|(line, _)| put.line < *line) => {
                self.failed = Some((put.line, error));
            }
            Err(_) => {}
        }
        Ok(())
    }

    async fn drain(&mut self) -> Result<()> {
        while !self.puts.is_empty() {
            self.take_one().await?;
        }
        Ok(())
    }

    fn conclude(&mut self, lines: &Lines, unread: Result<()>) -> Result<()> {
        let (name, imported) = (lines.name(), self.imported);
        if let Some((line, error)) = self.failed.take() {
            let words =
                format!("{name}, line {line}: {imported} lines were imported, this one was not for certain");
            return Err(error).context(words);
        }
        let line = lines.number();
        unread.with_context(|| {
            format!("{name}, line {line}: {imported} lines were imported, none from here on")
        })
    }

    fn summary(&self, common: &Common, took: Duration) -> Result<()> {
        let (lines, bytes) = (self.imported, self.imported_bytes);
        if common.json {
            let seconds = took.as_secs_f64();
            return output::json(&json!({ "imported": lines, "bytes": bytes, "seconds": seconds }));
        }
        output::line(format_args!(
            "imported {lines} lines, {} in {}",
            table::size(bytes),
            duration::shown(took)
        ))
    }
}

fn bytes_of(line: &Line) -> u64 {
    (line.key.len() + line.value.len()) as u64
}
