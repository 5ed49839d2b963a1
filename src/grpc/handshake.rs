//! TLS handshakes, and why they fail.
//!
//! A handshake takes the configuration of the moment at which its connection was accepted. It
//! deliberately doesn't say who a certificate belongs to: `access` does. Reasons of failures are
//! fixed texts: nothing that a peer sends is logged.

use std::{io, sync::Arc, time::Duration};

use rustls::{
    AlertDescription, CertificateError, Error, InvalidMessage, ServerConfig,
    server::ServerConnection,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    select,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::grpc::{
    connection_log::{ConnectionTrouble, PeerLog},
    preface::{Patience, Protocols},
};

/// HTTP/2 in ALPN: what a client has to offer.
const ALPN_HTTP2: &[u8] = b"h2";

/// HTTP/1.1 in ALPN, for the port where it is spoken too.
const ALPN_HTTP1: &[u8] = b"http/1.1";

/// How long, and for how many bytes, a connection stays open after its failed handshake. A client
/// sends its preface right after its certificate: closing the connection with that unread would
/// discard the alert that says why.
const LINGER_MAX: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: u64 = 64 << 10;

const TOO_SLOW: &str = "it did not complete the TLS handshake in time";
const NO_HTTP2: &str = "it does not offer HTTP/2 in the TLS handshake (ALPN h2)";
const NO_HTTP: &str = "it offers neither HTTP/2 nor HTTP/1.1 in the TLS handshake (ALPN)";

/// The certificate that the peer of a connection has presented and that was verified, in DER.
#[derive(Clone)]
pub struct PeerCertificate(Arc<[u8]>);

impl PeerCertificate {
    /// The end-entity certificate, in DER.
    pub fn der(&self) -> &[u8] {
        &self.0
    }

    fn of(connection: &ServerConnection) -> Option<Self> {
        let chain = connection.peer_certificates()?;
        chain.first().map(|end_entity| Self(end_entity.as_ref().into()))
    }
}

/// The configuration for connections that may begin with these protocols, from that for HTTP/2.
pub fn config_for(config: Arc<ServerConfig>, protocols: Protocols) -> Arc<ServerConfig> {
    match protocols {
        Protocols::Http2 => config,
        Protocols::Any => {
            let mut config = ServerConfig::clone(&config);
            config.alpn_protocols = vec![ALPN_HTTP2.to_vec(), ALPN_HTTP1.to_vec()];
            Arc::new(config)
        }
    }
}

/// Performs the handshake of a connection. Returns `None`, after noting why, if it fails, if
/// `patience` ends before it, or if the client speaks none of the protocols.
pub async fn accept<C: AsyncRead + AsyncWrite + Unpin>(
    config: Arc<ServerConfig>,
    socket: C,
    protocols: Protocols,
    patience: &mut Patience,
    log: &PeerLog,
) -> Option<(TlsStream<C>, Option<PeerCertificate>)> {
    let shaken = select! {
        shaken = TlsAcceptor::from(config).accept(socket).into_fallible() => shaken,
        is_slow = patience => {
            if is_slow {
                log.note(ConnectionTrouble::Handshake(TOO_SLOW));
            }
            return None;
        }
    };
    match shaken {
        Ok(stream) => with_protocol(stream, protocols, log),
        Err((failure, socket)) => {
            if let Some(reason) = reason(&failure, protocols) {
                log.note(ConnectionTrouble::Handshake(reason));
                linger(socket).await;
            }
            None
        }
    }
}

/// Closes a connection after its peer had the time to read the alert.
async fn linger(mut socket: impl AsyncRead + AsyncWrite + Unpin) {
    let reading = async {
        socket.shutdown().await?;
        let mut rest = socket.take(LINGER_BYTES_MAX);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    // However it ends, nothing is left to do.
    let _ = timeout(LINGER_MAX, reading).await;
}

/// The stream, if both sides have agreed on a protocol. For HTTP/2 alone, a client without ALPN is
/// refused too, as RFC 9113, section 3.2, has it; elsewhere it speaks HTTP/1.1.
fn with_protocol<C>(
    stream: TlsStream<C>,
    protocols: Protocols,
    log: &PeerLog,
) -> Option<(TlsStream<C>, Option<PeerCertificate>)> {
    let connection = stream.get_ref().1;
    let is_agreed = protocols == Protocols::Any || connection.alpn_protocol() == Some(ALPN_HTTP2);
    if !is_agreed {
        log.note(ConnectionTrouble::Handshake(NO_HTTP2));
        return None;
    }
    let certificate = PeerCertificate::of(connection);
    Some((stream, certificate))
}

/// Why a handshake failed; `None` if the peer or the network ended it.
fn reason(failure: &io::Error, protocols: Protocols) -> Option<&'static str> {
    let error = failure.get_ref()?.downcast_ref::<Error>()?;
    Some(match error {
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => "it does not speak TLS",
        Error::NoApplicationProtocol => match protocols {
            Protocols::Http2 => NO_HTTP2,
            Protocols::Any => NO_HTTP,
        },
        Error::NoCertificatesPresented => "it presented no client certificate",
        Error::InvalidCertificate(error) => certificate_reason(error),
        Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            // The authority that it trusts has the name of the issuer, and another key.
            | AlertDescription::DecryptError
            | AlertDescription::UnsupportedCertificate,
        ) => "it does not accept the server's certificate",
        Error::PeerIncompatible(_) => "it shares no TLS version or cipher suite with the server",
        _ => "the TLS handshake failed",
    })
}

fn certificate_reason(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its client certificate has expired"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its client certificate is not valid yet"
        }
        CertificateError::Revoked => "its client certificate is revoked",
        CertificateError::UnknownRevocationStatus => {
            "its client certificate is of an issuer without a revocation list"
        }
        CertificateError::UnknownIssuer => {
            "its client certificate is of an authority that is not trusted"
        }
        _ => "its client certificate is invalid",
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use rcgen::{CertificateParams, KeyPair};
    use rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer},
        server::WebPkiClientVerifier,
    };
    use tokio::io::{DuplexStream, duplex};
    use tokio_rustls::TlsConnector;

    use super::*;
    use crate::{
        clock::Clock,
        domain::Timestamp,
        grpc::{connection_log::ConnectionLog, preface},
    };

    const MOMENT: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::from_secs(60);

    /// A certificate that is its own authority, for both sides.
    struct Scene {
        cert: CertificateDer<'static>,
        key: KeyPair,
        log: ConnectionLog,
    }

    impl Scene {
        fn new() -> Self {
            let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            let key = KeyPair::generate().unwrap();
            let cert = params.self_signed(&key).unwrap().der().clone();
            let log = ConnectionLog::new(Clock::manual(Timestamp::default()).0);
            Self { cert, key, log }
        }

        fn key(&self) -> PrivateKeyDer<'static> {
            PrivateKeyDer::try_from(self.key.serialize_der()).unwrap()
        }

        fn roots(&self) -> Arc<RootCertStore> {
            let mut roots = RootCertStore::empty();
            roots.add(self.cert.clone()).unwrap();
            Arc::new(roots)
        }

        fn server(&self) -> Arc<ServerConfig> {
            let provider = Arc::new(ring::default_provider());
            let verifier = WebPkiClientVerifier::builder_with_provider(self.roots(), provider);
            let verifier = verifier.allow_unauthenticated().build().unwrap();
            let provider = Arc::new(ring::default_provider());
            let mut config = ServerConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_client_cert_verifier(verifier)
                .with_single_cert(vec![self.cert.clone()], self.key())
                .unwrap();
            config.alpn_protocols = vec![ALPN_HTTP2.to_vec()];
            Arc::new(config)
        }

        fn client(&self, alpn: &[u8], has_certificate: bool) -> TlsConnector {
            let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(self.roots());
            let mut config = match has_certificate {
                false => builder.with_no_client_auth(),
                true => builder.with_client_auth_cert(vec![self.cert.clone()], self.key()).unwrap(),
            };
            config.alpn_protocols = vec![alpn.to_vec()];
            TlsConnector::from(Arc::new(config))
        }

        async fn accept(
            &self,
            socket: DuplexStream,
            mut patience: Patience,
        ) -> Option<(TlsStream<DuplexStream>, Option<PeerCertificate>)> {
            let log = self.log.of([10, 0, 0, 1].into());
            accept(self.server(), socket, Protocols::Http2, &mut patience, &log).await
        }

        /// The outcome of a handshake with a client, and what was noted.
        async fn meets(&self, client: &TlsConnector) -> (Option<Option<PeerCertificate>>, String) {
            let (caller, ours) = duplex(1 << 16);
            let connecting = client.connect("localhost".try_into().unwrap(), caller);
            let accepting = self.accept(ours, preface::patience(LONG, pending()));
            let (_client, accepted) = tokio::join!(connecting, accepting);
            (accepted.map(|(_, certificate)| certificate), self.noted())
        }

        fn noted(&self) -> String {
            match self.log.noted().as_slice() {
                [] => String::new(),
                [ConnectionTrouble::Handshake(reason)] => (*reason).to_owned(),
                others => panic!("{others:?}"),
            }
        }
    }

    #[tokio::test]
    async fn a_presented_certificate_is_passed_on() {
        let scene = Scene::new();
        let (accepted, noted) = scene.meets(&scene.client(ALPN_HTTP2, true)).await;
        let certificate = accepted.expect("the handshake succeeds").expect("it was presented");
        assert_eq!((certificate.der(), noted.as_str()), (scene.cert.as_ref(), ""));
        let (accepted, _) = scene.meets(&scene.client(ALPN_HTTP2, false)).await;
        assert!(accepted.expect("the handshake succeeds").is_none());
    }

    #[tokio::test]
    async fn failed_handshakes_are_noted_with_a_fixed_reason() {
        let scene = Scene::new();
        let (accepted, noted) = scene.meets(&scene.client(b"http/1.1", false)).await;
        assert!(accepted.is_none());
        assert_eq!(noted, NO_HTTP2);
        let (scene, other) = (Scene::new(), Scene::new());
        let (accepted, noted) = scene.meets(&other.client(ALPN_HTTP2, false)).await;
        assert!(accepted.is_none());
        assert_eq!(noted, "it does not accept the server's certificate");
        let scene = Scene::new();
        let (mut caller, ours) = duplex(1024);
        caller.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        caller.shutdown().await.unwrap();
        assert!(scene.accept(ours, preface::patience(LONG, pending())).await.is_none());
        assert_eq!(scene.noted(), "it does not speak TLS");
    }

    #[tokio::test]
    async fn a_handshake_ends_with_its_patience_or_its_peer() {
        let scene = Scene::new();
        let (_caller, ours) = duplex(1024);
        assert!(scene.accept(ours, preface::patience(LONG, ready(()))).await.is_none());
        let (caller, ours) = duplex(1024);
        drop(caller);
        assert!(scene.accept(ours, preface::patience(LONG, pending())).await.is_none());
        assert_eq!(scene.noted(), "", "neither a shutdown nor a hang-up is a fault of the peer");
        let (mut caller, ours) = duplex(1024);
        caller.write_all(b"\x16\x03\x01\x02\x00\x01").await.unwrap();
        assert!(scene.accept(ours, preface::patience(MOMENT, pending())).await.is_none());
        assert_eq!(scene.noted(), TOO_SLOW);
    }
}
