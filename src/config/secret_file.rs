//! A file that holds a secret, read at the start and whenever it may have changed.
//!
//! It is taken whole or not at all: what it held before is its reader's business.

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

/// A file that a setting names as the holder of a secret.
#[derive(Clone)]
pub struct SecretFile {
    setting: &'static str,
    path: PathBuf,
    origin: ValueOrigin,
    parse: fn(&str) -> Result<SecretString, Problem>,
    /// What a pipe gave: it gives that once.
    of_pipe: Arc<OnceLock<SecretString>>,
}

impl SecretFile {
    /// The file at `path`, which `setting` names, with a secret of the kind of `direct`.
    pub(super) fn new(
        direct: &Setting<SecretString>,
        setting: &Setting<PathBuf>,
        path: PathBuf,
        origin: ValueOrigin,
    ) -> Self {
        let of_pipe = Arc::default();
        Self { setting: setting.about.name, path, origin, parse: direct.parse, of_pipe }
    }

    /// The name of the setting that names the file, as in its flag.
    pub fn setting(&self) -> &'static str {
        self.setting
    }

    /// Whether it is a pipe or the like, which gives what it has once.
    pub fn is_pipe(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|found| !found.is_file() && !found.is_dir())
    }

    /// The secret that the file holds at this moment; of a pipe, what it gave first. A line break at
    /// its end is no part of it.
    ///
    /// # Errors
    /// One line that names the setting, if the file can't be read or doesn't hold such a secret.
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
            // A second reader at the same time has read nothing.
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

/// The text of a file of settings or of a secret.
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
