//! Where nodes live: all on loopback, or each in a namespace of its own.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use tokio::net::{TcpListener, TcpStream};

use super::space::{Space, Subnet, make_bridge};
use super::who::by_port;
use super::{CLIENTS, space};
use crate::machine::sweep::Tag;

/// The ports of a node in a namespace.
const PROXY_PORT: u16 = 7000;
const NODE_PORT: u16 = 7001;

/// Where nodes live. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    spaces: Option<(Subnet, Arc<BTreeMap<u64, Space>>)>,
    /// The pids of nodes: on loopback, the only way to tell who connects.
    pids: Arc<Mutex<BTreeMap<u64, u32>>>,
}

/// The addresses of a node.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where its proxy does.
    pub proxy: SocketAddr,
}

impl Ground {
    /// All nodes on 127.0.0.1.
    pub fn loopback() -> Self {
        Self { spaces: None, pids: Arc::default() }
    }

    /// Each of these nodes in a new namespace.
    pub async fn spaces(tag: &Tag, nodes: &[u64]) -> Result<Self> {
        let subnet = Subnet::mine();
        make_bridge(tag, subnet).await?;
        let mut spaces = BTreeMap::new();
        for node in nodes {
            spaces.insert(*node, space::Space::make(tag, subnet, *node).await?);
        }
        Ok(Self { spaces: Some((subnet, Arc::new(spaces))), pids: Arc::default() })
    }

    /// A node's namespace; none on loopback.
    pub fn space(&self, node: u64) -> Option<&Space> {
        self.spaces.as_ref().and_then(|(_, spaces)| spaces.get(&node))
    }

    /// The source address of a node's, or the clients', packets; none on loopback.
    pub fn source(&self, who: u64) -> Option<Ipv4Addr> {
        let (subnet, _) = self.spaces.as_ref()?;
        Some(if who == CLIENTS { subnet.clients() } else { subnet.node(who) })
    }

    /// Notes a node's process.
    pub fn note(&self, node: u64, pid: u32) {
        self.pids.lock().unwrap_or_else(PoisonError::into_inner).insert(node, pid);
    }

    /// Who is at the other end of a connection.
    pub fn who(&self, peer: SocketAddr) -> u64 {
        if let (Some((subnet, _)), IpAddr::V4(address)) = (&self.spaces, peer.ip()) {
            return subnet.who(address);
        }
        let pids = self.pids.lock().unwrap_or_else(PoisonError::into_inner).clone();
        by_port(peer.port(), &pids.into_iter().collect::<Vec<_>>())
    }

    /// Binds a node's proxy, and chooses where the node itself is to listen.
    pub async fn settle(&self, node: u64) -> Result<(Place, TcpListener)> {
        let Some((subnet, spaces)) = &self.spaces else {
            let proxy = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no free port")?;
            let place = Place { listen: free_port()?, proxy: proxy.local_addr()? };
            return Ok((place, proxy));
        };
        let space = spaces.get(&node).with_context(|| format!("node {node} has no namespace"))?;
        let address = |port| SocketAddr::from((subnet.node(node), port));
        let place = Place { listen: address(NODE_PORT), proxy: address(PROXY_PORT) };
        let bound = place.proxy;
        let listener = space.inside(move || StdListener::bind(bound)).await?;
        let listener = listener.with_context(|| format!("cannot listen on {bound}"))?;
        listener.set_nonblocking(true)?;
        Ok((place, TcpListener::from_std(listener)?))
    }

    /// Connects to a node itself from where its proxy is.
    pub async fn connect(&self, node: u64, listen: SocketAddr) -> Result<TcpStream> {
        let Some(space) = self.space(node) else { return Ok(TcpStream::connect(listen).await?) };
        // To an address of its own namespace: it is there at once or refused at once.
        let stream = space.inside(move || StdStream::connect(listen)).await??;
        stream.set_nonblocking(true)?;
        Ok(TcpStream::from_std(stream)?)
    }
}

/// A port that nobody has now. Another process may take it before the node does; then the node says so, and the run ends.
fn free_port() -> Result<SocketAddr> {
    let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?)
}
