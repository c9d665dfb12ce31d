//! Which links a partition cuts.

use std::collections::BTreeSet;

use flotilla_checker::record::View;
use flotilla_proto::env::Random as _;

use crate::dice::Dice;
use crate::net::{CLIENTS, MachineId};
use crate::observe::{hosts, leader};
use crate::plan::Plan;

/// A partition to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cut {
    /// Its name.
    pub kind: &'static str,
    /// The directed links that it cuts.
    pub links: Vec<(MachineId, MachineId)>,
}

impl Cut {
    /// The nodes that it touches.
    pub fn nodes(&self) -> Vec<MachineId> {
        let ends = self.links.iter().flat_map(|(from, to)| [*from, *to]);
        ends.filter(|machine| *machine < CLIENTS).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// Draws a partition.
pub fn draw(dice: &Dice, views: &[View], plan: &Plan, clients: &[MachineId]) -> Cut {
    let mut nodes: Vec<MachineId> = (1..=plan.nodes).collect();
    dice.shuffle(&mut nodes);
    let gids: Vec<u64> = (0..=plan.groups.len() as u64).collect();
    let gid = dice.of(&gids);
    let lead = leader(views, gid).map_or(nodes[0], |(node, _)| node);
    let others =
        |node: MachineId| nodes.iter().copied().filter(move |other| *other != node).collect::<Vec<_>>();
    match dice.below(9) {
        0 => {
            let middle = nodes.len() / 2;
            Cut { kind: "halves", links: both(&nodes[..middle], &nodes[middle..]) }
        }
        1 => Cut { kind: "leader alone", links: both(&[lead], &others(lead)) },
        2 => {
            // One node reaches everybody, the two sides do not reach each other.
            let rest = others(nodes[0]);
            let middle = rest.len() / 2;
            Cut { kind: "bridge", links: both(&rest[..middle], &rest[middle..]) }
        }
        3 => Cut { kind: "ring", links: ring(&nodes) },
        4 => Cut { kind: "leader speaks to nobody", links: one_way(&[lead], &others(lead)) },
        5 => Cut { kind: "nobody speaks to the leader", links: one_way(&others(lead), &[lead]) },
        6 => {
            let other = dice.of(&gids);
            let (one, two) = (hosts(views, gid), hosts(views, other));
            let two: Vec<_> = two.into_iter().filter(|node| !one.contains(node)).collect();
            Cut { kind: "two groups apart", links: both(&one, &two) }
        }
        7 => {
            let some: Vec<_> = clients.iter().copied().filter(|_| dice.permille(500)).collect();
            Cut { kind: "clients from a leader", links: both(&some, &[lead]) }
        }
        _ => Cut { kind: "clients from everybody but one", links: both(clients, &others(lead)) },
    }
}

fn one_way(from: &[MachineId], to: &[MachineId]) -> Vec<(MachineId, MachineId)> {
    from.iter().flat_map(|from| to.iter().map(|to| (*from, *to))).collect()
}

fn both(one: &[MachineId], other: &[MachineId]) -> Vec<(MachineId, MachineId)> {
    let mut links = one_way(one, other);
    links.extend(one_way(other, one));
    links
}

/// Everybody reaches only the two beside them.
fn ring(nodes: &[MachineId]) -> Vec<(MachineId, MachineId)> {
    let count = nodes.len();
    let near = |one: usize, other: usize| (one + 1) % count == other || (other + 1) % count == one;
    let pairs = (0..count).flat_map(|one| (0..count).map(move |other| (one, other)));
    let cut = pairs.filter(|(one, other)| one != other && !near(*one, *other));
    cut.map(|(one, other)| (nodes[one], nodes[other])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_of_five_cuts_who_is_not_beside() {
        let links = ring(&[1, 2, 3, 4, 5]);
        assert_eq!(links.len(), 10);
        assert!(links.contains(&(1, 3)) && !links.contains(&(1, 2)) && !links.contains(&(1, 5)));
        assert!(ring(&[1, 2, 3]).is_empty());
    }

    #[test]
    fn both_cuts_each_pair_in_both_directions() {
        let mut links = both(&[1], &[2, 3]);
        links.sort_unstable();
        assert_eq!(links, [(1, 2), (1, 3), (2, 1), (3, 1)]);
    }
}
