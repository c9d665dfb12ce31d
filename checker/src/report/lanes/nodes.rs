//! A lane for each node: its replicas with role and term, and when it was down, paused, cut off or did not answer.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::segments::{Limit, Segment, Segments};
use crate::record::{ReplicaView, View};
use crate::report::faults::Effect;
use crate::report::gathered::Gathered;
use crate::report::time::ms;

/// More states of a node than these are not drawn.
const STATES_MAX: usize = 1_000;

/// One node.
#[derive(Serialize)]
pub(super) struct NodeLane {
    node: u64,
    rows: Vec<Row>,
    /// What faults did to it.
    states: Vec<Segment<State>>,
    /// When it gave no answer.
    silent: Vec<Segment<bool>>,
}

/// One replica of the node.
#[derive(Serialize)]
struct Row {
    gid: u64,
    segments: Vec<Segment<Role>>,
}

/// What a fault did to the node: a name of [`Effect`], and the fault's class.
#[derive(Clone, PartialEq, Debug, Serialize)]
struct State {
    effect: &'static str,
    kind: String,
}

/// What a replica said of itself.
#[derive(Clone, PartialEq, Debug, Serialize)]
struct Role {
    role: String,
    term: u64,
    member: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    problem: String,
}

#[derive(Default)]
struct Collected {
    rows: BTreeMap<u64, Segments<Role>>,
    silent: Segments<bool>,
}

impl Collected {
    fn see(&mut self, view: &View) {
        let replicas = view.replicas.as_deref();
        self.silent.set(view.at_ns, replicas.is_none().then_some(true));
        let replicas = replicas.unwrap_or_default();
        for (gid, row) in &mut self.rows {
            if !replicas.iter().any(|replica| replica.gid == *gid) {
                row.set(view.at_ns, None);
            }
        }
        for replica in replicas {
            self.rows.entry(replica.gid).or_default().set(view.at_ns, Some(role(replica)));
        }
    }
}

fn role(replica: &ReplicaView) -> Role {
    let ReplicaView { role, term, member, problem, .. } = replica.clone();
    Role { role, term, member, problem }
}

impl NodeLane {
    /// When each of its replicas was first seen to lead in a term: the moment, the node, the group, the term.
    pub(super) fn elections(&self) -> impl Iterator<Item = (f64, u64, u64, u64)> {
        self.rows.iter().flat_map(|row| {
            let leading = row.segments.iter().filter(|segment| segment.2.role == "leader");
            leading.map(|segment| (segment.0, self.node, row.gid, segment.2.term))
        })
    }
}

/// The lanes of all nodes that are named anywhere in the record.
pub(super) fn lanes(all: &Gathered<'_>) -> (Vec<NodeLane>, usize) {
    let mut nodes: BTreeMap<u64, Collected> = BTreeMap::new();
    let hit: BTreeSet<u64> = all.faults.iter().flat_map(|fault| fault.nodes.iter().copied()).collect();
    for node in hit {
        nodes.entry(node).or_default();
    }
    for view in &all.views {
        nodes.entry(view.node).or_default().see(view);
    }
    let mut limit = Limit::new(nodes.values().map(|node| node.rows.len()).sum());
    let lanes = nodes.into_iter().map(|(node, collected)| lane(node, collected, all, &mut limit)).collect();
    (lanes, limit.left_out)
}

fn lane(node: u64, collected: Collected, all: &Gathered<'_>, limit: &mut Limit) -> NodeLane {
    let rows = collected.rows.into_iter();
    NodeLane {
        node,
        rows: rows.map(|(gid, row)| Row { gid, segments: row.finish(all.span_ns, limit) }).collect(),
        states: states(node, all),
        silent: collected.silent.finish(all.span_ns, limit),
    }
}

/// What lasted: a fault without an end has no extent to draw, and shows as silence if it led to any.
fn states(node: u64, all: &Gathered<'_>) -> Vec<Segment<State>> {
    let mine = all.faults.iter().filter(|fault| fault.nodes.contains(&node));
    let drawn = mine.filter_map(|fault| {
        let effect = Effect::of(&fault.kind);
        let state = State { effect: effect.name(), kind: fault.kind.clone() };
        let until = fault.until_ns.filter(|_| effect != Effect::Trouble)?;
        Some(Segment(ms(fault.at_ns), ms(until), state))
    });
    drawn.take(STATES_MAX).collect()
}
