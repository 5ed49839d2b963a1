//! What the caller of a request may do, for the page: it offers nothing that would be refused.
//!
//! The answer follows from the caller and the settings alone. It deliberately decides nothing:
//! admission control does, by the rules for calls.

use http::{Method, Request, Response, StatusCode, header};
use serde_json::json;
use tonic::body::Body;

use crate::{
    grpc::{ACCESS_PATH, Answering, CallForm, CallerAccess, MakeCall},
    web::{answer, json},
};

/// Whether a request asks what its caller may do.
pub fn is_asked(request: &Request<Body>) -> bool {
    request.uri().path() == ACCESS_PATH
}

/// Answers it.
pub fn answer(request: Request<Body>, form: CallForm, call: MakeCall) -> Answering {
    if request.method() != Method::GET {
        let message = "what the caller may do is read by GET";
        let mut refusal = answer::error(StatusCode::METHOD_NOT_ALLOWED, "unknown", message);
        refusal.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET"));
        return Box::pin(std::future::ready(Ok(refusal)));
    }
    let called = call(json::to_grpc(request, form));
    Box::pin(async move { Ok(told(called.await?).await) })
}

async fn told(mut response: Response<Body>) -> Response<Body> {
    let Some(access) = response.extensions_mut().remove::<CallerAccess>() else {
        return json::unary(response).await;
    };
    let text = json!({ "library": access.has_library, "methods": access.methods }).to_string();
    let mut told = answer::json(StatusCode::OK, text);
    told.headers_mut().extend(json::kept(response.headers()));
    told
}
