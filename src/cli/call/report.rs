//! Prints errors and notices of calls on standard error: lines for people, or one JSON object per
//! line for programs.
//!
//! Standard output is deliberately left to answers, so that it can be piped.

use std::{error::Error, io};

use tonic::{Status, transport::Uri};

use crate::cli::call::{
    Exit,
    args::Output,
    render::{failure::FailureDetails, json, notice::Notice},
    resume::Retry,
    stderr::{self, line, people},
};

/// Prints why a command failed.
pub fn failure(output: Output, failure: &FailureDetails) {
    match output {
        Output::Text => people(&failure.text()),
        Output::Json => line(&json::failure(failure)),
    }
}

/// Prints why a call failed.
pub fn call_failed(output: Output, status: &Status, server: &Uri) -> Exit {
    failure(output, &FailureDetails::of(status, server));
    Exit::CallFailed
}

/// Prints an error on the client's side. No server was called.
pub fn usage(output: Output, message: &str) -> Exit {
    failure(output, &FailureDetails::own(message));
    Exit::Usage
}

/// Prints that the output can't be written. If the reader has closed the pipe, it prints nothing.
pub fn unwritable(output: Output, error: &io::Error) -> Exit {
    match (output, error.kind()) {
        (Output::Text, _) | (_, io::ErrorKind::BrokenPipe) => stderr::unwritable(error),
        (Output::Json, _) => {
            failure(output, &FailureDetails::own(format!("can't write the output: {error}")));
            Exit::Unwritable
        }
    }
}

/// Prints a notice, which isn't an error.
pub fn notice(output: Output, notice: &Notice<'_>) {
    match output {
        Output::Text => people(&notice.text()),
        Output::Json => line(&json::notice(notice)),
    }
}

/// The outage that was reported last, so that the same is not reported at each retry.
#[derive(Debug, Default)]
pub struct ReportedOutage {
    cause: Option<String>,
}

impl ReportedOutage {
    /// Whether a retry begins an outage, or has another cause than the one before: then it is to be
    /// reported.
    pub fn has_news(&mut self, cause: &str, retry: Retry) -> bool {
        let is_known = retry.attempt > 1 && self.cause.as_deref() == Some(cause);
        self.cause = Some(cause.to_owned());
        !is_known
    }
}

/// An error and its causes, in one line.
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
