//! What is wrong with a setting, in one line that names it and says where its value came from.
//!
//! It never holds the value of a secret; the parsers see to that.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// A setting that can't be used. Its text is one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("--{setting}: {problem}{}", Whence(.origin))]
pub struct Error {
    /// The name of the setting, as in its flag.
    pub setting: &'static str,
    /// What is wrong.
    pub problem: Box<Problem>,
    /// Where the value came from; unset where there is no value.
    pub origin: Option<ValueOrigin>,
}

impl Error {
    /// A problem with a setting whose value came from somewhere.
    pub fn new(setting: &'static str, problem: Problem, origin: ValueOrigin) -> Self {
        Self { setting, problem: Box::new(problem), origin: Some(origin) }
    }

    /// A problem with a setting that has no value, or with more than one of them.
    pub fn bare(setting: &'static str, problem: Problem) -> Self {
        Self { setting, problem: Box::new(problem), origin: None }
    }
}

/// What can be wrong with a setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is no value, and no default either.
    #[error("is required ({hint})")]
    Missing {
        /// What it should be.
        hint: &'static str,
    },
    /// The flag stands on the command line more than once.
    #[error("is given more than once")]
    Repeated,
    /// The value is no such thing.
    #[error("{shown} is not {wanted}")]
    Malformed {
        /// The value, cut to a showable length.
        shown: QuotedValue,
        /// What it should be.
        wanted: &'static str,
    },
    /// The value is beyond its limits.
    #[error("{shown} is out of range, {least} to {most}")]
    OutOfRange {
        /// The value, cut to a showable length.
        shown: QuotedValue,
        /// The least that is taken.
        least: String,
        /// The most that is taken.
        most: String,
    },
    /// The value is of a form that can't be used, for a reason that doesn't repeat it.
    #[error("{0}")]
    Unusable(&'static str),
    /// The room that the value is for refuses it, in words that don't repeat a secret.
    #[error("{0}")]
    Refused(String),
    /// The value of the settings file has a type that no setting has.
    #[error("must be a string or a whole number")]
    WrongType,
    /// A file that the setting names can't be read.
    #[error("can't read {}: {why}", Named(path))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// The settings file is not TOML.
    #[error("{} is not valid TOML, line {line}: {why}", Named(path))]
    NotToml {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the parser says.
        why: String,
    },
    /// The settings file has a key that no setting has.
    #[error("{} has the unknown key {key}{}", Named(path), Suggestion(.nearest))]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key, cut to a showable length.
        key: QuotedValue,
        /// A setting of nearly that name.
        nearest: Option<String>,
    },
    /// Two settings exclude each other.
    #[error("can't be combined with --{other}{}", Whence(.origin))]
    Conflict {
        /// The other setting.
        other: &'static str,
        /// Where the other one's value came from, if elsewhere.
        origin: Option<ValueOrigin>,
    },
    /// A setting means nothing without another.
    #[error("needs --{0}")]
    Needs(&'static str),
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueOrigin {
    /// A flag.
    CommandLine,
    /// An environment variable, by its name.
    Environment(String),
    /// The settings file.
    File(PathBuf),
    /// Nobody set it.
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

/// The text with its line breaks and other control characters escaped, as programmers write them:
/// what is one line stays one, whatever name a file was given.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() {
            line.extend(letter.escape_default());
        } else {
            line.push(letter);
        }
    }
    line
}

/// A file, by its path.
struct Named<'a>(&'a Path);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(&self.0.display().to_string()))
    }
}

/// A value as an error may show it: quoted, without line breaks, and cut where it is long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotedValue(String);

/// The longest value that an error repeats, in characters.
const SHOWN_CHARACTERS_MAX: usize = 80;

impl QuotedValue {
    /// Shows a value that is no secret.
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

/// The end of a sentence about an unknown name: the known one that was probably meant.
pub(super) struct Suggestion<'a>(pub &'a Option<String>);

impl fmt::Display for Suggestion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => write!(f, "; did you mean {name:?}?"),
            None => Ok(()),
        }
    }
}
