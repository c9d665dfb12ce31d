//! `flotilla export`: all keys in order, in the form that `import` reads.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use flotilla_client::{Client, ScanOptions, ScanRange};
use serde_json::json;

use crate::args::Common;
use crate::output::{self, StdoutError};
use crate::progress::Progress;
use crate::{connect, duration, escape, exit, probe, status, table};

/// What `export` takes.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "A line is: key, tab, value, escaped as `import` describes. FILE is written aside and renamed when \
complete, so it is all there or not at all. Writes that happen meanwhile may or may not be in it."
)]
pub struct ExportArgs {
    /// The file; `-` writes to standard output
    file: PathBuf,
}

/// Where the lines go.
enum Target {
    Stdout(BufWriter<std::io::Stdout>),
    File { writer: BufWriter<File>, aside: PathBuf, path: PathBuf },
}

/// `flotilla export`.
pub async fn run(common: &Common, args: ExportArgs) -> Result<()> {
    let client = connect::many(common, 1).await?;
    let started = Instant::now();
    let mut target = Target::create(&args.file)?;
    let copied = copy(common, &client, &mut target).await;
    let (keys, bytes) = match copied {
        Ok(copied) => copied,
        Err(error) => {
            target.discard();
            return Err(error);
        }
    };
    let to_file = target.finish()?;
    summary(common, to_file, keys, bytes, started.elapsed())
}

async fn copy(common: &Common, client: &Client, target: &mut Target) -> Result<(u64, u64)> {
    let progress = Progress::count(expected_keys(common).await);
    let (mut keys, mut bytes, mut text) = (0, 0, Vec::new());
    let mut scan = client.scan(ScanRange::All, ScanOptions::default());
    while let Some(page) = scan.next_page().await? {
        text.clear();
        for (key, found) in &page {
            escape::escape_to(&mut text, key);
            text.push(b'\t');
            escape::escape_to(&mut text, &found.value);
            text.push(b'\n');
            bytes += (key.len() + found.value.len()) as u64;
        }
        target.write(&text)?;
        keys += page.len() as u64;
        progress.label(table::size(bytes));
        progress.advance(page.len() as u64);
    }
    Ok((keys, bytes))
}

/// How many keys there are by the shards' own count: only for the bar, so trouble does not matter.
async fn expected_keys(common: &Common) -> Option<u64> {
    let view = probe::view(&common.endpoints.0, common.timeout.min(Duration::from_secs(2))).await.ok()?;
    Some(status::keys(&view)).filter(|keys| *keys > 0)
}

fn summary(common: &Common, to_file: bool, keys: u64, bytes: u64, took: Duration) -> Result<()> {
    let seconds = took.as_secs_f64();
    let text = match common.json {
        true => json!({ "exported": keys, "bytes": bytes, "seconds": seconds }).to_string(),
        false => format!("exported {keys} keys, {} in {}", table::size(bytes), duration::shown(took)),
    };
    // Standard output holds the data, if that is where it went.
    if to_file {
        return output::line(text);
    }
    output::note(text);
    Ok(())
}

impl Target {
    fn create(path: &Path) -> Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::Stdout(BufWriter::new(std::io::stdout())));
        }
        if path.exists() && !path.is_file() {
            return Err(exit::misuse(format!(
                "{} is no regular file; name one, or - for stdout",
                path.display()
            )));
        }
        let mut aside = path.as_os_str().to_owned();
        aside.push(".tmp");
        let aside = PathBuf::from(aside);
        let file = File::create(&aside).with_context(|| format!("cannot create {}", aside.display()))?;
        Ok(Self::File { writer: BufWriter::new(file), aside, path: path.to_owned() })
    }

    fn write(&mut self, text: &[u8]) -> Result<()> {
        match self {
            Self::Stdout(writer) => Ok(writer.write_all(text).map_err(StdoutError::from)?),
            Self::File { writer, aside, .. } => {
                writer.write_all(text).with_context(|| format!("cannot write {}", aside.display()))
            }
        }
    }

    /// Makes it complete; says whether it is a file.
    fn finish(self) -> Result<bool> {
        match self {
            Self::Stdout(mut writer) => {
                writer.flush().map_err(StdoutError::from)?;
                Ok(false)
            }
            Self::File { writer, aside, path } => {
                let done = complete(writer, &aside, &path);
                if done.is_err() {
                    let _ = std::fs::remove_file(&aside);
                }
                done.map(|()| true)
            }
        }
    }

    /// Removes what is there of a file that will not be complete.
    fn discard(self) {
        if let Self::File { aside, .. } = self {
            let _ = std::fs::remove_file(aside);
        }
    }
}

fn complete(writer: BufWriter<File>, aside: &Path, path: &Path) -> Result<()> {
    let file = writer.into_inner().map_err(std::io::IntoInnerError::into_error);
    let synced = file.and_then(|file| file.sync_all());
    synced.with_context(|| format!("cannot write {}", aside.display()))?;
    std::fs::rename(aside, path)
        .with_context(|| format!("cannot rename {} to {}", aside.display(), path.display()))
}
