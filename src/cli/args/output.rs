//! Arguments that several commands have.

use clap::ValueEnum;

use crate::config::LogFormat;

/// The format of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Lines for people.
    Text,
    /// One JSON object a line; of a match, with the field names of the proto.
    Json,
}

impl Output {
    /// The log format that belongs to this output format.
    pub const fn log_format(self) -> LogFormat {
        match self {
            Self::Text => LogFormat::Text,
            Self::Json => LogFormat::Json,
        }
    }
}

/// Accepts any text but an empty one. An empty argument usually comes from an unset shell variable,
/// and would otherwise pass for a missing value.
pub fn given(text: &str) -> Result<String, &'static str> {
    if text.is_empty() { Err("is empty; leave it out if there is none") } else { Ok(text.into()) }
}
