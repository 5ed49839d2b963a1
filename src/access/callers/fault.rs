//! A fault of the callers file, in one line that names its place.
//!
//! It never holds a value that may be a secret: a reader shows values through [`shown`] alone.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::text::one_line;

/// The longest value or name that a fault repeats, in characters.
const SHOWN_CHARACTERS_MAX: usize = 80;

/// How API keys begin. A text that contains it may be one in the wrong place, and is not shown.
const KEY_PREFIX: &str = "fm_";

/// A fault of the callers file, or of a file that it names. Its text is one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct Fault {
    place: Place,
    what: String,
}

/// A place in the callers file: the line and the path of the key. For a fault of the file as a
/// whole both are unset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    file: PathBuf,
    line: Option<usize>,
    key: String,
}

impl Fault {
    /// A fault of the file as a whole.
    pub fn of_file(file: &Path, what: impl Into<String>) -> Self {
        Place { file: file.to_owned(), line: None, key: String::new() }.fault(what)
    }

    /// The line of the file, from 1, if the fault has one.
    pub fn line(&self) -> Option<usize> {
        self.place.line
    }
}

impl Place {
    /// A line of the file, from 1, and the path of the key there; the path may be empty.
    pub fn new(file: &Path, line: usize, key: &str) -> Self {
        Self { file: file.to_owned(), line: Some(line), key: key.to_owned() }
    }

    /// A fault at this place.
    pub fn fault(&self, what: impl Into<String>) -> Fault {
        Fault { place: self.clone(), what: one_line(&what.into()) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "callers file {}", one_line(&self.file.display().to_string()))?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        Ok(())
    }
}

/// A value or name as a fault shows it: quoted, on one line, cut if it is long, and not at all if it
/// may be an API key.
pub fn shown(text: &str) -> String {
    if may_be_a_secret(text) {
        return "(not shown: it may be a key)".to_owned();
    }
    let cut: String = text.chars().take(SHOWN_CHARACTERS_MAX).collect();
    format!("{cut:?}")
}

/// A name as a part of a key's path: as it is if TOML needs no quotes around it.
pub fn segment(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let is_bare = !name.is_empty() && name.len() <= SHOWN_CHARACTERS_MAX && name.chars().all(bare);
    if is_bare && !may_be_a_secret(name) { name.to_owned() } else { shown(name) }
}

fn may_be_a_secret(text: &str) -> bool {
    text.to_ascii_lowercase().contains(KEY_PREFIX)
}
