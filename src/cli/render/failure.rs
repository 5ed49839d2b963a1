//! A call that failed, as people read it: code, reason, message, what is wrong with which field,
//! and what to try.
//!
//! It judges nothing: whether to call again is `resume`'s to say.

use std::error::Error;

use tonic::{Code, Status, transport::Uri};
use tonic_types::StatusExt;

use crate::cli::render::text::plain;

/// Several lines, the first of which tells the error.
pub fn status(status: &Status, server: &Uri) -> String {
    let reason = reason(status);
    let words = reason.as_ref().map_or(String::new(), |reason| format!(" {reason}"));
    let mut lines = vec![format!("{}{words}: {}", code_name(status.code()), message(status))];
    lines.extend(violations(status));
    lines.extend(hint(status.code(), reason.as_deref(), server).map(|hint| format!("  {hint}")));
    lines.iter().map(|line| plain(line)).collect::<Vec<_>>().join("\n")
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

/// The message, and below "transport error" the cause of it.
fn message(status: &Status) -> String {
    let message = status.message();
    match status.source().map(|source| root(source).to_string()) {
        Some(cause) if !message.contains(&cause) => format!("{message}: {cause}"),
        Some(_) | None => message.to_owned(),
    }
}

fn root<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    std::iter::successors(Some(error), |&error| error.source()).last().unwrap_or(error)
}

fn violations(status: &Status) -> Vec<String> {
    let wrong = status.get_details_bad_request().map(|request| request.field_violations);
    let line = |violation: tonic_types::FieldViolation| {
        format!("  {}: {}", violation.field, violation.description)
    };
    wrong.into_iter().flatten().map(line).collect()
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
    use std::collections::HashMap;

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
        let refused = Status::with_error_details(Code::InvalidArgument, "2 fields", details);
        assert_eq!(
            status(&refused, &at()),
            "INVALID_ARGUMENT FIELD_INVALID: 2 fields\n  folder_id: must be a UUID\n  photo: is \
             required"
        );
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
