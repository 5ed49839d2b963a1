//! A call that failed, as people read it: code, reason, message, what is wrong with which field,
//! and what to try.
//!
//! It judges nothing: whether to call again is `resume`'s to say.

use std::{collections::BTreeMap, error::Error};

use tonic::{Code, Status, transport::Uri};
use tonic_types::StatusExt;

use crate::cli::{
    render::text::plain,
    resume::{self, Outcome},
};

/// Several lines, the first of which tells the error.
pub fn status(status: &Status, server: &Uri) -> String {
    let reason = reason(status);
    let mut lines = match broken(status) {
        Some(broken) => vec![broken, format!("  {}", is_it_running(server))],
        None => refusal(status, reason.as_deref()),
    };
    lines.extend(hint(status.code(), reason.as_deref(), server).map(|hint| format!("  {hint}")));
    lines.dedup();
    lines.iter().map(|line| plain(line)).collect::<Vec<_>>().join("\n")
}

/// What keeps a call from going on, in a few words for somebody who waits for it to pass.
pub fn outage(status: &Status) -> String {
    let words = match reason(status) {
        Some(reason) => format!("{} ({reason})", status.message()),
        None if resume::never_left(status) => format!("can't reach the server: {}", cause(status)),
        None if status.source().is_some() => BROKEN.to_owned(),
        None => status.message().to_owned(),
    };
    plain(&words)
}

/// A server that could not be reached.
pub fn unreachable(error: &(dyn Error + 'static), server: &Uri) -> String {
    let running = is_it_running(server);
    plain(&format!("can't reach {server}: {}", root(error))) + "\n  " + &running
}

/// The word that the server gave for the error; unset if the error is not the server's.
pub fn reason(status: &Status) -> Option<String> {
    status.get_details_error_info().map(|info| info.reason).filter(|reason| !reason.is_empty())
}

/// The name of a code, as in the specification of gRPC.
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// How people call what the transport has many words for.
const BROKEN: &str = "the connection broke";

/// A call that the transport lost. The code that it has then was made up on this side.
fn broken(status: &Status) -> Option<String> {
    let lost = reason(status).is_none() && resume::outcome_of(status) == Outcome::Broken;
    match status.source() {
        Some(_) if lost && resume::never_left(status) => Some(outage(status)),
        Some(_) if lost => Some(format!("{BROKEN}: {}", cause(status))),
        Some(_) | None => None,
    }
}

/// What the server, or something in front of it, answered. Each wrong field is told once: in the
/// message where it is the only one, else in a line of its own.
fn refusal(status: &Status, reason: Option<&str>) -> Vec<String> {
    let (wrong, message) = (violations(status), message(status));
    let repeats = wrong.iter().all(|sentence| message.contains(sentence));
    let (message, wrong) = match wrong.len() {
        1 if repeats => (message, Vec::new()),
        fields @ 2.. if repeats => (format!("{fields} fields are wrong"), wrong),
        _ => (message, wrong),
    };
    let words = reason.map_or(String::new(), |reason| format!(" {reason}"));
    let mut lines = vec![format!("{}{words}: {message}", code_name(status.code()))];
    let more = metadata(status).into_iter().filter(|(_, value)| !message.contains(value));
    lines.extend(wrong.iter().map(|sentence| format!("  {sentence}")));
    lines.extend(more.map(|(key, value)| format!("  {key}: {value}")));
    lines
}

/// The message, and below "transport error" the cause of it.
fn message(status: &Status) -> String {
    let (message, cause) = (status.message(), cause(status));
    if message.contains(&cause) { message.to_owned() } else { format!("{message}: {cause}") }
}

/// What lies below an error of this side; empty for one that came from the other.
fn cause(status: &Status) -> String {
    status.source().map_or(String::new(), |source| root(source).to_string())
}

fn root<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    std::iter::successors(Some(error), |&error| error.source()).last().unwrap_or(error)
}

fn violations(status: &Status) -> Vec<String> {
    let wrong = status.get_details_bad_request().map(|request| request.field_violations);
    let sentence = |violation: tonic_types::FieldViolation| {
        format!("{} {}", violation.field, violation.description)
    };
    wrong.into_iter().flatten().map(sentence).collect()
}

/// The variable parts of the error, in the order of their names.
fn metadata(status: &Status) -> BTreeMap<String, String> {
    let info = status.get_details_error_info();
    info.map(|info| info.metadata.into_iter().collect()).unwrap_or_default()
}

fn hint(code: Code, reason: Option<&str>, server: &Uri) -> Option<String> {
    match (code, reason) {
        (Code::Unavailable, None) => Some(is_it_running(server)),
        (Code::Unimplemented, None) => Some(format!("is {server} a FaceMatch of this version?")),
        (_, Some("MATCH_NOT_FOUND")) => {
            Some("the id is wrong, or the match was erased; facematch list shows all".to_owned())
        }
        (_, Some("REQUEST_ID_REUSED")) => {
            Some("another match has this --request-id; choose another one".to_owned())
        }
        (_, Some("MATCH_RUNNING")) => Some("facematch cancel ends it first".to_owned()),
        (_, Some("TOKEN_EXPIRED")) => {
            Some("--resume-token earliest starts at the oldest update retained".to_owned())
        }
        (_, Some("OVERLOADED")) => Some("try again later".to_owned()),
        _ => None,
    }
}

fn is_it_running(server: &Uri) -> String {
    format!("is a server running at {server}? facematch serve starts one, --server names another")
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, io, sync::Arc};

    use tonic::ConnectError;
    use tonic_types::ErrorDetails;

    use super::*;

    fn at() -> Uri {
        Uri::from_static("http://127.0.0.1:50051")
    }

    #[test]
    fn every_wrong_field_has_its_line() {
        let mut details = ErrorDetails::new();
        details
            .set_error_info("FIELD_INVALID", "facematch", HashMap::new())
            .add_bad_request_violation("folder_id", "must be a UUID")
            .add_bad_request_violation("photo", "is required");
        let refused = |message: &str| {
            Status::with_error_details(Code::InvalidArgument, message, details.clone())
        };
        for (message, told) in
            [("folder_id must be a UUID; photo is required", "2 fields are wrong"), ("no", "no")]
        {
            assert_eq!(
                status(&refused(message), &at()),
                format!(
                    "INVALID_ARGUMENT FIELD_INVALID: {told}\n  folder_id must be a UUID\n  photo is \
                     required"
                )
            );
        }
    }

    #[test]
    fn what_the_message_says_is_not_said_again() {
        let metadata = HashMap::from([("field", "photo"), ("match_id", "m-1")]);
        let metadata = metadata.into_iter().map(|(key, text)| (key.to_owned(), text.to_owned()));
        let mut details = ErrorDetails::new();
        details
            .set_error_info("REQUEST_ID_REUSED", "facematch", metadata.collect::<HashMap<_, _>>())
            .add_bad_request_violation("photo", "is another one");
        let refused =
            Status::with_error_details(Code::AlreadyExists, "photo is another one", details);
        assert_eq!(
            status(&refused, &at()),
            "ALREADY_EXISTS REQUEST_ID_REUSED: photo is another one\n  match_id: m-1\n  another match \
             has this --request-id; choose another one"
        );
    }

    #[test]
    fn what_the_transport_lost_is_a_connection_that_broke() {
        let below = io::Error::other("error reading a body");
        let mut lost = Status::unknown("h2 protocol error: error reading a body from connection");
        lost.set_source(Arc::new(below));
        assert_eq!(outage(&lost), "the connection broke");
        assert!(status(&lost, &at()).starts_with("the connection broke: error reading a body\n"));

        let mut away = Status::unavailable("tcp connect error");
        away.set_source(Arc::new(ConnectError(io::Error::other("refused").into())));
        assert_eq!(outage(&away), "can't reach the server: refused");
    }

    #[test]
    fn a_server_that_shuts_down_says_so_itself() {
        let details = ErrorDetails::with_error_info("SERVER_DRAINING", "facematch", HashMap::new());
        let draining =
            Status::with_error_details(Code::Unavailable, "the server is shutting down", details);
        assert_eq!(outage(&draining), "the server is shutting down (SERVER_DRAINING)");
    }

    #[test]
    fn a_server_that_is_not_there_is_asked_for() {
        assert_eq!(
            status(&Status::unavailable("tcp connect error"), &at()),
            "UNAVAILABLE: tcp connect error\n  is a server running at http://127.0.0.1:50051/? \
             facematch serve starts one, --server names another"
        );
    }

    #[test]
    fn a_message_cannot_drive_the_terminal() {
        let text = status(&Status::internal("\u{1b}[2Jgone\nnext"), &at());
        assert_eq!(text, "INTERNAL: \u{fffd}[2Jgone\u{fffd}next");
    }
}
