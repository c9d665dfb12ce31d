//! A machine's way into the network: production's `Network`, one for each life of a machine.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use flotilla_proto::net::{GrpcService, Lane, Listener, Network, NetworkError};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tower::util::BoxCloneSyncService;

use super::MachineId;
use super::call::Caller;
use super::state::{Server, SimNet};

/// One life of a machine, as the network sees it.
pub struct Port {
    net: Arc<SimNet>,
    machine: MachineId,
    alive: CancellationToken,
}

impl Port {
    /// A machine's port; when `alive` is cancelled it does nothing any more.
    pub fn new(net: Arc<SimNet>, machine: MachineId, alive: CancellationToken) -> Self {
        Self { net, machine, alive }
    }
}

#[async_trait]
impl Network for Port {
    fn connect(&self, address: &str, _lane: Lane) -> Result<GrpcService, NetworkError> {
        let caller = Caller {
            net: self.net.clone(),
            machine: self.machine,
            alive: self.alive.clone(),
            address: address.into(),
        };
        let service = tower::service_fn(move |request| caller.clone().call(request));
        Ok(BoxCloneSyncService::new(service))
    }

    async fn listen(&self, address: SocketAddr) -> Result<Box<dyn Listener>, NetworkError> {
        if self.net.is_taken(&address.to_string()) || self.alive.is_cancelled() {
            let source = std::io::Error::from(std::io::ErrorKind::AddrInUse);
            return Err(NetworkError::Listen { address, source });
        }
        let (net, machine, alive) = (self.net.clone(), self.machine, self.alive.clone());
        Ok(Box::new(Bound { net, machine, alive, address }))
    }
}

struct Bound {
    net: Arc<SimNet>,
    machine: MachineId,
    alive: CancellationToken,
    address: SocketAddr,
}

#[async_trait]
impl Listener for Bound {
    fn address(&self) -> SocketAddr {
        self.address
    }

    async fn serve(self: Box<Self>, routes: Routes, stop: CancellationToken) -> Result<(), NetworkError> {
        let address = self.address.to_string();
        let server = Server { machine: self.machine, routes: routes.prepare(), alive: self.alive.clone() };
        if self.alive.is_cancelled() || !self.net.listen(address.clone(), server) {
            let source = std::io::Error::from(std::io::ErrorKind::AddrInUse);
            return Err(NetworkError::Listen { address: self.address, source });
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.alive.cancelled() => {}
        }
        self.net.close(&address, &self.alive);
        Ok(())
    }
}
