//! The ports of a cluster on this machine, and whether they are free.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::exit;
use crate::probe::Prober;

/// Node `i` serves gRPC on the base port plus `i`, HTTP on this much above, RESP on twice this much above.
const DOOR_STRIDE: u16 = 100;
/// More nodes would run into the next door's ports.
pub const NODES_MAX: u32 = DOOR_STRIDE as u32 - 1;
/// How long a stranger on a port may take to say who it is.
const QUESTION_MAX: Duration = Duration::from_secs(1);

/// How long a port may stay taken by a process that was killed, and how often to look.
const RELEASE_MAX: Duration = Duration::from_secs(2);
const RELEASE_INTERVAL: Duration = Duration::from_millis(50);
/// Where ports begin if nobody says, and how far from a port in use to suggest others.
pub const BASE_PORT_DEFAULT: u16 = 7100;
const BASE_PORT_STEP: u32 = 1000;

/// Where a node of a local cluster serves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ports {
    /// gRPC.
    pub grpc: SocketAddr,
    /// HTTP.
    pub http: SocketAddr,
}

/// The largest base port that leaves room for all doors of all nodes.
pub const fn base_max(nodes: u32) -> u32 {
    u16::MAX as u32 - 2 * DOOR_STRIDE as u32 - nodes
}

/// The ports of node `node`, from 1. The base port was checked when the cluster was recorded.
pub fn of(base: u16, node: u32) -> Ports {
    let door = |stride: u16| {
        let port = u32::from(base) + u32::from(stride) + node;
        SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(port).unwrap_or(u16::MAX)))
    };
    Ports { grpc: door(0), http: door(DOOR_STRIDE) }
}

/// Fails if somebody listens on a port of this node, and says who if it is another cluster's node.
pub async fn check_free(base: u16, node: u32) -> Result<()> {
    let Ports { grpc, http } = of(base, node);
    for (address, door) in [(grpc, "gRPC"), (http, "HTTP")] {
        match bind(address).await {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(in_use(base, node, address.port(), door).await);
            }
            Err(error) => {
                return Err(exit::no(format!(
                    "cannot listen on {address}, node {node}'s {door} port: {error}"
                )));
            }
        }
    }
    Ok(())
}

/// Tries to listen. A node that was killed a moment ago gives its ports back only when the kernel is done with it.
async fn bind(address: SocketAddr) -> io::Result<()> {
    let started = Instant::now();
    loop {
        match TcpListener::bind(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && started.elapsed() < RELEASE_MAX => {
                tokio::time::sleep(RELEASE_INTERVAL).await;
            }
            bound => return bound.map(drop),
        }
    }
}

async fn in_use(base: u16, node: u32, port: u16, door: &str) -> anyhow::Error {
    let grpc = of(base, node).grpc.to_string();
    let who = match Prober::new(3 * QUESTION_MAX).status(&grpc).await {
        Ok(said) => format!("node {} of cluster {}", said.node, said.cluster),
        Err(_) => "another process".to_owned(),
    };
    let other = u32::from(base) + BASE_PORT_STEP;
    let other = if other > base_max(NODES_MAX) { BASE_PORT_DEFAULT.into() } else { other };
    exit::no(format!(
        "port {port} (node {node}'s {door}) is in use by {who}: stop that, or choose other ports for a new cluster \
         with --base-port {other}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_those_of_the_contract() {
        let ports = of(7100, 3);
        assert_eq!((ports.grpc.port(), ports.http.port()), (7103, 7203));
        assert_eq!(of(base_max(99) as u16, 99).http.port(), u16::MAX - DOOR_STRIDE);
    }

    #[tokio::test]
    async fn a_port_in_use_is_named() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = check_free(port - 1, 1).await.unwrap_err().to_string();
        assert!(
            error.contains(&format!("port {port} (node 1's gRPC) is in use by another process")),
            "{error}"
        );
    }
}
