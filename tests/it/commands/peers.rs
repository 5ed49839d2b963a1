//! Servers that a client may meet in place of the service: gateways, other protocols, silence, TLS.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, body::Body, extract::Request, response::Response};
use prost::Message;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Status, service::Routes, transport::Server};

/// A server that listens until it is dropped.
pub struct Peer {
    pub port: u16,
    calls: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Peer {
    /// How many calls or connections it has got.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// Its `http://` address.
    pub fn http(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A gateway that speaks HTTP/2 and gives all calls the same response without reading them.
    pub async fn gateway(status: u16, headers: &[(&'static str, &'static str)]) -> Self {
        let headers = headers.to_vec();
        Self::serve(move |calls, listener| async move {
            let answer = move |_: Request| {
                calls.fetch_add(1, Ordering::Relaxed);
                let whole = headers
                    .iter()
                    .fold(Response::builder().status(status), |all, (name, value)| {
                        all.header(*name, *value)
                    });
                let answer = whole.body(axum::body::Body::from("<html>no</html>"));
                async move { answer.expect("an answer") }
            };
            serve_http(Router::new().fallback(answer), listener).await;
        })
        .await
    }

    /// A service that answers its calls by these messages and errors, in order.
    pub async fn scripted<M: Message>(
        answers: impl IntoIterator<Item = Result<M, Status>>,
    ) -> Self {
        let encoded = answers.into_iter().map(|answer| answer.map(|it| it.encode_to_vec()));
        let answers = Arc::new(Mutex::new(encoded.collect::<VecDeque<_>>()));
        Self::serve(move |calls, listener| async move {
            let answer = move |_: Request| {
                calls.fetch_add(1, Ordering::Relaxed);
                let next = answers.lock().expect("no panic").pop_front();
                let missing = || Err(Status::unimplemented("not scripted"));
                let answer = match next.unwrap_or_else(missing) {
                    Ok(message) => framed(&message),
                    Err(status) => status.into_http(),
                };
                async move { answer }
            };
            serve_http(Router::new().fallback(answer), listener).await;
        })
        .await
    }

    /// A server that reads a few bytes, sends a fixed text, and closes the connection.
    pub async fn answering_with(words: &'static [u8]) -> Self {
        Self::serve(move |calls, listener| async move {
            loop {
                let (mut caller, _) = listener.accept().await.expect("it listens");
                calls.fetch_add(1, Ordering::Relaxed);
                let mut some = [0; 24];
                let _ = caller.read(&mut some).await;
                let _ = caller.write_all(words).await;
                let _ = caller.shutdown().await;
                // Closing a socket with unread bytes resets it, and the text could be lost.
                let _ = caller.read_to_end(&mut Vec::new()).await;
            }
        })
        .await
    }

    /// A server that accepts connections and never answers.
    pub async fn silent() -> Self {
        Self::serve(|calls, listener| async move {
            let mut held = Vec::new();
            loop {
                held.push(listener.accept().await.expect("it listens"));
                calls.fetch_add(1, Ordering::Relaxed);
            }
        })
        .await
    }

    /// A TLS-terminating proxy in front of a service, with the certificate and key of a PEM file
    /// and these ALPN protocols.
    pub async fn terminating_tls(pem: &'static [u8], protocols: &[&[u8]], behind: &str) -> Self {
        Self::terminating_tls_at("127.0.0.1", pem, protocols, behind).await
    }

    /// Like [`terminating_tls`](Self::terminating_tls), at another address of the loopback.
    pub async fn terminating_tls_at(
        host: &str,
        pem: &'static [u8],
        protocols: &[&[u8]],
        behind: &str,
    ) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(tls(pem, protocols)));
        let behind = behind.trim_start_matches("http://").to_owned();
        Self::serve_at(host, |_, listener| async move {
            let mut connections = JoinSet::new();
            loop {
                let (front, _) = listener.accept().await.expect("it listens");
                let (acceptor, behind) = (acceptor.clone(), behind.clone());
                connections.spawn(async move {
                    // A client that doesn't trust the certificate disconnects.
                    let Ok(mut front) = acceptor.accept(front).await else { return };
                    let mut back = TcpStream::connect(behind).await.expect("the service listens");
                    let _ = copy_bidirectional(&mut front, &mut back).await;
                });
            }
        })
        .await
    }

    async fn serve<F: Future<Output = ()> + Send + 'static>(
        serve: impl FnOnce(Arc<AtomicUsize>, TcpListener) -> F,
    ) -> Self {
        Self::serve_at("127.0.0.1", serve).await
    }

    async fn serve_at<F: Future<Output = ()> + Send + 'static>(
        host: &str,
        serve: impl FnOnce(Arc<AtomicUsize>, TcpListener) -> F,
    ) -> Self {
        let listener = TcpListener::bind((host, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let calls = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(calls.clone(), listener));
        Self { port, calls, _tasks: tasks }
    }
}

async fn serve_http(router: Router, listener: TcpListener) {
    let serving = Server::builder().add_routes(Routes::from(router));
    serving.serve_with_incoming(TcpListenerStream::new(listener)).await.expect("it serves");
}

/// An answer with one message, whose status is among its headers.
fn framed(message: &[u8]) -> Response {
    let length = u32::try_from(message.len()).expect("a short message");
    let body = [&[0], length.to_be_bytes().as_slice(), message].concat();
    let response = Response::builder().header("content-type", "application/grpc");
    response.header("grpc-status", "0").body(Body::from(body)).expect("an answer")
}

fn tls(pem: &[u8], protocols: &[&[u8]]) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = vec![CertificateDer::from_pem_slice(pem).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_slice(pem).expect("a key");
    let builder = ServerConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().expect("versions");
    let config = builder.with_no_client_auth().with_single_cert(chain, key);
    let mut config = config.expect("the key fits the certificate");
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    config
}
