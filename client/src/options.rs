//! How a client is started.

use std::time::Duration;

use flotilla_types::ClusterId;

use crate::error::ClientError;

/// How a client is started. Every field has a default but `endpoints`.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Where to ask first, `host:port` each; any nodes of the cluster, the rest is learned from them.
    pub endpoints: Vec<String>,
    /// How long one call may take, retries included.
    pub timeout: Duration,
    /// How many writes may be in flight at once: each needs a lane, and the cluster remembers the last write of each
    /// lane, so more lanes cost it memory. A write waits for a free one.
    pub lanes: usize,
    /// How many calls may be in flight at once; the next one waits.
    pub max_in_flight: usize,
    /// The cluster that the endpoints must belong to; none: whichever they belong to.
    pub cluster: Option<ClusterId>,
}

/// The most lanes of one client: the cluster keeps a row for each of them in each shard it wrote to.
pub const LANES_MAX: usize = 4096;
/// The most calls in flight of one client.
pub const IN_FLIGHT_MAX: usize = 65_536;

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            endpoints: Vec::new(),
            timeout: Duration::from_secs(10),
            lanes: 64,
            max_in_flight: 1024,
            cluster: None,
        }
    }
}

impl ClientOptions {
    /// The defaults with these endpoints.
    pub fn new<E: Into<String>>(endpoints: impl IntoIterator<Item = E>) -> Self {
        Self { endpoints: endpoints.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// Another timeout for each call.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Another number of lanes.
    pub fn lanes(self, lanes: usize) -> Self {
        Self { lanes, ..self }
    }

    /// Another number of calls in flight.
    pub fn max_in_flight(self, max_in_flight: usize) -> Self {
        Self { max_in_flight, ..self }
    }

    /// Only this cluster will do.
    pub fn cluster(self, cluster: ClusterId) -> Self {
        Self { cluster: Some(cluster), ..self }
    }

    /// Checks every field; gives the endpoints as bare `host:port`.
    pub(crate) fn check(&self) -> Result<Vec<String>, ClientError> {
        if self.endpoints.is_empty() {
            return Err(ClientError::Invalid("no endpoints: name at least one node as host:port".into()));
        }
        bounded("lanes", self.lanes, LANES_MAX)?;
        bounded("max_in_flight", self.max_in_flight, IN_FLIGHT_MAX)?;
        if self.timeout.is_zero() {
            return Err(ClientError::Invalid("timeout is 0: give a call some time, e.g. 10 s".into()));
        }
        self.endpoints.iter().map(|endpoint| host_port(endpoint)).collect()
    }
}

fn bounded(name: &str, value: usize, max: usize) -> Result<(), ClientError> {
    if (1..=max).contains(&value) {
        return Ok(());
    }
    Err(ClientError::Invalid(format!("{name} is {value}: it must be 1 to {max}")))
}

/// `host:port`, also if it was written as `http://host:port/`.
fn host_port(endpoint: &str) -> Result<String, ClientError> {
    let invalid = |why: &str| ClientError::Invalid(format!("endpoint {endpoint:?} {why}"));
    let bare = endpoint.trim();
    if bare.starts_with("https://") {
        return Err(invalid("asks for TLS, which is not supported: write host:port"));
    }
    let bare = bare.strip_prefix("http://").unwrap_or(bare).trim_end_matches('/');
    let (host, port) = bare.rsplit_once(':').ok_or_else(|| invalid("is not host:port"))?;
    let port_ok = port.parse::<u16>().is_ok_and(|port| port > 0);
    let host_ok = !host.is_empty() && host.bytes().all(|b| b.is_ascii_graphic() && !b"/@?#".contains(&b));
    if !host_ok || !port_ok {
        return Err(invalid("is not host:port with a port from 1 to 65535"));
    }
    Ok(bare.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_host_and_port() {
        assert_eq!(host_port(" http://a.b:7101/ ").unwrap(), "a.b:7101");
        assert_eq!(host_port("[::1]:80").unwrap(), "[::1]:80");
        for bad in ["", "a", "a:", ":1", "a:0", "a:70000", "https://a:1", "a b:1", "x/y:1"] {
            assert!(host_port(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn bounds_are_checked() {
        let good = ClientOptions::new(["a:1"]);
        assert!(good.check().is_ok());
        assert!(good.clone().lanes(0).check().is_err());
        assert!(good.clone().max_in_flight(IN_FLIGHT_MAX + 1).check().is_err());
        assert!(good.timeout(Duration::ZERO).check().is_err());
        assert!(ClientOptions::default().check().is_err());
    }
}
