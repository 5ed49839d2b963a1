//! The exit codes, which scripts rest on.
//!
//! It decides nothing else: what was printed before is the commands' business.

use std::process::ExitCode;

use crate::cli::pb::{Match, MatchState, Resolution};

/// How a command of the client ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The command did what was asked; of a match: the same person.
    Success,
    /// The match FINISHED: another person.
    Declined,
    /// The match FINISHED: Oz leaves it to a person.
    OperatorRequired,
    /// The match FAILED or was CANCELLED: there is no verdict.
    NoVerdict,
    /// The call failed: nothing is known that wasn't known before.
    CallFailed,
    /// The match has ended in a way that this version doesn't know, so the call has not failed.
    UnknownVerdict,
    /// `serve`, `sim` or `demo` could not start, or broke.
    Broken,
    /// The command line, a setting or a photo is wrong; nothing was done.
    Usage,
    /// The output can't be written: a full disk, for instance.
    Unwritable,
    /// Ctrl-C; a match that had been accepted goes on.
    Interrupted,
    /// The reader of the output has closed it: `| head -1`.
    ClosedPipe,
}

impl Exit {
    /// The number that the shell sees. Clap's own 2 would be taken for OPERATOR_REQUIRED, hence 64,
    /// the number that sysexits.h gives to wrong usage; 74 is its number for an output that can't
    /// be written. 130 and 141 are what shells show of a process that SIGINT or SIGPIPE ended.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Declined | Self::Broken => 1,
            Self::OperatorRequired => 2,
            Self::NoVerdict => 3,
            Self::CallFailed => 4,
            Self::UnknownVerdict => 5,
            Self::Usage => 64,
            Self::Unwritable => 74,
            Self::Interrupted => 130,
            Self::ClosedPipe => 141,
        }
    }

    /// What a match that has ended means. A state or a resolution that this version doesn't know is
    /// no success.
    pub fn of(ended: &Match) -> Self {
        let resolution = ended.result.as_ref().map(|result| result.resolution());
        match (ended.state(), resolution) {
            (MatchState::Finished, Some(Resolution::Success)) => Self::Success,
            (MatchState::Finished, Some(Resolution::Declined)) => Self::Declined,
            (MatchState::Finished, Some(Resolution::OperatorRequired)) => Self::OperatorRequired,
            (MatchState::Finished, Some(Resolution::Unspecified) | None)
            | (MatchState::Unspecified, _) => Self::UnknownVerdict,
            (MatchState::Failed | MatchState::Cancelled, _) => Self::NoVerdict,
            (MatchState::Accepted | MatchState::Uploaded | MatchState::Processing, _) => {
                Self::CallFailed
            }
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::pb::MatchResult;

    fn ended(state: MatchState, resolution: Option<Resolution>) -> Match {
        let result = resolution
            .map(|resolution| MatchResult { resolution: resolution.into(), ..Default::default() });
        Match { state: state.into(), result, ..Default::default() }
    }

    #[test]
    fn the_exit_code_is_the_verdict() {
        for (state, resolution, code) in [
            (MatchState::Finished, Some(Resolution::Success), 0),
            (MatchState::Finished, Some(Resolution::Declined), 1),
            (MatchState::Finished, Some(Resolution::OperatorRequired), 2),
            (MatchState::Failed, None, 3),
            (MatchState::Cancelled, None, 3),
            (MatchState::Finished, None, 5),
            (MatchState::Finished, Some(Resolution::Unspecified), 5),
            (MatchState::Unspecified, None, 5),
            (MatchState::Processing, Some(Resolution::Success), 4),
        ] {
            let exit = Exit::of(&ended(state, resolution));
            assert_eq!(exit.code(), code, "{state:?} {resolution:?}");
        }
    }

    #[test]
    fn a_resolution_of_a_later_version_is_no_success() {
        let result = MatchResult { resolution: 99, ..Default::default() };
        let state = MatchState::Finished.into();
        let ended = Match { state, result: Some(result), ..Default::default() };
        assert_eq!(Exit::of(&ended), Exit::UnknownVerdict);
    }
}
