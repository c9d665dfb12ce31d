//! A bad network: a TCP proxy before a node that delays what passes and cuts connections at random.
//!
//! Over TCP a lost message shows as a connection that breaks: cut before a piece is forwarded, the request is lost; cut
//! after it, the reply is. Everything in flight on that connection is lost with it, as on a real one.
//!
//! Absent: loss of single packets, which TCP repairs, and reordering, which it hides.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rand::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::cluster::ports;

/// The largest piece that is delayed, or lost, as one.
const PIECE_BYTES: usize = 16 * 1024;
/// How many pieces may be under way in one direction of a connection; past that the sender feels it.
const PIECES_MAX: usize = 256;

/// How bad the network is.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Each piece is delayed by something between nothing and this.
    pub delay_max: Duration,
    /// In so many of a thousand pieces the connection is cut, half of the time before and half of it after the piece.
    pub cut_per_mille: u32,
}

/// What a proxy has done so far.
#[derive(Debug, Default)]
struct Counters {
    connections: AtomicU64,
    pieces: AtomicU64,
    cuts: AtomicU64,
    calm: AtomicBool,
}

/// A proxy before one address. Dropping it cuts everything.
pub struct Proxy {
    address: String,
    counters: Arc<Counters>,
    task: AbortHandle,
}

impl Proxy {
    /// Starts a proxy before `target` on a free port.
    pub async fn start(target: String, weather: Weather) -> Self {
        let address = format!("127.0.0.1:{}", ports::free());
        let listener = TcpListener::bind(&address).await.expect("the port was free a moment ago");
        let counters = Arc::<Counters>::default();
        let task = tokio::spawn(serve(listener, target, weather, counters.clone())).abort_handle();
        Self { address, counters, task }
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        self.address.clone()
    }

    /// How many connections it has cut.
    pub fn cuts(&self) -> u64 {
        self.counters.cuts.load(Ordering::Relaxed)
    }

    /// How many pieces have passed.
    pub fn pieces(&self) -> u64 {
        self.counters.pieces.load(Ordering::Relaxed)
    }

    /// From now on everything passes at once.
    pub fn calm(&self) {
        self.counters.calm.store(true, Ordering::Relaxed);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, target: String, weather: Weather, counters: Arc<Counters>) {
    // Aborted with this task.
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        counters.connections.fetch_add(1, Ordering::Relaxed);
        connections.spawn(connection(client, target.clone(), weather, counters.clone()));
    }
}

async fn connection(client: TcpStream, target: String, weather: Weather, counters: Arc<Counters>) {
    // Nobody listens there now: the client's connection is cut, too.
    let Ok(server) = TcpStream::connect(&target).await else { return };
    if client.set_nodelay(true).is_err() || server.set_nodelay(true).is_err() {
        return;
    }
    let cut = CancellationToken::new();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let there = Pump { weather, counters: counters.clone(), cut: cut.clone() };
    let back = Pump { weather, counters, cut: cut.clone() };
    tokio::select! {
        () = cut.cancelled() => {}
        _ = async { tokio::join!(there.run(from_client, to_server), back.run(from_server, to_client)) } => {}
    }
}

/// One direction of a connection.
struct Pump {
    weather: Weather,
    counters: Arc<Counters>,
    cut: CancellationToken,
}

struct Piece {
    due: Instant,
    bytes: Vec<u8>,
    /// The connection ends after it.
    last: bool,
}

impl Pump {
    async fn run(self, from: OwnedReadHalf, to: OwnedWriteHalf) {
        let (sender, receiver) = mpsc::channel(PIECES_MAX);
        tokio::join!(self.read(from, sender), self.write(to, receiver));
    }

    async fn read(&self, mut from: OwnedReadHalf, sender: mpsc::Sender<Piece>) {
        let mut buffer = vec![0; PIECE_BYTES];
        loop {
            let length = match from.read(&mut buffer).await {
                Ok(length) if length > 0 => length,
                // An end here is an end there.
                _ => return self.cut.cancel(),
            };
            self.counters.pieces.fetch_add(1, Ordering::Relaxed);
            let (delay, fate) = self.dice();
            if fate == Fate::LostBefore {
                self.counters.cuts.fetch_add(1, Ordering::Relaxed);
                return self.cut.cancel();
            }
            let last = fate == Fate::LostAfter;
            let piece = Piece { due: Instant::now() + delay, bytes: buffer[..length].to_vec(), last };
            if sender.send(piece).await.is_err() {
                return;
            }
        }
    }

    async fn write(&self, mut to: OwnedWriteHalf, mut receiver: mpsc::Receiver<Piece>) {
        while let Some(piece) = receiver.recv().await {
            sleep_until(piece.due).await;
            let written = to.write_all(&piece.bytes).await;
            if piece.last {
                self.counters.cuts.fetch_add(1, Ordering::Relaxed);
            }
            if piece.last || written.is_err() {
                return self.cut.cancel();
            }
        }
    }

    fn dice(&self) -> (Duration, Fate) {
        if self.counters.calm.load(Ordering::Relaxed) {
            return (Duration::ZERO, Fate::Passes);
        }
        let mut rng = rand::rng();
        let delay = self.weather.delay_max.mul_f64(rng.random());
        let fate = match rng.random_range(0..2000) {
            dice if dice < self.weather.cut_per_mille => Fate::LostBefore,
            dice if dice < 2 * self.weather.cut_per_mille => Fate::LostAfter,
            _ => Fate::Passes,
        };
        (delay, fate)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Passes,
    LostBefore,
    LostAfter,
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address").to_string();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.into_split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        address
    }

    async fn says(stream: &mut TcpStream, text: &[u8]) -> bool {
        let mut heard = vec![0; text.len()];
        stream.write_all(text).await.is_ok() && stream.read_exact(&mut heard).await.is_ok() && heard == text
    }

    #[tokio::test]
    async fn bytes_pass_unchanged_and_late() {
        let weather = Weather { delay_max: Duration::from_millis(5), cut_per_mille: 0 };
        let proxy = Proxy::start(echo().await, weather).await;
        let mut stream = TcpStream::connect(proxy.address()).await.expect("the proxy listens");
        for at in 0..50_u8 {
            assert!(says(&mut stream, &[at; 100]).await);
        }
        assert!(proxy.pieces() >= 100 && proxy.cuts() == 0);
    }

    #[tokio::test]
    async fn connections_are_cut_until_it_is_calm() {
        let proxy =
            Proxy::start(echo().await, Weather { delay_max: Duration::ZERO, cut_per_mille: 200 }).await;
        let mut cut = 0;
        for _ in 0..20 {
            let mut stream = TcpStream::connect(proxy.address()).await.expect("the proxy listens");
            for _ in 0..50 {
                if !says(&mut stream, b"hello").await {
                    cut += 1;
                    break;
                }
            }
        }
        assert!(cut > 15 && proxy.cuts() >= cut, "{cut} connections broke, {} were cut", proxy.cuts());
        proxy.calm();
        let mut stream = TcpStream::connect(proxy.address()).await.expect("the proxy listens");
        for _ in 0..50 {
            assert!(says(&mut stream, b"hello").await);
        }
    }
}
