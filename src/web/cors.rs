//! What tells a browser that a page of another origin may call and read the answer (CORS).
//!
//! It deliberately decides about no origin: see `gate`. Credentials of browsers, such as cookies,
//! are never used: a page sends its own `authorization`.

use http::{HeaderMap, HeaderValue, Method, Request, header};
use tonic::body::Body;

use crate::web::gate::PageOrigin;

/// The methods of HTTP that calls use.
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST");
/// The request headers that a page may set.
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "accept, authorization, connect-protocol-version, connect-timeout-ms, content-type, \
     grpc-timeout, last-event-id, traceparent, tracestate, x-grpc-web, x-request-id, x-user-agent",
);
/// The answer headers that a page may read. Without `grpc-status-details-bin` it would see no reason.
const ANSWER_HEADERS: HeaderValue = HeaderValue::from_static(
    "facematch-version, grpc-message, grpc-retry-pushback-ms, grpc-status, \
     grpc-status-details-bin, retry-after, www-authenticate",
);
/// How long a browser may remember the answer to a preflight request, in seconds: the most that any
/// browser allows.
const MAX_AGE_S: HeaderValue = HeaderValue::from_static("7200");

/// Whether a browser asks if a page may call, before it does.
pub fn is_preflight(request: &Request<Body>) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Says what calls a page may make.
pub fn allow_call(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_S);
}

/// Says that the page of a request may read the answer.
pub fn allow(headers: &mut HeaderMap, origin: &PageOrigin) {
    headers.insert(header::VARY, HeaderValue::from_static("origin"));
    let origin = match origin {
        PageOrigin::Own => return,
        PageOrigin::Listed(origin) => origin.clone(),
        PageOrigin::Any => HeaderValue::from_static("*"),
    };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, ANSWER_HEADERS);
}
