//! The error of a setting, in one line that names the setting and the origin of its value.
//!
//! It never holds the value of a secret: the parsers take care of that.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::text::one_line;

/// The error of a setting. Its text is one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("--{setting}: {problem}{}", Whence(.origin))]
pub struct Error {
    /// The name of the setting, as in its flag.
    pub setting: &'static str,
    /// What is wrong.
    pub problem: Box<Problem>,
    /// The origin of the value; `None` if there is no value.
    pub origin: Option<ValueOrigin>,
}

impl Error {
    /// A problem with a setting that has a value.
    pub fn new(setting: &'static str, problem: Problem, origin: ValueOrigin) -> Self {
        Self { setting, problem: Box::new(problem), origin: Some(origin) }
    }

    /// A problem with a setting that has no value, and so no origin.
    pub fn bare(setting: &'static str, problem: Problem) -> Self {
        Self { setting, problem: Box::new(problem), origin: None }
    }
}

/// What is wrong with a setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is neither a value nor a default.
    #[error("is required ({hint})")]
    Missing {
        /// A description of the value that is needed.
        hint: &'static str,
    },
    /// The flag stands on the command line more than once.
    #[error("is given more than once")]
    Repeated,
    /// The value doesn't have the required form.
    #[error("{shown} is not {wanted}")]
    Malformed {
        /// The value, cut to a showable length.
        shown: QuotedValue,
        /// A description of the required form.
        wanted: &'static str,
    },
    /// The value is outside of its limits.
    #[error("{shown} is out of range, {least} to {most}")]
    OutOfRange {
        /// The value, cut to a showable length.
        shown: QuotedValue,
        /// The least value that is accepted.
        least: String,
        /// The greatest value that is accepted.
        most: String,
    },
    /// The value can't be used. The text doesn't repeat the value, which may be a secret.
    #[error("{0}")]
    Unusable(&'static str),
    /// The module that uses the value refuses it. The text doesn't repeat a secret.
    #[error("{0}")]
    Refused(String),
    /// The value in the settings file has a type that no setting has.
    #[error("must be a string or a whole number")]
    WrongType,
    /// A file that the setting names can't be read.
    #[error("can't read {}: {why}", Named(path))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error message.
        why: String,
    },
    /// The settings file is not TOML.
    #[error("{} is not valid TOML, line {line}: {why}", Named(path))]
    NotToml {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The parser's error message.
        why: String,
    },
    /// The settings file has a key that no setting has.
    #[error("{} has the unknown key {key}{}", Named(path), Suggestion(.nearest))]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key, cut to a showable length.
        key: QuotedValue,
        /// The setting with the most similar name, if one is similar enough.
        nearest: Option<String>,
    },
    /// Two settings exclude each other.
    #[error("can't be combined with --{other}{}", Whence(.origin))]
    Conflict {
        /// The other setting.
        other: &'static str,
        /// The origin of the other setting's value, if it is a different one.
        origin: Option<ValueOrigin>,
    },
    /// The value differs from the one in use, which can't change while the service runs.
    #[error("can't change while the service runs, so no setting was changed")]
    NeedsRestart,
    /// The setting has no effect without another one.
    #[error("needs --{0}")]
    Needs(&'static str),
}

/// The origin of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueOrigin {
    /// A flag.
    CommandLine,
    /// The environment variable of this name.
    Environment(String),
    /// The settings file at this path.
    File(PathBuf),
    /// The default of the table.
    Default,
}

impl fmt::Display for ValueOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("from the command line"),
            Self::Environment(name) => write!(f, "from the environment, {name}"),
            Self::File(path) => write!(f, "from the file {}", Named(path)),
            Self::Default => f.write_str("the default"),
        }
    }
}

/// Shows a path in one line.
struct Named<'a>(&'a Path);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(&self.0.display().to_string()))
    }
}

/// A value in the form that errors show: quoted, without line breaks, and cut if it is long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotedValue(String);

/// The longest value that an error repeats, in characters.
const SHOWN_CHARACTERS_MAX: usize = 80;

impl QuotedValue {
    /// Quotes a value, which must not be a secret.
    pub fn new(text: &str) -> Self {
        Self(text.chars().take(SHOWN_CHARACTERS_MAX).collect())
    }
}

impl fmt::Display for QuotedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

struct Whence<'a>(&'a Option<ValueOrigin>);

impl fmt::Display for Whence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(origin) => write!(f, " ({origin})"),
            None => Ok(()),
        }
    }
}

/// The end of a message about an unknown name: the known name that was probably meant.
pub(super) struct Suggestion<'a>(pub &'a Option<String>);

impl fmt::Display for Suggestion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => write!(f, "; did you mean {name:?}?"),
            None => Ok(()),
        }
    }
}
