//! Who decides which faults strike, and when.

use std::collections::BTreeMap;
use std::time::Duration;

use flotilla_checker::record::{Fault, Line};
use flotilla_workload::{Dice, Load, Sink};
use futures::future::join_all;
use tokio::time::{Instant, sleep, sleep_until};

use super::arena::Arena;
use crate::Voice;
use crate::faults::{Class, Family};

/// How long faults are held, and the rest between two episodes.
const HOLD: std::ops::Range<Duration> = Duration::from_millis(200)..Duration::from_secs(5);
const REST: std::ops::Range<Duration> = Duration::ZERO..Duration::from_secs(2);
/// After every episode, so many operations must be acknowledged before patience ends.
const PROGRESS: u64 = 20;

/// Strikes until the time is up.
pub(crate) struct Nemesis<'a> {
    pub arena: &'a Arena,
    pub load: &'a Load,
    pub classes: Vec<Class>,
    pub dice: Dice,
    pub voice: Voice,
    /// How often each class has struck.
    pub struck: BTreeMap<Class, u64>,
}

impl Nemesis<'_> {
    /// One episode after the other.
    pub async fn run(&mut self, until: Instant) {
        if self.classes.is_empty() {
            return sleep_until(until).await;
        }
        while Instant::now() < until {
            self.episode().await;
            let rest = self.dice.duration(REST);
            sleep(rest).await;
        }
    }

    async fn episode(&mut self) {
        let (began, acked) = (Instant::now(), self.load.acked());
        let classes = self.draw();
        let strikes = classes.iter().map(|class| {
            let mut dice = Dice::new(self.dice.next_u64());
            let hold = dice.duration(HOLD);
            let arena = self.arena;
            async move { (*class, class.strike(arena, &mut dice, hold).await) }
        });
        let strikes: Vec<_> = strikes.collect();
        let mut words = Vec::new();
        for (class, struck) in join_all(strikes).await {
            match struck {
                Ok(Some(fault)) => words.push(self.note(class, fault)),
                Ok(None) => words.push(format!("{} (made no sense)", class.name())),
                Err(error) => {
                    let what = format!("fault {} could not be carried out: {error:#}", class.name());
                    self.arena.recorder.violation("I12", &what);
                    words.push(what);
                }
            }
        }
        self.check_fallen();
        self.check_progress(&words).await;
        let (acks, took) = (self.load.acked() - acked, began.elapsed().as_secs_f64());
        (self.voice)(&format!("{:6.1} s: {}; {acks} acknowledged", took, words.join("; ")));
    }

    /// One to three classes of different families, those first that have struck least.
    fn draw(&mut self) -> Vec<Class> {
        let count = match self.dice.below(10) {
            0..5 => 1,
            5..8 => 2,
            _ => 3,
        };
        let mut classes = self.classes.clone();
        self.dice.shuffle(&mut classes);
        classes.sort_by_key(|class| self.struck.get(class).copied().unwrap_or(0));
        let mut drawn: BTreeMap<Family, Class> = BTreeMap::new();
        for class in classes {
            if drawn.len() < count {
                drawn.entry(class.family()).or_insert(class);
            }
        }
        let lonely = drawn.values().copied().find(|class| class.is_lonely());
        lonely.map_or_else(|| drawn.into_values().collect(), |class| vec![class])
    }

    fn note(&mut self, class: Class, fault: Fault) -> String {
        *self.struck.entry(class).or_default() += 1;
        let words = format!("{} {:?} {}", fault.kind, fault.nodes, fault.detail);
        self.arena.recorder.put(Line::Fault(fault));
        words.trim_end().to_owned()
    }

    /// No node ends by itself unless a fault allows it.
    fn check_fallen(&self) {
        for (node, status) in self.arena.fleet.fallen() {
            let tail = self.arena.fleet.node(node).map(|node| node.process.tail()).unwrap_or_default();
            self.arena.recorder.violation("I13", &format!("node {node} ended by itself: {status}\n{tail}"));
        }
        self.arena.revive();
    }

    async fn check_progress(&self, words: &[String]) {
        if let Err(stalled) = self.load.more(PROGRESS, self.arena.patience).await {
            let what = format!("after {}, all healed, {stalled}", words.join("; "));
            self.arena.recorder.violation("I9", &what);
        }
    }
}
