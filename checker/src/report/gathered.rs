//! The lines of a record, sorted by what they are and by time.

use flotilla_types::shard_of_key;

use crate::record::{End, Event, Fault, Line, Message, Operation, Run, Text, View, Violation};

/// A record, taken apart. Each list is in the order of time.
#[derive(Default)]
pub(super) struct Gathered<'a> {
    pub run: Option<&'a Run>,
    pub operations: Vec<&'a Operation>,
    pub faults: Vec<&'a Fault>,
    pub views: Vec<&'a View>,
    pub events: Vec<&'a Event>,
    pub messages: Vec<&'a Message>,
    pub violations: Vec<&'a Violation>,
    pub end: Option<&'a End>,
    /// The last stamp of all.
    pub span_ns: u64,
    /// How many shards the keys are spread over; none: the record does not say.
    pub shards: Option<u32>,
}

impl<'a> Gathered<'a> {
    pub(super) fn new(lines: &'a [Line]) -> Self {
        let mut all = Self::default();
        for line in lines {
            all.add(line);
        }
        all.operations.sort_by_key(|operation| operation.called_ns);
        all.faults.sort_by_key(|fault| fault.at_ns);
        all.views.sort_by_key(|view| view.at_ns);
        all.events.sort_by_key(|event| event.at_ns);
        all.messages.sort_by_key(|message| message.sent_ns);
        all.violations.sort_by_key(|violation| violation.at_ns);
        all.shards = all.shard_count();
        all
    }

    fn add(&mut self, line: &'a Line) {
        let last = match line {
            Line::Run(run) => {
                self.run = Some(run);
                0
            }
            Line::Op(operation) => {
                self.operations.push(operation);
                operation.returned_ns.unwrap_or(operation.called_ns)
            }
            Line::Fault(fault) => {
                self.faults.push(fault);
                fault.until_ns.unwrap_or(fault.at_ns)
            }
            Line::View(view) => {
                self.views.push(view);
                view.at_ns
            }
            Line::Event(event) => {
                self.events.push(event);
                event.at_ns
            }
            Line::Message(message) => {
                self.messages.push(message);
                message.sent_ns
            }
            Line::Violation(violation) => {
                self.violations.push(violation);
                violation.at_ns
            }
            Line::End(end) => {
                self.end = Some(end);
                end.at_ns
            }
        };
        self.span_ns = self.span_ns.max(last);
    }

    /// From the run's choices, or else from the greatest shard that any replica spoke of.
    fn shard_count(&self) -> Option<u32> {
        let chosen = self.run.and_then(|run| run.choices.get("shards")?.parse().ok());
        let replicas = self.views.iter().filter_map(|view| view.replicas.as_ref()).flatten();
        let seen = replicas.flat_map(|replica| &replica.shards).map(|shard| shard.shard.saturating_add(1));
        chosen.or_else(|| seen.max()).filter(|shards| (1..=flotilla_types::slot::SLOTS).contains(shards))
    }

    /// The shard of a key; 0 where the number of shards is not known.
    pub(super) fn shard_of(&self, key: &Text) -> u32 {
        self.shards.map_or(0, |shards| shard_of_key(key.bytes(), shards).0)
    }
}
