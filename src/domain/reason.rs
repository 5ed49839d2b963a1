//! Why a match failed, or why it waits: stable words that callers can rely on.

use serde::{Deserialize, Serialize};

/// Why there will be no verdict.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Reason {
    /// Oz's analysis ended as FAILED, or Oz refused to start it.
    OzAnalysisFailed,
    /// Oz's analysis ended without a usable score.
    OzInconclusive,
    /// Oz reported a status that this version doesn't know.
    OzUnknownStatus,
    /// Oz knows no such folder.
    OzFolderNotFound,
    /// Oz doesn't let our account do this.
    OzForbidden,
    /// The folder doesn't hold the reference photo that the request names, or it is not an image.
    OzMediaNotFound,
    /// The folder has no liveness media, or lacks a named one.
    LivenessMediaNotFound,
    /// The liveness analysis doesn't say SUCCESS, and the caller requires it to.
    LivenessNotPassed,
    /// Oz refused the photo.
    OzRejectedPhoto,
    /// Oz refused the photo, and the folder holds as many files as Oz allows.
    OzFolderFull,
    /// Oz's answers lacked required data too often, or Oz didn't show the analysis for too long.
    OzProtocol,
    /// Oz refuses our login.
    OzLoginRefused,
    /// The deadline passed.
    MatchTimedOut,
    /// The replica that held the photo is gone, and the caller didn't send the photo again in time.
    PhotoLost,
    /// The photo library has no photo for the key.
    ReferenceNotFound,
    /// The photo library has several photos for the key.
    ReferenceAmbiguous,
    /// The library's photo is no whole JPEG or PNG.
    ReferenceUnreadable,
    /// The library's photo is over 10 MiB.
    ReferenceTooLarge,
    /// The photo library refuses this server.
    LibraryForbidden,
    /// The photo library answers otherwise than agreed.
    LibraryProtocol,
    /// A reason from a later version.
    #[serde(other, skip_serializing)]
    Unknown,
}

/// gRPC status codes that a failed match can have (`google.rpc.Code`), as plain numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum Code {
    /// The reason is from a later version, so its code isn't known.
    Unknown = 2,
    /// The caller sent something wrong.
    InvalidArgument = 3,
    /// The deadline passed.
    DeadlineExceeded = 4,
    /// Something that the request names doesn't exist.
    NotFound = 5,
    /// Oz doesn't allow it.
    PermissionDenied = 7,
    /// Something is not in the required state.
    FailedPrecondition = 9,
    /// Oz, the photo library or this service is at fault, not the caller.
    Internal = 13,
    /// Not possible now; it may work later.
    Unavailable = 14,
}

impl Reason {
    /// All reasons that this version knows.
    pub const ALL: [Self; 20] = [
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
        Self::ReferenceNotFound,
        Self::ReferenceAmbiguous,
        Self::ReferenceUnreadable,
        Self::ReferenceTooLarge,
        Self::LibraryForbidden,
        Self::LibraryProtocol,
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
            Self::ReferenceNotFound => "REFERENCE_NOT_FOUND",
            Self::ReferenceAmbiguous => "REFERENCE_AMBIGUOUS",
            Self::ReferenceUnreadable => "REFERENCE_UNREADABLE",
            Self::ReferenceTooLarge => "REFERENCE_TOO_LARGE",
            Self::LibraryForbidden => "LIBRARY_FORBIDDEN",
            Self::LibraryProtocol => "LIBRARY_PROTOCOL",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// Whether the match failed because of the photo library, or of the photo in it.
    pub const fn is_of_library(self) -> bool {
        match self {
            Self::ReferenceNotFound
            | Self::ReferenceAmbiguous
            | Self::ReferenceUnreadable
            | Self::ReferenceTooLarge
            | Self::LibraryForbidden
            | Self::LibraryProtocol => true,
            Self::OzAnalysisFailed
            | Self::OzInconclusive
            | Self::OzUnknownStatus
            | Self::OzFolderNotFound
            | Self::OzForbidden
            | Self::OzMediaNotFound
            | Self::LivenessMediaNotFound
            | Self::LivenessNotPassed
            | Self::OzRejectedPhoto
            | Self::OzFolderFull
            | Self::OzProtocol
            | Self::OzLoginRefused
            | Self::MatchTimedOut
            | Self::PhotoLost
            | Self::Unknown => false,
        }
    }

    /// The gRPC status code of a match that failed for this reason.
    pub const fn code(self) -> Code {
        match self {
            Self::OzAnalysisFailed
            | Self::OzInconclusive
            | Self::OzUnknownStatus
            | Self::OzProtocol
            | Self::LibraryForbidden
            | Self::LibraryProtocol => Code::Internal,
            Self::OzFolderNotFound | Self::OzMediaNotFound | Self::ReferenceNotFound => {
                Code::NotFound
            }
            Self::OzForbidden => Code::PermissionDenied,
            Self::LivenessMediaNotFound
            | Self::LivenessNotPassed
            | Self::OzFolderFull
            | Self::ReferenceAmbiguous => Code::FailedPrecondition,
            Self::OzRejectedPhoto | Self::ReferenceUnreadable | Self::ReferenceTooLarge => {
                Code::InvalidArgument
            }
            Self::OzLoginRefused | Self::PhotoLost => Code::Unavailable,
            Self::MatchTimedOut => Code::DeadlineExceeded,
            Self::Unknown => Code::Unknown,
        }
    }

    /// Whether the same call with a new request id may succeed.
    pub const fn retryable(self) -> bool {
        match self {
            Self::OzAnalysisFailed
            | Self::OzInconclusive
            | Self::OzProtocol
            | Self::OzLoginRefused
            | Self::MatchTimedOut
            | Self::PhotoLost
            | Self::LibraryProtocol => true,
            Self::OzUnknownStatus
            | Self::OzFolderNotFound
            | Self::OzForbidden
            | Self::OzMediaNotFound
            | Self::LivenessMediaNotFound
            | Self::LivenessNotPassed
            | Self::OzRejectedPhoto
            | Self::OzFolderFull
            | Self::ReferenceNotFound
            | Self::ReferenceAmbiguous
            | Self::ReferenceUnreadable
            | Self::ReferenceTooLarge
            | Self::LibraryForbidden
            | Self::Unknown => false,
        }
    }
}

/// The kind of trouble at Oz, or at the photo library, that a match is waiting out.
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
    /// Oz, or a proxy in front of it, has a fault.
    OzServerError,
    /// The answer can't be read.
    OzUnreadable,
    /// The answer lacks required data.
    OzIncomplete,
    /// Oz refuses our session, also after a renewal.
    OzSessionRefused,
    /// Oz refuses our login.
    OzLoginRefused,
    /// Oz doesn't know the analysis that it started.
    OzAnalysisMissing,
    /// The photo library can't be reached, or doesn't answer in time.
    LibraryUnreachable,
    /// A cause from a later version.
    #[serde(other, skip_serializing)]
    Unknown,
}

impl Cause {
    /// All causes that this version knows.
    pub const ALL: [Self; 11] = [
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
        Self::LibraryUnreachable,
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
            Self::LibraryUnreachable => "LIBRARY_UNREACHABLE",
            Self::Unknown => "UNKNOWN",
        }
    }
}
