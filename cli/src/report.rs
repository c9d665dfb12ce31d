//! `flotilla report`: records of runs as pages to look at.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flotilla_checker::read::{self, ReadError};
use flotilla_checker::record::Line;
use flotilla_checker::report::{self, Night, Summary, Table};
use flotilla_checker::sometimes;
use serde_json::json;

use crate::args::Common;
use crate::{exit, output};

/// What `report` takes.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "A record is what `flotilla chaos --record` and `flotilla-sim --record` write. A page needs no network \
and no other file. With several records, OUTPUT is a directory: it gets a page for each record, named like the record, and \
index.html."
)]
pub struct ReportArgs {
    /// The records
    #[arg(required = true)]
    records: Vec<PathBuf>,
    /// Where the page goes (default: the record with the extension .html), or the directory for the pages of several
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// A text file with the bug ledger, for the index: a Markdown table, the first below a heading that has "ledger" in it,
    /// or the first of all
    #[arg(long)]
    bugs: Option<PathBuf>,
    /// A text file with the table of planted bugs, for the index: the first below a heading that has "planted" in it, or
    /// the first of all
    #[arg(long)]
    planted: Option<PathBuf>,
    /// Hold the runs against what must happen in a night of them: what never did is red in the index
    #[arg(long)]
    night: bool,
    /// The index's title
    #[arg(long, default_value = "Flotilla runs")]
    title: String,
}

/// `flotilla report`: says where the page is, or that of all.
pub fn run(common: &Common, args: &ReportArgs) -> Result<()> {
    let page = match &args.records[..] {
        [record] if !args.output.as_ref().is_some_and(|output| output.is_dir()) => one(record, args)?,
        records => many(records, args)?,
    };
    let page = page.display().to_string();
    if common.json { output::json(&json!({ "page": page })) } else { output::line(format!("wrote {page}")) }
}

fn one(record: &Path, args: &ReportArgs) -> Result<PathBuf> {
    if args.bugs.is_some() || args.planted.is_some() || args.night {
        return Err(exit::misuse(
            "--bugs, --planted and --night belong to an index: give --output a directory",
        ));
    }
    let output = args.output.clone().unwrap_or_else(|| record.with_extension("html"));
    write(output, &report::page(&lines(record)?))
}

fn many(records: &[PathBuf], args: &ReportArgs) -> Result<PathBuf> {
    let directory = args.output.as_ref().ok_or_else(|| {
        exit::misuse("several records need --output, the directory for their pages and index.html")
    })?;
    std::fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let mut runs = Vec::new();
    let mut names = std::collections::BTreeSet::new();
    for record in records {
        let lines = lines(record)?;
        let name = Path::new(record.file_name().unwrap_or_default()).with_extension("html");
        if !names.insert(name.clone()) {
            return Err(exit::misuse(format!(
                "two records would both become {}: rename one",
                name.display()
            )));
        }
        write(directory.join(&name), &report::page(&lines))?;
        runs.push(Summary::new(&lines, Some(name.display().to_string())));
    }
    let night = Night {
        title: args.title.clone(),
        runs,
        bugs: table(args.bugs.as_deref(), "ledger")?,
        planted: table(args.planted.as_deref(), "planted")?,
        wanted: if args.night { sometimes::ALL.map(|one| one.name.to_owned()).into() } else { Vec::new() },
    };
    write(directory.join("index.html"), &report::index(&night))
}

fn lines(record: &Path) -> Result<Vec<Line>> {
    let name = record.display();
    let file = File::open(record).map_err(|error| exit::misuse(format!("cannot read {name}: {error}")))?;
    let mut found = Vec::new();
    for line in read::lines(BufReader::new(file)) {
        match line {
            Ok(line) => found.push(line),
            // What was written before is still worth a page, which says that there is no verdict.
            Err(cut @ ReadError::CutOff { .. }) => output::note(format!("{name}: {cut}")),
            Err(error) => return Err(exit::misuse(format!("{name}: {error}"))),
        }
    }
    Ok(found)
}

fn table(file: Option<&Path>, heading: &str) -> Result<Option<Table>> {
    let Some(file) = file else { return Ok(None) };
    let name = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| exit::misuse(format!("cannot read {name}: {error}")))?;
    let table = Table::read(&text, heading).or_else(|| Table::read(&text, ""));
    table.map(Some).ok_or_else(|| exit::misuse(format!("{name} holds no table")))
}

fn write(path: PathBuf, page: &str) -> Result<PathBuf> {
    std::fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
