//! Bounds how long a connection may take to send its HTTP/2 connection preface, and how long a
//! write may wait for its peer. Where HTTP/1.1 is spoken too, its first bytes end the wait.
//!
//! HTTP/2's keepalive pings begin only after both sides have sent their prefaces. Until then, only
//! this timeout bounds how long a silent connection holds a descriptor and delays a shutdown. It
//! deliberately doesn't parse HTTP/2: the transport ends a connection with a wrong preface.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

use crate::grpc::connection_log::{ConnectionTrouble, PeerLog};

/// The connection preface of every HTTP/2 client (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long the preface may take to arrive: ample for the slowest line.
pub const PREFACE_TIMEOUT: Duration = Duration::from_secs(20);

/// Resolves when a connection has had enough time for its beginning: with true if the peer was too
/// slow, with false if the server shuts down.
pub type Patience = Pin<Box<dyn Future<Output = bool> + Send>>;

/// Starts the timeout of a connection's beginning: of its connection preface, and of the TLS
/// handshake before it.
pub fn patience(within: Duration, closing: impl Future<Output = ()> + Send + 'static) -> Patience {
    Box::pin(async move { tokio::time::timeout(within, closing).await.is_err() })
}

/// The protocols that a connection may begin with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocols {
    /// HTTP/2 alone.
    Http2,
    /// HTTP/2, or HTTP/1.1, whose heads the transport gives a timeout of its own.
    Any,
}

/// A connection that fails with `TimedOut` if its preface doesn't arrive in time, if its peer reads
/// nothing for too long, or if it is cut.
pub struct PrefaceTimeout<C> {
    connection: C,
    protocols: Protocols,
    /// How many bytes of the preface have arrived.
    preface_bytes: usize,
    /// Resolves when the wait for the preface ends. `None` once the preface is complete.
    preface_timeout: Option<Patience>,
    taking: Duration,
    /// Resolves when the peer has read nothing for `taking`. `None` unless a write waits.
    stuck: Option<Pin<Box<Sleep>>>,
    /// Resolves when the connection is cut.
    cut: Pin<Box<dyn Future<Output = ()> + Send>>,
    log: PeerLog,
}

impl<C> PrefaceTimeout<C> {
    /// Goes on waiting with `patience` for the preface. The peer may read nothing for `unread_max`.
    /// The connection is cut when `cut` resolves.
    pub fn new(
        connection: C,
        protocols: Protocols,
        patience: Patience,
        unread_max: Duration,
        cut: impl Future<Output = ()> + Send + 'static,
        log: PeerLog,
    ) -> Self {
        let (preface_timeout, cut) = (Some(patience), Box::pin(cut));
        let (taking, stuck) = (unread_max, None);
        Self { connection, protocols, preface_bytes: 0, preface_timeout, taking, stuck, cut, log }
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for PrefaceTimeout<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.connection).poll_read(context, buffer);
        if polled.is_pending() && self.cut.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let Some(patience) = &mut self.preface_timeout else {
            return polled;
        };
        if polled.is_pending() {
            if ready!(patience.as_mut().poll(context)) {
                self.log.note(ConnectionTrouble::Silent);
            }
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let came = &buffer.filled()[before..];
        let expected = &PREFACE[self.preface_bytes..];
        let count = came.len().min(expected.len());
        if came[..count] != expected[..count] {
            match self.protocols {
                // The transport ends the connection.
                Protocols::Http2 => self.log.note(ConnectionTrouble::OtherProtocol),
                Protocols::Any => {
                    self.preface_timeout = None;
                    return polled;
                }
            }
        }
        self.preface_bytes += count;
        if self.preface_bytes == PREFACE.len() {
            self.preface_timeout = None;
        }
        polled
    }
}

impl<C> PrefaceTimeout<C> {
    /// The result of a write, or `TimedOut` if the peer reads nothing or the connection is cut.
    /// Otherwise a peer that reads nothing would hold the connection for ever: while a write waits,
    /// the transport doesn't read, so it can't notice that the peer is gone.
    fn unless_cut<T>(
        &mut self,
        polled: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stuck = None;
            return polled;
        }
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.taking)));
        if stuck.as_mut().poll(context).is_ready() {
            self.log.note(ConnectionTrouble::Unread);
        } else if self.cut.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for PrefaceTimeout<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.connection).poll_write(context, bytes);
        self.unless_cut(polled, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.connection).poll_flush(context);
        self.unless_cut(polled, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.connection).poll_shutdown(context);
        self.unless_cut(polled, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.connection).poll_write_vectored(context, slices);
        self.unless_cut(polled, context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{clock::Clock, domain::Timestamp, grpc::connection_log::ConnectionLog};

    const MOMENT: Duration = Duration::from_millis(5);

    /// The limits and the log of a connection under test.
    struct Stage {
        greeting: Duration,
        taking: Duration,
        closing: bool,
        cut: CancellationToken,
        log: ConnectionLog,
    }

    impl Stage {
        fn new(greeting: Duration, taking: Duration) -> Self {
            let log = ConnectionLog::new(Clock::manual(Timestamp::default()).0);
            Self { greeting, taking, closing: false, cut: CancellationToken::new(), log }
        }

        fn connect(&self, bytes: usize) -> (DuplexStream, PrefaceTimeout<DuplexStream>) {
            self.connect_by(Protocols::Http2, bytes)
        }

        fn connect_by(
            &self,
            protocols: Protocols,
            bytes: usize,
        ) -> (DuplexStream, PrefaceTimeout<DuplexStream>) {
            let (caller, ours) = duplex(bytes);
            let closing = if self.closing { Box::pin(ready(())) as _ } else { never() };
            let patience = patience(self.greeting, closing);
            let cut = self.cut.clone().cancelled_owned();
            let log = self.log.of([10, 0, 0, 1].into());
            (caller, PrefaceTimeout::new(ours, protocols, patience, self.taking, cut, log))
        }
    }

    fn never() -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(pending())
    }

    #[tokio::test]
    async fn a_connection_with_an_incomplete_preface_is_closed() {
        for said in [&b""[..], b"PRI * HTTP/2.0"] {
            let stage = Stage::new(MOMENT, PREFACE_TIMEOUT);
            let (mut caller, mut greeted) = stage.connect(1024);
            caller.write_all(said).await.unwrap();
            let mut heard = Vec::new();
            let ended = greeted.read_to_end(&mut heard).await.unwrap_err();
            assert_eq!((ended.kind(), heard.as_slice()), (io::ErrorKind::TimedOut, said));
            assert_eq!(stage.log.noted(), [ConnectionTrouble::Silent]);
        }
    }

    #[tokio::test]
    async fn a_silent_connection_is_closed_when_the_server_shuts_down() {
        let stage = Stage { closing: true, ..Stage::new(PREFACE_TIMEOUT, PREFACE_TIMEOUT) };
        let (_caller, mut greeted) = stage.connect(1024);
        let ended = greeted.read_u8().await.unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
        assert_eq!(stage.log.noted(), [], "the shutdown isn't the peer's fault");
    }

    #[tokio::test]
    async fn a_connection_may_be_silent_after_its_preface() {
        let stage = Stage::new(MOMENT, PREFACE_TIMEOUT);
        let (mut caller, mut greeted) = stage.connect(1024);
        caller.write_all(PREFACE).await.unwrap();
        greeted.read_exact(&mut [0; PREFACE.len()]).await.unwrap();
        assert!(greeted.preface_timeout.is_none());
        drop(greeted);
        assert_eq!(stage.log.noted(), []);
    }

    #[tokio::test]
    async fn another_protocol_is_noted_even_if_it_arrives_byte_by_byte() {
        for said in [&b"\x16\x03\x01\0\xa5\x01"[..], b"PRI * HTTP/1.1\r\n"] {
            let stage = Stage::new(PREFACE_TIMEOUT, PREFACE_TIMEOUT);
            let (mut caller, mut greeted) = stage.connect(1024);
            for byte in said {
                caller.write_u8(*byte).await.unwrap();
                greeted.read_u8().await.unwrap();
            }
            assert_eq!(stage.log.noted(), [ConnectionTrouble::OtherProtocol]);
        }
    }

    #[tokio::test]
    async fn the_first_bytes_of_http_1_end_the_wait_where_it_is_spoken() {
        let stage = Stage::new(MOMENT, PREFACE_TIMEOUT);
        for said in [&b"GET / HTTP/1.1\r\n"[..], b"POST", b"PRI / HTTP/1.1\r\n"] {
            let (mut caller, mut greeted) = stage.connect_by(Protocols::Any, 1024);
            caller.write_all(said).await.unwrap();
            greeted.read_exact(&mut vec![0; said.len()]).await.unwrap();
            assert!(greeted.preface_timeout.is_none());
        }
        let (mut caller, mut greeted) = stage.connect_by(Protocols::Any, 1024);
        caller.write_all(&PREFACE[..10]).await.unwrap();
        let ended = greeted.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
        assert_eq!(stage.log.noted(), [ConnectionTrouble::Silent]);
    }

    #[tokio::test]
    async fn a_connection_can_be_cut_after_its_preface() {
        let stage = Stage::new(PREFACE_TIMEOUT, PREFACE_TIMEOUT);
        let (mut caller, mut greeted) = stage.connect(1024);
        caller.write_all(PREFACE).await.unwrap();
        greeted.read_exact(&mut [0; PREFACE.len()]).await.unwrap();
        stage.cut.cancel();
        let ended = greeted.read_u8().await.unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
        assert_eq!(stage.log.noted(), []);
    }

    #[tokio::test]
    async fn a_connection_whose_peer_reads_nothing_is_closed() {
        for (taking, is_cut) in [(MOMENT, false), (PREFACE_TIMEOUT, true)] {
            let stage = Stage::new(PREFACE_TIMEOUT, taking);
            let (_caller, mut greeted) = stage.connect(16);
            greeted.write_all(&[0; 16]).await.unwrap();
            let mut writing = Box::pin(greeted.write_all(&[0; 16]));
            if is_cut {
                assert!(futures_util::poll!(&mut writing).is_pending());
                stage.cut.cancel();
            }
            assert_eq!(writing.await.unwrap_err().kind(), io::ErrorKind::TimedOut);
            let noted = if is_cut { vec![] } else { vec![ConnectionTrouble::Unread] };
            assert_eq!(stage.log.noted(), noted);
        }
    }
}
