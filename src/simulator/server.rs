//! Accepts connections, and breaks them when a rule says so.
//!
//! The loop is our own because a handler can't break the connection it answers on.

use std::convert::Infallible;
use std::io;
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
use tokio_util::sync::CancellationToken;

use crate::simulator::respond::respond;
use crate::simulator::world::World;

/// Pause after an accept that failed, usually for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until the simulator stops.
pub async fn serve(listener: TcpListener, world: Arc<World>, connections_max: usize) {
    let room = Arc::new(Semaphore::new(connections_max));
    let accepting = async {
        loop {
            let Ok(place) = room.clone().acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let connection = connection(stream, world.clone());
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

async fn connection(stream: TcpStream, world: Arc<World>) {
    // Answers are small and complete: waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let cut = CancellationToken::new();
    let stream = Severable { stream, cut: cut.clone() };
    let service = service_fn(|request| {
        let (world, cut) = (world.clone(), cut.clone());
        async move { Ok::<_, Infallible>(respond(world, cut, request).await) }
    });
    let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        biased;
        () = world.stopping.cancelled() => {}
        () = cut.cancelled() => {}
        // Whatever a caller does to its connection is its own affair.
        _ = serving => {}
    }
}

/// A stream that resets its connection when it is dropped after a cut, as a crashed server does.
struct Severable {
    stream: TcpStream,
    cut: CancellationToken,
}

impl Drop for Severable {
    fn drop(&mut self) {
        if self.cut.is_cancelled() {
            // Where this fails the caller still sees the connection end without an answer.
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
