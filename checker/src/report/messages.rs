//! The last messages before things went wrong, for the diagram of who said what to whom.

use std::collections::BTreeSet;

use serde::Serialize;

use super::gathered::Gathered;
use super::html::shortened;
use super::time::ms;
use crate::record::Message;

/// So many messages are drawn.
const MESSAGES_MAX: usize = 200;
/// Characters of a message that are kept.
const WHAT_MAX: usize = 160;

/// The diagram.
#[derive(Serialize)]
pub(super) struct Diagram {
    /// Everybody who sent one or was to get one; 0: clients.
    nodes: BTreeSet<u64>,
    /// The moment that they lead up to; none: the end of the record.
    violation: Option<f64>,
    messages: Vec<Arrow>,
}

#[derive(Serialize)]
struct Arrow {
    sent: f64,
    /// None: lost.
    arrived: Option<f64>,
    from: u64,
    to: u64,
    what: String,
}

/// The last messages that were sent before the first violation; if none were kept from then, the last of all.
pub(super) fn diagram(all: &Gathered<'_>) -> Option<Diagram> {
    let violation = all.violations.first().map(|violation| violation.at_ns);
    let before = all.messages.partition_point(|message| violation.is_none_or(|at| message.sent_ns <= at));
    let upto = if before == 0 { all.messages.len() } else { before };
    let last = &all.messages[upto.saturating_sub(MESSAGES_MAX)..upto];
    let nodes: BTreeSet<u64> = last.iter().flat_map(|message| [message.from, message.to]).collect();
    let messages = last.iter().map(|message| arrow(message)).collect();
    (!last.is_empty()).then(|| Diagram { nodes, violation: violation.map(ms), messages })
}

fn arrow(message: &Message) -> Arrow {
    Arrow {
        sent: ms(message.sent_ns),
        arrived: message.arrived_ns.map(ms),
        from: message.from,
        to: message.to,
        what: shortened(&message.what, WHAT_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Line, Violation};

    #[test]
    fn they_lead_up_to_the_violation() {
        let message = |sent_ns| {
            Line::Message(Message { sent_ns, arrived_ns: None, from: 0, to: 3, what: "Put".into() })
        };
        let violation = Violation { at_ns: 300, by: "A".into(), what: String::new(), key: None };
        let mut lines: Vec<Line> = (0..500).map(message).collect();
        lines.push(Line::Violation(violation));
        let diagram = diagram(&Gathered::new(&lines)).expect("messages");
        assert_eq!(diagram.messages.len(), MESSAGES_MAX);
        assert_eq!(diagram.messages.last().map(|last| last.sent), Some(ms(300)));
        assert_eq!(diagram.nodes, [0, 3].into());
    }
}
