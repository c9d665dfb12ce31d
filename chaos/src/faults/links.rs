//! Links between nodes, and between them and clients: cut, reset, late, half open.
//!
//! Cuts are made by packet filters where nodes live in namespaces, else by the proxies, which hold what they carry.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use flotilla_workload::Dice;

use super::{Class, Struck};
use crate::net::CLIENTS;
use crate::net::filter::{Filter, Verb};
use crate::net::mood::Mood;
use crate::run::arena::Arena;

/// Directed links, from whom to whom.
type Links = Vec<(u64, u64)>;

pub(super) async fn strike(
    class: Class,
    arena: &Arena,
    dice: &mut Dice,
    hold: Duration,
) -> Result<Option<Struck>> {
    let Some((links, detail)) = which(class, arena, dice) else { return Ok(None) };
    // Three nodes are a ring already, and groups may lie on the same nodes.
    if links.is_empty() {
        return Ok(None);
    }
    let nodes: BTreeSet<u64> =
        links.iter().flat_map(|(from, to)| [*from, *to]).filter(|end| *end != CLIENTS).collect();
    let evidence = match class {
        Class::Delay => {
            moody(arena, &links, Mood::Late(Duration::ZERO..Duration::from_millis(150)), hold).await
        }
        Class::HalfOpen => moody(arena, &links, Mood::HalfOpen, hold).await,
        Class::Reset if !arena.filters => moody(arena, &links, Mood::Reset, hold).await,
        Class::Reset => filtered(arena, links, Verb::Reset, hold).await?,
        _ if arena.filters => filtered(arena, links, Verb::Drop, hold).await?,
        _ => moody(arena, &links, Mood::Held, hold).await,
    };
    Ok(Struck::new(nodes.into_iter().collect::<Vec<_>>(), detail, evidence))
}

async fn filtered(arena: &Arena, links: Links, verb: Verb, hold: Duration) -> Result<String> {
    let filter = Filter::install(arena.fleet.ground(), links, verb).await?;
    let ground = arena.fleet.ground();
    let met = arena.held(hold, async || filter.met(ground).await).await;
    filter.remove(ground).await?;
    let packets = met?;
    Ok(if packets == 0 { String::new() } else { format!("{packets} packets met the filters") })
}

async fn moody(arena: &Arena, links: &Links, mood: Mood, hold: Duration) -> String {
    let all = arena.fleet.links();
    let before = all.touched(links);
    all.set(links, &mood);
    let held = arena.held(hold, async || Ok(all.touched(links) - before)).await;
    all.set(links, &Mood::Clear);
    let touched = held.unwrap_or(0);
    if touched == 0 { String::new() } else { format!("{touched} pieces or connections were touched") }
}

/// Which links; none: it makes no sense now.
fn which(class: Class, arena: &Arena, dice: &mut Dice) -> Option<(Links, String)> {
    let mut nodes = arena.fleet.ids();
    dice.shuffle(&mut nodes);
    let one = arena.some_node(dice);
    let others = nodes.iter().copied().filter(|node| *node != one);
    Some(match class {
        Class::Halves => {
            let (left, right) = nodes.split_at(nodes.len() / 2);
            (between(left, right), format!("{left:?} | {right:?}"))
        }
        Class::Bridge => {
            let (bridge, rest) = nodes.split_first()?;
            let (left, right) = rest.split_at(rest.len() / 2);
            (between(left, right), format!("{left:?} | {right:?}, node {bridge} hears both"))
        }
        Class::Ring => (ring(&nodes), format!("ring {nodes:?}")),
        Class::OneWay if dice.per_mille(500) => {
            (others.map(|other| (other, one)).collect(), format!("node {one} hears no other node"))
        }
        Class::OneWay => {
            (others.map(|other| (one, other)).collect(), format!("no other node hears node {one}"))
        }
        Class::CutClients => (between(&[CLIENTS], &[one]), format!("clients | node {one}")),
        Class::CutPeers => {
            (between(&[one], &others.collect::<Vec<_>>()), format!("node {one} | other nodes"))
        }
        Class::CutMovers => movers(arena, dice)?,
        Class::Delay => {
            let all = [&nodes[..], &[CLIENTS]].concat();
            (between(&all, &all), "0 to 150 ms on every link".to_owned())
        }
        _ => {
            let far: Vec<u64> = others.chain([CLIENTS]).collect();
            (between(&[one], &far), format!("every link of node {one}"))
        }
    })
}

/// Both directions between each of these and each of those.
fn between(these: &[u64], those: &[u64]) -> Links {
    let pairs = these.iter().flat_map(|this| those.iter().map(move |that| (*this, *that)));
    let pairs: BTreeSet<(u64, u64)> =
        pairs.filter(|(this, that)| this != that).flat_map(|(a, b)| [(a, b), (b, a)]).collect();
    pairs.into_iter().collect()
}

fn ring(nodes: &[u64]) -> Links {
    let apart = |a: usize, b: usize| {
        let distance = a.abs_diff(b);
        distance > 1 && distance < nodes.len() - 1
    };
    let all = (0..nodes.len()).flat_map(|a| (0..nodes.len()).map(move |b| (a, b)));
    all.filter(|(a, b)| apart(*a, *b)).map(|(a, b)| (nodes[a], nodes[b])).collect()
}

/// The nodes of a move's source and of its target, those of both left out. A move is started by the administrators.
fn movers(arena: &Arena, dice: &mut Dice) -> Option<(Links, String)> {
    let picture = arena.picture();
    let groups = picture.groups();
    let source = *dice.pick(&groups)?;
    let rest: Vec<u64> = groups.into_iter().filter(|gid| *gid != source).collect();
    let target = *dice.pick(&rest)?;
    let (here, there) = (picture.nodes_of(source), picture.nodes_of(target));
    let these: Vec<u64> = here.difference(&there).copied().collect();
    let those: Vec<u64> = there.difference(&here).copied().collect();
    let links = between(&these, &those);
    arena.ask_move(source, target);
    Some((links, format!("groups {source} {these:?} | {target} {those:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_name_both_directions_and_nobody_twice() {
        assert_eq!(between(&[1], &[2]), [(1, 2), (2, 1)]);
        assert_eq!(between(&[1, 2], &[1, 2]), [(1, 2), (2, 1)]);
        // Of five in a ring, each hears two and not the other two.
        let cut = ring(&[1, 2, 3, 4, 5]);
        assert_eq!(cut.len(), 10);
        assert!(!cut.contains(&(1, 2)) && !cut.contains(&(5, 1)) && cut.contains(&(1, 3)));
        assert!(ring(&[1, 2, 3]).is_empty());
    }
}
