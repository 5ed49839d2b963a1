//! Prints errors and notices on standard error: lines for people, or one JSON object per line for
//! programs.
//!
//! Standard output is deliberately left to answers, so that it can be piped.

use std::{
    error::Error,
    io::{self, Write},
};

use tonic::{Status, transport::Uri};

use crate::{
    cli::{
        Exit,
        args::Output,
        render::{failure::FailureDetails, json, notice::Notice},
    },
    config,
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
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Exit::ClosedPipe;
    }
    failure(output, &FailureDetails::own(format!("can't write the output: {error}")));
    Exit::Unwritable
}

/// Prints a notice, which isn't an error.
pub fn notice(output: Output, notice: &Notice<'_>) {
    match output {
        Output::Text => people(&notice.text()),
        Output::Json => line(&json::notice(notice)),
    }
}

/// Prints text for people. Line breaks stay; no other control character reaches the terminal.
pub fn people(text: &str) {
    let lines = text.lines().map(config::one_line);
    line(&format!("facematch: {}", lines.collect::<Vec<_>>().join("\n")));
}

/// An error and its causes, in one line.
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Prints a line. A failure is ignored: standard error may be closed, and there is no other place
/// to report it.
fn line(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
