//! Marks: moments worth a line across the charts.
//!
//! They are the record's events. Elections and changes of a shard's owner are often not recorded as such: where the record
//! has none, they are taken from the lanes, at the moment when they were first seen.

use serde::Serialize;

use super::gathered::Gathered;
use super::html::shortened;
use super::lanes::Lanes;
use super::time::ms;
use crate::record::Event;

/// More marks of a kind than these are left out, the last first.
const MARKS_MAX: usize = 2_000;
/// Characters of a mark's detail that are kept.
const DETAIL_MAX: usize = 200;

/// What a mark is about, as far as its colour goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Election,
    Move,
    Other,
}

/// One mark.
#[derive(Serialize)]
pub(super) struct Mark {
    at: f64,
    kind: Kind,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gid: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shard: Option<u32>,
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
}

/// All marks, in the order of time.
pub(super) fn marks(all: &Gathered<'_>, lanes: &Lanes) -> Vec<Mark> {
    let mut marks: Vec<Mark> = all.events.iter().map(|event| recorded(event)).collect();
    if !marks.iter().any(|mark| mark.kind == Kind::Election) {
        marks.extend(lanes.elections().into_iter().map(elected));
    }
    if !marks.iter().any(|mark| mark.name == "moved") {
        marks.extend(lanes.changes().into_iter().map(moved));
    }
    marks.sort_by(|a, b| a.at.total_cmp(&b.at));
    let mut left = [MARKS_MAX; 3];
    marks.retain(|mark| {
        let left = &mut left[mark.kind as usize];
        *left = left.saturating_sub(1);
        *left > 0
    });
    marks
}

fn recorded(event: &Event) -> Mark {
    let Event { at_ns, name, node, gid, shard, detail } = event;
    let starts = |words: &[&str]| words.iter().any(|word| name.starts_with(word));
    let kind = if name.contains("elect") {
        Kind::Election
    } else if starts(&["move", "seal", "join", "leave", "pull", "adopt"]) {
        Kind::Move
    } else {
        Kind::Other
    };
    let detail = shortened(detail, DETAIL_MAX);
    Mark { at: ms(*at_ns), kind, name: name.clone(), node: *node, gid: *gid, shard: *shard, detail }
}

fn elected((at, node, gid, term): (f64, u64, u64, u64)) -> Mark {
    let detail = format!("term {term}; first seen here, it happened a little earlier");
    let (kind, name) = (Kind::Election, "elected".to_owned());
    Mark { at, kind, name, node: Some(node), gid: Some(gid), shard: None, detail }
}

fn moved((at, shard, gid): (f64, u32, u64)) -> Mark {
    let detail = "first seen here, it happened a little earlier".to_owned();
    let (kind, name) = (Kind::Move, "moved".to_owned());
    Mark { at, kind, name, node: None, gid: Some(gid), shard: Some(shard), detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Line, ReplicaView, ShardView, View};

    fn view(at_ns: u64, gid: u64, role: &str, term: u64, phase: &str) -> Line {
        let shard = ShardView { phase: phase.into(), config: term, ..ShardView::default() };
        let replica =
            ReplicaView { gid, role: role.into(), term, shards: vec![shard], ..ReplicaView::default() };
        Line::View(View { at_ns, node: gid, replicas: Some(vec![replica]) })
    }

    #[test]
    fn what_was_not_recorded_is_taken_from_the_lanes() {
        let mut lines = vec![
            view(1_000, 1, "leader", 1, "serving"),
            view(2_000, 2, "leader", 7, "absent"),
            view(3_000, 1, "follower", 1, "absent"),
            view(4_000, 2, "leader", 7, "gcing"),
            view(5_000, 1, "leader", 2, "absent"),
        ];
        lines.push(view(9_000, 1, "leader", 2, "absent"));
        let told = |lines: &[Line]| -> Vec<(f64, String)> {
            let all = Gathered::new(lines);
            marks(&all, &Lanes::new(&all)).into_iter().map(|mark| (mark.at, mark.name)).collect()
        };
        let wanted = [(0.001, "elected"), (0.002, "elected"), (0.004, "moved"), (0.005, "elected")];
        assert_eq!(told(&lines), wanted.map(|(at, name)| (at, name.to_owned())));
        let event = Event {
            at_ns: 7_000,
            name: "elected".into(),
            node: None,
            gid: None,
            shard: None,
            detail: String::new(),
        };
        lines.push(Line::Event(event));
        assert_eq!(told(&lines).iter().filter(|(_, name)| name == "elected").count(), 1);
    }
}
