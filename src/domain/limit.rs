//! The limits of the server itself that a call can meet: stable words that callers may rest on.
//!
//! What a limit is set to is not known here.

use std::fmt;

/// What there is too much of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Limit {
    /// Matches under way (`--max-unfinished`).
    UnfinishedMatches,
    /// Bytes of photos (`--photo-memory`).
    PhotoMemory,
    /// Bytes of requests that are being received, photos apart (`--request-memory`).
    RequestMemory,
    /// Open calls (`--max-calls`).
    Calls,
}

impl Limit {
    /// All limits.
    pub const ALL: [Self; 4] =
        [Self::UnfinishedMatches, Self::PhotoMemory, Self::RequestMemory, Self::Calls];

    /// The word as callers see it, in the metadata of a refusal, and as logs have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnfinishedMatches => "unfinished-matches",
            Self::PhotoMemory => "photo-memory",
            Self::RequestMemory => "request-memory",
            Self::Calls => "calls",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
