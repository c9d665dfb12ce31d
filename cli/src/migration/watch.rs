//! Following a migration: a bar with bytes, speed and the time that is left.

use std::time::{Duration, Instant};

use anyhow::Result;
use flotilla_proto::migration_v1::{Record, State, WatchRequest, WatchResponse, WorkResponse};

use super::ask::Asker;
use super::{get, show};
use crate::args::Common;
use crate::progress::Progress;
use crate::{exit, output, table};

/// Between two nodes that are asked to tell.
const PAUSE: Duration = Duration::from_millis(300);
/// How long a stream may be silent: nodes speak twice a second.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// Follows one migration until it is over and tidied up. With `--json` a line for each change.
pub async fn follow(common: &Common, asker: &Asker, id: u64) -> Result<()> {
    let Some(first) = get(asker, id).await?.record else {
        return Err(exit::no(if id == 0 {
            "no migration yet".to_owned()
        } else {
            format!("there is no migration {id}")
        }));
    };
    let mut telling = Telling { json: common.json, bar: None, last: None, said: None, began: None };
    let id = first.id;
    telling.tell(&first, &[])?;
    let mut turn = 0usize;
    let mut last = first;
    while last.is_owed() {
        let address = &common.endpoints.0[turn % common.endpoints.0.len()];
        turn = turn.wrapping_add(1);
        if let Some(newest) = listen(asker, address, id, &mut telling).await? {
            last = newest;
        }
        if last.is_owed() {
            tokio::time::sleep(PAUSE).await;
            // Whoever was followed may have gone; if nobody answers any more, this says so.
            last = get(asker, id)
                .await?
                .record
                .ok_or_else(|| exit::no(format!("migration {id} was forgotten")))?;
            telling.tell(&last, &[])?;
        }
    }
    drop(telling);
    ended(common, &last)
}

/// Listens to one node as long as it speaks.
async fn listen(asker: &Asker, address: &str, id: u64, telling: &mut Telling) -> Result<Option<Record>> {
    let Ok(mut grpc) = asker.grpc(address) else { return Ok(None) };
    let opened = tokio::time::timeout(SILENCE_MAX, grpc.watch(WatchRequest { id })).await;
    let Ok(Ok(stream)) = opened else { return Ok(None) };
    let mut stream = stream.into_inner();
    let mut last = None;
    while let Ok(Ok(Some(WatchResponse { record: Some(record), work }))) =
        tokio::time::timeout(SILENCE_MAX, stream.message()).await
    {
        telling.tell(&record, &work)?;
        last = Some(record);
    }
    Ok(last)
}

fn ended(common: &Common, record: &Record) -> Result<()> {
    if !common.json {
        output::raw(&[show::text(record, &[]).as_bytes()])?;
    }
    if record.state() == State::Done { Ok(()) } else { Err(exit::told_no()) }
}

struct Telling {
    json: bool,
    bar: Option<Progress>,
    last: Option<Record>,
    /// The state that was last said aloud.
    said: Option<State>,
    /// When bytes of the present state were first seen, and how many there were.
    began: Option<(State, Instant, u64)>,
}

impl Telling {
    fn tell(&mut self, record: &Record, work: &[WorkResponse]) -> Result<()> {
        let stale = self.last.as_ref().is_some_and(|last| last.revision > record.revision);
        if stale {
            return Ok(());
        }
        let news = self.last.as_ref() != Some(record);
        self.last = Some(record.clone());
        if self.json {
            return if news { output::json(&show::json(record, work)) } else { Ok(()) };
        }
        let line = self.line(record, work);
        let bar = self.bar.get_or_insert_with(Progress::steps);
        // Where nobody looks on, a line for each state is enough.
        if self.said.replace(record.state()) == Some(record.state()) {
            bar.label(line);
        } else {
            bar.say(line);
        }
        Ok(())
    }

    fn line(&mut self, record: &Record, work: &[WorkResponse]) -> String {
        let totals = record.totals();
        let state = record.state();
        let (done, of) = match state {
            State::Dump => (totals.bytes_dumped, totals.bytes_planned),
            State::Upload => (totals.bytes_uploaded, totals.bytes_files),
            _ => {
                let owed = record.compensations.len();
                let tidying = if owed > 0 { format!(", {owed} things to tidy up") } else { String::new() };
                return format!("{:>3} %  {state}{tidying}", record.progress);
            }
        };
        let filled = (record.progress as usize * BAR_WIDTH / 100).min(BAR_WIDTH);
        let bar = format!("{}{}", "#".repeat(filled), "-".repeat(BAR_WIDTH - filled));
        let (speed, eta) = self.speed(state, done, of);
        let retries: u64 = work.iter().map(|node| node.part_retries).sum();
        let retries = if retries > 0 { format!("  {retries} retries") } else { String::new() };
        let (done, of) = (table::size(done), table::size(of));
        format!(
            "[{bar}] {:>3} %  {state}  {done}/{of}  {}/s  eta {eta}{retries}",
            record.progress,
            table::size(speed)
        )
    }

    /// Bytes per second since the state began, and the time that is left at that speed.
    fn speed(&mut self, state: State, done: u64, of: u64) -> (u64, String) {
        let fresh = (state, Instant::now(), done);
        let (_, since, from) = *match &mut self.began {
            Some(began) if began.0 == state => began,
            began => began.insert(fresh),
        };
        let speed = (done.saturating_sub(from) as f64 / since.elapsed().as_secs_f64().max(0.1)) as u64;
        let left = of.saturating_sub(done).checked_div(speed);
        (speed, left.map_or("?".to_owned(), |seconds| format!("{seconds} s")))
    }
}

/// Characters of the bar.
const BAR_WIDTH: usize = 30;
