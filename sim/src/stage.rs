//! Where the run of this process stands: for the panic hook, and for the watchdog that dumps what a stuck run waits for.
//! A process runs one seed, so this is the process's own.

use std::panic::PanicHookInfo;
use std::sync::Weak;

use flotilla_checker::record::Violation;
use parking_lot::Mutex;

use crate::observe;
use crate::world::World;

static STAGE: Mutex<Stage> =
    Mutex::new(Stage { name: "", said: String::new(), panics: Vec::new(), world: None });

struct Stage {
    name: &'static str,
    said: String,
    panics: Vec<String>,
    world: Option<Weak<World>>,
}

/// The run is this world's.
pub fn set(world: &std::sync::Arc<World>) {
    STAGE.lock().world = Some(std::sync::Arc::downgrade(world));
}

/// The run enters a phase.
pub fn enter(name: &'static str) {
    let mut stage = STAGE.lock();
    stage.name = name;
    stage.said.clear();
    let world = stage.world.as_ref().and_then(Weak::upgrade);
    drop(stage);
    if let Some(world) = world {
        world.event("stage", None, name);
    }
}

/// What the phase waits for.
pub fn say(what: &str) {
    what.clone_into(&mut STAGE.lock().said);
}

/// Notes every panic of the process: each one is a violation.
pub fn catch_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        before(info);
        STAGE.lock().panics.push(words(info));
    }));
}

fn words(info: &PanicHookInfo<'_>) -> String {
    let message = info.payload_as_str().unwrap_or("no message");
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    format!("panicked at {place}: {message}")
}

/// The panics so far, as violations.
pub fn panics(at_ns: u64) -> Vec<Violation> {
    let wrong = |what: &String| Violation { at_ns, by: "panic".to_owned(), what: what.clone(), key: None };
    STAGE.lock().panics.iter().map(wrong).collect()
}

/// Where the run stands, in words.
pub fn dump() -> String {
    let stage = STAGE.lock();
    let (name, said) = (stage.name, stage.said.clone());
    let world = stage.world.as_ref().and_then(Weak::upgrade);
    drop(stage);
    let mut words = format!("in {name}: {said}\n");
    if let Some(world) = world {
        words += &format!("  at {} ms of simulated time\n", world.trace.now_ns() / 1_000_000);
        // The run's own thread may hold a lock for ever; then there is nothing to see.
        for view in observe::try_look(&world) {
            words += &format!("  {view}\n");
        }
    }
    words
}

/// Stamps log lines with simulated time.
#[derive(Clone, Copy, Debug)]
pub struct Simulated;

impl tracing_subscriber::fmt::time::FormatTime for Simulated {
    fn format_time(&self, to: &mut tracing_subscriber::fmt::format::Writer<'_>) -> std::fmt::Result {
        // Not through the world: whoever logs may hold what it needs.
        let now = STAGE.try_lock().and_then(|stage| stage.world.as_ref().and_then(Weak::upgrade));
        match now {
            Some(world) => write!(to, "{:>12.3}", world.trace.now_ns() as f64 / 1e6),
            None => write!(to, "{:>12}", "-"),
        }
    }
}
