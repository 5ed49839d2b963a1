//! The second door: the calls of the service for browsers and curl.
//!
//! Each request that stands for a call is turned into a gRPC call, which passes through the layers
//! of the first door: the limits, the log, the metrics and the audit records are there. What is
//! decided here concerns web pages alone: under which names the port is reached, and which pages may
//! call it. It deliberately knows no match and no handler.

mod access;
mod answer;
mod cors;
mod events;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod gate;
mod grpc_web;
mod json;
mod leftover;
#[cfg(test)]
mod openapi;
mod origins;
mod page;
mod schema;

use std::convert::Infallible;

use http::{Method, Request, Response, StatusCode};
use tonic::body::Body;

pub use origins::LiveOrigins;

use crate::{
    grpc::{Answering, CallForm, DoorArrival, MakeCall, SecondDoor},
    web::{
        gate::PageOrigin, grpc_web::WebEncoding, leftover::Leftover, page::FILES,
        schema::JsonMethod,
    },
};

/// The paths of the calls begin with this, and end with the name of a method.
const CALLS: &str = "/facematch.v1.FaceMatch/";

/// The settings of the second door.
#[derive(Clone)]
pub struct WebRules {
    /// The origins whose pages may call it.
    pub origins: LiveOrigins,
    /// Whether it refuses the calls that change matches.
    pub is_read_only: bool,
}

/// The second door.
pub struct Web {
    rules: WebRules,
}

impl Web {
    /// A door with these settings.
    pub const fn new(rules: WebRules) -> Self {
        Self { rules }
    }

    /// Answers a request whose page, if it comes from one, may read the answer.
    fn admitted(&self, request: Request<Body>, call: MakeCall) -> Answering {
        let asks_access = access::is_asked(&request);
        if !asks_access && !request.uri().path().starts_with(CALLS) {
            return at_once(page::answer(&FILES, request.method(), request.uri().path()));
        }
        if let Err(refusal) = gate::check_call(request.headers()) {
            return at_once(refusal.into_response());
        }
        let form = CallForm { is_read_only: self.rules.is_read_only, ..CallForm::default() };
        if asks_access {
            return access::answer(request, form, call);
        }
        match (request.method(), WebEncoding::of_request(request.headers())) {
            (&Method::POST, Some(encoding)) => grpc_web::answer(request, encoding, form, call),
            (&Method::POST, None) if json::is_json(request.headers()) => {
                by_json(request, form, call)
            }
            (&Method::POST, None) => at_once(answer::not_a_call()),
            (&Method::GET, _) => by_get(request, form, call),
            _ => at_once(answer::post_only()),
        }
    }
}

/// Makes a call whose request is JSON. A method that the service doesn't have is refused like any
/// other call.
fn by_json(request: Request<Body>, form: CallForm, call: MakeCall) -> Answering {
    if json::is_compressed(request.headers()) {
        return at_once(answer::compressed());
    }
    match method(&request) {
        Some(method) if !method.is_stream() => json::answer(request, method, form, call),
        Some(_) if !events::is_accepted(request.headers()) => at_once(answer::only_events()),
        Some(method) => events::answer(request, method, form, call),
        None => json::answer_unknown(request, form, call),
    }
}

/// Makes a call that a page asks for by GET.
fn by_get(request: Request<Body>, form: CallForm, call: MakeCall) -> Answering {
    match method(&request).filter(JsonMethod::is_watch) {
        Some(_) if !events::is_accepted(request.headers()) => at_once(answer::only_events()),
        Some(method) => {
            let request = events::by_parameters(request, &method);
            events::answer(request, method, form, call)
        }
        None => at_once(answer::post_only()),
    }
}

/// The method that the path of a request names.
fn method(request: &Request<Body>) -> Option<JsonMethod> {
    request.uri().path().strip_prefix(CALLS).and_then(JsonMethod::find)
}

impl SecondDoor for Web {
    fn answer(&self, request: Request<Body>, arrival: DoorArrival, call: MakeCall) -> Answering {
        let origins = self.rules.origins.now();
        let origin = match gate::check(&request, arrival, &origins) {
            Ok(origin) => origin,
            Err(refusal) => return at_once(refusal.into_response()),
        };
        if cors::is_preflight(&request) {
            let mut answer = Response::new(Body::empty());
            *answer.status_mut() = StatusCode::NO_CONTENT;
            cors::allow_call(answer.headers_mut());
            return at_once(finish(answer, &origin));
        }
        let (request, leftover) = Leftover::of(request);
        let answering = self.admitted(request, call);
        Box::pin(async move {
            let answer = finish(answering.await?, &origin);
            Ok(match leftover {
                Some(leftover) => leftover.behind(answer),
                None => answer,
            })
        })
    }
}

/// Adds the headers that every answer has.
fn finish(mut answer: Response<Body>, origin: &PageOrigin) -> Response<Body> {
    cors::allow(answer.headers_mut(), origin);
    answer::secure(answer.headers_mut());
    answer
}

fn at_once(answer: Response<Body>) -> Answering {
    Box::pin(std::future::ready(Ok::<_, Infallible>(answer)))
}
