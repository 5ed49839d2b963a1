//! A file that holds a secret. It is read at the start, and again whenever it may have changed.
//!
//! A read returns the whole secret or an error. It deliberately doesn't keep the last secret of a
//! regular file: the caller decides whether to go on using it.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use secrecy::{SecretString, zeroize::Zeroizing};

use super::{
    about::Setting,
    error::{Error, Problem, ValueOrigin},
};

/// The longest settings file, and the longest file of a secret, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A file with a secret, named by a setting.
#[derive(Clone)]
pub struct SecretFile {
    setting: &'static str,
    path: PathBuf,
    origin: ValueOrigin,
    parse: fn(&str) -> Result<SecretString, Problem>,
    /// The secret that a pipe gave. A pipe can be read only once.
    of_pipe: Arc<OnceLock<SecretString>>,
}

impl SecretFile {
    /// The file at `path`, named by `setting`. Its content is parsed like the value of `direct`.
    pub(super) fn new(
        direct: &Setting<SecretString>,
        setting: &Setting<PathBuf>,
        path: PathBuf,
        origin: ValueOrigin,
    ) -> Self {
        let of_pipe = Arc::default();
        Self { setting: setting.about.name, path, origin, parse: direct.parse, of_pipe }
    }

    /// The setting that names the file, as in its flag.
    pub fn setting(&self) -> &'static str {
        self.setting
    }

    /// Whether the file is a pipe or another special file, which can be read only once.
    pub fn is_pipe(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|found| !found.is_file() && !found.is_dir())
    }

    /// The secret that the file holds now, or that a pipe gave at its first read. A line break at
    /// its end is dropped.
    ///
    /// # Errors
    /// One line that names the setting, if the file can't be read or its content is invalid.
    pub fn read(&self) -> Result<SecretString, Error> {
        if let Some(secret) = self.of_pipe.get() {
            return Ok(secret.clone());
        }
        let is_pipe = self.is_pipe();
        let secret = read(&self.path).map(Zeroizing::new).and_then(|text| {
            let line = text.strip_suffix('\n').unwrap_or(&text);
            (self.parse)(line.strip_suffix('\r').unwrap_or(line))
        });
        let secret =
            secret.map_err(|problem| Error::new(self.setting, problem, self.origin.clone()))?;
        if is_pipe {
            // Fails only if a concurrent read has set it; that read got the secret.
            let _ = self.of_pipe.set(secret.clone());
        }
        Ok(secret)
    }
}

impl fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretFile").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The text of a settings file or a secret file.
pub(super) fn read(path: &Path) -> Result<String, Problem> {
    read_limited(path)
        .map_err(|error| Problem::Unreadable { path: path.to_owned(), why: error.to_string() })
}

fn read_limited(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB"));
    }
    Ok(text)
}
