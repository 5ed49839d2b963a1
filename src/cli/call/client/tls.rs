//! Reads the trusted certificate authorities and the caller's certificate, and explains failed TLS
//! handshakes.
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
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    sign::CertifiedKey,
};
use tonic::{
    Status,
    transport::{Certificate, Identity},
};

use crate::{cli::call::args::IdentityFiles, config};

/// The largest file of certificates, in bytes: a system's own file has about a quarter of that.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A file that can't be used. The text is one line.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file can't be read.
    #[error("--{flag}: can't read {}: {source}", named(path))]
    Unreadable { flag: &'static str, path: PathBuf, source: io::Error },
    /// The file is too large to be one of certificates.
    #[error("--{flag}: {} is larger than 1 MiB", named(path))]
    TooLarge { flag: &'static str, path: PathBuf },
    /// The file doesn't hold what it should.
    #[error("--{flag}: there is no {what} in PEM in {}", named(path))]
    Lacks { flag: &'static str, what: &'static str, path: PathBuf },
    /// The key can't be used with the certificate.
    #[error("--key-file: {} is not the key of the certificate in --cert-file", named(.0))]
    OtherKey(PathBuf),
}

fn named(path: &Path) -> String {
    config::one_line(&path.display().to_string())
}

/// Reads the certificate authorities from a PEM file.
pub async fn authorities(path: &Path) -> Result<Certificate, FileError> {
    let pem = read("ca-file", path).await?;
    certificates("ca-file", path, &pem)?;
    Ok(Certificate::from_pem(pem))
}

/// Reads the caller's certificate and its key.
pub async fn identity(files: &IdentityFiles) -> Result<Identity, FileError> {
    let (cert, key) = (read("cert-file", &files.cert).await?, read("key-file", &files.key).await?);
    let chain = certificates("cert-file", &files.cert, &cert)?;
    let lacks = |_| {
        let what = "unencrypted private key";
        FileError::Lacks { flag: "key-file", what, path: files.key.clone() }
    };
    let private = PrivateKeyDer::from_pem_slice(&key).map_err(lacks)?;
    match CertifiedKey::from_der(chain, private, &ring::default_provider()) {
        Ok(_) => Ok(Identity::from_pem(cert, key)),
        Err(_) => Err(FileError::OtherKey(files.key.clone())),
    }
}

fn certificates(
    flag: &'static str,
    path: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, FileError> {
    match CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>() {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) | Err(_) => {
            Err(FileError::Lacks { flag, what: "certificate", path: path.to_owned() })
        }
    }
}

async fn read(flag: &'static str, path: &Path) -> Result<Vec<u8>, FileError> {
    use tokio::io::AsyncReadExt;
    let unreadable = |source| FileError::Unreadable { flag, path: path.to_owned(), source };
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let mut pem = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut pem).await.map_err(unreadable)?;
    if pem.len() as u64 > FILE_BYTES_MAX {
        return Err(FileError::TooLarge { flag, path: path.to_owned() });
    }
    Ok(pem)
}

/// The alerts about a client's certificate. With TLS 1.3, they arrive when the handshake is over for
/// the client.
const ABOUT_CLIENTS: [AlertDescription; 8] = [
    AlertDescription::CertificateRequired,
    AlertDescription::CertificateExpired,
    AlertDescription::CertificateRevoked,
    AlertDescription::UnknownCA,
    AlertDescription::DecryptError,
    AlertDescription::BadCertificate,
    AlertDescription::CertificateUnknown,
    AlertDescription::UnsupportedCertificate,
];

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
    /// The server doesn't accept the client's certificate.
    #[error("it does not accept this caller's certificate{0}")]
    ClientCertificateRefused(&'static str),
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
            Self::ClientCertificate => "give one with --cert-file and --key-file",
            Self::ClientCertificateRefused(_) => {
                "its operator decides which are accepted; is --cert-file the right one?"
            }
            Self::NoAuthorities => "install ca-certificates, or give one with --ca-file",
        }
    }

    fn of(error: &rustls::Error) -> Option<Self> {
        match error {
            rustls::Error::InvalidCertificate(error) => Some(Self::of_certificate(error)),
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
                Some(Self::PlainText)
            }
            rustls::Error::AlertReceived(alert) => Self::of_alert(*alert),
            _ => None,
        }
    }

    /// What the server means by an alert.
    fn of_alert(alert: AlertDescription) -> Option<Self> {
        match alert {
            AlertDescription::NoApplicationProtocol => Some(Self::NoHttp2),
            AlertDescription::CertificateRequired => Some(Self::ClientCertificate),
            AlertDescription::CertificateExpired => {
                Some(Self::ClientCertificateRefused(": it has expired"))
            }
            AlertDescription::CertificateRevoked => {
                Some(Self::ClientCertificateRefused(": it is revoked"))
            }
            AlertDescription::UnknownCA
            | AlertDescription::DecryptError
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate => Some(Self::ClientCertificateRefused("")),
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

    /// Recognises problems by their text: the types of two aren't public, and HTTP/2 keeps only the
    /// text of an alert that arrives after the handshake.
    fn of_words(words: &str) -> Option<Self> {
        match words {
            "HTTP/2 was not negotiated." => Some(Self::NoHttp2),
            "no native certs found" => Some(Self::NoAuthorities),
            _ => Self::of_alert(ABOUT_CLIENTS.into_iter().find(|alert| {
                words.ends_with(&rustls::Error::AlertReceived(*alert).to_string())
            })?),
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
    fn an_alert_is_recognised_by_its_text() {
        for (alert, problem) in [
            (AlertDescription::CertificateRequired, TlsProblem::ClientCertificate),
            (AlertDescription::UnknownCA, TlsProblem::ClientCertificateRefused("")),
        ] {
            let text = rustls::Error::AlertReceived(alert).to_string();
            let mut status = Status::unavailable("the connection broke");
            status.set_source(Arc::new(io::Error::other(format!("h2: {text}"))));
            assert_eq!(TlsProblem::behind(&status), Some(problem));
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
        assert!(matches!(authorities(&path).await, Err(FileError::Lacks { .. })));
        std::fs::write(&path, vec![b'x'; (1 << 20) + 1]).expect("a file");
        assert!(matches!(authorities(&path).await, Err(FileError::TooLarge { .. })));
    }
}
