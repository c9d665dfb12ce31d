//! The table of faults: when, what, whether it was seen to fire, how long which shard was unavailable, how soon all was well.

use std::collections::BTreeSet;

use super::gathered::Gathered;
use super::html::{escape, shortened};
use super::outage::{Damage, Outage};
use super::time::{duration, moment};
use crate::record::Fault;

/// More rows than these are left out, the mildest first.
const ROWS_MAX: usize = 200;
/// More shards than these get no column of their own: the worst one is named in any case.
const COLUMNS_MAX: usize = 32;
const DETAIL_MAX: usize = 120;

const SECOND: u64 = 1_000_000_000;

/// The table; nothing where there is neither a fault nor an operation.
pub(super) fn table(all: &Gathered<'_>, damages: &[Damage<'_>]) -> String {
    if all.faults.is_empty() && all.operations.is_empty() {
        return String::new();
    }
    let shards: BTreeSet<u32> = damages.iter().flat_map(|damage| damage.longest.keys().copied()).collect();
    let columns: Vec<u32> =
        if shards.len() <= COLUMNS_MAX { shards.into_iter().collect() } else { Vec::new() };
    let heads: String = columns.iter().map(|shard| format!("<th class=\"cell\">{shard}</th>")).collect();
    let kept = kept(damages);
    let rows: String = kept.iter().map(|damage| row(damage, &columns)).collect();
    let left = damages.len() - kept.len();
    let left = if left > 0 {
        format!("<p class=\"note\">{left} milder rows are left out</p>")
    } else {
        String::new()
    };
    format!(
        "<section><h2>Unavailability</h2><p class=\"note\">A shard is unavailable while somebody waits for it and nobody \
         is answered. An outage counts for every fault that was there during it or up to a second before it. \
         Recovery: from the end of the fault until the last shard that was unavailable then answered; for a fault without extent, \
         from its moment until the last outage of its doing ended. An empty cell: nobody asked then.</p>\
         <div class=\"wide\"><table id=\"outages\"><thead><tr><th colspan=\"4\"></th><th colspan=\"2\">longest</th><th></th>\
         <th colspan=\"{}\">longest by shard, in seconds</th></tr>\
         <tr><th>from</th><th>lasted</th><th>fault</th><th>seen to fire</th><th>outage</th><th>shard</th>\
         <th>recovery</th>{heads}</tr></thead><tbody>{rows}</tbody></table></div>{left}</section>",
        columns.len().max(1)
    )
}

/// In the order of time, the mildest left out if there are too many; the last row, of no fault, always stays.
fn kept<'a, 'b>(damages: &'b [Damage<'a>]) -> Vec<&'b Damage<'a>> {
    let length = |damage: &Damage<'_>| damage.worst().map_or(0, |(_, outage)| outage.length());
    let mut lengths: Vec<u64> = damages.iter().map(length).collect();
    lengths.sort_unstable();
    let least = lengths.len().checked_sub(ROWS_MAX).map_or(0, |at| lengths[at]);
    let mut kept: Vec<_> = damages.iter().filter(|d| d.fault.is_none() || length(d) >= least).collect();
    let calm = kept.pop();
    kept.truncate(ROWS_MAX);
    kept.extend(calm);
    kept
}

fn row(damage: &Damage<'_>, columns: &[u32]) -> String {
    let (outage, shard) = match damage.worst() {
        Some((shard, outage)) => (length(Some(outage)), shard.to_string()),
        None => ("-".to_owned(), "-".to_owned()),
    };
    let recovery = match damage.recovery {
        Some(outage) => length(Some(outage)),
        None => "at once".to_owned(),
    };
    let recovery = if damage.fault.is_some() { recovery } else { String::new() };
    let cells: String = columns.iter().map(|shard| cell(damage.longest.get(shard).copied())).collect();
    let fault = damage.fault.map_or_else(
        || "<td></td><td></td><td><i>away from all faults</i></td><td></td>".to_owned(),
        described,
    );
    format!(
        "<tr>{fault}<td class=\"number\">{outage}</td><td class=\"number\">{shard}</td><td class=\"number\">{recovery}</td>{cells}</tr>"
    )
}

fn described(fault: &Fault) -> String {
    let lasted = fault.until_ns.map(|until| duration(until.saturating_sub(fault.at_ns)));
    let nodes: Vec<_> = fault.nodes.iter().map(u64::to_string).collect();
    let nodes = if nodes.is_empty() { String::new() } else { format!(" of {}", nodes.join(", ")) };
    let evidence = match &fault.evidence[..] {
        "" => "<span class=\"bad\">nothing showed it</span>".to_owned(),
        evidence => escape(&shortened(evidence, DETAIL_MAX)),
    };
    format!(
        "<td class=\"number\">{}</td><td class=\"number\">{}</td><td><b>{}</b>{} <small>{}</small></td><td><small>{evidence}</small></td>",
        moment(fault.at_ns),
        lasted.unwrap_or_else(|| "-".to_owned()),
        escape(&fault.kind),
        nodes,
        escape(&shortened(&fault.detail, DETAIL_MAX)),
    )
}

fn length(outage: Option<Outage>) -> String {
    match outage {
        None => "-".to_owned(),
        Some(outage) if outage.open => {
            format!("<span class=\"bad\">{} and no end</span>", duration(outage.length()))
        }
        Some(outage) => duration(outage.length()),
    }
}

/// Seconds with one digit, the warmer the longer. Below a tenth of a second a dot says enough.
fn cell(outage: Option<Outage>) -> String {
    let Some(outage) = outage else { return "<td class=\"cell\"></td>".to_owned() };
    let ns = outage.length();
    let heat =
        [SECOND / 10, SECOND / 2, 2 * SECOND, 10 * SECOND].iter().filter(|limit| ns >= **limit).count();
    let text = match heat {
        0 => "·".to_owned(),
        _ if ns < 10 * SECOND => format!("{:.1}", ns as f64 / 1e9),
        _ => format!("{:.0}", ns as f64 / 1e9),
    };
    format!(
        "<td class=\"cell heat{heat}\" title=\"{}, at {}\">{text}</td>",
        duration(ns),
        moment(outage.from)
    )
}
