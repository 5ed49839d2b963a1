//! The limits that a call can hit, the server's own and its tenant's: stable words that callers can
//! rely on.
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
    /// Calls a second. Only tenants have this limit.
    Rate,
    /// Open streams. Only tenants have this limit.
    Streams,
}

impl Limit {
    /// The limits that the server itself has.
    pub const ALL: [Self; 4] =
        [Self::UnfinishedMatches, Self::PhotoMemory, Self::RequestMemory, Self::Calls];

    /// The word that stands in the metadata of a refusal and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnfinishedMatches => "unfinished-matches",
            Self::PhotoMemory => "photo-memory",
            Self::RequestMemory => "request-memory",
            Self::Calls => "calls",
            Self::Rate => "rate",
            Self::Streams => "streams",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
