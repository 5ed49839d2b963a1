//! Connects, and inspects the first bytes that arrive: a peer that doesn't speak HTTP/2 is named,
//! instead of looking like a broken connection.
//!
//! It deliberately ignores TLS connections, whose handshake agrees on HTTP/2.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
};

use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tonic::transport::Uri;
use tower::Service;

use crate::{cli::call::client::foreign::Foreign, sync::lock};

/// The finding about the peer of the last connection. Empty if the peer speaks HTTP/2. Clones share
/// it.
#[derive(Debug, Clone, Default)]
pub struct FirstBytes(Arc<Mutex<Option<Foreign>>>);

impl FirstBytes {
    /// What the peer speaks instead of HTTP/2, if it does.
    pub fn foreign(&self) -> Option<Foreign> {
        lock(&self.0).clone()
    }

    fn note(&self, met: Option<Foreign>) {
        *lock(&self.0) = met;
    }
}

/// Makes connections whose first bytes are inspected.
#[derive(Debug, Clone)]
pub struct Connector {
    tcp: HttpConnector,
    first_bytes: FirstBytes,
}

impl Connector {
    /// A connector that writes its findings into `first_bytes`.
    pub fn new(first_bytes: FirstBytes) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        Self { tcp, first_bytes }
    }
}

type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, ConnectError>> + Send>>;
type ConnectError = <HttpConnector as Service<Uri>>::Error;

impl Service<Uri> for Connector {
    type Response = TokioIo<Watched>;
    type Error = ConnectError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        self.tcp.poll_ready(cx)
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        let is_plain = server.scheme_str() != Some("https");
        let first_bytes = is_plain.then(|| self.first_bytes.clone());
        self.first_bytes.note(None);
        let connecting = self.tcp.call(server);
        Box::pin(async move {
            let stream = connecting.await?.into_inner();
            Ok(TokioIo::new(Watched { stream, first_bytes }))
        })
    }
}

/// A connection whose first bytes are inspected.
#[derive(Debug)]
pub struct Watched {
    stream: TcpStream,
    /// `None` once the first bytes have been inspected, and over TLS.
    first_bytes: Option<FirstBytes>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let bytes = buffer.filled().get(before..).unwrap_or_default();
        if bytes.is_empty() {
            return read;
        }
        let Some(first_bytes) = self.first_bytes.take() else { return read };
        match Foreign::of_first_bytes(bytes) {
            None => read,
            Some(met) => {
                first_bytes.note(Some(met.clone()));
                Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, met)))
            }
        }
    }
}

/// The most bytes that are read from a peer that has closed the connection.
const SAID_BYTES_MAX: usize = 512;

impl Watched {
    /// The result of a write; or, if the peer has closed the connection, the finding about its
    /// first bytes. The write may fail before those bytes have been read.
    fn or_what_it_said<T>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let is_closed = matches!(&written, Poll::Ready(Err(failure)) if is_closed(failure));
        if self.first_bytes.is_none() || !is_closed {
            return written;
        }
        let mut said = [0; SAID_BYTES_MAX];
        // On a closed connection, a read always becomes ready: there is at least the end to read.
        match ready!(self.as_mut().poll_read(cx, &mut ReadBuf::new(&mut said))) {
            Err(met) if self.first_bytes.is_none() => Poll::Ready(Err(met)),
            _ => written,
        }
    }
}

/// Whether a write failed because the peer has closed the connection.
fn is_closed(failure: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(failure.kind(), BrokenPipe | ConnectionAborted | ConnectionReset)
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.or_what_it_said(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.or_what_it_said(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    #[tokio::test]
    async fn a_closed_peers_first_bytes_are_inspected_even_if_a_write_fails() {
        for (said, met) in [(&b"\x15\x03\x03\0\x02\x02\x32"[..], Some(Foreign::Tls)), (b"", None)] {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let first_bytes = FirstBytes::default();
            let mut watched = Watched { stream, first_bytes: Some(first_bytes.clone()) };
            watched.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
            let (mut peer, _) = listener.accept().await.unwrap();
            peer.read_u8().await.unwrap();
            peer.write_all(said).await.unwrap();
            // Dropped with unread bytes, so that the next write gets a reset.
            drop(peer);
            let failure = loop {
                if let Err(failure) = watched.write(b"more").await {
                    break failure;
                }
            };
            assert_eq!(first_bytes.foreign(), met, "{failure}");
        }
    }
}
