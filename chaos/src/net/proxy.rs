//! A proxy before a node.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::ground::{Ground, Place};
use super::mood::{Links, Mood};
use super::pump::{Ends, carry};

/// Before this node.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub node: u64,
    pub place: Place,
    pub ground: Ground,
    pub links: Links,
}

impl Proxy {
    /// Serves until it is dropped.
    pub async fn run(self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        let proxy = std::sync::Arc::new(self);
        let numbers = AtomicU64::new(0);
        loop {
            while connections.try_join_next().is_some() {}
            // Out of files for a moment, say: those who connect try again.
            let Ok((stream, peer)) = listener.accept().await else {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                continue;
            };
            let seed = proxy.node << 32 | numbers.fetch_add(1, Ordering::Relaxed);
            connections.spawn(proxy.clone().serve(stream, peer, seed));
        }
    }

    async fn serve(self: std::sync::Arc<Self>, near: TcpStream, peer: SocketAddr, seed: u64) {
        let from = self.ground.who(peer);
        let ends = Ends { there: self.links.link(from, self.node), back: self.links.link(self.node, from) };
        let mut mood = ends.there.mood();
        let now = mood.borrow_and_update().clone();
        match now {
            Mood::Reset => {
                ends.there.touch();
                reset(near);
                return;
            }
            // Taken, and silent until it changes.
            Mood::Held | Mood::HalfOpen => {
                ends.there.touch();
                if mood.wait_for(|mood| !matches!(mood, Mood::Held | Mood::HalfOpen)).await.is_err() {
                    return;
                }
            }
            Mood::Clear | Mood::Late(_) => {}
        }
        match self.ground.connect(self.node, self.place.listen).await {
            Ok(far) => {
                // Small messages must not wait for more.
                if near.set_nodelay(true).and(far.set_nodelay(true)).is_ok() {
                    carry(near, far, &ends, seed).await;
                }
            }
            // Nobody listens: so it is for who connects.
            Err(_) => reset(near),
        }
    }
}

/// Closes a connection with a reset.
pub(super) fn reset(stream: TcpStream) {
    // Without it the connection merely ends, which is nearly as bad for who is at the other end.
    drop(stream.set_zero_linger());
    drop(stream);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::timeout;

    use super::super::CLIENTS;
    use super::*;

    const NODE: u64 = 3;
    const FORTH: [(u64, u64); 1] = [(CLIENTS, NODE)];
    const BACK: [(u64, u64); 1] = [(NODE, CLIENTS)];
    const SOON: Duration = Duration::from_secs(10);
    const A_WHILE: Duration = Duration::from_millis(200);

    /// Gives back what it gets.
    async fn echo(listener: TcpListener) {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                drop(tokio::io::copy(&mut from, &mut to).await);
            });
        }
    }

    /// A proxy before an echo; its links, and where it is.
    async fn start() -> (Links, SocketAddr, JoinSet<()>) {
        let (ground, links, mut tasks) = (Ground::loopback(), Links::default(), JoinSet::new());
        let (place, listener) = ground.settle(NODE).await.expect("free ports");
        tasks.spawn(echo(TcpListener::bind(place.listen).await.expect("a free port")));
        let address = place.proxy;
        tasks.spawn(Proxy { node: NODE, place, ground, links: links.clone() }.run(listener));
        (links, address, tasks)
    }

    async fn says(stream: &mut TcpStream, text: &[u8]) -> std::io::Result<Vec<u8>> {
        stream.write_all(text).await?;
        let mut heard = vec![0; text.len()];
        stream.read_exact(&mut heard).await?;
        Ok(heard)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn bytes_pass_and_late_ones_keep_their_order() {
        let (links, address, _tasks) = start().await;
        let mut stream = TcpStream::connect(address).await.expect("the proxy listens");
        assert_eq!(says(&mut stream, b"hello").await.expect("it passes"), b"hello");
        assert_eq!(links.touched(&FORTH), 0);
        links.set(&FORTH, &Mood::Late(Duration::ZERO..Duration::from_millis(20)));
        for at in 0..30_u8 {
            assert_eq!(says(&mut stream, &[at; 100]).await.expect("it passes late"), [at; 100]);
        }
        assert!(links.touched(&FORTH) > 10 && links.touched(&BACK) == 0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_held_passes_afterwards() {
        let (links, address, _tasks) = start().await;
        let mut stream = TcpStream::connect(address).await.expect("the proxy listens");
        assert!(says(&mut stream, b"before").await.is_ok());
        links.set(&BACK, &Mood::Held);
        let mut asking = Box::pin(says(&mut stream, b"while"));
        assert!(timeout(A_WHILE, &mut asking).await.is_err(), "it must not come back yet");
        assert_eq!(links.touched(&FORTH), 0, "one direction only");
        links.set(&BACK, &Mood::Clear);
        assert_eq!(timeout(SOON, asking).await.expect("in time").expect("whole"), b"while");
        assert_eq!(links.touched(&BACK), 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn connections_are_reset_old_and_new() {
        let (links, address, _tasks) = start().await;
        let mut old = TcpStream::connect(address).await.expect("the proxy listens");
        assert!(says(&mut old, b"before").await.is_ok());
        links.set(&FORTH, &Mood::Reset);
        let heard = timeout(SOON, old.read(&mut [0; 8])).await.expect("at once");
        assert_eq!(heard.expect_err("reset").kind(), std::io::ErrorKind::ConnectionReset);
        // The kernel takes it; the reset may be there before this task looks.
        match TcpStream::connect(address).await {
            Ok(mut new) => assert!(timeout(SOON, says(&mut new, b"while")).await.expect("at once").is_err()),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
        links.set(&FORTH, &Mood::Clear);
        let mut later = TcpStream::connect(address).await.expect("the proxy listens");
        assert!(says(&mut later, b"after").await.is_ok());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_half_open_connection_never_answers_again() {
        let (links, address, _tasks) = start().await;
        let mut stream = TcpStream::connect(address).await.expect("the proxy listens");
        assert!(says(&mut stream, b"before").await.is_ok());
        links.set(&FORTH, &Mood::HalfOpen);
        assert!(timeout(A_WHILE, says(&mut stream, b"while")).await.is_err(), "it vanishes");
        links.set(&FORTH, &Mood::Clear);
        assert!(
            timeout(A_WHILE, says(&mut stream, b"after")).await.is_err(),
            "also afterwards: bytes are missing"
        );
        let mut new = TcpStream::connect(address).await.expect("the proxy listens");
        assert!(says(&mut new, b"new").await.is_ok());
    }
}
