//! Connects to a server.
//!
//! A connection reconnects by itself after it has been up once. It deliberately repeats no call:
//! `resume` decides about that.

mod answer;
mod first_bytes;
mod foreign;
mod tls;
mod token;

use std::time::Duration;

use tonic::{
    Status,
    transport::{ClientTlsConfig, Endpoint},
};

use crate::cli::call::{args::Server, pb::face_match_client::FaceMatchClient};

pub use foreign::Foreign;
pub use tls::TlsProblem;

use answer::Answers;
use first_bytes::{Connector, FirstBytes};
use token::Token;

/// A client of the service.
pub type ServiceClient = FaceMatchClient<Answers>;

/// The time limit of name resolution, connection and TLS handshake together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The interval and the timeout of keepalive pings: a lost connection is noticed within twice this
/// time.
const PING_INTERVAL: Duration = Duration::from_secs(20);

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

/// Connects to a server, within `limit` if it is set, and within 10 s in any case.
pub async fn connect(server: &Server, limit: Option<Duration>) -> Result<ServiceClient, Error> {
    let mut endpoint = Endpoint::from(server.url.clone())
        .connect_timeout(limit.unwrap_or(CONNECT_TIMEOUT).min(CONNECT_TIMEOUT))
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL);
    if server.url.scheme_str() == Some("https") {
        endpoint = endpoint.tls_config(tls_config(server).await?).map_err(unreachable)?;
    }
    let token = server.token_file.clone().map(Token::open).transpose()?;
    let first_bytes = FirstBytes::default();
    let connector = Connector::new(first_bytes.clone());
    let channel = endpoint.connect_with_connector(connector).await.map_err(unreachable)?;
    let client = FaceMatchClient::new(Answers::new(channel, first_bytes, token));
    Ok(client.max_decoding_message_size(ANSWER_BYTES_MAX))
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
