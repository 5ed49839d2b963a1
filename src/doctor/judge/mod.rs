//! Judges the answers of Oz and of the photo library: what holds, what differs, and what to do about it.
//!
//! Pure: it gets answers and returns findings. It deliberately asks nothing.

pub mod clock;
pub mod folder;
pub mod library;
pub mod reach;
pub mod rehearsal;
pub mod session;
#[cfg(test)]
mod tests;
pub mod version;

use crate::oz::{ProbeOutcome, WholeAnswer};

/// What an operator does about an answer that FaceMatch can't read.
pub const SEND_REPORT: &str = "repeat this with --report FILE and send the file to the developers";

/// An answer in a few words: its status, code and message, or why there is none.
pub fn told(outcome: &ProbeOutcome) -> String {
    match outcome {
        Ok(answer) => told_answer(answer),
        Err(none) => none.causes.clone(),
    }
}

/// The same for an answer.
pub fn told_answer(answer: &WholeAnswer) -> String {
    let status = answer.status;
    match &answer.failure {
        None => format!("status {status}"),
        Some(failure) => match failure.error_code {
            Some(code) => format!("status {status}, code {code}: {}", failure.message),
            None => format!("status {status}: {}", failure.message),
        },
    }
}

/// Whether the request was answered with a 2xx and JSON.
pub fn succeeded(outcome: &ProbeOutcome) -> bool {
    outcome.as_ref().is_ok_and(|answer| answer.failure.is_none())
}

/// The status of an answer.
pub fn status(outcome: &ProbeOutcome) -> Option<u16> {
    outcome.as_ref().ok().map(|answer| answer.status)
}

/// Whether Oz accepted the session of a request, also where it refused the request itself.
pub fn is_accepted(outcome: &ProbeOutcome) -> bool {
    outcome.as_ref().is_ok_and(|answer| answer.status != 401 && answer.is_by_oz())
}
