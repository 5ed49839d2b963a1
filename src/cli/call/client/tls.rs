//! Reads the trusted certificate authorities, and explains failed TLS handshakes.
//!
//! The handshake itself is the transport's.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use prost_types::Timestamp;
use rustls::{
    AlertDescription, CertificateError, InvalidMessage,
    pki_types::{CertificateDer, UnixTime, pem::PemObject},
};
use tonic::{Status, transport::Certificate};

use crate::config;

/// The largest file of certificates, in bytes: a system's own file has about a quarter of that.
const CA_FILE_BYTES_MAX: u64 = 1 << 20;

/// A file of certificates that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CaFileError {
    /// The file can't be read.
    #[error("--ca-file: can't read {}: {source}", named(path))]
    Unreadable { path: PathBuf, source: io::Error },
    /// The file is too large to be one of certificates.
    #[error("--ca-file: {} is larger than 1 MiB", named(.0))]
    TooLarge(PathBuf),
    /// The file holds no certificate.
    #[error("--ca-file: there is no certificate in PEM in {}", named(.0))]
    Empty(PathBuf),
}

fn named(path: &Path) -> String {
    config::one_line(&path.display().to_string())
}

/// Reads the certificate authorities from a PEM file.
pub async fn authorities(path: &Path) -> Result<Certificate, CaFileError> {
    use tokio::io::AsyncReadExt;
    let unreadable = |source| CaFileError::Unreadable { path: path.to_owned(), source };
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let mut pem = Vec::new();
    file.take(CA_FILE_BYTES_MAX + 1).read_to_end(&mut pem).await.map_err(unreadable)?;
    if pem.len() as u64 > CA_FILE_BYTES_MAX {
        return Err(CaFileError::TooLarge(path.to_owned()));
    }
    match CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>() {
        Ok(certificates) if !certificates.is_empty() => Ok(Certificate::from_pem(pem)),
        Ok(_) | Err(_) => Err(CaFileError::Empty(path.to_owned())),
    }
}

/// Why a TLS handshake failed, in words for people. None of these problems passes by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsProblem {
    /// The certificate's authority is not trusted.
    #[error("its certificate is from an authority that is not trusted here")]
    UnknownAuthority,
    /// The certificate is for other names, which are listed if they are known.
    #[error("its certificate is not for this name{}", Names(.0))]
    WrongName(Vec<String>),
    /// The certificate has expired. Holds the time in RFC 3339, if it is known.
    #[error("its certificate has expired{}", On(.0))]
    Expired(Option<String>),
    /// The certificate isn't valid yet. Holds the time in RFC 3339, if it is known.
    #[error("its certificate is not valid yet{}", On(.0))]
    NotYet(Option<String>),
    /// The certificate can't be used for another reason.
    #[error("its certificate can't be used: {0}")]
    Certificate(String),
    /// The server doesn't speak TLS.
    #[error("it speaks plain text, not TLS")]
    PlainText,
    /// The server doesn't speak HTTP/2 over TLS.
    #[error("it doesn't speak HTTP/2, which gRPC needs")]
    NoHttp2,
    /// The server requires a client certificate.
    #[error("it asks for a client certificate, and there is none")]
    ClientCertificate,
    /// The system has no certificate authorities.
    #[error("this system has no certificates of authorities to check it by")]
    NoAuthorities,
}

struct Names<'a>(&'a [String]);

impl std::fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " but for {}", self.0.join(", ")) }
    }
}

struct On<'a>(&'a Option<String>);

impl std::fmt::Display for On<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(limit) => write!(f, " ({limit})"),
            None => Ok(()),
        }
    }
}

impl TlsProblem {
    /// The TLS problem behind the error of a call, if there is one.
    pub fn behind(status: &Status) -> Option<Self> {
        let mut causes = std::iter::successors(status.source(), |&error| error.source());
        causes.find_map(|error| {
            let io_error = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            let rustls = io_error.and_then(|inner| inner.downcast_ref());
            match rustls.or_else(|| error.downcast_ref()) {
                Some(problem) => Self::of(problem),
                None => Self::of_words(&error.to_string()),
            }
        })
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::UnknownAuthority => {
                "if the authority is private, give its certificate with --ca-file"
            }
            Self::WrongName(_) => "give --server a name that the certificate is for",
            Self::Expired(_) | Self::NotYet(_) => {
                "its operator must renew it; if it is good, the clock of this machine is wrong"
            }
            Self::Certificate(_) => "its operator must replace it",
            Self::PlainText => "give the address with http:// if plain text is meant",
            Self::NoHttp2 => "does --server name FaceMatch, or a web server?",
            Self::ClientCertificate => "this version has none to give",
            Self::NoAuthorities => "install ca-certificates, or give one with --ca-file",
        }
    }

    fn of(error: &rustls::Error) -> Option<Self> {
        match error {
            rustls::Error::InvalidCertificate(error) => Some(Self::of_certificate(error)),
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
                Some(Self::PlainText)
            }
            rustls::Error::AlertReceived(alert) => match alert {
                AlertDescription::CertificateRequired => Some(Self::ClientCertificate),
                AlertDescription::NoApplicationProtocol => Some(Self::NoHttp2),
                _ => None,
            },
            _ => None,
        }
    }

    fn of_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::UnknownIssuer => Self::UnknownAuthority,
            CertificateError::NotValidForName => Self::WrongName(Vec::new()),
            CertificateError::NotValidForNameContext { presented, .. } => {
                Self::WrongName(presented.iter().map(|name| spelt(name)).collect())
            }
            CertificateError::Expired => Self::Expired(None),
            CertificateError::ExpiredContext { not_after, .. } => Self::Expired(moment(*not_after)),
            CertificateError::NotValidYet => Self::NotYet(None),
            CertificateError::NotValidYetContext { not_before, .. } => {
                Self::NotYet(moment(*not_before))
            }
            other => Self::Certificate(other.to_string()),
        }
    }

    /// Recognises two problems by their text, because their types aren't public.
    fn of_words(words: &str) -> Option<Self> {
        match words {
            "HTTP/2 was not negotiated." => Some(Self::NoHttp2),
            "no native certs found" => Some(Self::NoAuthorities),
            _ => None,
        }
    }
}

/// A name of a certificate without its kind: `DnsName("localhost")` becomes `localhost`.
fn spelt(name: &str) -> String {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"').to_owned()
}

fn moment(time: UnixTime) -> Option<String> {
    let seconds = i64::try_from(Duration::from_secs(time.as_secs()).as_secs()).ok()?;
    Some(Timestamp { seconds, nanos: 0 }.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_problem_is_found_behind_an_error_and_named() {
        let time = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));
        let expired = CertificateError::ExpiredContext { time, not_after: time };
        let name = "elsewhere".try_into().expect("a name");
        let presented = vec!["DnsName(\"localhost\")".to_owned(), "127.0.0.1".to_owned()];
        let wrong = CertificateError::NotValidForNameContext { expected: name, presented };
        for (error, words) in [
            (CertificateError::UnknownIssuer, "from an authority that is not trusted here"),
            (expired, "has expired (2027-01-15T08:00:00Z)"),
            (wrong, "is not for this name but for localhost, 127.0.0.1"),
            (CertificateError::Revoked, "can't be used: "),
        ] {
            let error = rustls::Error::InvalidCertificate(error);
            let mut status = Status::unavailable("tcp connect error");
            status.set_source(Arc::new(io::Error::other(error)));
            let problem = TlsProblem::behind(&status).expect("a problem of TLS");
            assert!(problem.to_string().contains(words), "{problem}");
        }
    }

    #[test]
    fn other_errors_are_not_taken_for_tls_problems() {
        let mut status = Status::unavailable("tcp connect error");
        status.set_source(Arc::new(io::Error::other("connection refused")));
        assert_eq!(TlsProblem::behind(&status), None);
    }

    #[tokio::test]
    async fn a_ca_file_without_certificates_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path().join("ca.pem");
        let error = authorities(&path).await.expect_err("a missing file");
        let told = error.to_string();
        assert!(told.starts_with("--ca-file: can't read ") && told.contains("ca.pem"), "{told}");
        std::fs::write(&path, "no certificate").expect("a file");
        assert!(matches!(authorities(&path).await, Err(CaFileError::Empty(_))));
        std::fs::write(&path, vec![b'x'; (1 << 20) + 1]).expect("a file");
        assert!(matches!(authorities(&path).await, Err(CaFileError::TooLarge(_))));
    }
}
