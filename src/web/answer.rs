//! Answers that aren't those of calls, and the headers that every answer has.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::json;
use tonic::body::Body;

/// Keeps other sites from embedding an answer.
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// An error in the form of Connect's errors: a code in lower case, and a sentence.
pub fn error(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    json(status, json!({ "code": code, "message": message }).to_string())
}

/// An answer of JSON.
pub fn json(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut answer = Response::new(Body::new(Full::new(text.into())));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// Refuses a POST of a call whose content type is none of a call's. A page may send other types to
/// any address without asking first, so nothing may act on them.
pub fn not_a_call() -> Response<Body> {
    let accepted = "application/json, application/grpc-web, application/grpc-web-text";
    let message = format!("the content type must be one of: {accepted}");
    let mut answer = error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unknown", &message);
    answer.headers_mut().insert("accept-post", HeaderValue::from_static(accepted));
    answer
}

/// Refuses a body that is compressed.
pub fn compressed() -> Response<Body> {
    let message = "a body of JSON must not be compressed";
    let mut answer = error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unimplemented", message);
    answer.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    answer
}

/// Refuses a call that streams, of a caller that takes no events.
pub fn only_events() -> Response<Body> {
    let message = "this call streams: accept text/event-stream";
    error(StatusCode::NOT_ACCEPTABLE, "unknown", message)
}

/// Refuses a call by another method than POST.
pub fn post_only() -> Response<Body> {
    let message = "calls are made by POST, or by GET for the events of WatchMatch and WatchMatches";
    let mut answer = error(StatusCode::METHOD_NOT_ALLOWED, "unknown", message);
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    answer
}

/// Adds the headers that protect every answer: it is never stored, never taken for another type, and
/// never embedded by another site.
pub fn secure(headers: &mut HeaderMap) {
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
}
