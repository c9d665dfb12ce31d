//! A network namespace for each node, joined by a bridge.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::mpsc;

use anyhow::{Context, Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::sync::oneshot;

use crate::machine::command::run;
use crate::machine::sweep::Tag;

/// What is done inside.
type Job = Box<dyn FnOnce() + Send>;

/// How many jobs may wait for a namespace's thread: each is done in microseconds.
const JOBS_MAX: usize = 64;

/// The addresses of a run: another subnet for each, so that two may run at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subnet {
    second: u8,
    third: u8,
}

impl Subnet {
    /// Of this process.
    pub fn mine() -> Self {
        let pid = std::process::id();
        let byte = |number: u32| u8::try_from(number).unwrap_or(0);
        Self { second: byte(200 + pid / 250 % 50), third: byte(pid % 250) }
    }

    /// A node's address.
    pub fn node(self, node: u64) -> Ipv4Addr {
        Ipv4Addr::new(10, self.second, self.third, u8::try_from(node).unwrap_or(0))
    }

    /// Where clients come from: the bridge.
    pub fn clients(self) -> Ipv4Addr {
        Ipv4Addr::new(10, self.second, self.third, 254)
    }

    /// The node with this address, or clients.
    pub fn who(self, address: Ipv4Addr) -> u64 {
        let [.., last] = address.octets();
        if last == 254 { super::CLIENTS } else { u64::from(last) }
    }
}

/// A namespace with a thread inside that makes sockets there.
#[derive(Clone, Debug)]
pub(crate) struct Space {
    name: String,
    jobs: mpsc::SyncSender<Job>,
}

impl Space {
    /// Makes a node's namespace and joins it to the bridge.
    pub async fn make(tag: &Tag, subnet: Subnet, node: u64) -> Result<Self> {
        let name = tag.node(node);
        let (outer, address) = (format!("{name}v"), format!("{}/24", subnet.node(node)));
        run(&["ip", "netns", "add", &name]).await?;
        run(&["ip", "link", "add", &outer, "type", "veth", "peer", "name", "eth0", "netns", &name]).await?;
        run(&["ip", "link", "set", &outer, "master", &bridge(tag), "up"]).await?;
        run(&["ip", "-n", &name, "addr", "add", &address, "dev", "eth0"]).await?;
        run(&["ip", "-n", &name, "link", "set", "eth0", "up"]).await?;
        run(&["ip", "-n", &name, "link", "set", "lo", "up"]).await?;
        let jobs = settle(&name)?;
        Ok(Self { name, jobs })
    }

    /// Its file.
    pub fn file(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }

    /// Does something inside, such as making a socket, which then belongs there wherever it is used.
    pub async fn inside<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (sender, answer) = oneshot::channel();
        let job = Box::new(move || drop(sender.send(job())));
        self.jobs
            .try_send(job)
            .map_err(|_| anyhow!("the thread in namespace {} is busy or gone", self.name))?;
        answer.await.with_context(|| format!("a job in namespace {} was dropped", self.name))
    }
}

/// Makes the bridge that joins all namespaces; clients sit on it.
pub(crate) async fn make_bridge(tag: &Tag, subnet: Subnet) -> Result<()> {
    let name = bridge(tag);
    run(&["ip", "link", "add", &name, "type", "bridge"]).await?;
    run(&["ip", "addr", "add", &format!("{}/24", subnet.clients()), "dev", &name]).await?;
    run(&["ip", "link", "set", &name, "up"]).await.map(drop)
}

fn bridge(tag: &Tag) -> String {
    format!("{}b", tag.text())
}

/// Starts a thread inside a namespace. It ends when nobody can give it jobs any more.
fn settle(name: &str) -> Result<mpsc::SyncSender<Job>> {
    let path = PathBuf::from("/run/netns").join(name);
    let file = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
    let (sender, jobs) = mpsc::sync_channel::<Job>(JOBS_MAX);
    let (entered, answer) = mpsc::sync_channel(1);
    let work = move || {
        let moved = move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network));
        if entered.send(moved).is_ok() && moved.is_ok() {
            jobs.into_iter().for_each(|job| job());
        }
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(work).context("cannot start a thread")?;
    answer.recv().context("a thread ended")?.with_context(|| format!("cannot enter namespace {name}"))?;
    Ok(sender)
}
