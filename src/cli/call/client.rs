//! Connects to a server, and replaces a connection that seems dead.
//!
//! A connection reconnects by itself when it breaks. A connection that nothing comes over any more
//! doesn't notice that: its user replaces it. Deliberately no pings look for it, since proxies take
//! frequent ones for abuse. No call is repeated here: `resume` decides about that.

mod answer;
mod first_bytes;
mod foreign;
mod tls;
mod token;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::HeaderValue;
use tonic::{
    Status,
    transport::{ClientTlsConfig, Endpoint},
};

use crate::{
    cli::call::{args::Server, pb::face_match_client::FaceMatchClient},
    sync::lock,
};

pub use foreign::Foreign;
pub use tls::TlsProblem;

use answer::Answers;
use first_bytes::{Connector, FirstBytes};
use token::Token;

/// A client of the service.
pub type ServiceClient = FaceMatchClient<Answers>;

/// The time limit of name resolution, connection and TLS handshake together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest answer, in bytes: a page of 1,000 matches, each with 16 labels of the longest kind.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Why connecting failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of certificates, or of their key, is unusable; nothing was called.
    #[error(transparent)]
    TlsFile(#[from] tls::FileError),
    /// The file of the token is unusable; nothing was called.
    #[error(transparent)]
    TokenFile(#[from] token::TokenFileError),
    /// The server can't be reached.
    #[error("can't reach the server")]
    Unreachable(Box<Status>),
}

/// The connection to a server. Clones share it.
#[derive(Clone)]
pub struct Connection(Arc<ConnectionInner>);

struct ConnectionInner {
    target: Target,
    link: Mutex<Link>,
    /// The interval of heartbeats, as the server's last one has told it.
    heartbeat: Mutex<Option<Duration>>,
}

/// What the calls of the moment go over.
#[derive(Clone)]
pub struct Link {
    /// The client of the service.
    pub client: ServiceClient,
    /// How often the connection was replaced before.
    replaced: u64,
}

impl Link {
    /// Whether this link came in place of another one.
    #[cfg(test)]
    pub fn replaces(&self, earlier: &Self) -> bool {
        self.replaced > earlier.replaced
    }
}

impl Connection {
    /// Connects to a server, within `limit` if it is set, and within 10 s in any case.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn open(server: &Server, limit: Option<Duration>) -> Result<Self, Error> {
        let target = Target::of(server, limit).await?;
        let answers = target.connect().await?;
        Ok(Self::over(target, answers))
    }

    /// Prepares a connection, which the first call opens.
    ///
    /// # Errors
    /// [`Error`], because of a file.
    #[cfg(any(test, feature = "simulator"))]
    pub async fn prepare(server: &Server) -> Result<Self, Error> {
        let target = Target::of(server, None).await?;
        let answers = target.connect_later();
        Ok(Self::over(target, answers))
    }

    fn over(target: Target, answers: Answers) -> Self {
        let link = Mutex::new(Link { client: client(answers), replaced: 0 });
        Self(Arc::new(ConnectionInner { target, link, heartbeat: Mutex::default() }))
    }

    /// What calls go over now.
    pub fn link(&self) -> Link {
        lock(&self.0.link).clone()
    }

    /// Replaces a link that seems dead, unless it is replaced already. The next call connects.
    pub fn replace(&self, dead: &Link) {
        let mut link = lock(&self.0.link);
        if link.replaced == dead.replaced {
            let answers = self.0.target.connect_later();
            *link = Link { client: client(answers), replaced: dead.replaced + 1 };
        }
    }

    /// The credential that calls carry now; `None` without one, and if its file can't be read now.
    pub fn credential(&self) -> Option<HeaderValue> {
        self.0.target.token.as_ref().and_then(|token| token.bearer().ok())
    }

    /// The interval of heartbeats, if the server has told it.
    pub fn heartbeat(&self) -> Option<Duration> {
        *lock(&self.0.heartbeat)
    }

    /// Notes the interval that a heartbeat has told.
    pub fn note_heartbeat(&self, interval: Duration) {
        *lock(&self.0.heartbeat) = Some(interval);
    }
}

/// Connects once, for the client of any service.
///
/// # Errors
/// [`Error`].
pub async fn channel(server: &Server, limit: Option<Duration>) -> Result<Answers, Error> {
    Target::of(server, limit).await?.connect().await
}

fn client(answers: Answers) -> ServiceClient {
    FaceMatchClient::new(answers).max_decoding_message_size(ANSWER_BYTES_MAX)
}

/// Where to connect, and as whom.
struct Target {
    endpoint: Endpoint,
    token: Option<Token>,
}

impl Target {
    /// Reads the files that the server's settings name.
    async fn of(server: &Server, limit: Option<Duration>) -> Result<Self, Error> {
        let limit = limit.unwrap_or(CONNECT_TIMEOUT).min(CONNECT_TIMEOUT);
        let mut endpoint = Endpoint::from(server.url.clone()).connect_timeout(limit);
        if server.url.scheme_str() == Some("https") {
            endpoint = endpoint.tls_config(tls_config(server).await?).map_err(unreachable)?;
        }
        let token = server.token_file.clone().map(Token::open).transpose()?;
        Ok(Self { endpoint, token })
    }

    async fn connect(&self) -> Result<Answers, Error> {
        let first_bytes = FirstBytes::default();
        let connector = Connector::new(first_bytes.clone());
        let channel = self.endpoint.connect_with_connector(connector).await;
        Ok(Answers::new(channel.map_err(unreachable)?, first_bytes, self.token.clone()))
    }

    /// Connects at the first call.
    fn connect_later(&self) -> Answers {
        let first_bytes = FirstBytes::default();
        let connector = Connector::new(first_bytes.clone());
        let channel = self.endpoint.connect_with_connector_lazy(connector);
        Answers::new(channel, first_bytes, self.token.clone())
    }
}

async fn tls_config(server: &Server) -> Result<ClientTlsConfig, Error> {
    let mut config = ClientTlsConfig::new().timeout(CONNECT_TIMEOUT);
    if let Some(files) = &server.identity {
        config = config.identity(tls::identity(files).await?);
    }
    match &server.ca_file {
        Some(path) => Ok(config.ca_certificate(tls::authorities(path).await?)),
        None => Ok(config.with_native_roots()),
    }
}

fn unreachable(error: tonic::transport::Error) -> Error {
    Error::Unreachable(Box::new(Status::from_error(error.into())))
}
