//! The retry table: what each kind of failure means for each kind of request.
//!
//! Transient trouble is waited out until the match's deadline; trouble that a repeat can't fix ends
//! the match. The table deliberately has no wildcard: a new kind of failure must be given its row.

use std::time::Duration;

use crate::domain::{
    ask::{AskKind, Failure, FailureKind, LibraryFault},
    reason::Reason,
};

/// How a failure is treated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Treatment {
    /// Transient: try again later.
    Wait,
    /// Transient, but counted: the answer lacked required data, and too many such answers are
    /// final.
    WaitCounted,
    /// Oz doesn't know, or doesn't show, the analysis that it started. This passes within minutes,
    /// for instance after a redeployment of Oz, or never.
    WaitMissing,
    /// Our login is refused. This passes if the operator fixes the credentials soon.
    WaitForLogin,
    /// Final: it ends the match.
    End(Reason),
}

/// The entry for this failure of this request. `processing` says whether the match has an analysis:
/// it has been paid for, so even a refused login is waited out until the deadline.
pub fn treat(kind: FailureKind, ask: AskKind, processing: bool) -> Treatment {
    use Treatment::{End, Wait, WaitCounted, WaitForLogin, WaitMissing};
    match kind {
        FailureKind::Unreachable
        | FailureKind::TimedOut
        | FailureKind::Interrupted
        | FailureKind::RateLimited
        | FailureKind::ServerError
        | FailureKind::Redirected
        | FailureKind::Unreadable
        | FailureKind::SessionRefused
        | FailureKind::Unauthorized
        | FailureKind::Foreign => Wait,
        FailureKind::Incomplete => WaitCounted,
        FailureKind::LoginRefused if processing => Wait,
        FailureKind::LoginRefused => WaitForLogin,
        FailureKind::Forbidden => match ask {
            AskKind::ReadFolder | AskKind::UploadPhoto | AskKind::StartAnalyses => {
                End(Reason::OzForbidden)
            }
            AskKind::ReadAnalysis => WaitMissing,
            AskKind::ReadReference => WaitCounted,
        },
        FailureKind::NotFound => match ask {
            AskKind::ReadFolder | AskKind::UploadPhoto | AskKind::StartAnalyses => {
                End(Reason::OzFolderNotFound)
            }
            AskKind::ReadAnalysis => WaitMissing,
            AskKind::ReadReference => WaitCounted,
        },
        FailureKind::TooLarge | FailureKind::Rejected => match ask {
            AskKind::UploadPhoto => End(Reason::OzRejectedPhoto),
            AskKind::StartAnalyses => End(Reason::OzAnalysisFailed),
            AskKind::ReadFolder | AskKind::ReadAnalysis | AskKind::ReadReference => WaitCounted,
        },
        FailureKind::Library(fault) => library(fault),
    }
}

/// Only a library that can't be reached is waited for: all else stays as it is until an operator
/// repairs it.
const fn library(fault: LibraryFault) -> Treatment {
    Treatment::End(match fault {
        LibraryFault::Unreachable => return Treatment::Wait,
        LibraryFault::Forbidden => Reason::LibraryForbidden,
        LibraryFault::Protocol => Reason::LibraryProtocol,
        LibraryFault::NotFound => Reason::ReferenceNotFound,
        LibraryFault::Ambiguous => Reason::ReferenceAmbiguous,
        LibraryFault::Unreadable => Reason::ReferenceUnreadable,
        LibraryFault::TooLarge => Reason::ReferenceTooLarge,
    })
}

/// The message of a match that waits for the photo library, or that a failure of it ends.
pub const fn library_message(fault: LibraryFault) -> &'static str {
    match library(fault) {
        Treatment::End(reason) => message(reason),
        _ => "the photo library can't be reached",
    }
}

/// The message of a match that a failure ends for this reason.
pub const fn message(reason: Reason) -> &'static str {
    match reason {
        Reason::OzLoginRefused => "Oz refuses the login of this server",
        Reason::OzForbidden => "Oz doesn't let this server's account do that",
        Reason::OzFolderNotFound => "Oz has no such folder",
        Reason::OzRejectedPhoto => "Oz refuses the photo",
        Reason::OzFolderFull => "Oz refuses the photo, and the folder is full",
        Reason::OzAnalysisFailed => "Oz refuses to start the analysis",
        Reason::OzProtocol => "Oz's answers lack what is needed",
        Reason::ReferenceNotFound => "the photo library has no photo for this key",
        Reason::ReferenceAmbiguous => "the photo library has several photos for this key",
        Reason::ReferenceUnreadable => "the library's photo is no whole JPEG or PNG",
        Reason::ReferenceTooLarge => "the library's photo is over 10 MiB",
        Reason::LibraryForbidden => "the photo library refuses this server",
        Reason::LibraryProtocol => "the photo library answers otherwise than agreed",
        Reason::OzInconclusive
        | Reason::OzUnknownStatus
        | Reason::OzMediaNotFound
        | Reason::LivenessMediaNotFound
        | Reason::LivenessNotPassed
        | Reason::MatchTimedOut
        | Reason::PhotoLost
        | Reason::Unknown => "the match failed",
    }
}

/// How long to wait after the `failures`-th failure in a row: exponential backoff with jitter, from
/// `base` to its `failures`-th double, at most `max`. `chance` (0..1) picks the point in that
/// range, so that matches that failed together don't come back together. The wait is never shorter
/// than Oz's Retry-After.
pub fn delay(
    failures: u32,
    base: Duration,
    max: Duration,
    chance: f64,
    failure: &Failure,
) -> Duration {
    spread(failures, base, max, chance).max(failure.retry_after.unwrap_or_default())
}

/// A duration from `base` to its `doublings`-th double, at most `max`; `chance` (0..1) picks it.
pub fn spread(doublings: u32, base: Duration, max: Duration, chance: f64) -> Duration {
    let doubled = base.saturating_mul(2u32.saturating_pow(doublings.min(20)));
    let span = doubled.min(max).saturating_sub(base);
    base + span.mul_f64(chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn every_failure_of_every_request_has_its_row() {
        use FailureKind::{
            Forbidden, Foreign, Incomplete, Interrupted, LoginRefused, NotFound, RateLimited,
            Redirected, Rejected, ServerError, SessionRefused, TimedOut, TooLarge, Unauthorized,
            Unreachable, Unreadable,
        };
        use Treatment::{
            End, Wait, WaitCounted as Counted, WaitForLogin as Login, WaitMissing as Missing,
        };
        const FORBIDDEN: Treatment = End(Reason::OzForbidden);
        const NO_FOLDER: Treatment = End(Reason::OzFolderNotFound);
        const PHOTO: Treatment = End(Reason::OzRejectedPhoto);
        const START: Treatment = End(Reason::OzAnalysisFailed);
        let asks = [
            (AskKind::ReadFolder, false),
            (AskKind::UploadPhoto, false),
            (AskKind::StartAnalyses, false),
            (AskKind::ReadAnalysis, true),
            (AskKind::ReadReference, false),
        ];
        for (kind, row) in [
            (Unreachable, [Wait, Wait, Wait, Wait, Wait]),
            (TimedOut, [Wait, Wait, Wait, Wait, Wait]),
            (Interrupted, [Wait, Wait, Wait, Wait, Wait]),
            (RateLimited, [Wait, Wait, Wait, Wait, Wait]),
            (ServerError, [Wait, Wait, Wait, Wait, Wait]),
            (Redirected, [Wait, Wait, Wait, Wait, Wait]),
            (Unreadable, [Wait, Wait, Wait, Wait, Wait]),
            (SessionRefused, [Wait, Wait, Wait, Wait, Wait]),
            (Unauthorized, [Wait, Wait, Wait, Wait, Wait]),
            (Foreign, [Wait, Wait, Wait, Wait, Wait]),
            (Incomplete, [Counted, Counted, Counted, Counted, Counted]),
            (LoginRefused, [Login, Login, Login, Wait, Login]),
            (Forbidden, [FORBIDDEN, FORBIDDEN, FORBIDDEN, Missing, Counted]),
            (NotFound, [NO_FOLDER, NO_FOLDER, NO_FOLDER, Missing, Counted]),
            (TooLarge, [Counted, PHOTO, START, Counted, Counted]),
            (Rejected, [Counted, PHOTO, START, Counted, Counted]),
        ] {
            assert_eq!(asks.map(|(ask, processing)| treat(kind, ask, processing)), row, "{kind:?}");
        }
    }

    #[test]
    fn only_a_library_that_cannot_be_reached_is_waited_for() {
        for (fault, treatment) in [
            (LibraryFault::Unreachable, Treatment::Wait),
            (LibraryFault::Forbidden, Treatment::End(Reason::LibraryForbidden)),
            (LibraryFault::Protocol, Treatment::End(Reason::LibraryProtocol)),
            (LibraryFault::NotFound, Treatment::End(Reason::ReferenceNotFound)),
            (LibraryFault::Ambiguous, Treatment::End(Reason::ReferenceAmbiguous)),
            (LibraryFault::Unreadable, Treatment::End(Reason::ReferenceUnreadable)),
            (LibraryFault::TooLarge, Treatment::End(Reason::ReferenceTooLarge)),
        ] {
            let kind = FailureKind::Library(fault);
            assert_eq!(treat(kind, AskKind::ReadReference, false), treatment, "{fault:?}");
        }
    }

    #[test]
    fn every_reason_that_a_failure_ends_with_has_its_own_message() {
        let reasons = [
            Reason::OzLoginRefused,
            Reason::OzForbidden,
            Reason::OzFolderNotFound,
            Reason::OzRejectedPhoto,
            Reason::OzFolderFull,
            Reason::OzAnalysisFailed,
            Reason::OzProtocol,
            Reason::ReferenceNotFound,
            Reason::ReferenceAmbiguous,
            Reason::ReferenceUnreadable,
            Reason::ReferenceTooLarge,
            Reason::LibraryForbidden,
            Reason::LibraryProtocol,
        ];
        let messages = BTreeSet::from(reasons.map(message));
        assert_eq!(messages.len(), reasons.len());
        let names_who = |message: &&str| message.starts_with("Oz") || message.contains("library");
        assert!(messages.iter().all(names_who), "{messages:?}");
    }

    #[test]
    fn the_delay_lies_between_the_base_and_its_doubles_and_is_capped() {
        let max = Duration::from_secs(30);
        let plain = Failure::new(FailureKind::ServerError, "");
        for (failures, [least, middle, most]) in [
            (1, [1000, 1500, 2000]),
            (2, [1000, 2500, 4000]),
            (3, [1000, 4500, 8000]),
            (4, [1000, 8500, 16_000]),
            (5, [1000, 15_500, 30_000]),
            (u32::MAX, [1000, 15_500, 30_000]),
        ] {
            let at = |chance| delay(failures, SECOND, max, chance, &plain).as_millis();
            assert_eq!([0.0, 0.5, 1.0].map(at), [least, middle, most], "{failures}");
            assert_eq!([-1.0, 2.0].map(at), [least, most], "chance out of bounds");
        }
    }

    #[test]
    fn a_base_beyond_the_cap_is_kept() {
        let plain = Failure::new(FailureKind::ServerError, "");
        let (base, max) = (Duration::from_secs(60), Duration::from_secs(30));
        assert_eq!(delay(3, base, max, 1.0, &plain), base);
    }

    #[test]
    fn retry_after_is_never_undercut() {
        let failure = |seconds| Failure {
            retry_after: Some(Duration::from_secs(seconds)),
            ..Failure::new(FailureKind::RateLimited, "")
        };
        let delay = |seconds| delay(1, SECOND, SECOND * 30, 1.0, &failure(seconds)).as_secs();
        assert_eq!([0, 1, 90, u64::MAX].map(delay), [2, 2, 90, u64::MAX]);
    }
}
