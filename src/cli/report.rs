//! What a command says beside its answer, on standard error: lines for people, or one JSON object a
//! line for programs.
//!
//! Standard output has nothing but answers, so that it can be piped.

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

/// Tells why a command failed.
pub fn failure(output: Output, failure: &FailureDetails) {
    match output {
        Output::Text => people(&failure.text()),
        Output::Json => line(&json::failure(failure)),
    }
}

/// Tells of a call that failed.
pub fn call_failed(output: Output, status: &Status, server: &Uri) -> Exit {
    failure(output, &FailureDetails::of(status, server));
    Exit::CallFailed
}

/// Tells of something that is wrong on this side; nothing was called.
pub fn usage(output: Output, message: &str) -> Exit {
    failure(output, &FailureDetails::own(message));
    Exit::Usage
}

/// Tells of an output that can't be written. A reader that has closed its pipe needs no message.
pub fn unwritable(output: Output, error: &io::Error) -> Exit {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Exit::ClosedPipe;
    }
    failure(output, &FailureDetails::own(format!("can't write the output: {error}")));
    Exit::Unwritable
}

/// Tells of something that is no error.
pub fn notice(output: Output, notice: &Notice<'_>) {
    match output {
        Output::Text => people(&notice.text()),
        Output::Json => line(&json::notice(notice)),
    }
}

/// Says something to a person. Line breaks stay; no other control character reaches the terminal.
pub fn people(text: &str) {
    let lines = text.lines().map(config::one_line);
    line(&format!("facematch: {}", lines.collect::<Vec<_>>().join("\n")));
}

/// An error and its causes, in one line.
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Standard error may be closed; there is no other place to say so.
fn line(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
