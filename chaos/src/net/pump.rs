//! One connection through a proxy: two pumps, each in the mood of its link.

use std::sync::Arc;
use std::time::Duration;

use flotilla_workload::Dice;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::mood::{Link, Mood};

/// The most bytes that travel as one piece.
const PIECE_BYTES: usize = 64 * 1024;
/// How many pieces of one direction may wait: what does not fit stays with the sender, as in a full pipe.
const PIECES_MAX: usize = 256;

/// The two directions of a connection.
pub(crate) struct Ends {
    /// From who connected to who was connected to.
    pub there: Arc<Link>,
    /// The other way.
    pub back: Arc<Link>,
}

/// Carries bytes both ways until one end closes, a link resets, or the far end goes without a word.
pub(crate) async fn carry(mut near: TcpStream, mut far: TcpStream, ends: &Ends, seed: u64) {
    let cut = CancellationToken::new();
    let (mut forth, mut home) = (ends.there.mood(), ends.back.mood());
    let there = Pump { link: ends.there.clone(), cut: cut.clone(), dice: Dice::fork(seed, 1) };
    let back = Pump { link: ends.back.clone(), cut: cut.clone(), dice: Dice::fork(seed, 2) };
    let reset = {
        let (from_near, to_near) = near.split();
        let (from_far, to_far) = far.split();
        tokio::select! {
            () = cut.cancelled() => false,
            () = async { tokio::join!(there.run(from_near, to_far), back.run(from_far, to_near)); } => false,
            () = reset(&mut forth) => true,
            () = reset(&mut home) => true,
        }
    };
    if reset {
        ends.there.touch();
        // Should that fail, both connections merely end.
        drop(near.set_zero_linger().and(far.set_zero_linger()));
    }
}

/// Waits until the link resets its connections.
async fn reset(mood: &mut watch::Receiver<Mood>) {
    if mood.wait_for(|mood| matches!(mood, Mood::Reset)).await.is_err() {
        // Nobody sets moods any more: the run is over.
        std::future::pending().await
    }
}

/// One direction of a connection.
struct Pump {
    link: Arc<Link>,
    cut: CancellationToken,
    dice: Dice,
}

struct Piece {
    due: Instant,
    bytes: Vec<u8>,
}

impl Pump {
    async fn run(self, from: ReadHalf<'_>, to: WriteHalf<'_>) {
        let (sender, receiver) = mpsc::channel(PIECES_MAX);
        let Self { link, cut, dice } = self;
        tokio::join!(read(from, sender, &link, &cut, dice), write(to, receiver, &link, &cut));
    }
}

async fn read(
    mut from: ReadHalf<'_>,
    sender: mpsc::Sender<Piece>,
    link: &Link,
    cut: &CancellationToken,
    mut dice: Dice,
) {
    let mut mood = link.mood();
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        let length = match from.read(&mut buffer).await {
            Ok(length) if length > 0 => length,
            _ => {
                // An end here is an end there, unless it is one that nobody is told of.
                drop(mood.wait_for(|mood| !matches!(mood, Mood::HalfOpen)).await);
                return cut.cancel();
            }
        };
        let delay = match &*mood.borrow() {
            Mood::Late(range) => dice.duration(range.clone()),
            _ => Duration::ZERO,
        };
        if !delay.is_zero() {
            link.touch();
        }
        let piece = Piece { due: Instant::now() + delay, bytes: buffer[..length].to_vec() };
        if sender.send(piece).await.is_err() {
            return;
        }
    }
}

async fn write(
    mut to: WriteHalf<'_>,
    mut receiver: mpsc::Receiver<Piece>,
    link: &Link,
    cut: &CancellationToken,
) {
    let mut mood = link.mood();
    // A connection that has lost bytes never carries any again.
    let mut lost = false;
    while let Some(piece) = receiver.recv().await {
        sleep_until(piece.due).await;
        if matches!(*mood.borrow(), Mood::Held) {
            link.touch();
            if mood.wait_for(|mood| !matches!(mood, Mood::Held)).await.is_err() {
                return;
            }
        }
        lost |= matches!(*mood.borrow(), Mood::HalfOpen);
        if lost {
            // The sender believes that it arrived.
            link.touch();
            continue;
        }
        if to.write_all(&piece.bytes).await.is_err() {
            return cut.cancel();
        }
    }
}
