//! Accepting connections from anybody, without letting anybody take them all.
//!
//! * At most [`CONNECTIONS_MAX`] at a time, and never more than half of the files that the process may have open: a node
//!   that cannot open a file for its log is a dead node, and its port is open to every stranger.
//! * Who has connected must say what every HTTP/2 client says first, the preface, within [`HELLO_MAX`]. From then on the
//!   keep-alive of the server notices the dead.
//! * When there is no room, the oldest connection that has not said it makes room; if all have, the newcomer is refused.
//!   So a crowd that says nothing keeps nobody out.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep, sleep};
use tokio_stream::Stream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

/// The most connections at a time.
const CONNECTIONS_MAX: usize = 8192;
/// How long a connection may take to say the preface.
const HELLO_MAX: Duration = Duration::from_secs(10);
/// How long the preface is.
const HELLO_BYTES: usize = 24;
/// How long to wait after the system could not accept, which it says again at once.
const PAUSE: Duration = Duration::from_millis(100);
/// How often at most the log says that there is no room.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

/// The connections that come to a socket. Never ends, and gives no error: a server has nothing to do about one.
pub(crate) struct Doors {
    socket: TcpListener,
    open: Arc<AtomicUsize>,
    /// Who came and may not have said the preface yet, oldest first.
    silent: VecDeque<Weak<Guest>>,
    pause: Option<Pin<Box<Sleep>>>,
    complained: Option<Instant>,
}

impl Doors {
    pub(crate) fn new(socket: TcpListener) -> Self {
        Self { socket, open: Arc::default(), silent: VecDeque::new(), pause: None, complained: None }
    }

    fn admit(&mut self, stream: TcpStream) -> Option<Connection> {
        if self.open.load(Ordering::Acquire) >= connections_max() && !self.evict() {
            self.complain("no room for another connection: the newcomer is refused", None);
            return None;
        }
        // Nagle's delay on accepted sockets would add 40 ms to small answers.
        drop(stream.set_nodelay(true));
        let guest = Guest::enter(&self.open);
        self.silent.push_back(Arc::downgrade(&guest));
        self.forget_settled();
        Some(Connection::new(stream, guest))
    }

    // Those at the front that are gone or have said the preface.
    fn forget_settled(&mut self) {
        while self.silent.front().is_some_and(|guest| guest.upgrade().is_none_or(|guest| guest.is_settled()))
        {
            self.silent.pop_front();
        }
    }

    // Its place is free at once; its socket closes as soon as the server looks at it.
    fn evict(&mut self) -> bool {
        while let Some(guest) = self.silent.pop_front() {
            if let Some(guest) = guest.upgrade().filter(|guest| !guest.is_settled()) {
                guest.leave();
                guest.evicted.cancel();
                return true;
            }
        }
        false
    }

    fn complain(&mut self, what: &str, error: Option<&io::Error>) {
        let now = Instant::now();
        if self.complained.is_none_or(|last| now - last >= COMPLAINT_INTERVAL) {
            self.complained = Some(now);
            let open = self.open.load(Ordering::Relaxed);
            tracing::warn!(
                open,
                max = connections_max(),
                error = error.map(tracing::field::display),
                "{what}"
            );
        }
    }
}

impl Stream for Doors {
    type Item = io::Result<Connection>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let doors = self.get_mut();
        loop {
            if let Some(pause) = &mut doors.pause {
                ready!(pause.as_mut().poll(cx));
                doors.pause = None;
            }
            match ready!(doors.socket.poll_accept(cx)) {
                Ok((stream, _)) => {
                    if let Some(connection) = doors.admit(stream) {
                        return Poll::Ready(Some(Ok(connection)));
                    }
                }
                Err(error) => {
                    doors.complain("cannot accept connections", Some(&error));
                    doors.pause = Some(Box::pin(sleep(PAUSE)));
                }
            }
        }
    }
}

// Looked up each time, as an operator may change it while the process runs.
fn connections_max() -> usize {
    let files = getrlimit(Resource::Nofile).current.and_then(|files| usize::try_from(files).ok());
    CONNECTIONS_MAX.min(files.unwrap_or(usize::MAX) / 2)
}

/// What the doors know of one connection.
struct Guest {
    open: Arc<AtomicUsize>,
    /// Whether it is one of `open`.
    counted: AtomicBool,
    /// Whether it has said the preface.
    greeted: AtomicBool,
    evicted: CancellationToken,
}

impl Guest {
    fn enter(open: &Arc<AtomicUsize>) -> Arc<Self> {
        open.fetch_add(1, Ordering::AcqRel);
        let (counted, greeted) = (AtomicBool::new(true), AtomicBool::new(false));
        Arc::new(Self { open: open.clone(), counted, greeted, evicted: CancellationToken::new() })
    }

    fn is_settled(&self) -> bool {
        self.greeted.load(Ordering::Acquire) || !self.counted.load(Ordering::Acquire)
    }

    fn leave(&self) {
        if self.counted.swap(false, Ordering::AcqRel) {
            self.open.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.leave();
    }
}

/// An accepted connection.
pub(crate) struct Connection {
    stream: TcpStream,
    guest: Arc<Guest>,
    /// None: the preface has been said.
    hello: Option<Hello>,
}

/// The wait for the preface.
struct Hello {
    bytes: usize,
    late: Pin<Box<Sleep>>,
    evicted: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Connection {
    fn new(stream: TcpStream, guest: Arc<Guest>) -> Self {
        let evicted = Box::pin(guest.evicted.clone().cancelled_owned());
        let hello = Hello { bytes: 0, late: Box::pin(sleep(HELLO_MAX)), evicted };
        Self { stream, guest, hello: Some(hello) }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buffer);
        let Some(hello) = &mut this.hello else { return polled };
        hello.bytes += buffer.filled().len() - before;
        if hello.bytes >= HELLO_BYTES {
            this.guest.greeted.store(true, Ordering::Release);
            this.hello = None;
        } else if polled.is_pending()
            && (hello.late.as_mut().poll(cx).is_ready() || hello.evicted.as_mut().poll(cx).is_ready())
        {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "no HTTP/2 preface in time")));
        }
        polled
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl Connected for Connection {
    type ConnectInfo = <TcpStream as Connected>::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.connect_info()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_stream::StreamExt;

    use super::*;

    async fn pair(doors: &mut Doors) -> (TcpStream, Connection) {
        let address = doors.socket.local_addr().expect("bound");
        let client = TcpStream::connect(address).await.expect("it listens");
        (client, doors.next().await.expect("never ends").expect("no errors"))
    }

    async fn doors() -> Doors {
        Doors::new(TcpListener::bind("127.0.0.1:0").await.expect("a free port"))
    }

    #[tokio::test]
    async fn the_oldest_silent_connection_makes_room_and_one_that_spoke_does_not() {
        let mut doors = doors().await;
        let (mut spoke, mut first) = pair(&mut doors).await;
        spoke.write_all(&[7; HELLO_BYTES]).await.expect("open");
        first.read_exact(&mut [0; HELLO_BYTES]).await.expect("it spoke");
        let (_silent, mut second) = pair(&mut doors).await;
        let (_also_silent, mut third) = pair(&mut doors).await;
        assert_eq!(doors.open.load(Ordering::Relaxed), 3);

        assert!(doors.evict(), "one is silent");
        assert_eq!(doors.open.load(Ordering::Relaxed), 2, "its place is free at once");
        assert_eq!(second.read_u8().await.expect_err("evicted").kind(), io::ErrorKind::TimedOut);
        assert!(doors.evict() && third.read_u8().await.is_err());
        assert!(!doors.evict(), "only one is left, and it spoke");
        spoke.write_all(b"x").await.expect("open");
        assert_eq!(first.read_u8().await.expect("it goes on"), b'x');
        drop((first, second, third));
        assert_eq!(doors.open.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn who_says_too_little_in_time_is_dropped() {
        let mut doors = doors().await;
        let (mut client, mut connection) = pair(&mut doors).await;
        client.write_all(&[7; HELLO_BYTES - 1]).await.expect("open");
        connection.read_exact(&mut [0; HELLO_BYTES - 1]).await.expect("these came");
        tokio::time::pause();
        tokio::time::advance(HELLO_MAX).await;
        assert_eq!(connection.read_u8().await.expect_err("late").kind(), io::ErrorKind::TimedOut);
    }
}
