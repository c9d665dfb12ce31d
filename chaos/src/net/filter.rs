//! Packet filters in a node's namespace: links cut below TCP.

use anyhow::{Context, Result};

use super::ground::Ground;
use crate::machine::command::run;

/// What becomes of packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verb {
    /// They vanish.
    Drop,
    /// They are answered with a reset.
    Reset,
}

/// Filters on directed links, from whom to whom.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    links: Vec<(u64, u64)>,
    verb: Verb,
}

impl Filter {
    /// Cuts these links. Those to clients are cut where packets leave the node, since clients live outside.
    pub async fn install(ground: &Ground, links: Vec<(u64, u64)>, verb: Verb) -> Result<Self> {
        let filter = Self { links, verb };
        filter.all(ground, "-I").await?;
        Ok(filter)
    }

    /// How many packets have met the filters.
    pub async fn met(&self, ground: &Ground) -> Result<u64> {
        let mut packets = 0;
        for link in &self.links {
            packets += self.packets(ground, *link).await?;
        }
        Ok(packets)
    }

    /// Restores the links.
    pub async fn remove(self, ground: &Ground) -> Result<()> {
        self.all(ground, "-D").await
    }

    async fn all(&self, ground: &Ground, verb: &str) -> Result<()> {
        for link in &self.links {
            let (space, rule) = self.rule(ground, *link)?;
            let mut line: Vec<&str> = vec!["nsenter", &space, "iptables", "-w", verb];
            line.extend(rule.iter().map(String::as_str));
            run(&line).await?;
        }
        Ok(())
    }

    /// The namespace, as nsenter wants it, and the rule there.
    fn rule(&self, ground: &Ground, (from, to): (u64, u64)) -> Result<(String, Vec<String>)> {
        let outgoing = to == super::CLIENTS;
        let (node, other) = if outgoing { (from, to) } else { (to, from) };
        let space = ground.space(node).context("packet filters need namespaces")?;
        let source = ground.source(other).context("packet filters need namespaces")?.to_string();
        let (chain, flag) = if outgoing { ("OUTPUT", "-d") } else { ("INPUT", "-s") };
        let mut rule = vec![chain.to_owned(), flag.to_owned(), source];
        let verb: &[&str] = match self.verb {
            Verb::Drop => &["-j", "DROP"],
            Verb::Reset => &["-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset"],
        };
        rule.extend(verb.iter().map(|word| (*word).to_owned()));
        Ok((format!("--net={}", space.file().display()), rule))
    }

    async fn packets(&self, ground: &Ground, link: (u64, u64)) -> Result<u64> {
        let (space, rule) = self.rule(ground, link)?;
        let (chain, address) = (&rule[0], &rule[2]);
        let listing = run(&["nsenter", &space, "iptables", "-w", "-nvxL", chain]).await?;
        let target = if self.verb == Verb::Drop { "DROP" } else { "REJECT" };
        let rows = listing.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let ours = rows.filter(|row| row.get(2) == Some(&target) && row.contains(&address.as_str()));
        Ok(ours.filter_map(|row| row[0].parse::<u64>().ok()).sum())
    }
}
