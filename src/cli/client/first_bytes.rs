//! Connects, and looks at the first bytes that come: a peer that doesn't speak HTTP/2 is named
//! instead of being taken for a connection that broke.
//!
//! Over TLS it looks at nothing: there the handshake agrees on HTTP/2.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tonic::transport::Uri;
use tower::Service;

use crate::cli::client::foreign::Foreign;

/// What the peer of the last connection turned out to be, if it doesn't speak HTTP/2.
#[derive(Debug, Clone, Default)]
pub struct FirstBytes(Arc<Mutex<Option<Foreign>>>);

impl FirstBytes {
    /// What was met.
    pub fn foreign(&self) -> Option<Foreign> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, met: Option<Foreign>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = met;
    }
}

/// Makes connections whose first bytes are looked at.
#[derive(Debug, Clone)]
pub struct Connector {
    tcp: HttpConnector,
    first_bytes: FirstBytes,
}

impl Connector {
    /// A connector that notes what it met.
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

/// A connection whose first bytes are looked at.
#[derive(Debug)]
pub struct Watched {
    stream: TcpStream,
    /// Unset once they have been.
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

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
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
