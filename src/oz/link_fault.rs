//! Why a request got no answer, in the detail that an operator needs to find the cause.
//!
//! The service itself needs less: see [`failure`](crate::oz::failure). This module deliberately
//! gives no advice.

use std::{error::Error, io};

use rustls::CertificateError;

/// Why a request got no whole answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LinkFault {
    /// The host's name has no address.
    NameUnknown,
    /// The host refuses the connection.
    Refused,
    /// No connection was made in time.
    ConnectTimedOut,
    /// No connection, for another reason.
    Unconnected,
    /// The host's certificate is not accepted.
    Certificate(CertificateFault),
    /// The host doesn't speak TLS on this port.
    NotTls,
    /// The TLS handshake fails for another reason.
    Handshake,
    /// The proxy wants a login, or another one.
    ProxyLogin,
    /// The proxy doesn't connect to the host.
    ProxyRefuses,
    /// What the host sends is not HTTP, as that of a port that speaks TLS.
    NotHttp,
    /// No answer in time.
    AnswerTimedOut,
    /// The connection broke before the answer was whole.
    Interrupted,
    /// The answer is too long to be Oz's.
    TooLong,
}

/// Why a certificate is not accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CertificateFault {
    /// Its issuer isn't trusted.
    UnknownIssuer,
    /// It is for other names: these.
    WrongName(Vec<String>),
    /// It has expired.
    Expired,
    /// It is not valid yet.
    NotValidYet,
    /// Another fault.
    Other,
}

impl LinkFault {
    /// The fault behind reqwest's error. reqwest and hyper hide their causes several errors deep;
    /// some have no type that could be asked for, and are told by their texts.
    pub(super) fn of(error: &reqwest::Error) -> Self {
        let tls = find(error, |cause| cause.downcast_ref::<rustls::Error>().map(of_tls));
        let io = find(error, |cause| cause.downcast_ref::<io::Error>().map(io::Error::kind));
        let says = |text: &str| {
            find(error, |cause| cause.to_string().contains(text).then_some(())).is_some()
        };
        match () {
            () if says("tunnel error: proxy authorization required") => Self::ProxyLogin,
            () if says("tunnel error: unsuccessful") => Self::ProxyRefuses,
            () if says("tunnel error: unexpected end of file") => Self::ProxyRefuses,
            () if tls.is_some() => tls.unwrap_or(Self::Handshake),
            () if says("dns error") => Self::NameUnknown,
            () if error.is_connect() && error.is_timeout() => Self::ConnectTimedOut,
            () if io == Some(io::ErrorKind::ConnectionRefused) => Self::Refused,
            () if error.is_connect() => Self::Unconnected,
            () if error.is_timeout() => Self::AnswerTimedOut,
            () if says("invalid HTTP") => Self::NotHttp,
            () => Self::Interrupted,
        }
    }
}

fn of_tls(error: &rustls::Error) -> LinkFault {
    match error {
        rustls::Error::InvalidCertificate(fault) => LinkFault::Certificate(of_certificate(fault)),
        // The first bytes of the host are no TLS record.
        rustls::Error::InvalidMessage(_) => LinkFault::NotTls,
        _ => LinkFault::Handshake,
    }
}

fn of_certificate(fault: &CertificateError) -> CertificateFault {
    match fault {
        // Another authority of the same name has another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            CertificateFault::UnknownIssuer
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            CertificateFault::Expired
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            CertificateFault::NotValidYet
        }
        CertificateError::NotValidForName => CertificateFault::WrongName(Vec::new()),
        CertificateError::NotValidForNameContext { presented, .. } => {
            CertificateFault::WrongName(presented.iter().map(|name| bare(name)).collect())
        }
        _ => CertificateFault::Other,
    }
}

/// A name without the word for its kind: rustls writes `DnsName("oz.internal")`.
fn bare(name: &str) -> String {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"').to_owned()
}

/// The first cause that fits. An [`io::Error`] doesn't name the error within it as its source, so
/// that one is looked at as well.
fn find<T>(
    error: &(dyn Error + 'static),
    fits: impl Fn(&(dyn Error + 'static)) -> Option<T>,
) -> Option<T> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(found) = fits(cause) {
            return Some(found);
        }
        let within = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match within {
            Some(within) => Some(within as &(dyn Error + 'static)),
            None => cause.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_a_certificate_is_named() {
        let named = |fault| of_tls(&rustls::Error::InvalidCertificate(fault));
        for (fault, expected) in [
            (CertificateError::UnknownIssuer, CertificateFault::UnknownIssuer),
            (CertificateError::BadSignature, CertificateFault::UnknownIssuer),
            (CertificateError::Expired, CertificateFault::Expired),
            (CertificateError::NotValidYet, CertificateFault::NotValidYet),
            (CertificateError::NotValidForName, CertificateFault::WrongName(vec![])),
            (CertificateError::Revoked, CertificateFault::Other),
        ] {
            assert_eq!(named(fault), LinkFault::Certificate(expected));
        }
    }

    #[test]
    fn a_cause_within_an_io_error_is_found() {
        let inner = rustls::Error::InvalidCertificate(CertificateError::Expired);
        let outer = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, inner));
        let found = find(&outer, |cause| cause.downcast_ref::<rustls::Error>().map(of_tls));
        assert_eq!(found, Some(LinkFault::Certificate(CertificateFault::Expired)));
    }

    #[test]
    fn names_of_a_certificate_are_shown_bare() {
        assert_eq!(bare("DnsName(\"oz.internal\")"), "oz.internal");
        assert_eq!(bare("IpAddress(10.0.0.1)"), "10.0.0.1");
        assert_eq!(bare("oz"), "oz");
    }
}
