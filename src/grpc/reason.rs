//! Why a call is refused: stable words that callers may rest on, each with its code.
//!
//! Why a match failed is told by the match itself, in the domain's words.

use std::time::Duration;

use tonic::Code;

/// When to come back after trouble that passes soon.
const RETRY_SOON: Duration = Duration::from_secs(1);
/// When to come back to a server that is going down: another may have taken its place.
const RETRY_ELSEWHERE: Duration = Duration::from_secs(2);

/// Why a call is refused, or a stream ends early.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ErrorReason {
    /// A field is missing, malformed, too long or unknown.
    FieldInvalid,
    /// The photo is no whole JPEG or PNG, or its size in pixels is out of range.
    PhotoUnreadable,
    /// The photo is over 10 MiB.
    PhotoTooLarge,
    /// A token is damaged, of another store, or goes with other filters.
    TokenInvalid,
    /// There is no such match.
    MatchNotFound,
    /// The request id names a match of other content.
    RequestIdReused,
    /// A match that has ended can't be cancelled.
    MatchEnded,
    /// A match that runs can't be erased.
    MatchRunning,
    /// The match hasn't reached that sequence.
    WatchAhead,
    /// The token is older than what is retained.
    TokenExpired,
    /// This server has no such thing.
    NotAvailable,
    /// The server is at a limit of its own; the call had no effect.
    Overloaded,
    /// A stream's updates lay unread for too long.
    UpdatesUnread,
    /// The call's deadline passed, or its request didn't arrive in time.
    CallTimedOut,
    /// The journal can't be reached.
    StoreUnavailable,
    /// The server is shutting down.
    ServerDraining,
    /// A bug of ours.
    Internal,
}

impl ErrorReason {
    /// All reasons.
    pub const ALL: [Self; 17] = [
        Self::FieldInvalid,
        Self::PhotoUnreadable,
        Self::PhotoTooLarge,
        Self::TokenInvalid,
        Self::MatchNotFound,
        Self::RequestIdReused,
        Self::MatchEnded,
        Self::MatchRunning,
        Self::WatchAhead,
        Self::TokenExpired,
        Self::NotAvailable,
        Self::Overloaded,
        Self::UpdatesUnread,
        Self::CallTimedOut,
        Self::StoreUnavailable,
        Self::ServerDraining,
        Self::Internal,
    ];

    /// The word as callers see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FieldInvalid => "FIELD_INVALID",
            Self::PhotoUnreadable => "PHOTO_UNREADABLE",
            Self::PhotoTooLarge => "PHOTO_TOO_LARGE",
            Self::TokenInvalid => "TOKEN_INVALID",
            Self::MatchNotFound => "MATCH_NOT_FOUND",
            Self::RequestIdReused => "REQUEST_ID_REUSED",
            Self::MatchEnded => "MATCH_ENDED",
            Self::MatchRunning => "MATCH_RUNNING",
            Self::WatchAhead => "WATCH_AHEAD",
            Self::TokenExpired => "TOKEN_EXPIRED",
            Self::NotAvailable => "NOT_AVAILABLE",
            Self::Overloaded => "OVERLOADED",
            Self::UpdatesUnread => "UPDATES_UNREAD",
            Self::CallTimedOut => "CALL_TIMED_OUT",
            Self::StoreUnavailable => "STORE_UNAVAILABLE",
            Self::ServerDraining => "SERVER_DRAINING",
            Self::Internal => "INTERNAL",
        }
    }

    /// The gRPC code that goes with it.
    pub const fn code(self) -> Code {
        match self {
            Self::FieldInvalid
            | Self::PhotoUnreadable
            | Self::PhotoTooLarge
            | Self::TokenInvalid => Code::InvalidArgument,
            Self::MatchNotFound => Code::NotFound,
            Self::RequestIdReused => Code::AlreadyExists,
            Self::MatchEnded | Self::MatchRunning => Code::FailedPrecondition,
            Self::WatchAhead | Self::TokenExpired => Code::OutOfRange,
            Self::NotAvailable => Code::Unimplemented,
            Self::Overloaded | Self::UpdatesUnread => Code::ResourceExhausted,
            Self::CallTimedOut => Code::DeadlineExceeded,
            Self::StoreUnavailable | Self::ServerDraining => Code::Unavailable,
            Self::Internal => Code::Internal,
        }
    }

    /// When the same call may succeed; none if it has to be changed first.
    pub const fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Overloaded
            | Self::UpdatesUnread
            | Self::CallTimedOut
            | Self::StoreUnavailable => Some(RETRY_SOON),
            Self::ServerDraining => Some(RETRY_ELSEWHERE),
            Self::FieldInvalid
            | Self::PhotoUnreadable
            | Self::PhotoTooLarge
            | Self::TokenInvalid
            | Self::MatchNotFound
            | Self::RequestIdReused
            | Self::MatchEnded
            | Self::MatchRunning
            | Self::WatchAhead
            | Self::TokenExpired
            | Self::NotAvailable
            | Self::Internal => None,
        }
    }
}
