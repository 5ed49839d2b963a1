//! The TLS configuration of the port for callers: read from files, checked as a set, and published
//! as a whole.
//!
//! A set that is wrong changes nothing: connections go on with the previous one. Each change
//! publishes a new configuration with an empty session cache, so that no session outlives the
//! certificates, authorities or revocation lists under which it began. Only the contents of the
//! files are compared. File system notifications are deliberately not used: mounted secrets are
//! swapped by links, on file systems that send none.

mod files;
mod server_config;
#[cfg(test)]
mod tests;

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
};

use rustls::ServerConfig;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::{
    access::{ReloadCount, ReloadCounts},
    clock::Clock,
    domain::Timestamp,
    sync::lock,
};

use files::{Contents, FileSet, Fingerprint};
use server_config::Checked;

/// The files of TLS, and who has to present a certificate.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The server's certificate and those of its issuers.
    pub cert: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
    /// The authorities that issue client certificates.
    pub client_ca: Option<PathBuf>,
    /// The revocation lists of these authorities.
    pub client_crl: Option<PathBuf>,
    /// Whether callers have to present a certificate.
    pub client_auth: ClientAuth,
}

/// Whether callers have to present a client certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientAuth {
    /// No certificate is asked for.
    Off,
    /// A certificate is checked if the caller presents one.
    Optional,
    /// A handshake without a certificate fails.
    Required,
}

/// Why a set of files can't be used. The text is one line; it never repeats what a file holds.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{why}")]
pub struct TlsError {
    setting: &'static str,
    why: String,
    /// Whether the certificate and the key are of different pairs. The two files are written one
    /// after the other, so a single look may find such a set while they are replaced.
    is_mismatch: bool,
}

impl TlsError {
    fn new(setting: &'static str, why: impl Into<String>) -> Self {
        Self { setting, why: why.into(), is_mismatch: false }
    }

    fn mismatch(setting: &'static str, why: impl Into<String>) -> Self {
        Self { is_mismatch: true, ..Self::new(setting, why) }
    }

    /// The setting that names the file, as in its flag.
    pub fn setting(&self) -> &'static str {
        self.setting
    }
}

/// Publishes the configuration of each new connection.
pub struct Tls {
    files: FileSet,
    clock: Clock,
    published: watch::Sender<Arc<ServerConfig>>,
    seen: Mutex<Seen>,
    /// When the published certificate expires, in microseconds since 1970.
    expires: AtomicI64,
    reloads: ReloadCount,
}

/// The outcome of the last look at the files.
struct Seen {
    /// The contents of which the published configuration was made.
    published: Fingerprint,
    trouble: Option<Trouble>,
}

/// Why the set of the last look is not in use.
struct Trouble {
    error: TlsError,
    is_told: bool,
}

impl Tls {
    /// Reads and checks the files.
    ///
    /// # Errors
    /// If a file can't be read, or the set can't be used.
    pub fn open(files: TlsFiles, clock: Clock) -> Result<Self, TlsError> {
        let files = FileSet::new(files);
        let contents = files.read()?;
        let Checked { config, expires } =
            server_config::build(&contents, files.client_auth(), &clock)?;
        let seen = Seen { published: contents.fingerprint(), trouble: None };
        Ok(Self {
            files,
            clock,
            published: watch::Sender::new(Arc::new(config)),
            seen: Mutex::new(seen),
            expires: AtomicI64::new(expires.as_micros()),
            reloads: ReloadCount::default(),
        })
    }

    /// The configuration of this moment, and of later ones. A connection reads it once.
    pub fn configs(&self) -> watch::Receiver<Arc<ServerConfig>> {
        self.published.subscribe()
    }

    /// How often the files have changed.
    pub fn reloads(&self) -> ReloadCounts {
        self.reloads.of("tls")
    }

    /// When the certificate expires that new connections get.
    pub fn expires(&self) -> Timestamp {
        Timestamp::from_micros(self.expires.load(Ordering::Relaxed))
    }

    /// Reads the files again, and publishes the set if it has changed and can be used.
    pub fn look_again(&self) {
        let mut seen = lock(&self.seen);
        match self.files.read().and_then(|contents| self.changed(&contents, &seen)) {
            Ok(None) => seen.trouble = None,
            Ok(Some((fingerprint, Checked { config, expires }))) => {
                self.published.send_replace(Arc::new(config));
                self.expires.store(expires.as_micros(), Ordering::Relaxed);
                *seen = Seen { published: fingerprint, trouble: None };
                self.reloads.succeeded(self.clock.now());
                info!("TLS files changed: new connections use them");
            }
            Err(error) => self.keep(&mut seen, error),
        }
    }

    /// The configuration of contents that differ from those in use.
    fn changed(
        &self,
        contents: &Contents,
        seen: &Seen,
    ) -> Result<Option<(Fingerprint, Checked)>, TlsError> {
        let fingerprint = contents.fingerprint();
        if fingerprint == seen.published {
            return Ok(None);
        }
        let checked = server_config::build(contents, self.files.client_auth(), &self.clock)?;
        Ok(Some((fingerprint, checked)))
    }

    /// Keeps the published set. Each trouble is told once; two files of different pairs only if the
    /// next look finds them too.
    fn keep(&self, seen: &mut Seen, error: TlsError) {
        let same = seen.trouble.take().filter(|last| last.error == error);
        let was_told = same.as_ref().is_some_and(|last| last.is_told);
        let is_told = same.is_some() || !error.is_mismatch;
        if is_told && !was_told {
            self.reloads.failed();
            let setting = error.setting;
            warn!(setting, %error, "TLS files unusable: the previous ones are kept");
        }
        seen.trouble = Some(Trouble { error, is_told });
    }
}
