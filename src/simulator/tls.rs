//! The simulator's certificate, from any pair of PEM files.
//!
//! It deliberately checks no names, dates or issuers, so that clients can also be tested with
//! certificates that they must refuse.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use tokio_rustls::TlsAcceptor;

/// A certificate with its key.
#[derive(Clone)]
pub struct Tls(Arc<ServerConfig>);

/// Why a certificate can't be used, in one line that names the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read, or holds no valid PEM of its kind.
    #[error("{}: {source}", path.display())]
    Unread {
        /// The file of the certificate or of the key.
        path: PathBuf,
        /// The error of the file or of its PEM.
        source: pem::Error,
    },
    /// The certificate's file holds no certificate.
    #[error("{}: no certificate in it", .0.display())]
    NoCertificate(PathBuf),
    /// The certificate and the key don't match, or the key's algorithm is unknown.
    #[error("{}: {source}", path.display())]
    Unusable {
        /// The certificate's file.
        path: PathBuf,
        /// The error of the TLS library.
        source: rustls::Error,
    },
}

impl Tls {
    /// Reads a chain of certificates and its key. Names, dates and issuers are not checked.
    ///
    /// # Errors
    /// If a file can't be read, or the two don't match.
    pub fn load(certificates: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, TlsError> {
        let (path, key) = (certificates.as_ref(), key.as_ref());
        let chain: Vec<_> = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect)
            .map_err(|source| TlsError::Unread { path: path.to_owned(), source })?;
        if chain.is_empty() {
            return Err(TlsError::NoCertificate(path.to_owned()));
        }
        let key = PrivateKeyDer::from_pem_file(key)
            .map_err(|source| TlsError::Unread { path: key.to_owned(), source })?;
        let unusable = |source| TlsError::Unusable { path: path.to_owned(), source };
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(unusable)?;
        Ok(Self(Arc::new(config)))
    }

    /// An acceptor of TLS handshakes, with this certificate.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.clone())
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}
