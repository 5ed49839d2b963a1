//! The reasons for which a call is refused: stable words that callers may rely on, each with its
//! gRPC code.
//!
//! It deliberately doesn't hold the reasons for which a match fails: those are in the match itself,
//! in `domain::reason`.

use std::time::Duration;

use tonic::Code;

/// The delay before a retry after trouble that passes soon.
const RETRY_SOON: Duration = Duration::from_secs(1);
/// The delay before a retry after a server shuts down: another may have taken its place.
const RETRY_ELSEWHERE: Duration = Duration::from_secs(2);

/// Why a call is refused, or a stream ends early.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ErrorReason {
    /// A field is missing, malformed, too long or unknown.
    FieldInvalid,
    /// The photo isn't a complete JPEG or PNG, or its dimensions are out of range.
    PhotoUnreadable,
    /// The photo is over 10 MiB.
    PhotoTooLarge,
    /// A token is damaged, comes from another store, or belongs to other filters.
    TokenInvalid,
    /// The match doesn't exist, or it was erased.
    MatchNotFound,
    /// The request id belongs to a match with different content.
    RequestIdReused,
    /// The match has ended in another way and can't be cancelled any more.
    MatchEnded,
    /// The match is still running and can't be erased.
    MatchRunning,
    /// The watcher's sequence is higher than the match's.
    WatchAhead,
    /// The resume token is older than the oldest retained update.
    TokenExpired,
    /// The server has no photo library.
    NotAvailable,
    /// The server is at one of its limits; the call had no effect.
    Overloaded,
    /// The tenant is at one of its limits; the call had no effect.
    QuotaExceeded,
    /// The stream stalled: its caller didn't read its updates for too long.
    UpdatesUnread,
    /// The call has no credential.
    CredentialMissing,
    /// The credential is wrong, unknown or withdrawn.
    CredentialInvalid,
    /// The credential has expired, or was withdrawn while the stream ran.
    CredentialExpired,
    /// The caller may not make this call.
    CallForbidden,
    /// The call's deadline passed, or its request didn't arrive in time.
    CallTimedOut,
    /// The journal isn't available.
    StoreUnavailable,
    /// The call's audit record can't be written; the call had no effect.
    AuditUnavailable,
    /// The server is shutting down.
    ServerDraining,
    /// A bug in the server.
    Internal,
}

impl ErrorReason {
    /// All reasons, in the order of the contract's table.
    pub const ALL: [Self; 23] = [
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
        Self::QuotaExceeded,
        Self::UpdatesUnread,
        Self::CredentialMissing,
        Self::CredentialInvalid,
        Self::CredentialExpired,
        Self::CallForbidden,
        Self::CallTimedOut,
        Self::StoreUnavailable,
        Self::AuditUnavailable,
        Self::ServerDraining,
        Self::Internal,
    ];

    /// The word of the contract, as `google.rpc.ErrorInfo.reason` carries it.
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
            Self::QuotaExceeded => "QUOTA_EXCEEDED",
            Self::UpdatesUnread => "UPDATES_UNREAD",
            Self::CredentialMissing => "CREDENTIAL_MISSING",
            Self::CredentialInvalid => "CREDENTIAL_INVALID",
            Self::CredentialExpired => "CREDENTIAL_EXPIRED",
            Self::CallForbidden => "CALL_FORBIDDEN",
            Self::CallTimedOut => "CALL_TIMED_OUT",
            Self::StoreUnavailable => "STORE_UNAVAILABLE",
            Self::AuditUnavailable => "AUDIT_UNAVAILABLE",
            Self::ServerDraining => "SERVER_DRAINING",
            Self::Internal => "INTERNAL",
        }
    }

    /// The word, if it is one of these reasons.
    pub fn word_of(text: &str) -> Option<&'static str> {
        Self::ALL.into_iter().map(Self::as_str).find(|word| *word == text)
    }

    /// The gRPC status code of a call refused for this reason.
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
            Self::Overloaded | Self::QuotaExceeded | Self::UpdatesUnread => Code::ResourceExhausted,
            Self::CredentialMissing | Self::CredentialInvalid | Self::CredentialExpired => {
                Code::Unauthenticated
            }
            Self::CallForbidden => Code::PermissionDenied,
            Self::CallTimedOut => Code::DeadlineExceeded,
            Self::StoreUnavailable | Self::AuditUnavailable | Self::ServerDraining => {
                Code::Unavailable
            }
            Self::Internal => Code::Internal,
        }
    }

    /// The delay after which the same call may succeed. `None` if repeating it unchanged is
    /// pointless.
    pub const fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Overloaded
            | Self::QuotaExceeded
            | Self::UpdatesUnread
            | Self::CallTimedOut
            | Self::StoreUnavailable
            | Self::AuditUnavailable => Some(RETRY_SOON),
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
            | Self::CredentialMissing
            | Self::CredentialInvalid
            | Self::CredentialExpired
            | Self::CallForbidden
            | Self::Internal => None,
        }
    }
}
