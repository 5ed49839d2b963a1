//! The retry table: what each kind of failure means for each kind of request.
//!
//! Trouble that passes is waited out until the match's deadline; what a repeat can't mend ends
//! the match. There is no wildcard: a new kind of failure must be given its row.

use std::time::Duration;

use crate::domain::{
    ask::{AskKind, Failure, FailureKind},
    reason::Reason,
};

/// What a failure means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Treatment {
    /// It passes: try again later.
    Wait,
    /// It passes only if it isn't one of many: the answer lacked what was needed.
    WaitCounted,
    /// Oz doesn't know what it made for us: it may not have got round to it yet.
    WaitMissing,
    /// It ends the match.
    End(Reason),
}

/// The row for this failure of this request. `processing`: whether the match has an analysis,
/// which has been paid for and is waited for through a refused login too.
pub fn treat(kind: FailureKind, ask: AskKind, processing: bool) -> Treatment {
    use Treatment::{End, Wait, WaitCounted, WaitMissing};
    match kind {
        FailureKind::Unreachable
        | FailureKind::TimedOut
        | FailureKind::Interrupted
        | FailureKind::RateLimited
        | FailureKind::ServerError
        | FailureKind::Redirected
        | FailureKind::Unreadable
        | FailureKind::SessionRefused => Wait,
        FailureKind::Incomplete => WaitCounted,
        FailureKind::LoginRefused if processing => Wait,
        FailureKind::LoginRefused => End(Reason::OzLoginRefused),
        FailureKind::Forbidden => End(Reason::OzForbidden),
        FailureKind::NotFound => match ask {
            AskKind::ReadFolder | AskKind::UploadPhoto | AskKind::StartAnalyses => {
                End(Reason::OzFolderNotFound)
            }
            AskKind::ReadAnalysis => WaitMissing,
        },
        FailureKind::TooLarge | FailureKind::Rejected => match ask {
            AskKind::UploadPhoto => End(Reason::OzRejectedPhoto),
            AskKind::StartAnalyses => End(Reason::OzAnalysisFailed),
            AskKind::ReadFolder | AskKind::ReadAnalysis => WaitCounted,
        },
    }
}

/// What a match says when such a failure ends it.
pub const fn message(reason: Reason) -> &'static str {
    match reason {
        Reason::OzLoginRefused => "Oz refuses the login of this server",
        Reason::OzForbidden => "Oz doesn't let this server's account do that",
        Reason::OzFolderNotFound => "Oz has no such folder",
        Reason::OzRejectedPhoto => "Oz refuses the photo",
        Reason::OzFolderFull => "Oz refuses the photo, and the folder is full",
        Reason::OzAnalysisFailed => "Oz refuses to start the analysis",
        Reason::OzProtocol => "Oz's answers lack what is needed",
        Reason::OzInconclusive
        | Reason::OzUnknownStatus
        | Reason::OzMediaNotFound
        | Reason::LivenessMediaNotFound
        | Reason::LivenessNotPassed
        | Reason::MatchTimedOut
        | Reason::PhotoLost => "the match failed",
    }
}

/// How long to wait after the `failures`-th failure in a row: somewhere from `base` to twice,
/// four times … `base`, at most `max`. `chance` (0..1) says where, so that matches that failed
/// together don't come back together. What Oz asks for with Retry-After is never undercut.
pub fn delay(
    failures: u32,
    base: Duration,
    max: Duration,
    chance: f64,
    failure: &Failure,
) -> Duration {
    let doubled = base.saturating_mul(2u32.saturating_pow(failures.min(20)));
    let span = doubled.min(max).saturating_sub(base);
    let jittered = base + span.mul_f64(chance.clamp(0.0, 1.0));
    jittered.max(failure.retry_after.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_grows_is_capped_and_never_undercuts_retry_after() {
        let (base, max) = (Duration::from_secs(1), Duration::from_secs(30));
        let plain = Failure::new(FailureKind::ServerError, "");
        let at = |failures, chance| delay(failures, base, max, chance, &plain);
        assert_eq!(at(1, 0.0), base);
        assert_eq!(at(1, 1.0), base * 2);
        assert_eq!(at(3, 0.5), Duration::from_millis(4500));
        assert_eq!(at(99, 1.0), max);
        let asked = Failure { retry_after: Some(Duration::from_secs(90)), ..plain };
        assert_eq!(delay(1, base, max, 0.3, &asked), Duration::from_secs(90));
    }

    #[test]
    fn a_refused_login_ends_only_matches_without_an_analysis() {
        let treat = |processing| treat(FailureKind::LoginRefused, AskKind::ReadFolder, processing);
        assert_eq!(treat(false), Treatment::End(Reason::OzLoginRefused));
        assert_eq!(treat(true), Treatment::Wait);
    }
}
