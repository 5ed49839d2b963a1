//! Waits for no connection without end: who connects says so, or is let go.
//!
//! HTTP/2's own pings begin only once both sides have greeted each other. Until then nothing but
//! this bounds how long a silent connection holds its descriptor, and holds up a server that goes.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};
use tokio_util::sync::DropGuard;
use tonic::transport::server::Connected;

/// The bytes that every HTTP/2 client begins with (RFC 9113, section 3.4).
const PREFACE_BYTES: usize = 24;
/// How long they may take: amply for the slowest line.
pub const WITHIN: Duration = Duration::from_secs(20);

/// How long a connection is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For its greeting.
    pub greeting: Duration,
    /// For its taking anything of what is written.
    pub taking: Duration,
}

/// A connection that ends unless its greeting comes in time.
pub struct Greeted<C> {
    connection: C,
    came_bytes: usize,
    /// Resolves when it isn't waited for any more. None once the greeting is there.
    patience: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    taking: Duration,
    /// Resolves when nothing was taken for that long. None unless a write waits.
    stuck: Option<Pin<Box<Sleep>>>,
    /// Resolves when the connection is cut.
    cut: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Tells, by being dropped, that the connection is over.
    _gone: DropGuard,
}

impl<C> Greeted<C> {
    /// Begins to wait: for so long, and for the greeting no longer than until `closing` resolves. The
    /// connection is cut when `cut` resolves. `gone` goes with the connection.
    pub fn new(
        connection: C,
        within: Patience,
        closing: impl Future<Output = ()> + Send + 'static,
        cut: impl Future<Output = ()> + Send + 'static,
        gone: DropGuard,
    ) -> Self {
        let patience = async move {
            let _ = tokio::time::timeout(within.greeting, closing).await;
        };
        let (patience, cut) = (Some(Box::pin(patience) as _), Box::pin(cut));
        let (taking, stuck) = (within.taking, None);
        Self { connection, came_bytes: 0, patience, taking, stuck, cut, _gone: gone }
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Greeted<C> {
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
        let Some(patience) = &mut self.patience else {
            return polled;
        };
        if polled.is_pending() {
            let late = || Err(io::ErrorKind::TimedOut.into());
            return patience.as_mut().poll(context).map(|()| late());
        }
        self.came_bytes += buffer.filled().len() - before;
        if self.came_bytes >= PREFACE_BYTES {
            self.patience = None;
        }
        polled
    }
}

impl<C> Greeted<C> {
    /// What a write came to, or that the connection is cut: a peer that reads nothing would hold it
    /// for ever, since nothing is read from it either while a write waits.
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
        if stuck.as_mut().poll(context).is_ready() || self.cut.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Greeted<C> {
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

impl<C: Connected> Connected for Greeted<C> {
    type ConnectInfo = C::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.connection.connect_info()
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio_util::sync::CancellationToken;

    use super::*;

    fn guard() -> DropGuard {
        CancellationToken::new().drop_guard()
    }

    fn within(greeting: Duration) -> Patience {
        Patience { greeting, taking: WITHIN }
    }

    #[tokio::test]
    async fn a_connection_that_says_too_little_is_let_go() {
        for said in [&b""[..], b"PRI * HTTP/2.0"] {
            let (mut caller, ours) = duplex(1024);
            caller.write_all(said).await.unwrap();
            let mut greeted =
                Greeted::new(ours, within(Duration::from_millis(5)), pending(), pending(), guard());
            let mut heard = Vec::new();
            let ended = greeted.read_to_end(&mut heard).await.unwrap_err();
            assert_eq!((ended.kind(), heard.as_slice()), (io::ErrorKind::TimedOut, said));
        }
    }

    #[tokio::test]
    async fn a_connection_that_says_nothing_is_let_go_when_the_server_goes() {
        let (_caller, ours) = duplex(1024);
        let mut greeted = Greeted::new(ours, within(WITHIN), ready(()), pending(), guard());
        let ended = greeted.read_u8().await.unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_connection_that_greeted_may_be_silent() {
        let (mut caller, ours) = duplex(1024);
        let mut greeted =
            Greeted::new(ours, within(Duration::from_millis(5)), pending(), pending(), guard());
        let greeting = [0; PREFACE_BYTES];
        caller.write_all(&greeting).await.unwrap();
        greeted.read_exact(&mut [0; PREFACE_BYTES]).await.unwrap();
        assert!(greeted.patience.is_none());
    }

    #[tokio::test]
    async fn a_connection_that_greeted_can_be_cut() {
        let (mut caller, ours) = duplex(1024);
        let cut = CancellationToken::new();
        let cancelled = cut.clone().cancelled_owned();
        let mut greeted = Greeted::new(ours, within(WITHIN), pending(), cancelled, guard());
        caller.write_all(&[0; PREFACE_BYTES]).await.unwrap();
        greeted.read_exact(&mut [0; PREFACE_BYTES]).await.unwrap();
        cut.cancel();
        let ended = greeted.read_u8().await.unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_connection_that_takes_nothing_of_what_is_written_is_let_go() {
        let cut = CancellationToken::new();
        for (taking, is_cut) in [(Duration::from_millis(5), false), (WITHIN, true)] {
            let (_caller, ours) = duplex(16);
            let patience = Patience { greeting: WITHIN, taking };
            let cancelled = cut.clone().cancelled_owned();
            let mut greeted = Greeted::new(ours, patience, pending(), cancelled, guard());
            greeted.write_all(&[0; 16]).await.unwrap();
            let mut writing = Box::pin(greeted.write_all(&[0; 16]));
            if is_cut {
                assert!(futures_util::poll!(&mut writing).is_pending());
                cut.cancel();
            }
            assert_eq!(writing.await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
    }
}
