//! Why a match failed, or waits: stable words that callers may rest on.

use serde::{Deserialize, Serialize};

/// Why there will be no verdict.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Reason {
    /// Oz's analysis ended as FAILED, or Oz refused to start it.
    OzAnalysisFailed,
    /// Oz's analysis ended without a usable score.
    OzInconclusive,
    /// Oz said a word that this version doesn't know.
    OzUnknownStatus,
    /// Oz knows no such folder.
    OzFolderNotFound,
    /// Oz doesn't let our account do this.
    OzForbidden,
    /// The folder has no such reference photo, or it is no image.
    OzMediaNotFound,
    /// The folder has no liveness media, or lacks a named one.
    LivenessMediaNotFound,
    /// The liveness analysis doesn't say SUCCESS, and the caller requires it to.
    LivenessNotPassed,
    /// Oz took the photo for none.
    OzRejectedPhoto,
    /// The folder holds as many files as Oz allows.
    OzFolderFull,
    /// Oz's answers lack what is needed.
    OzProtocol,
    /// Oz refuses our login.
    OzLoginRefused,
    /// The deadline passed.
    MatchTimedOut,
    /// The photo died with its server and nobody sent it again.
    PhotoLost,
    /// A word of a later version.
    #[serde(other, skip_serializing)]
    Unknown,
}

/// gRPC status codes that a failed match can have (`google.rpc.Code`), as plain numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum Code {
    /// This version doesn't know what was wrong.
    Unknown = 2,
    /// What was sent is wrong.
    InvalidArgument = 3,
    /// It took too long.
    DeadlineExceeded = 4,
    /// A thing isn't there.
    NotFound = 5,
    /// Not allowed.
    PermissionDenied = 7,
    /// A thing isn't in the state it must be in.
    FailedPrecondition = 9,
    /// Somebody broke a rule, and it wasn't the caller.
    Internal = 13,
    /// Not now.
    Unavailable = 14,
}

impl Reason {
    /// All reasons that this version knows.
    pub const ALL: [Self; 14] = [
        Self::OzAnalysisFailed,
        Self::OzInconclusive,
        Self::OzUnknownStatus,
        Self::OzFolderNotFound,
        Self::OzForbidden,
        Self::OzMediaNotFound,
        Self::LivenessMediaNotFound,
        Self::LivenessNotPassed,
        Self::OzRejectedPhoto,
        Self::OzFolderFull,
        Self::OzProtocol,
        Self::OzLoginRefused,
        Self::MatchTimedOut,
        Self::PhotoLost,
    ];

    /// The word as callers see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OzAnalysisFailed => "OZ_ANALYSIS_FAILED",
            Self::OzInconclusive => "OZ_INCONCLUSIVE",
            Self::OzUnknownStatus => "OZ_UNKNOWN_STATUS",
            Self::OzFolderNotFound => "OZ_FOLDER_NOT_FOUND",
            Self::OzForbidden => "OZ_FORBIDDEN",
            Self::OzMediaNotFound => "OZ_MEDIA_NOT_FOUND",
            Self::LivenessMediaNotFound => "LIVENESS_MEDIA_NOT_FOUND",
            Self::LivenessNotPassed => "LIVENESS_NOT_PASSED",
            Self::OzRejectedPhoto => "OZ_REJECTED_PHOTO",
            Self::OzFolderFull => "OZ_FOLDER_FULL",
            Self::OzProtocol => "OZ_PROTOCOL",
            Self::OzLoginRefused => "OZ_LOGIN_REFUSED",
            Self::MatchTimedOut => "MATCH_TIMED_OUT",
            Self::PhotoLost => "PHOTO_LOST",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// The gRPC code that goes with it.
    pub const fn code(self) -> Code {
        match self {
            Self::OzAnalysisFailed
            | Self::OzInconclusive
            | Self::OzUnknownStatus
            | Self::OzProtocol => Code::Internal,
            Self::OzFolderNotFound | Self::OzMediaNotFound => Code::NotFound,
            Self::OzForbidden => Code::PermissionDenied,
            Self::LivenessMediaNotFound | Self::LivenessNotPassed | Self::OzFolderFull => {
                Code::FailedPrecondition
            }
            Self::OzRejectedPhoto => Code::InvalidArgument,
            Self::OzLoginRefused | Self::PhotoLost => Code::Unavailable,
            Self::MatchTimedOut => Code::DeadlineExceeded,
            Self::Unknown => Code::Unknown,
        }
    }

    /// Whether a new call with a new request id may succeed, nothing else being changed.
    pub const fn retryable(self) -> bool {
        match self {
            Self::OzAnalysisFailed
            | Self::OzInconclusive
            | Self::OzProtocol
            | Self::OzLoginRefused
            | Self::MatchTimedOut
            | Self::PhotoLost => true,
            Self::OzUnknownStatus
            | Self::OzFolderNotFound
            | Self::OzForbidden
            | Self::OzMediaNotFound
            | Self::LivenessMediaNotFound
            | Self::LivenessNotPassed
            | Self::OzRejectedPhoto
            | Self::OzFolderFull
            | Self::Unknown => false,
        }
    }
}

/// What kind of trouble at Oz a match waits out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Cause {
    /// No connection could be made.
    OzUnreachable,
    /// No answer in time.
    OzTimeout,
    /// The connection broke before the answer was whole.
    OzInterrupted,
    /// Oz asks for fewer requests.
    OzRateLimited,
    /// Oz, or a proxy before it, has a fault.
    OzServerError,
    /// The answer can't be read.
    OzUnreadable,
    /// The answer lacks what is needed.
    OzIncomplete,
    /// Oz refuses our session, also after a renewal.
    OzSessionRefused,
    /// Oz refuses our login.
    OzLoginRefused,
    /// Oz doesn't know the analysis that it started.
    OzAnalysisMissing,
    /// A word of a later version.
    #[serde(other, skip_serializing)]
    Unknown,
}

impl Cause {
    /// All causes that this version knows.
    pub const ALL: [Self; 10] = [
        Self::OzUnreachable,
        Self::OzTimeout,
        Self::OzInterrupted,
        Self::OzRateLimited,
        Self::OzServerError,
        Self::OzUnreadable,
        Self::OzIncomplete,
        Self::OzSessionRefused,
        Self::OzLoginRefused,
        Self::OzAnalysisMissing,
    ];

    /// The word as callers see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OzUnreachable => "OZ_UNREACHABLE",
            Self::OzTimeout => "OZ_TIMEOUT",
            Self::OzInterrupted => "OZ_INTERRUPTED",
            Self::OzRateLimited => "OZ_RATE_LIMITED",
            Self::OzServerError => "OZ_SERVER_ERROR",
            Self::OzUnreadable => "OZ_UNREADABLE",
            Self::OzIncomplete => "OZ_INCOMPLETE",
            Self::OzSessionRefused => "OZ_SESSION_REFUSED",
            Self::OzLoginRefused => "OZ_LOGIN_REFUSED",
            Self::OzAnalysisMissing => "OZ_ANALYSIS_MISSING",
            Self::Unknown => "UNKNOWN",
        }
    }
}
