//! The names in a client certificate by which it is the credential of a caller.
//!
//! The certificate was verified by the TLS handshake. A name is a SPIFFE ID (`spiffe://…`) or a DNS
//! name (`dns:…`) of its subject alternative names. The subject's common name deliberately doesn't
//! count: a certificate authority need not check it.

use std::{fmt, str::FromStr};

use x509_cert::{
    Certificate,
    der::Decode,
    ext::pkix::{SubjectAltName, name::GeneralName},
};

use crate::domain::Timestamp;

const SPIFFE: &str = "spiffe://";
const DNS: &str = "dns:";

/// The limits of a SPIFFE ID and its trust domain, by their standard, in bytes.
const SPIFFE_BYTES_MAX: usize = 2_048;
const TRUST_DOMAIN_BYTES_MAX: usize = 255;
/// The limits of a DNS name and its labels (RFC 1035), in bytes.
const DNS_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// More DNS names than this in one certificate are not looked at: a client needs one.
const DNS_NAMES_MAX: usize = 100;

/// A name that may stand in a certificate and in the callers file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CertificateName {
    /// A SPIFFE ID, as it is.
    Spiffe(Box<str>),
    /// A DNS name in lower case.
    Dns(Box<str>),
}

/// A text that is no name of a certificate. Holds the rule that it breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidName(pub &'static str);

impl FromStr for CertificateName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text.starts_with(SPIFFE) {
            let wanted = "must be a SPIFFE ID with a path, such as spiffe://bank.example/kyc";
            return spiffe(text).ok_or(InvalidName(wanted));
        }
        match text.strip_prefix(DNS) {
            Some(name) => dns(name).ok_or(InvalidName(
                "must be a DNS name without a wildcard, such as dns:kyc.internal",
            )),
            None => Err(InvalidName("must begin with spiffe:// or dns:")),
        }
    }
}

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spiffe(id) => f.write_str(id),
            Self::Dns(name) => write!(f, "{DNS}{name}"),
        }
    }
}

/// When a certificate in DER expires; `None` if it can't be parsed.
pub fn expiry(der: &[u8]) -> Option<Timestamp> {
    let certificate = Certificate::from_der(der).ok()?;
    let end = certificate.tbs_certificate().validity().not_after;
    Some(Timestamp::from_micros(0).after(end.to_unix_duration()))
}

/// The names of one certificate. Parsed once for each connection.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct CertificateNames(Vec<CertificateName>);

impl CertificateNames {
    /// The names in a certificate in DER: its SPIFFE ID, else its DNS names. There are none if it
    /// has several URIs, or a SPIFFE ID or a list of names that breaks the rules.
    pub fn of_der(der: &[u8]) -> Self {
        Self(alternative_names(der).and_then(|names| usable(&names)).unwrap_or_default())
    }

    /// The names. Either one SPIFFE ID, or DNS names.
    pub fn as_slice(&self) -> &[CertificateName] {
        &self.0
    }
}

impl FromIterator<CertificateName> for CertificateNames {
    fn from_iter<I: IntoIterator<Item = CertificateName>>(names: I) -> Self {
        Self(names.into_iter().collect())
    }
}

fn alternative_names(der: &[u8]) -> Option<Vec<GeneralName>> {
    let certificate = Certificate::from_der(der).ok()?;
    let extension = certificate.tbs_certificate().get_extension::<SubjectAltName>();
    extension.ok().flatten().map(|(_, names)| names.0)
}

fn usable(names: &[GeneralName]) -> Option<Vec<CertificateName>> {
    let mut uris = names.iter().filter_map(|name| match name {
        GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str()),
        _ => None,
    });
    match (uris.next(), uris.next()) {
        (Some(_), Some(_)) => None,
        // The scheme of a URI has no case, but a SPIFFE ID is in lower case.
        (Some(uri), None) if is_spiffe(uri) => Some(vec![spiffe(uri)?]),
        (Some(_) | None, None) => Some(dns_names(names)),
        (None, Some(_)) => unreachable!("the first URI comes before the second"),
    }
}

fn is_spiffe(uri: &str) -> bool {
    uri.split(':').next().is_some_and(|scheme| scheme.eq_ignore_ascii_case("spiffe"))
}

fn dns_names(names: &[GeneralName]) -> Vec<CertificateName> {
    let texts = names.iter().filter_map(|name| match name {
        GeneralName::DnsName(name) => Some(name.as_str()),
        _ => None,
    });
    texts.take(DNS_NAMES_MAX).filter_map(dns).collect()
}

/// A SPIFFE ID of a workload. Without a path it would be that of a whole trust domain.
fn spiffe(text: &str) -> Option<CertificateName> {
    let (domain, path) = text.strip_prefix(SPIFFE)?.split_once('/')?;
    let of_domain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_');
    let of_path = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let is_segment =
        |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(of_path);
    let fits = text.len() <= SPIFFE_BYTES_MAX
        && (1..=TRUST_DOMAIN_BYTES_MAX).contains(&domain.len())
        && domain.bytes().all(of_domain)
        && path.split('/').all(is_segment);
    fits.then(|| CertificateName::Spiffe(text.into()))
}

/// A DNS name, whose case doesn't count. A wildcard or a trailing dot makes it none.
fn dns(text: &str) -> Option<CertificateName> {
    let of_label = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(of_label)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let fits = text.len() <= DNS_BYTES_MAX && text.split('.').all(is_label);
    fits.then(|| CertificateName::Dns(text.to_ascii_lowercase().into()))
}

#[cfg(test)]
mod tests;
