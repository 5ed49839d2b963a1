//! A service over TLS, with its files, and clients of all kinds.

use std::{fs, path::PathBuf, sync::Arc};

use facematch::{
    config::{ClientAuth, Config, TlsConfig},
    pb::ListMatchesRequest,
    simulator::Simulator,
};
use rustls::{
    ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Error};

use crate::{
    canary::{self, Client, Inspection},
    http2,
    support::{JOURNAL, PATIENCE, Served, config, serve, simulator},
    tls::authority::{Authority, Identity},
};

/// A service over TLS.
pub struct Scene {
    _inspection: Inspection,
    pub oz: Simulator,
    pub directory: TempDir,
    /// Issues the server's certificates.
    pub servers: Authority,
    /// Issues the callers' certificates.
    pub clients: Authority,
    pub served: Served,
}

impl Scene {
    /// A service that asks for client certificates as `client_auth` has it.
    pub async fn with(client_auth: ClientAuth) -> Self {
        Self::with_config(client_auth, |_| {}).await
    }

    /// The same with other settings changed.
    pub async fn with_config(client_auth: ClientAuth, change: impl FnOnce(&mut Config)) -> Self {
        let oz = simulator().await;
        oz.switch(|switches| switches.processing_ms = 50);
        let directory = tempfile::tempdir().unwrap();
        let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
        let file = |name: &str| directory.path().join(name);
        let server = servers.server();
        fs::write(file("cert.pem"), &server.cert).unwrap();
        fs::write(file("key.pem"), &server.key).unwrap();
        fs::write(file("client-ca.pem"), clients.pem()).unwrap();
        fs::write(file("crl.pem"), clients.revoke(&[])).unwrap();
        let with_clients = client_auth != ClientAuth::Off;
        let tls = TlsConfig {
            cert_file: file("cert.pem"),
            key_file: file("key.pem"),
            client_ca_file: with_clients.then(|| file("client-ca.pem")),
            client_crl_file: with_clients.then(|| file("crl.pem")),
            client_auth,
        };
        let mut settings = Config { tls: Some(tls), ..config(&oz, directory.path()) };
        change(&mut settings);
        canary::check_account(&oz);
        let _inspection = Inspection::begin(directory.path().join(JOURNAL));
        let served = serve(settings).await;
        Self { _inspection, oz, directory, servers, clients, served }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file in place.
    pub fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    /// Has the service read its files again.
    pub async fn look_again(&self) {
        self.served.secrets.reread().await;
    }

    /// How often the files of TLS have changed: used, and unusable.
    pub fn reloads(&self) -> (u64, u64) {
        let all = (self.served.reloads)();
        let tls = all.iter().find(|reloads| reloads.kind == "tls").unwrap();
        (tls.ok, tls.failed)
    }

    fn port(&self) -> &str {
        self.served.address.rsplit(':').next().unwrap()
    }

    /// Its `https://` address.
    pub fn https(&self) -> String {
        format!("https://localhost:{}", self.port())
    }

    /// A connection without TLS.
    pub async fn socket(&self) -> TcpStream {
        TcpStream::connect(format!("127.0.0.1:{}", self.port())).await.unwrap()
    }

    /// A client, with a certificate if there is one.
    pub async fn client(&self, identity: Option<&Identity>) -> Result<Client, Error> {
        let mut tls =
            ClientTlsConfig::new().ca_certificate(Certificate::from_pem(self.servers.pem()));
        if let Some(Identity { cert, key }) = identity {
            tls = tls.identity(tonic::transport::Identity::from_pem(cert, key));
        }
        let endpoint = Endpoint::from_shared(self.https()).unwrap().tls_config(tls).unwrap();
        Ok(canary::client(endpoint.connect().await?))
    }

    /// Whether a client with this certificate is served.
    pub async fn serves(&self, identity: Option<&Identity>) -> bool {
        match self.client(identity).await {
            Ok(mut client) => client.list_matches(ListMatchesRequest::default()).await.is_ok(),
            Err(_) => false,
        }
    }

    /// The TLS settings of a client that keeps its sessions, with these protocols in ALPN.
    pub fn raw_client(
        &self,
        identity: Option<&Identity>,
        version: &'static SupportedProtocolVersion,
        alpn: &[&[u8]],
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.servers.pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match identity.map(Identity::der) {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
        };
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    }

    /// Connects, and returns the connection once the service has answered HTTP/2's preface: with
    /// TLS 1.3, only then does a client know that its certificate was accepted.
    pub async fn greet(&self, config: &Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
        let connector = TlsConnector::from(config.clone());
        let greeting = async {
            let name = "localhost".try_into().unwrap();
            let mut stream = connector.connect(name, self.socket().await).await?;
            stream.write_all(&http2::begin(0)).await?;
            stream.read_u8().await?;
            Ok(stream)
        };
        tokio::time::timeout(PATIENCE, greeting).await.expect("it is served or refused")
    }
}

/// How a handshake came about.
pub fn kind(stream: &TlsStream<TcpStream>) -> HandshakeKind {
    stream.get_ref().1.handshake_kind().unwrap()
}

/// The certificate that the server has presented, in DER.
pub fn certificate_of(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}
