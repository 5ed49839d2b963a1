//! Accepts connections, plain or over TLS, and resets them when a rule says so.
//!
//! It has its own accept loop, because an HTTP handler can't reset the connection it answers on.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::simulator::respond::respond;
use crate::simulator::tls::Tls;
use crate::simulator::world::World;

/// Pause after a failed accept, whose usual cause is a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Longest time of a TLS handshake: a client that never begins one frees its place after that.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// The limit and the certificate of the listener.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// Open connections; further ones wait to be accepted.
    pub connections_max: usize,
    /// `None` means plain HTTP.
    pub tls: Option<Tls>,
}

/// Accepts connections until the simulator stops.
pub async fn serve(listener: TcpListener, world: Arc<World>, door: ListenerConfig) {
    let room = Arc::new(Semaphore::new(door.connections_max.max(1)));
    let acceptor = door.tls.as_ref().map(Tls::acceptor);
    let accepting = async {
        loop {
            let Ok(place) = room.clone().acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let connection = connection(stream, peer, acceptor.clone(), world.clone());
                    world.tasks.spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    };
    tokio::select! {
        () = world.stopping.cancelled() => {}
        () = accepting => {}
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    world: Arc<World>,
) {
    // Answers are small and complete: Nagle's algorithm would only delay them.
    let _ = stream.set_nodelay(true);
    let cut = CancellationToken::new();
    let stream = Severable { stream, cut: cut.clone() };
    let serving = async {
        match acceptor {
            None => requests(stream, &world, &cut).await,
            Some(acceptor) => match shake_hands(&acceptor, stream).await {
                Ok(stream) => requests(stream, &world, &cut).await,
                Err(error) => info!(%peer, %error, "TLS handshake failed"),
            },
        }
    };
    tokio::select! {
        biased;
        () = world.stopping.cancelled() => {}
        () = cut.cancelled() => {}
        () = serving => {}
    }
}

async fn shake_hands(
    acceptor: &TlsAcceptor,
    stream: Severable,
) -> io::Result<TlsStream<Severable>> {
    match tokio::time::timeout(HANDSHAKE_TIME, acceptor.accept(stream)).await {
        Ok(accepted) => accepted,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the handshake took too long")),
    }
}

/// Answers the requests of one connection until the client closes it.
async fn requests(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    world: &Arc<World>,
    cut: &CancellationToken,
) {
    let service = service_fn(|request| {
        let (world, cut) = (world.clone(), cut.clone());
        async move { Ok::<_, Infallible>(respond(world, cut, request).await) }
    });
    // An error means that the client broke the connection: nothing is left to do.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// A stream that sends a TCP reset when it is dropped after a cut, as a crashed server does.
struct Severable {
    stream: TcpStream,
    cut: CancellationToken,
}

impl Drop for Severable {
    fn drop(&mut self) {
        if self.cut.is_cancelled() {
            // If this fails, the caller still sees the connection end without an answer.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Severable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Severable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
