//! Asking every node how it is, again and again: for the record, and for faults that want to know who leads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use flotilla_checker::invariants::bounds::{Bounds, Limit};
use flotilla_checker::record::{Event, Line, ReplicaView, View, Violation};
use flotilla_proto::env::Environment;
use flotilla_proto::kv_v1::GetStatusResponse;
use flotilla_workload::{Sink, Stopwatch};
use futures::future::join_all;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::view;

/// Between two rounds.
const ROUND: Duration = Duration::from_millis(500);

/// What all nodes that answered said last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Picture {
    /// By node; one that did not answer is not there.
    pub nodes: BTreeMap<u64, Vec<ReplicaView>>,
    /// On which nodes each group has members, as its leader knows: by group, with its members' ids and whether they vote.
    pub members: BTreeMap<u64, Vec<(u64, u64, bool)>>,
}

impl Picture {
    /// The groups that somebody leads, without the controller.
    pub fn groups(&self) -> Vec<u64> {
        self.members.keys().copied().filter(|gid| *gid != 0).collect()
    }

    /// The node that leads a group: of several that believe to, the one of the greatest term.
    pub fn leader(&self, gid: u64) -> Option<u64> {
        self.led(gid).map(|(node, _)| node)
    }

    /// The same, with its view of its replica.
    pub fn led(&self, gid: u64) -> Option<(u64, &ReplicaView)> {
        let all = self.nodes.iter().flat_map(|(node, all)| all.iter().map(move |replica| (*node, replica)));
        let leaders = all.filter(|(_, replica)| replica.gid == gid && replica.role == "leader");
        leaders.max_by_key(|(_, replica)| (replica.incarnation, replica.term))
    }

    /// The nodes of a group.
    pub fn nodes_of(&self, gid: u64) -> BTreeSet<u64> {
        self.members.get(&gid).into_iter().flatten().map(|(node, _, _)| *node).collect()
    }

    /// Whether every group has a leader, all its members vote, and each is where its node is and has nearly caught up; if not,
    /// what is missing. Only then may a disk be taken away: a group that rebuilds one replica cannot spare another.
    pub fn healthy(&self, nodes: &[u64]) -> Result<(), String> {
        if let Some(silent) = nodes.iter().find(|node| !self.nodes.contains_key(node)) {
            return Err(format!("node {silent} does not answer"));
        }
        for (node, replica) in
            self.nodes.iter().flat_map(|(node, all)| all.iter().map(move |one| (node, one)))
        {
            let gid = replica.gid;
            let Some((_, leader)) = self.led(gid) else { return Err(format!("group {gid} has no leader")) };
            if leader.incarnation != replica.incarnation {
                return Err(format!("node {node} has an old incarnation of group {gid}"));
            }
            if replica.role == "stopped" || !replica.problem.is_empty() {
                return Err(format!("node {node}, group {gid}: {} {}", replica.role, replica.problem));
            }
            let members = self.members.get(&gid).map(Vec::as_slice).unwrap_or_default();
            if !members.iter().any(|(on, member, votes)| on == node && *member == replica.member && *votes) {
                return Err(format!(
                    "member {} of group {gid} on node {node} does not vote yet",
                    replica.member
                ));
            }
            if replica.applied + LAG_MAX < leader.committed {
                let (applied, committed) = (replica.applied, leader.committed);
                return Err(format!("node {node}, group {gid}: applied {applied} of {committed}"));
            }
        }
        for (gid, members) in &self.members {
            let there = |(node, member, _): &&(u64, u64, bool)| {
                let all = self.nodes.get(node).into_iter().flatten();
                all.clone().any(|replica| replica.gid == *gid && replica.member == *member)
            };
            if let Some((node, member, _)) = members.iter().find(|member| !there(member)) {
                return Err(format!("member {member} of group {gid} is not on node {node}"));
            }
        }
        Ok(())
    }
}

/// So many entries behind still counts as caught up.
const LAG_MAX: u64 = 200;

/// Who watches.
pub(crate) struct Watcher {
    pub env: Environment,
    pub addresses: Vec<(u64, String)>,
    pub stopwatch: Stopwatch,
    pub sink: Arc<dyn Sink>,
}

/// What one node said.
struct Heard {
    at_ns: u64,
    node: u64,
    status: Option<GetStatusResponse>,
}

impl Watcher {
    /// Watches until it is dropped.
    pub async fn run(self, pictures: watch::Sender<Picture>) {
        let mut rounds = interval(ROUND);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut elections, mut growth) = (Elections::default(), Growth::default());
        loop {
            rounds.tick().await;
            let heard = self.ask_all().await;
            for one in &heard {
                self.sink.put(Line::View(one.view()));
                growth.look(one).into_iter().for_each(|violation| self.sink.put(Line::Violation(violation)));
            }
            let picture = picture(&heard);
            elections
                .look(&picture, self.stopwatch.now_ns())
                .into_iter()
                .for_each(|event| self.sink.put(Line::Event(event)));
            pictures.send_replace(picture);
        }
    }

    /// What every node says now, with the digests of all replicas of those that can tell. Written down.
    pub async fn views_with_digests(&self) -> Vec<View> {
        let mut views = Vec::new();
        for heard in self.ask_all().await {
            let mut view = heard.view();
            // Anew, since what other nodes were asked took a while.
            view.at_ns = self.stopwatch.now_ns();
            let address =
                self.addresses.iter().find(|(node, _)| *node == view.node).map(|(_, address)| address);
            for replica in view.replicas.iter_mut().flatten() {
                let digest = match address {
                    Some(address) => view::digest(&self.env, address, replica.gid).await.ok(),
                    None => None,
                };
                if let Some((applied, digest)) = digest {
                    (replica.applied, replica.digest) = (applied, Some(digest));
                    replica.committed = replica.committed.max(applied);
                }
            }
            self.sink.put(Line::View(view.clone()));
            views.push(view);
        }
        views
    }

    async fn ask_all(&self) -> Vec<Heard> {
        let asked = self.addresses.iter().map(|(node, address)| async move {
            let at_ns = self.stopwatch.now_ns();
            Heard { at_ns, node: *node, status: view::ask(&self.env, address).await.ok() }
        });
        join_all(asked).await
    }
}

impl Heard {
    fn view(&self) -> View {
        let of = |status: &GetStatusResponse| {
            let known = status.replicas.iter().filter(|replica| !view::is_opening(replica));
            known.map(|replica| view::replica(replica, status.config)).collect()
        };
        View { at_ns: self.at_ns, node: self.node, replicas: self.status.as_ref().map(of) }
    }
}

fn picture(heard: &[Heard]) -> Picture {
    let mut picture = Picture::default();
    for one in heard {
        if let Some(replicas) = one.view().replicas {
            picture.nodes.insert(one.node, replicas);
        }
        let replicas = one.status.iter().flat_map(|status| &status.replicas);
        for replica in replicas.filter(|replica| replica.role == "leader") {
            let members = replica.members.iter().map(|one| (one.node, one.member, one.voter)).collect();
            picture.members.insert(replica.gid, members);
        }
    }
    picture
}

/// Who led each group last, so that elections get their marks.
#[derive(Default)]
struct Elections {
    /// By group: incarnation and term.
    last: BTreeMap<u64, (u64, u64)>,
}

impl Elections {
    fn look(&mut self, picture: &Picture, at_ns: u64) -> Vec<Event> {
        let mut events = Vec::new();
        for gid in picture.members.keys() {
            let Some((node, leader)) = picture.led(*gid) else { continue };
            let now = (leader.incarnation, leader.term);
            if self.last.insert(*gid, now).is_none_or(|last| last < now) {
                events.push(Event {
                    at_ns,
                    name: "elected".to_owned(),
                    node: Some(node),
                    gid: Some(*gid),
                    shard: None,
                    detail: format!("term {}", leader.term),
                });
            }
        }
        events
    }
}

/// I10: what nodes hold of disk and memory. The limits are far above what the load needs, and far below what a leak
/// comes to in an hour.
struct Growth {
    bounds: Bounds,
}

impl Default for Growth {
    fn default() -> Self {
        let limit = |most| Limit { most, grace_ns: 30_000_000_000 };
        let limits =
            [("storage_bytes".to_owned(), limit(800 << 20)), ("memory_bytes".to_owned(), limit(1 << 30))];
        Self { bounds: Bounds::new(limits) }
    }
}

impl Growth {
    fn look(&mut self, heard: &Heard) -> Vec<Violation> {
        let Some(status) = &heard.status else { return Vec::new() };
        let measured = [("storage_bytes", status.storage_bytes), ("memory_bytes", status.memory_bytes)];
        let all = measured.map(|(name, value)| self.bounds.measure(heard.at_ns, heard.node, name, value));
        all.into_iter().flatten().collect()
    }
}
