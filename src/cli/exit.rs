//! The exit codes, which scripts rely on.
//!
//! It decides nothing else: the commands print.

use std::process::ExitCode;

use crate::pb::{Match, MatchState, Resolution};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The command succeeded; for a match, its verdict is SUCCESS.
    Success,
    /// The match FINISHED as DECLINED: another person.
    Declined,
    /// The match FINISHED as OPERATOR_REQUIRED: Oz leaves the decision to a person.
    OperatorRequired,
    /// The match FAILED or was CANCELLED: there is no verdict.
    NoVerdict,
    /// The call failed: the command learned nothing about the match's verdict.
    CallFailed,
    /// The match has ended with a result that this version doesn't know. The call itself succeeded.
    UnknownVerdict,
    /// A line of an audit file doesn't fit.
    Unfit,
    /// The server that `health` asked is not healthy, or doesn't answer.
    Unhealthy,
    /// An Oz installation differs from what FaceMatch assumes.
    OzDiffers,
    /// `serve`, `sim` or `demo` could not start, or failed.
    Broken,
    /// The command line, a setting, a photo or a file is wrong; nothing was called.
    Usage,
    /// The output can't be written, for instance because a disk is full.
    Unwritable,
    /// Ctrl-C ended the command. An accepted match continues.
    Interrupted,
    /// The reader of the output has closed the pipe, as `| head -1` does.
    ClosedPipe,
}

impl Exit {
    /// The number that the shell sees. Wrong usage is 64, as in sysexits.h, because clap's own 2
    /// would mean OPERATOR_REQUIRED. 74 is sysexits.h's number for an output error. 130 and 141 are
    /// the numbers that shells show for a process ended by SIGINT or SIGPIPE.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Declined | Self::Unfit | Self::Unhealthy | Self::OzDiffers | Self::Broken => 1,
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

    /// The exit code of a match that has ended. A state or resolution that this version doesn't
    /// know is never a success.
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
    use crate::pb::MatchResult;

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
    fn a_resolution_of_a_later_version_is_not_a_success() {
        let result = MatchResult { resolution: 99, ..Default::default() };
        let state = MatchState::Finished.into();
        let ended = Match { state, result: Some(result), ..Default::default() };
        assert_eq!(Exit::of(&ended), Exit::UnknownVerdict);
    }
}
