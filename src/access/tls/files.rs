//! Reads the files of TLS, and tells whether their contents have changed.
//!
//! It deliberately doesn't parse them. The contents of the last set aren't kept, only their hash:
//! one of the files is a private key.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use secrecy::zeroize::Zeroizing;

use crate::access::tls::{ClientAuth, TlsError, TlsFiles};

pub const CERT: &str = "tls-cert-file";
pub const KEY: &str = "tls-key-file";
pub const CLIENT_CA: &str = "tls-client-ca-file";
pub const CLIENT_CRL: &str = "tls-client-crl-file";

/// The largest file, in bytes: far more than any chain or bundle of authorities, and room for a
/// revocation list of a hundred thousand certificates.
const FILE_BYTES_MAX: u64 = 8 << 20;

/// Tells contents apart.
pub type Fingerprint = blake3::Hash;

/// The files that the settings name.
pub struct FileSet {
    cert: IdentityFile,
    key: IdentityFile,
    client_ca: Option<IdentityFile>,
    client_crl: Option<IdentityFile>,
    client_auth: ClientAuth,
}

/// The contents of all files at one look.
pub struct Contents {
    pub cert: Content,
    pub key: Content,
    pub client_ca: Option<Content>,
    pub client_crl: Option<Content>,
}

/// The content of a file, with the setting and the path for errors.
pub struct Content {
    pub bytes: Zeroizing<Vec<u8>>,
    setting: &'static str,
    path: PathBuf,
}

impl FileSet {
    pub fn new(files: TlsFiles) -> Self {
        Self {
            cert: IdentityFile::new(CERT, files.cert),
            key: IdentityFile::new(KEY, files.key),
            client_ca: files.client_ca.map(|path| IdentityFile::new(CLIENT_CA, path)),
            client_crl: files.client_crl.map(|path| IdentityFile::new(CLIENT_CRL, path)),
            client_auth: files.client_auth,
        }
    }

    pub fn client_auth(&self) -> ClientAuth {
        self.client_auth
    }

    /// Reads all files.
    pub fn read(&self) -> Result<Contents, TlsError> {
        let read = |file: &Option<IdentityFile>| file.as_ref().map(IdentityFile::read).transpose();
        Ok(Contents {
            cert: self.cert.read()?,
            key: self.key.read()?,
            client_ca: read(&self.client_ca)?,
            client_crl: read(&self.client_crl)?,
        })
    }
}

impl Contents {
    /// Differs if any file differs.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hasher = blake3::Hasher::new();
        let files =
            [Some(&self.cert), Some(&self.key), self.client_ca.as_ref(), self.client_crl.as_ref()];
        for content in files.into_iter().flatten() {
            hasher.update(&(content.bytes.len() as u64).to_le_bytes());
            hasher.update(&content.bytes);
        }
        hasher.finalize()
    }
}

impl Content {
    /// The error of this file. `what` follows its path.
    pub fn error(&self, what: &str) -> TlsError {
        TlsError::new(self.setting, format!("{} {what}", shown(&self.path)))
    }

    /// The error of two files that are of different pairs.
    pub fn mismatch(&self, what: &str) -> TlsError {
        TlsError::mismatch(self.setting, format!("{} {what}", shown(&self.path)))
    }
}

/// A file that a setting names.
struct IdentityFile {
    setting: &'static str,
    path: PathBuf,
    /// What a pipe gave. A pipe can be read only once.
    of_pipe: OnceLock<Zeroizing<Vec<u8>>>,
}

impl IdentityFile {
    fn new(setting: &'static str, path: PathBuf) -> Self {
        Self { setting, path, of_pipe: OnceLock::new() }
    }

    fn read(&self) -> Result<Content, TlsError> {
        let bytes = match self.of_pipe.get() {
            Some(bytes) => bytes.clone(),
            None => self.read_now().map_err(|failure| {
                let why = format!("can't read {}: {failure}", shown(&self.path));
                TlsError::new(self.setting, why)
            })?,
        };
        Ok(Content { bytes, setting: self.setting, path: self.path.clone() })
    }

    fn read_now(&self) -> io::Result<Zeroizing<Vec<u8>>> {
        let found = fs::metadata(&self.path)?;
        let mut bytes = Zeroizing::new(Vec::new());
        File::open(&self.path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 8 MiB"));
        }
        if !found.is_file() {
            // Fails only if a concurrent read has set it; that read got the content.
            let _ = self.of_pipe.set(bytes.clone());
        }
        Ok(bytes)
    }
}

/// A path in one line.
fn shown(path: &Path) -> String {
    path.display().to_string().replace(char::is_control, "\u{fffd}")
}
