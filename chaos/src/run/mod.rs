//! One run, from an empty folder to a verdict.
//!
//! ```text
//!   make the ground, start the fleet, join groups --> load, administrators, watcher
//!        --> episodes of faults until the time is up   (nemesis)
//!        --> heal, settle, read everything, compare    (finale)
//!        --> verdicts, service, report                 (verdict, gaps)
//! ```

pub(crate) mod arena;
mod birth;
mod finale;
pub(crate) mod gaps;
mod nemesis;
pub(crate) mod recorder;
mod verdict;

use std::collections::BTreeMap;

use anyhow::Result;
use flotilla_checker::record::{End, Line};
use flotilla_workload::{Admins, Dice, Done, Load, Sink};
use tokio::time::Instant;

use crate::faults::Class;
use crate::machine::able::Able;
use crate::machine::sweep::Tag;
use crate::{Options, Outcome};
use arena::Arena;
use birth::{Born, Choices};
use gaps::Service;
use nemesis::Nemesis;

/// Runs. What is wrong with the cluster is in the outcome; an error means that the run itself failed.
pub(crate) async fn run(options: &Options, able: &Able, tag: &Tag) -> Result<Outcome> {
    let choices = Choices::draw(options, able);
    let born = Box::pin(birth::bear(options, &choices, tag)).await?;
    let lived = Box::pin(live(options, &choices, &born)).await?;
    born.watching.abort();
    let arena = &born.arena;
    verdict::look_for_panics(&arena.recorder, &arena.fleet);
    // A fault that was wanted and could be done must have struck.
    let faults_min = usize::from(!choices.classes.is_empty());
    let judged = verdict::judge(&arena.recorder, choices.shards, faults_min);
    let service = service(options, arena, lived.healed_ns);
    arena.recorder.put(Line::End(lived.end(arena, judged.counts)));
    arena.recorder.flush()?;
    let Lived { done, changes, struck, .. } = lived;
    Ok(Outcome {
        folder: born.folder,
        violations: arena.recorder.violations(),
        verdicts: judged.verdicts.each.iter().map(ToString::to_string).collect(),
        service,
        done,
        changes,
        struck,
        lines: arena.recorder.with_lines(<[Line]>::to_vec),
    })
}

/// What came of load and faults.
struct Lived {
    done: Done,
    changes: u64,
    struck: BTreeMap<Class, u64>,
    healed_ns: u64,
}

/// Load and faults, then peace.
async fn live(options: &Options, choices: &Choices, born: &Born) -> Result<Lived> {
    let Born { arena, site, watcher, .. } = born;
    let load = Load::start(choices.load(options), site);
    let admins = options.moves.then(|| Admins::start(choices.admins(options), site));
    load.more(50, birth::BIRTH_MAX).await?;
    let mut nemesis = Nemesis {
        arena,
        load: &load,
        classes: choices.classes.clone(),
        dice: Dice::fork(options.seed, 1),
        voice: options.voice.clone(),
        struck: BTreeMap::new(),
    };
    Box::pin(nemesis.run(Instant::now() + options.length)).await;
    let struck = std::mem::take(&mut nemesis.struck);
    (options.voice)("all is healed; waiting until everything is back, settled and equal");
    finale::healed(arena).await;
    let healed_ns = arena.stopwatch.now_ns();
    let changes = match admins {
        Some(admins) => admins.stop().await,
        None => 0,
    };
    let done = load.stop().await;
    let keys = [done.keys.clone(), arena.take_keys()].concat();
    Box::pin(finale::settle(arena, site, watcher, choices.shards, keys)).await;
    Ok(Lived { done, changes, struck, healed_ns })
}

impl Lived {
    /// The record's last line.
    fn end(&self, arena: &Arena, checked: BTreeMap<String, u64>) -> End {
        let mut counts = arena.recorder.with_lines(verdict::happened);
        counts.extend(checked);
        counts.extend([
            ("operations".to_owned(), self.done.ok),
            ("operations_failed".to_owned(), self.done.failed),
            ("operations_unknown".to_owned(), self.done.unknown),
            ("changes".to_owned(), self.changes),
            ("faults".to_owned(), self.struck.values().sum()),
        ]);
        End { at_ns: arena.stopwatch.now_ns(), healed_ns: Some(self.healed_ns), counts }
    }
}

/// What service was like; too little of it fails the run.
fn service(options: &Options, arena: &Arena, healed_ns: u64) -> Service {
    let service = arena.recorder.with_lines(|lines| gaps::measure(lines, healed_ns));
    if let Some(rate) = service.calm_per_second.filter(|rate| *rate < options.floor) {
        let what = format!("{rate:.0} operations/s outside of faults, {:.0} wanted", options.floor);
        arena.recorder.violation("floor", &what);
    }
    service
}
