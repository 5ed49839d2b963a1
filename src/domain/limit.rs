//! The server's own limits that a call can hit: stable words that callers can rely on.
//!
//! It deliberately doesn't know the limits' values.

use std::fmt;

/// The resource that is exhausted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Limit {
    /// Matches in progress (`--max-unfinished`).
    UnfinishedMatches,
    /// Bytes of photos (`--photo-memory`).
    PhotoMemory,
    /// Bytes of requests being received, without photos (`--request-memory`).
    RequestMemory,
    /// Open calls (`--max-calls`).
    Calls,
}

impl Limit {
    /// All limits.
    pub const ALL: [Self; 4] =
        [Self::UnfinishedMatches, Self::PhotoMemory, Self::RequestMemory, Self::Calls];

    /// The word that stands in the metadata of a refusal and in logs.
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
