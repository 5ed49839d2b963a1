//! The HTTP client of the libraries that are reached over HTTP, and the meaning of its failures.
//!
//! It follows no redirect, reads no proxy variable, decodes no content, and sends nothing twice: a
//! library is asked where the operator says, and nowhere else. It deliberately knows neither keys
//! nor what an address serves.

use std::{error::Error, fmt, io, net::IpAddr, time::Duration};

use http::StatusCode;
use reqwest::{Certificate, Client, ClientBuilder, Url, redirect, retry};

use crate::{
    domain::LibraryFault,
    library::{BadTerm, PHOTOS_MAX, SourceError, Term},
};

/// How long opening a connection may take: the third SYN is sent after 3 seconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
/// How long a library may be silent before or within its answer.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an unused connection is kept: less than servers keep it, of which 5 seconds are the
/// shortest usual time.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// An answer that holds no photo. Its text shows neither the address nor the body.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub struct Refusal {
    /// The HTTP status.
    pub status: StatusCode,
    /// The object store's own word for it, such as `NoSuchKey`.
    pub code: Option<String>,
    /// The region that the object store names instead.
    pub region: Option<String>,
}

/// Builds a client that trusts these certificates in PEM, or those of the machine.
///
/// # Errors
/// [`BadTerm`] if the certificates can't be used, or if a library over TLS has none to trust.
pub fn build(ca: Option<&[u8]>, needs_tls: bool) -> Result<Client, BadTerm> {
    // Other code in the process may have installed a provider already; that provider works as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let Some(pem) = ca else {
        return match builder().build() {
            Err(_) if !needs_tls => builder().tls_certs_only([]).build().map_err(no_certificates),
            built => built.map_err(no_certificates),
        };
    };
    let certificates = Certificate::from_pem_bundle(pem)
        .map_err(|_| Term::CaFile.bad("is not a PEM file of certificates"))?;
    if certificates.is_empty() {
        return Err(Term::CaFile.bad("holds no certificate in PEM"));
    }
    let built = builder().tls_certs_only(certificates).build();
    built.map_err(|_| Term::CaFile.bad("holds a certificate that can't be read"))
}

fn builder() -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("facematch/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(SILENCE_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(PHOTOS_MAX)
        // A redirect would lead to an address that the operator hasn't named.
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .no_proxy()
}

fn no_certificates(_: reqwest::Error) -> BadTerm {
    Term::CaFile.bad("is needed: this machine has no CA certificates that can be used")
}

/// What an address must be that [`is_safe`] refuses.
pub const UNSAFE: &str = "must begin with https://, or with http:// for a library on this machine";

/// Whether requests to this address can't be read on their way: over TLS, or on this machine.
pub fn is_safe(url: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => url.host_str().is_some_and(is_loopback),
        _ => false,
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || ip(host).is_some_and(|ip| ip.is_loopback())
}

/// The IP address that a URL has as its host.
pub fn ip(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// The meaning of a status that comes without a photo.
pub fn status_fault(status: StatusCode) -> LibraryFault {
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => LibraryFault::NotFound,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => LibraryFault::Forbidden,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            LibraryFault::Unreachable
        }
        status if status.is_server_error() => LibraryFault::Unreachable,
        _ => LibraryFault::Protocol,
    }
}

/// The meaning of a request that got no answer, or of an answer that broke off. `announced` says
/// that the answer had a length: a body that ends properly before it was announced wrongly.
pub fn transport_fault(error: &(dyn Error + 'static), announced: bool) -> SourceError {
    if announced && causes(error).any(ends_early) {
        let text = "the answer ended before its announced length".to_owned();
        return SourceError::Fault(LibraryFault::Protocol, text);
    }
    SourceError::Fault(LibraryFault::Unreachable, transport_text(error))
}

/// What happened to a request, without its address.
pub fn transport_text(error: &(dyn Error + 'static)) -> String {
    let reqwest = causes(error).find_map(|cause| cause.downcast_ref::<reqwest::Error>());
    let what = match reqwest {
        Some(error) if error.is_connect() => "could not connect",
        Some(error) if error.is_timeout() => "it was silent for too long",
        Some(_) | None => "the connection broke",
    };
    // The innermost cause comes from the socket or from TLS, which know no address of a photo.
    let known = causes(error).last().filter(|cause| !cause.is::<reqwest::Error>());
    match known {
        Some(cause) => format!("{what}: {cause}"),
        None => what.to_owned(),
    }
}

/// An error, and what has caused it.
pub fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn Error + 'static) = *error;
        error.source()
    })
}

/// Whether the library has closed the connection within a body. A connection over TLS that ends
/// without its close_notify is broken instead.
fn ends_early(cause: &(dyn Error + 'static)) -> bool {
    let Some(error) = cause.downcast_ref::<io::Error>() else { return false };
    error.kind() == io::ErrorKind::UnexpectedEof && !error.to_string().contains("close_notify")
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it answered {}", self.status.as_u16())?;
        if let Some(code) = &self.code {
            write!(f, " ({code})")?;
        }
        if self.status.is_redirection() {
            f.write_str(", a redirect, which is not followed")?;
        }
        match &self.region {
            Some(region) => write!(f, "; it is in the region {region}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
