//! A run that never was: 40 seconds with faults, elections, moves, and one stale read. Made of fixed numbers.

use flotilla_checker::record::*;
use flotilla_types::shard_of_key;

pub const SECOND: u64 = 1_000_000_000;
const MS: u64 = 1_000_000;
const SHARDS: u32 = 12;
const NODES: u64 = 5;

/// The key of the stale read: text that must stay text.
pub const KEY: &str = "ship<script>document.title='run'</script>&\"'";

/// A small generator of numbers: the page is tested, not the run.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// The group's nodes; the first leads at the start.
fn members(gid: u64) -> [u64; 3] {
    [0, 1, 2].map(|at| 1 + (gid + at) % NODES)
}

/// Who leads a group when, and in which term: node 2 is paused from 5 s on, node 3 dies at 16 s.
fn leader(gid: u64, at: u64) -> (u64, u64) {
    let [first, second, third] = members(gid);
    match gid {
        1 if at > 6_400 * MS => (second, 3),
        2 if at > 17 * SECOND => (third, 5),
        _ => (first, 2),
    }
}

/// When a group answers nobody.
fn out(gid: u64, at: u64) -> Option<u64> {
    let outages = [(1, 5_000, 6_500), (2, 16_000, 17_100), (3, 10_200, 12_900)];
    let hit = outages.iter().find(|(g, from, to)| *g == gid && (from * MS..to * MS).contains(&at));
    hit.map(|(_, _, to)| to * MS)
}

fn owner(shard: u32, at: u64) -> u64 {
    let first = 1 + u64::from(shard) % 3;
    if shard == 3 && at > 13_200 * MS { 2 } else { first }
}

fn faults() -> Vec<Fault> {
    let fault =
        |at_ns: u64, until: Option<u64>, kind: &str, nodes: &[u64], detail: &str, evidence: &str| Fault {
            at_ns: at_ns * MS,
            until_ns: until.map(|until| until * MS),
            kind: kind.into(),
            nodes: nodes.to_vec(),
            detail: detail.into(),
            evidence: evidence.into(),
        };
    vec![
        fault(5_000, Some(7_200), "pause", &[2], "SIGSTOP of the leader of group 1", "state T in /proc"),
        fault(
            10_200,
            Some(13_000),
            "partition",
            &[1, 4],
            "nodes 1 and 4 from the rest",
            "812 packets dropped",
        ),
        fault(12_000, Some(15_500), "loss", &[1, 2, 3, 4, 5], "20% of all requests", "391 messages dropped"),
        fault(16_000, Some(17_500), "power_loss", &[3], "unsynced writes dropped", "3 files rolled back"),
        fault(20_000, Some(24_000), "slow_disk", &[5], "fsync takes 100 ms", ""),
        fault(22_000, None, "clock_jump", &[1], "+5 s", "clock read before and after"),
    ]
}

fn replica(gid: u64, node: u64, at: u64) -> ReplicaView {
    let (leads, term) = leader(gid, at);
    let role = match node {
        _ if node == leads => "leader",
        _ if gid == 1 && (5_900 * MS..6_400 * MS).contains(&at) => "candidate",
        _ => "follower",
    };
    ReplicaView {
        gid,
        member: 10 * gid + node,
        role: role.into(),
        term,
        applied: at / MS,
        committed: at / MS,
        config: if at > 12 * SECOND { 5 } else { 4 },
        shards: (0..SHARDS).filter_map(|shard| shard_view(gid, shard, at)).collect(),
        ..ReplicaView::default()
    }
}

fn shard_view(gid: u64, shard: u32, at: u64) -> Option<ShardView> {
    let moves = shard == 3;
    let steps = [
        (12_000, "serving", ""),
        (13_000, "be_pulling", "pulling"),
        (13_200, "sealed", "pulling"),
        (13_800, "sealed", "gcing"),
    ];
    let step = steps.iter().find(|(until, _, _)| at < until * MS).filter(|_| moves);
    let old = 1 + u64::from(shard) % 3;
    let phase = match step {
        Some((_, source, _)) if gid == old => source,
        Some((_, _, target)) if gid == 2 => target,
        None if gid == owner(shard, at) => "serving",
        _ => "",
    };
    let config = if moves && at > 12 * SECOND { 5 } else { 1 };
    (!phase.is_empty()).then(|| ShardView { shard, phase: phase.into(), config, ..ShardView::default() })
}

fn views() -> Vec<Line> {
    let mut lines = Vec::new();
    for at in (0..400).map(|tick| tick * 100 * MS) {
        for node in 1..=NODES {
            let away = [(2, 5_000, 7_200), (3, 16_000, 17_500)];
            let silent = away.iter().any(|(n, from, to)| *n == node && (from * MS..to * MS).contains(&at));
            let mine = (0..4).filter(|gid| members(*gid).contains(&node));
            let replicas = mine.map(|gid| replica(gid, node, at)).collect();
            lines.push(Line::View(View { at_ns: at + node, node, replicas: (!silent).then_some(replicas) }));
        }
    }
    lines
}

/// Eight clients, each with one operation after the other.
fn traffic(operations: u64) -> Vec<Line> {
    let mut numbers = Numbers(7);
    let think = 40 * SECOND * 8 / operations;
    let mut lines = Vec::new();
    for mut client in 1..=8 {
        let mut at = numbers.next(think);
        while at < 39 * SECOND {
            let key = format!("key-{}", numbers.next(300));
            let gid = owner(shard_of_key(key.as_bytes(), SHARDS).0, at);
            let (latency, tail) = (MS / 2 + numbers.next(2 * MS), numbers.next(100));
            let back = at + if tail == 0 { latency * 20 } else { latency };
            let value = Text::from(format!("v{}", lines.len()));
            let action = if numbers.next(2) == 0 { Action::Get } else { Action::Put { value } };
            let back = out(gid, at).map_or(back, |until| until + latency);
            let outcome = match (back - at > 900 * MS, numbers.next(50)) {
                (true, 0..25) => Outcome::Unknown { why: "deadline exceeded".into() },
                (false, 0) => Outcome::Fail { why: "not the owner".into() },
                _ => Outcome::Ok(Answer { done: true, gid: Some(gid), ..Answer::default() }),
            };
            let returned_ns = (!matches!(outcome, Outcome::Unknown { .. })).then_some(back);
            lines.push(Line::Op(Operation {
                client,
                key: key.into(),
                action,
                called_ns: at,
                returned_ns,
                outcome,
            }));
            client += if returned_ns.is_none() { 8 } else { 0 };
            at = back + think / 2 + numbers.next(think);
        }
    }
    lines
}

/// The operations on [`KEY`], with a stale read as the last but one.
fn stale_read() -> Vec<Line> {
    let mut lines = Vec::new();
    let mut add = |client, called: u64, took: u64, action: Action, outcome: Outcome| {
        let returned_ns = (took > 0).then_some((called + took) * MS);
        let called_ns = called * MS;
        lines.push(Line::Op(Operation { client, key: KEY.into(), action, called_ns, returned_ns, outcome }));
    };
    let ok = |value: Option<&'static str>, version| {
        Outcome::Ok(Answer {
            value: value.map(Text::from),
            done: true,
            version: Some(version),
            gid: Some(2),
            ..Answer::default()
        })
    };
    let put = |value: &'static str| Action::Put { value: value.into() };
    for round in 0..12 {
        add(
            101,
            25_000 + round * 70,
            6,
            Action::Append { value: format!("<{round}>").into() },
            ok(None, round + 1),
        );
        add(102, 25_003 + round * 70, 9, Action::Get, ok(Some("<0><1>"), round + 1));
    }
    add(103, 25_900, 30, put("blue"), ok(None, 13));
    add(104, 25_910, 12, Action::Get, ok(Some("blue"), 13));
    add(105, 25_920, 0, Action::Delete, Outcome::Unknown { why: "the connection broke".into() });
    add(101, 25_940, 20, put("red"), ok(None, 14));
    add(102, 25_945, 5, put("green"), Outcome::Fail { why: "the shard is sealed".into() });
    add(104, 25_970, 15, Action::Get, ok(Some("red"), 14));
    add(103, 26_000, 9, Action::Get, ok(Some("blue"), 13));
    add(101, 26_020, 9, Action::Get, ok(Some("red"), 14));
    lines
}

fn messages() -> Vec<Line> {
    let mut numbers = Numbers(3);
    let kinds = [
        "AppendEntries g2 t5 1 entry",
        "AppendEntries answer g2",
        "Vote g1 t4",
        "GetShardsData s3",
        "Put ship",
    ];
    let one = |at: u64| {
        let from = numbers.next(6);
        let to = (from + 1 + numbers.next(5)) % 6;
        let sent_ns = 25_500 * MS + at * 2 * MS + numbers.next(MS);
        let arrived_ns = (numbers.next(8) > 0).then(|| sent_ns + MS + numbers.next(9 * MS));
        let what = if at == 240 {
            "<img src=x onerror=document.title='run'>"
        } else {
            kinds[numbers.next(5) as usize]
        };
        Line::Message(Message { sent_ns, arrived_ns, from, to, what: what.into() })
    };
    (0..320).map(one).collect()
}

fn events() -> Vec<Line> {
    let event = |at: u64, name: &str, node, gid, shard, detail: &str| {
        Line::Event(Event { at_ns: at * MS, name: name.into(), node, gid, shard, detail: detail.into() })
    };
    vec![
        event(6_400, "elected", Some(3), Some(1), None, "term 3"),
        event(17_000, "elected", Some(5), Some(2), None, "term 5"),
        event(12_000, "move_started", None, Some(2), Some(3), "configuration 5"),
        event(13_000, "sealed", Some(2), Some(1), Some(3), ""),
        event(13_200, "moved", None, Some(2), Some(3), "1 204 keys"),
        event(17_500, "restarted", Some(3), None, None, ""),
        event(18_300, "snapshot_installed", Some(3), Some(2), None, "at index 18 211"),
    ]
}

/// The record of a run with so many operations; broken ones hold the stale read and its violation.
pub fn record(operations: u64, broken: bool) -> Vec<Line> {
    let choices = [
        ("nodes", "5"),
        ("groups", "3"),
        ("shards", "12"),
        ("latency", "0.5 to 2.5 ms"),
        ("faults", "pause, partition, loss, power loss"),
    ];
    let choices = choices.map(|(name, choice)| (name.to_owned(), choice.to_owned())).into();
    let again = "flotilla-sim --seed 4711 --faults all".to_owned();
    let mut lines = vec![Line::Run(Run {
        kind: "sim".into(),
        seed: Some(4711),
        again,
        version: "0.1.0".into(),
        choices,
    })];
    lines.extend(faults().into_iter().map(Line::Fault));
    lines.extend([views(), traffic(operations), messages(), events()].concat());
    if broken {
        lines.extend(stale_read());
        let what = format!(
            "key {KEY}: client 103 read \"blue\" (version 13), though \"red\" (version 14) was acknowledged to client 101 before the read was called"
        );
        let [at_ns, by] = [26_009 * MS, 0];
        lines.push(Line::Violation(Violation { at_ns, by: "A".into(), what, key: Some(KEY.into()) }));
        let what = "key: no order of the 32 operations explains what was read".to_owned();
        lines.push(Line::Violation(Violation {
            at_ns: at_ns + by,
            by: "B".into(),
            what,
            key: Some(KEY.into()),
        }));
    }
    let counts = [
        ("elected", 2),
        ("moved", 1),
        ("snapshot_installed", 1),
        ("dropped_messages", 1203),
        ("dedup_hits", 17),
        ("checked_A", 1),
        ("checked_B", 1),
        ("checked_D", 1),
        ("checked_I4", 2000),
        ("checked_I5", 2000),
        ("checked_I6", 2000),
        ("checked_I7", 1),
        ("checked_liveness", 1),
        ("checked_floor", 1),
        ("checked_terms", 2000),
    ];
    let counts = counts.map(|(name, count)| (name.to_owned(), count)).into();
    lines.push(Line::End(End { at_ns: 40 * SECOND, healed_ns: Some(32 * SECOND), counts }));
    lines
}

/// A long run of many nodes, shards and faults, to see whether a page stays readable.
pub fn big() -> Vec<Line> {
    let (mut numbers, mut lines) = (Numbers(11), Vec::new());
    let kinds =
        ["kill", "pause", "partition_halves", "slow_disk", "delay", "power_loss", "cut_clients", "clock"];
    for at in 0..120 {
        let (from, kind) = (at * 5 * SECOND + numbers.next(SECOND), kinds[numbers.next(8) as usize]);
        let until_ns = Some(from + numbers.next(6 * SECOND));
        let [detail, evidence] = ["drawn", "seen"].map(str::to_owned);
        let nodes = vec![1 + numbers.next(9)];
        lines.push(Line::Fault(Fault { at_ns: from, until_ns, kind: kind.into(), nodes, detail, evidence }));
    }
    let mut owners: Vec<u64> = (0..64).map(|shard| 1 + shard % 6).collect();
    let mut leads: Vec<(u64, u64)> = (0..7).map(|gid| (1 + gid, 1)).collect();
    for tick in 0..1_200 {
        let at_ns = tick * SECOND / 2;
        if numbers.next(8) == 0 {
            leads[numbers.next(7) as usize] = (1 + numbers.next(9), tick + 2);
        }
        if numbers.next(4) == 0 {
            owners[numbers.next(64) as usize] = 1 + numbers.next(6);
        }
        for node in 1..=9 {
            let view = |gid: u64| {
                let (leader, term) = leads[gid as usize];
                let mine = owners.iter().enumerate().filter(|(_, owner)| **owner == gid);
                let phase = |tick: u64| if tick.is_multiple_of(97) { "sealed" } else { "serving" }.to_owned();
                let shard = |(shard, _)| ShardView {
                    shard: shard as u32,
                    phase: phase(tick + shard as u64),
                    config: tick / 40,
                    ..ShardView::default()
                };
                let role = if leader == node { "leader" } else { "follower" }.to_owned();
                ReplicaView {
                    gid,
                    role,
                    term,
                    applied: tick,
                    shards: mine.map(shard).collect(),
                    ..ReplicaView::default()
                }
            };
            let replicas = (0..7)
                .filter(|gid| (gid + node) % 3 == 0 || leads[*gid as usize].0 == node)
                .map(view)
                .collect();
            lines.push(Line::View(View { at_ns, node, replicas: Some(replicas) }));
        }
    }
    for at in 0..200_000 {
        let (called_ns, client) = (at * 3 * MS, at % 16);
        let (key, action) = (format!("k{}", numbers.next(5_000)).into(), Action::Get);
        let returned_ns = Some(called_ns + MS + numbers.next(30 * MS));
        let outcome = Outcome::Ok(Answer { done: true, ..Answer::default() });
        lines.push(Line::Op(Operation { client, key, action, called_ns, returned_ns, outcome }));
    }
    lines.push(Line::End(End { at_ns: 600 * SECOND, ..End::default() }));
    lines
}
