//! Fetches an issuer's key set: by its discovery document, which names the address of the set.
//!
//! Requests go to `https://` alone, or to this machine; no redirect is followed and no proxy
//! variable read. It deliberately doesn't decide when to fetch.

use std::time::Duration;

use http::header::CACHE_CONTROL;
use reqwest::{Client, Response, StatusCode, Url, redirect, retry};
use serde::Deserialize;

use crate::access::callers::FILE_BYTES_MAX;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For one request: discovery documents and key sets have a few kilobytes.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Fetches the key sets of one issuer.
pub struct Provider {
    client: Client,
    issuer: Box<str>,
    discovery: Url,
}

/// A key set, and for how long its server says it may be kept.
pub struct Fetched {
    /// The key set, in JSON.
    pub set: Vec<u8>,
    /// The `max-age` of the answer, if it has one.
    pub max_age: Option<Duration>,
}

/// Why a key set could not be fetched. The text has no more of an answer than its status.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The request failed.
    #[error("{what} can't be read")]
    Request {
        /// The document.
        what: &'static str,
        /// The cause, without the URL.
        #[source]
        source: reqwest::Error,
    },
    /// The answer has another status than 200.
    #[error("{what} was answered with HTTP status {status}")]
    Status {
        /// The document.
        what: &'static str,
        /// The status of the answer.
        status: StatusCode,
    },
    /// The answer is larger than 1 MiB.
    #[error("{what} is larger than 1 MiB")]
    TooLarge {
        /// The document.
        what: &'static str,
    },
    /// The discovery document is not JSON, or lacks `issuer` or `jwks_uri`.
    #[error("the discovery document is not a JSON object with issuer and jwks_uri")]
    NotADocument,
    /// The discovery document is that of another issuer.
    #[error("the discovery document names another issuer than the callers file does")]
    OtherIssuer,
    /// The address of the key set can't be used.
    #[error("jwks_uri is not an https:// URL")]
    BadAddress,
}

#[derive(Deserialize)]
struct DiscoveryDocument {
    issuer: String,
    jwks_uri: String,
}

const DOCUMENT: &str = "the discovery document";
const SET: &str = "the key set";

impl Provider {
    /// Fetches from this issuer; nothing is sent yet.
    ///
    /// # Errors
    /// What is wrong: the URL, or this machine has no certificates to trust.
    pub fn new(issuer: &str) -> Result<Self, &'static str> {
        let discovery = discovery_url(issuer).ok_or("the issuer is not an https:// URL")?;
        // Other code in the process may have installed a provider already; it works as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = Client::builder()
            .user_agent(concat!("facematch/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .no_proxy();
        // An issuer on this machine over http:// needs no certificates, and there may be none.
        let builder = match discovery.scheme() {
            "http" => builder.tls_certs_only([]),
            _ => builder,
        };
        let client =
            builder.build().map_err(|_| "this machine has no CA certificates that can be used")?;
        Ok(Self { client, issuer: issuer.into(), discovery })
    }

    /// Fetches the discovery document and then the key set.
    pub async fn fetch(&self) -> Result<Fetched, FetchError> {
        let response = self.get(self.discovery.clone(), DOCUMENT).await?;
        let document = body(response, DOCUMENT).await?;
        let document: DiscoveryDocument =
            serde_json::from_slice(&document).map_err(|_| FetchError::NotADocument)?;
        if document.issuer != *self.issuer {
            return Err(FetchError::OtherIssuer);
        }
        let address = secure(&document.jwks_uri).ok_or(FetchError::BadAddress)?;
        let response = self.get(address, SET).await?;
        let max_age = max_age(&response);
        Ok(Fetched { set: body(response, SET).await?, max_age })
    }

    async fn get(&self, url: Url, what: &'static str) -> Result<Response, FetchError> {
        let sent = self.client.get(url).header("accept", "application/json").send().await;
        let failed =
            |source: reqwest::Error| FetchError::Request { what, source: source.without_url() };
        match sent.map_err(failed)? {
            response if response.status() == StatusCode::OK => Ok(response),
            response => Err(FetchError::Status { what, status: response.status() }),
        }
    }
}

/// The address of an issuer's discovery document; `None` if nothing may be fetched from there.
pub fn discovery_url(issuer: &str) -> Option<Url> {
    let url = secure(issuer)?;
    if url.query().is_some() {
        return None;
    }
    // By OpenID Connect Discovery, a slash at the end of the issuer is dropped.
    let base = issuer.strip_suffix('/').unwrap_or(issuer);
    secure(&format!("{base}/.well-known/openid-configuration"))
}

/// A URL that may be fetched: `https://`, or `http://` on this machine, without login or fragment.
fn secure(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let host = url.host_str()?;
    let is_plain =
        url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    let is_safe = match url.scheme() {
        "https" => true,
        "http" => is_loopback(host),
        _ => false,
    };
    (is_plain && is_safe).then_some(url)
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

async fn body(mut response: Response, what: &'static str) -> Result<Vec<u8>, FetchError> {
    let mut bytes = Vec::new();
    loop {
        let chunk = response.chunk().await;
        let failed =
            |source: reqwest::Error| FetchError::Request { what, source: source.without_url() };
        let Some(chunk) = chunk.map_err(failed)? else { return Ok(bytes) };
        if bytes.len() + chunk.len() > FILE_BYTES_MAX {
            return Err(FetchError::TooLarge { what });
        }
        bytes.extend_from_slice(&chunk);
    }
}

fn max_age(response: &Response) -> Option<Duration> {
    let values = response.headers().get_all(CACHE_CONTROL).iter();
    let directives = values.filter_map(|value| value.to_str().ok()).flat_map(|it| it.split(','));
    let seconds = directives.filter_map(|directive| {
        let (name, value) = directive.trim().split_once('=')?;
        name.eq_ignore_ascii_case("max-age").then(|| value.trim_matches('"').parse::<u64>().ok())?
    });
    seconds.min().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_below_the_issuer() {
        for (issuer, wanted) in [
            ("https://idp.example", "https://idp.example/.well-known/openid-configuration"),
            ("https://idp.example/", "https://idp.example/.well-known/openid-configuration"),
            ("https://idp.example/a/b", "https://idp.example/a/b/.well-known/openid-configuration"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/.well-known/openid-configuration"),
            ("http://[::1]:80", "http://[::1]/.well-known/openid-configuration"),
            ("http://localhost", "http://localhost/.well-known/openid-configuration"),
        ] {
            assert_eq!(discovery_url(issuer).unwrap().as_str(), wanted);
        }
    }

    #[test]
    fn nothing_is_fetched_in_the_clear_from_other_machines() {
        for issuer in [
            "",
            "idp",
            "http://idp.example",
            "http://10.0.0.1",
            "http://localhost.example",
            "http://127.0.0.1.example",
            "ftp://127.0.0.1",
            "file:///etc/passwd",
            "https://user:secret@idp.example",
            "https://idp.example?x=1",
            "https://idp.example#x",
        ] {
            assert_eq!(discovery_url(issuer), None, "{issuer:?}");
        }
    }
}
