//! The faults: what each does to real processes, their disks and the network between them.
//!
//! A fault strikes, is held for a while, and is healed by the same function ([`Class::strike`]), which gives what showed that it
//! really fired. Several strike at a time, each of another family. None goes beyond what must be survived: of disks that
//! lose what was synced, never more than one until it is rebuilt.

mod disk;
mod host;
mod links;
mod process;
mod rot;
mod trace;

use std::time::Duration;

use anyhow::Result;
use flotilla_checker::record::Fault;
use flotilla_workload::Dice;

use crate::machine::able::{Able, Need};
use crate::run::arena::Arena;

/// Kinds of faults that do not strike at the same time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Family {
    /// Processes die or stop.
    Process,
    /// Links between nodes and clients.
    Network,
    /// Disks.
    Disk,
    /// What a process gets of its machine.
    Host,
}

macro_rules! classes {
    ($($name:ident $text:literal $family:ident [$($need:ident),*] $about:literal;)*) => {
        /// A class of faults.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Class {
            $(#[doc = $about] $name,)*
        }

        impl Class {
            /// Every class.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its name, as it is typed and recorded.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What it does, in a line.
            pub fn about(self) -> &'static str {
                match self { $(Self::$name => $about,)* }
            }

            /// What it does not strike together with.
            pub fn family(self) -> Family {
                match self { $(Self::$name => Family::$family,)* }
            }

            /// What it needs of the machine.
            pub fn needs(self) -> &'static [Need] {
                match self { $(Self::$name => &[$(Need::$need),*],)* }
            }
        }
    };
}

classes! {
    Kill "kill" Process [] "SIGKILL of one node, mostly one that leads, and its restart";
    KillGroup "kill_group" Process [] "SIGKILL of all nodes of a group at once, and their restart";
    KillAll "kill_all" Process [] "SIGKILL of every node at once, and their restart";
    KillControllers "kill_controllers" Process [] "SIGKILL of a majority of the controller's nodes";
    Pause "pause" Process [] "SIGSTOP of a node for 0.2 to 10 election timeouts, then SIGCONT";
    Rolling "rolling_restart" Process [] "polite stop and restart of every node, one after the other";
    Halves "partition_halves" Network [] "the nodes in two halves that do not hear each other";
    Bridge "partition_bridge" Network [] "two halves that only one node hears both of";
    Ring "partition_ring" Network [] "each node hears its two neighbours only";
    OneWay "partition_one_way" Network [] "one node is heard and does not hear, or the reverse";
    CutClients "cut_clients" Network [] "clients and a node that leads do not hear each other";
    CutPeers "cut_peers" Network [] "a node hears clients and no other node";
    CutMovers "cut_movers" Network [] "source and target of a move do not hear each other";
    Reset "reset" Network [] "connections of a node are reset, new ones too";
    Delay "delay" Network [] "every piece is late by up to 150 ms, and connections overtake each other";
    HalfOpen "half_open" Network [] "connections of a node whose far end has gone without a word";
    PowerLoss "power_loss" Disk [Disks] "the power of one node goes: what was not synced is gone";
    PowerLossAll "power_loss_all" Disk [Disks] "the power of all nodes goes at once";
    FullDisk "full_disk" Disk [Disks] "a node's disk is full";
    IoError "io_error" Disk [Calls] "syncs of a node fail with EIO";
    SlowDisk "slow_disk" Disk [Calls] "each sync of a node takes 100 ms longer";
    Rot "rot" Disk [] "a file of a node is flipped or cut short while it is down";
    OldCopy "old_copy" Disk [] "a node comes back with an old copy of its disk (not part of all: Raft promises nothing then)";
    Wipe "wipe" Disk [] "a node comes back with an empty disk";
    Clock "clock" Host [Clocks] "a node's clock is off by seconds, or drifts";
    StarveCpu "starve_cpu" Host [Cpu] "a node gets a hundredth of a CPU";
    Overload "overload" Host [] "sixty more clients that never rest, on keys of their own";
    LimitMemory "limit_memory" Host [Memory] "a node may allocate next to nothing more";
}

impl Class {
    /// Whether nothing else may strike at the same time, and it must be asked for by name: a node that forgets what it has
    /// promised is more than a majority can make up for, unless all others are well. It stays behind until its group elects
    /// a leader or sends it a snapshot.
    pub fn is_lonely(self) -> bool {
        self == Self::OldCopy
    }

    /// Why this machine cannot do it; none: it can.
    pub fn why_not(self, able: &Able) -> Option<String> {
        self.needs().iter().find_map(|need| able.why_not(*need)).map(str::to_owned)
    }

    /// Strikes, holds for so long, heals. None: it makes no sense as things are now.
    pub(crate) async fn strike(
        self,
        arena: &Arena,
        dice: &mut Dice,
        hold: Duration,
    ) -> Result<Option<Fault>> {
        let at_ns = arena.stopwatch.now_ns();
        let struck = match self.family() {
            Family::Process => Box::pin(process::strike(self, arena, dice, hold)).await?,
            Family::Network => Box::pin(links::strike(self, arena, dice, hold)).await?,
            Family::Disk => Box::pin(disk::strike(self, arena, dice, hold)).await?,
            Family::Host => Box::pin(host::strike(self, arena, dice, hold)).await?,
        };
        Ok(struck.map(|Struck { nodes, detail, evidence }| Fault {
            at_ns,
            until_ns: Some(arena.stopwatch.now_ns()),
            kind: self.name().to_owned(),
            nodes,
            detail,
            evidence,
        }))
    }
}

/// What a fault did.
#[derive(Debug, Default)]
pub(crate) struct Struck {
    /// Whom it acted on.
    pub nodes: Vec<u64>,
    /// More, for people.
    pub detail: String,
    /// What showed that it fired; empty: nothing did.
    pub evidence: String,
}

impl Struck {
    fn new(
        nodes: impl Into<Vec<u64>>,
        detail: impl Into<String>,
        evidence: impl Into<String>,
    ) -> Option<Self> {
        Some(Self { nodes: nodes.into(), detail: detail.into(), evidence: evidence.into() })
    }
}

/// The classes that a list of names means: `all`, whole names, or what several begin with.
pub fn named(list: &str) -> Result<Vec<Class>, String> {
    let mut found = Vec::new();
    for word in list.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let fits = |class: &&Class| if word == "all" { !class.is_lonely() } else { class.name() == word };
        let mut some: Vec<Class> = Class::ALL.iter().filter(fits).copied().collect();
        if some.is_empty() {
            some = Class::ALL.iter().filter(|class| class.name().starts_with(word)).copied().collect();
        }
        if some.is_empty() {
            let names: Vec<_> = Class::ALL.iter().map(|class| class.name()).collect();
            return Err(format!(
                "there is no fault {word:?}: it must be all, or some of {}",
                names.join(", ")
            ));
        }
        found.extend(some);
    }
    found.sort();
    found.dedup();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beginnings_and_all() {
        assert_eq!(named("all").expect("all").len(), Class::ALL.len() - 1);
        assert_eq!(named("old").expect("a beginning"), [Class::OldCopy]);
        assert_eq!(named("kill").expect("a name"), [Class::Kill], "a whole name wins");
        assert_eq!(named("partition").expect("a beginning").len(), 4);
        assert_eq!(named("wipe,kill,wipe").expect("names"), [Class::Kill, Class::Wipe]);
        assert!(named("no").is_err());
        assert!(named("").expect("none").is_empty());
    }
}
