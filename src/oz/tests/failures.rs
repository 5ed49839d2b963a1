//! Every kind of failure, produced through a real socket.

use super::*;

use http::header;

use crate::domain::{
    Reason,
    ask::AskKind,
    verdict::{self, VerdictReading},
};
use tokio::net::TcpListener;

/// Oz's answer when something is wrong (its page on return codes).
fn oz_error(status: u16, code: i64, message: &str) -> Answer {
    let body = json!({ "error_code": code, "error_message": message, "details": null });
    Answer::json(status, body)
}

async fn by_status(status: u16) -> Failure {
    failure_of(&read_analysis(), oz_error(status, 4, "Invalid param value")).await
}

#[tokio::test]
async fn every_status_has_its_kind() {
    for (status, kind) in [
        (300, FailureKind::Redirected),
        (302, FailureKind::Redirected),
        (304, FailureKind::Redirected),
        (308, FailureKind::Redirected),
        (400, FailureKind::Rejected),
        // For a service token that has never worked.
        (401, FailureKind::LoginRefused),
        (402, FailureKind::Rejected),
        (403, FailureKind::Forbidden),
        (404, FailureKind::NotFound),
        (405, FailureKind::Rejected),
        (407, FailureKind::Unreachable),
        (408, FailureKind::TimedOut),
        (413, FailureKind::TooLarge),
        (416, FailureKind::Rejected),
        (429, FailureKind::RateLimited),
        (451, FailureKind::Rejected),
        (500, FailureKind::ServerError),
        (501, FailureKind::ServerError),
        (502, FailureKind::ServerError),
        (503, FailureKind::ServerError),
        (504, FailureKind::ServerError),
        (599, FailureKind::ServerError),
    ] {
        let failure = by_status(status).await;
        assert_eq!((failure.kind, failure.http_status), (kind, Some(status)));
    }
}

#[tokio::test]
async fn a_4xx_without_an_oz_error_object_is_from_a_gateway() {
    let bodies = [
        "<html>default backend - 404</html>",
        "default backend - 404",
        r#"{"message":"no Route matched with those values"}"#,
        r#"{"details":"Not Found"}"#,
        r#"{"error_code":"GW-17","error_message":{"en":"no"}}"#,
        r#"["error_code"]"#,
        "",
    ];
    for status in (400..500).filter(|status| ![407, 408, 429].contains(status)) {
        for ask in [read_folder(), read_analysis(), start_analyses(), upload_photo()] {
            let body = bodies[usize::from(status) % bodies.len()];
            let failure = failure_of(&ask, Answer::http(status, &[], body)).await;
            let expected = match (status, ask.kind()) {
                (413, AskKind::UploadPhoto) => FailureKind::TooLarge,
                _ => FailureKind::Foreign,
            };
            assert_eq!(failure.kind, expected, "{status} {ask:?} {body}");
            assert_eq!((failure.http_status, failure.error_code), (Some(status), None));
        }
    }
    for body in bodies {
        assert_eq!(
            kind_of(&read_folder(), Answer::http(404, &[], body)).await,
            FailureKind::Foreign
        );
    }
}

#[tokio::test]
async fn a_request_sent_to_the_wrong_server_or_too_early_is_not_refused_by_oz() {
    for status in [421, 425] {
        assert_eq!(by_status(status).await.kind, FailureKind::Foreign);
    }
}

#[tokio::test]
async fn an_upload_that_is_too_large_for_a_gateway_says_so() {
    let failure = failure_of(&upload_photo(), Answer::http(413, &[], "<html>")).await;
    assert_eq!(failure.message, "a gateway in front of Oz refuses requests of this size");
    let by_oz = failure_of(&upload_photo(), oz_error(413, 14, "Request body too big")).await;
    assert_eq!((by_oz.kind, &*by_oz.message), (FailureKind::TooLarge, "Request body too big"));
}

#[tokio::test]
async fn the_code_and_message_of_a_failure_are_kept() {
    let failure = by_status(400).await;
    assert_eq!(failure.error_code, Some(4));
    assert_eq!(failure.message, "Invalid param value");
    assert_eq!(failure.retry_after, None);
}

#[tokio::test]
async fn a_closed_port_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let failure = perform(&client(settings(&url)), &read_folder()).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unreachable);
    assert_eq!(failure.http_status, None);
    assert!(failure.message.to_lowercase().contains("refused"), "{}", failure.message);
    assert!(!failure.message.contains(&url), "{}", failure.message);
}

#[tokio::test]
async fn an_unknown_host_is_unreachable() {
    let config = settings("http://oz.invalid:1");
    let failure = perform(&client(config), &read_folder()).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unreachable);
}

#[tokio::test]
async fn silence_times_out() {
    let mock = Mock::answering([Answer::Silence]).await;
    let config = Config { timeout: Duration::from_millis(300), ..settings(&mock.url) };
    let failure = perform(&client(config), &read_folder()).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::TimedOut);
    assert_eq!(mock.seen().len(), 1);
}

#[tokio::test]
async fn an_answer_that_never_ends_times_out() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"media\":".to_vec();
    let mock = Mock::answering([Answer::Early(head)]).await;
    let config = Config { timeout: Duration::from_millis(300), ..settings(&mock.url) };
    let failure = perform(&client(config), &read_folder()).await.unwrap_err();
    assert_eq!((failure.kind, failure.http_status), (FailureKind::TimedOut, Some(200)));
}

#[tokio::test]
async fn a_connection_that_breaks_is_interrupted() {
    for ask in [read_folder(), read_analysis(), start_analyses(), upload_photo()] {
        assert_eq!(kind_of(&ask, Answer::Hangup).await, FailureKind::Interrupted, "{ask:?}");
        for part in ["HTTP/1.1 2", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"media\":["] {
            let answer = Answer::Raw(part.into());
            assert_eq!(kind_of(&ask, answer).await, FailureKind::Interrupted, "{part}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_interrupted() {
    let answer = Answer::Raw("220 mail.example ESMTP\r\n".into());
    assert_eq!(kind_of(&read_folder(), answer).await, FailureKind::Interrupted);
}

#[tokio::test]
async fn a_success_that_is_not_json_is_unreadable() {
    for (body, message) in [
        ("", "answered without a body"),
        ("<html>Sign in to the guest network</html>", "answered with HTML"),
        ("OK", "answered with something that is not JSON"),
        (r#"{"media":[{"media_id":"#, "answered with JSON that is cut off or broken"),
    ] {
        for ask in [read_folder(), read_analysis(), start_analyses(), upload_photo()] {
            let failure = failure_of(&ask, Answer::http(200, &[], body)).await;
            assert_eq!(failure.kind, FailureKind::Unreadable, "{body}");
            assert_eq!(failure.message, message);
            assert_eq!(failure.http_status, Some(200));
        }
    }
}

#[tokio::test]
async fn a_success_without_end_is_unreadable() {
    let body = format!("[{}]", " ".repeat(5 * 1024 * 1024));
    let failure = failure_of(&read_analysis(), Answer::http(200, &[], body)).await;
    assert_eq!(failure.kind, FailureKind::Unreadable);
}

#[tokio::test]
async fn json_that_lacks_required_data_is_incomplete() {
    for body in [json!({}), json!([]), json!(null), json!("yes"), json!([[]]), json!({"media": 1})]
    {
        for ask in [read_folder(), read_analysis(), start_analyses(), upload_photo()] {
            let failure = answered_json(&ask, body.clone()).await.unwrap_err();
            assert_eq!(failure.kind, FailureKind::Incomplete, "{ask:?} {body}");
        }
    }
}

#[tokio::test]
async fn an_error_that_comes_as_a_success_is_incomplete() {
    let body = json!({ "error_code": 10, "error_message": "Object not exist", "details": {} });
    for ask in [read_folder(), read_analysis(), start_analyses(), upload_photo()] {
        let failure = answered_json(&ask, body.clone()).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Incomplete);
        assert_eq!(failure.error_code, Some(10));
        assert_eq!(failure.message, "Object not exist");
    }
}

#[tokio::test]
async fn the_body_of_an_error_may_be_anything() {
    for body in ["", "<html>nginx</html>", "{\"error_code\":", "[]", "null", "\u{0}\u{1}"] {
        let failure = failure_of(&read_analysis(), Answer::http(502, &[], body)).await;
        assert_eq!((failure.kind, failure.http_status), (FailureKind::ServerError, Some(502)));
        assert!(failure.message.starts_with("answered with"), "{}", failure.message);
        assert!(!failure.message.contains("nginx"), "{}", failure.message);
    }
    let cut = "HTTP/1.1 404 Not Found\r\nContent-Length: 99\r\n\r\n{\"error";
    assert_eq!(kind_of(&read_analysis(), Answer::Raw(cut.into())).await, FailureKind::Foreign);
    let huge = Answer::http(413, &[], "x".repeat(1024 * 1024));
    assert_eq!(kind_of(&upload_photo(), huge).await, FailureKind::TooLarge);
}

#[tokio::test]
async fn details_have_two_names() {
    for name in ["details", "error_details"] {
        let body = json!({ "error_code": 3, "error_message": "m", name: { "any": [1] } });
        let failure = failure_of(&read_analysis(), Answer::json(400, body)).await;
        assert_eq!((failure.error_code, failure.message.as_str()), (Some(3), "m"));
    }
}

#[tokio::test]
async fn a_wait_that_oz_asks_for_is_reported() {
    for status in [429, 503] {
        let answer = Answer::http(status, &[("Retry-After", "17")], "");
        let failure = failure_of(&read_analysis(), answer).await;
        assert_eq!(failure.retry_after, Some(Duration::from_secs(17)));
    }
    let date = [("Retry-After", "Tue, 14 Nov 2023 22:13:50 GMT")];
    let failure = failure_of(&read_analysis(), Answer::http(429, &date, "")).await;
    assert_eq!(failure.retry_after, Some(Duration::from_secs(30)));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Mock::answering([]).await;
    for status in [301, 302, 303, 307, 308] {
        let headers = [(header::LOCATION.as_str(), elsewhere.url.as_str())];
        let failure = failure_of(&read_analysis(), Answer::http(status, &headers, "")).await;
        assert_eq!(failure.kind, FailureKind::Redirected);
        assert_eq!(failure.message, "answered with a redirect");
    }
    assert_eq!(elsewhere.seen().len(), 0);
}

#[tokio::test]
async fn cookies_are_not_kept() {
    let answer = Answer::http(500, &[("Set-Cookie", "a=b")], "");
    let mock = Mock::answering([answer.clone(), answer]).await;
    let client = client(settings(&mock.url));
    for _ in 0..2 {
        perform(&client, &read_folder()).await.unwrap_err();
    }
    assert!(mock.seen().iter().all(|request| !request.headers.contains_key("cookie")));
}

#[tokio::test]
async fn a_dropped_request_closes_its_connection() {
    let mock = Mock::serving(|request| match request.path.contains("folders") {
        true => Answer::Silence,
        false => Answer::json(200, finished()),
    })
    .await;
    let client = client(settings(&mock.url));
    let ask = read_folder();
    tokio::select! {
        _ = perform(&client, &ask) => panic!("the request was answered"),
        () = mock.saw(1, |_| true) => {}
    }
    mock.left().await;
    assert!(perform(&client, &read_analysis()).await.is_ok());
}

/// The reading of a finished analysis with this score, after `mark`: a byte order mark or nothing.
async fn read_with_score(score: &str, mark: &str) -> VerdictReading {
    let text = finished().to_string().replace("0.9,", &format!("{score},"));
    let text = text.replace("0.9}", &format!("{score}}}"));
    let reply = answered(&read_analysis(), Answer::http(200, &[], format!("{mark}{text}"))).await;
    match reply.unwrap() {
        Reply::Analysis(analysis) => verdict::read(&analysis),
        other => panic!("not an analysis: {other:?}"),
    }
}

#[tokio::test]
async fn a_score_that_is_not_a_number_is_inconclusive_at_once() {
    for score in ["NaN", "Infinity", "-Infinity"] {
        match read_with_score(score, "").await {
            VerdictReading::Failed(error) => {
                assert_eq!(error.reason, Reason::OzInconclusive, "{score}")
            }
            other => panic!("{score}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_verdict_is_read_despite_a_byte_order_mark() {
    for mark in ["", "\u{feff}"] {
        assert!(matches!(read_with_score("0.9", mark).await, VerdictReading::Verdict { .. }));
    }
}
