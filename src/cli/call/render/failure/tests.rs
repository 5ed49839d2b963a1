//! The exact text for failed calls.

use std::{collections::HashMap, io, sync::Arc};

use tonic::ConnectError;
use tonic_types::ErrorDetails;

use super::*;

fn told(status: &Status) -> String {
    FailureDetails::of(status, &Uri::from_static("http://127.0.0.1:50051")).text()
}

#[test]
fn every_wrong_field_has_a_line() {
    let mut details = ErrorDetails::new();
    details
        .set_error_info("FIELD_INVALID", "facematch", HashMap::new())
        .add_bad_request_violation("folder_id", "must be a UUID")
        .add_bad_request_violation("photo", "is required");
    let refused =
        |message: &str| Status::with_error_details(Code::InvalidArgument, message, details.clone());
    for (message, first) in
        [("folder_id must be a UUID; photo is required", "2 fields are wrong"), ("no", "no")]
    {
        assert_eq!(
            told(&refused(message)),
            format!(
                "INVALID_ARGUMENT FIELD_INVALID: {first}\n  folder_id must be a UUID\n  photo is \
                 required"
            )
        );
    }
}

#[test]
fn the_details_do_not_repeat_the_message() {
    let metadata = HashMap::from([("field", "photo"), ("match_id", "m-1")]);
    let metadata = metadata.into_iter().map(|(key, text)| (key.to_owned(), text.to_owned()));
    let mut details = ErrorDetails::new();
    details
        .set_error_info("REQUEST_ID_REUSED", "facematch", metadata.collect::<HashMap<_, _>>())
        .add_bad_request_violation("photo", "is another one");
    let refused = Status::with_error_details(Code::AlreadyExists, "photo is another one", details);
    assert_eq!(
        told(&refused),
        "ALREADY_EXISTS REQUEST_ID_REUSED: photo is another one\n  match_id: m-1\n  give the new \
         match a --request-id of its own"
    );
}

#[test]
fn an_error_of_the_transport_is_a_broken_connection() {
    let below = io::Error::other("error reading a body");
    let mut lost = Status::unknown("h2 protocol error: error reading a body from connection");
    lost.set_source(Arc::new(below));
    assert_eq!(outage(&lost), "the connection broke");
    assert!(told(&lost).starts_with("the connection broke: error reading a body\n"));

    let mut away = Status::unavailable("tcp connect error");
    away.set_source(Arc::new(ConnectError(io::Error::other("refused").into())));
    assert_eq!(outage(&away), "can't reach the server: refused");
    assert_eq!(
        told(&away),
        "can't reach http://127.0.0.1:50051: refused\n  is a server running at \
         http://127.0.0.1:50051? `facematch serve` starts one, --server names another"
    );
}

#[test]
fn a_server_that_shuts_down_is_quoted() {
    let mut details = ErrorDetails::with_error_info("SERVER_DRAINING", "facematch", HashMap::new());
    details.set_retry_info(Some(Duration::from_millis(1_500)));
    let draining =
        Status::with_error_details(Code::Unavailable, "the server is shutting down", details);
    assert_eq!(outage(&draining), "the server is shutting down (SERVER_DRAINING)");
    assert_eq!(
        told(&draining),
        "UNAVAILABLE SERVER_DRAINING: the server is shutting down\n  a repeat may succeed in 1.5 s"
    );
}

#[test]
fn a_foreign_answer_is_named() {
    let page = Foreign::Http {
        status: http::StatusCode::PAYLOAD_TOO_LARGE,
        leads_to: None,
        retry_after: None,
    };
    let status = page.into_status();
    assert_eq!(
        told(&status),
        "http://127.0.0.1:50051 answered HTTP 413 Payload Too Large, not gRPC\n  something in front \
         of the service limits the size of requests: it must allow 11 MiB (in nginx: \
         client_max_body_size 11m)"
    );
    assert_eq!(outage(&status), "the server answered HTTP 413 Payload Too Large, not gRPC");
}

#[test]
fn an_untrusted_certificate_is_explained() {
    let below = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
    let mut away = Status::unavailable("tcp connect error");
    away.set_source(Arc::new(io::Error::other(below)));
    assert_eq!(
        told(&away),
        "can't connect to http://127.0.0.1:50051: its certificate is from an authority that is not \
         trusted here\n  if the authority is private, give its certificate with --ca-file"
    );
}

#[test]
fn a_message_cannot_drive_the_terminal() {
    let text = told(&Status::internal("\u{1b}[2Jgone\nnext"));
    assert_eq!(text, "INTERNAL: \u{fffd}[2Jgone\u{fffd}next");
}
