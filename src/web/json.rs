//! Calls by JSON: a POST for each, in the form of Connect's unary calls, so that curl and Connect's
//! clients can make them.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use prost::Message;
use serde_json::{Value, json};
use tonic::{Code, Status, body::Body};

use crate::{
    grpc::{AnswerForm, Answering, CallDoor, CallForm, JsonDecoder, MakeCall},
    web::{
        answer, grpc_web,
        schema::{self, JsonMethod},
    },
};

/// The content type of requests and answers.
const JSON: &str = "application/json";
/// A gRPC message starts with a compression flag and its length, big-endian.
const PREFIX_BYTES: usize = 5;
/// The caller's deadline in Connect, in milliseconds.
const CONNECT_TIMEOUT: HeaderName = HeaderName::from_static("connect-timeout-ms");
/// The same in gRPC, with a unit.
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// The most digits that gRPC allows for a deadline.
const GRPC_TIMEOUT_DIGITS_MAX: usize = 8;
/// The retry delay of an error, in milliseconds.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// Whether a request has a body of JSON.
pub fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let first = types.next().and_then(|value| value.to_str().ok());
    let essence = first.map(|text| text.split(';').next().unwrap_or_default().trim());
    essence.is_some_and(|text| text.eq_ignore_ascii_case(JSON)) && types.next().is_none()
}

/// Whether the body of a request is compressed, which isn't understood.
pub fn is_compressed(headers: &HeaderMap) -> bool {
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    encodings.any(|encoding| encoding.as_bytes() != b"identity")
}

/// Makes a unary call, and answers with its message or its error.
pub fn answer(
    request: Request<Body>,
    method: JsonMethod,
    form: CallForm,
    call: MakeCall,
) -> Answering {
    let decoding = method.clone();
    let request_form: JsonDecoder =
        Arc::new(move |text, without_content| decoding.request(text, without_content, None));
    let answer_form: AnswerForm = Arc::new(move |frame| {
        each_message(frame, |message| Ok(schema::json(&method.answer(message)?)))
    });
    let form = CallForm { request: Some(request_form), answer: Some(answer_form), ..form };
    let called = call(to_grpc(request, form));
    Box::pin(async move { Ok(unary(called.await?).await) })
}

/// Makes a call of a method that the service doesn't have, which is refused and logged there.
pub fn answer_unknown(request: Request<Body>, form: CallForm, call: MakeCall) -> Answering {
    let called = call(to_grpc(request, form));
    Box::pin(async move { Ok(unary(called.await?).await) })
}

/// The call that a request of JSON stands for.
pub fn to_grpc(mut request: Request<Body>, form: CallForm) -> Request<Body> {
    *request.method_mut() = http::Method::POST;
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, grpc_web::GRPC);
    for name in ["accept", "content-length", "content-encoding", "grpc-encoding"] {
        headers.remove(name);
    }
    if let Some(timeout) = headers.remove(CONNECT_TIMEOUT) {
        headers.insert(GRPC_TIMEOUT, grpc_timeout(&timeout));
    }
    request.extensions_mut().insert(CallForm { door: CallDoor::Json, ..form });
    request
}

/// A deadline of Connect in gRPC's form. A text that isn't a number stays so, and is refused with the
/// call.
fn grpc_timeout(connect: &HeaderValue) -> HeaderValue {
    let text = connect.to_str().unwrap_or_default();
    let timeout = match text.parse::<u64>() {
        Ok(ms) if text.len() > GRPC_TIMEOUT_DIGITS_MAX => format!("{}S", ms / 1_000),
        _ => format!("{text}m"),
    };
    timeout.parse().unwrap_or(HeaderValue::from_static("m"))
}

/// Turns each message of a frame into text.
pub fn each_message(
    mut frame: Bytes,
    text: impl Fn(Bytes) -> Result<String, Status>,
) -> Result<Bytes, Status> {
    let mut all = String::new();
    while frame.len() >= PREFIX_BYTES {
        frame.advance(1);
        let length = usize::try_from(frame.get_u32()).unwrap_or(usize::MAX);
        if length > frame.len() {
            break;
        }
        all += &text(frame.split_to(length))?;
    }
    match frame.is_empty() {
        true => Ok(all.into()),
        false => Err(Status::internal("a frame without whole messages")),
    }
}

/// The answer to a unary call.
pub async fn unary(response: Response<Body>) -> Response<Body> {
    let (parts, body) = response.into_parts();
    let kept = kept(&parts.headers);
    if let Some(status) = Status::from_header_map(&parts.headers)
        && status.code() != Code::Ok
    {
        return error(&status, &parts.headers, kept);
    }
    let mut answer = match body.collect().await {
        Err(status) => return error(&status, &HeaderMap::new(), kept),
        Ok(all) => {
            let trailers = all.trailers().cloned().unwrap_or_default();
            match Status::from_header_map(&trailers) {
                Some(status) if status.code() != Code::Ok => {
                    return error(&status, &trailers, kept);
                }
                _ => answer::json(StatusCode::OK, all.to_bytes()),
            }
        }
    };
    answer.headers_mut().extend(kept);
    answer
}

/// The headers of a gRPC answer that are those of any answer.
pub fn kept(headers: &HeaderMap) -> HeaderMap {
    let is_grpc = |name: &HeaderName| name.as_str().starts_with("grpc-");
    let kept = headers.iter().filter(|(name, _)| !is_grpc(name) && *name != header::CONTENT_TYPE);
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The answer to a call that ended with an error.
pub fn error(status: &Status, trailers: &HeaderMap, kept: HeaderMap) -> Response<Body> {
    let (_, http) = schema::connect_code(status.code());
    let http = StatusCode::from_u16(http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = answer::json(http, error_json(status));
    let headers = answer.headers_mut();
    headers.extend(kept);
    if let Some(delay) = retry_ms(trailers) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(delay.div_ceil(1_000)));
    }
    if status.code() == Code::Unauthenticated {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    answer
}

/// After how many milliseconds a repeat may help; `None` if it never does.
pub fn retry_ms(trailers: &HeaderMap) -> Option<u64> {
    trailers.get(PUSHBACK)?.to_str().ok()?.parse().ok()
}

/// An error in Connect's form, with all its details.
pub fn error_json(status: &Status) -> String {
    let (code, _) = schema::connect_code(status.code());
    let rich = tonic_types::Status::decode(status.details()).unwrap_or_default();
    let details: Vec<_> = rich.details.iter().map(detail).collect();
    let mut error = json!({ "code": code, "message": status.message() });
    if !details.is_empty() {
        error["details"] = details.into();
    }
    error.to_string()
}

fn detail(any: &prost_types::Any) -> Value {
    let name = any.type_url.rsplit('/').next().unwrap_or_default();
    let mut detail = json!({ "type": name, "value": STANDARD_NO_PAD.encode(&any.value) });
    let debug = schema::detail(name, &any.value);
    if let Some(debug) = debug.and_then(|text| serde_json::from_str::<Value>(&text).ok()) {
        detail["debug"] = debug;
    }
    detail
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tonic_types::{ErrorDetails, StatusExt};

    use super::*;

    #[test]
    fn an_error_has_all_its_details_in_two_forms() {
        let mut details = ErrorDetails::with_error_info(
            "OVERLOADED",
            "facematch",
            std::collections::HashMap::from([("limit".to_owned(), "calls".to_owned())]),
        );
        details.set_retry_info(Some(Duration::from_millis(1_250)));
        let status = Status::with_error_details(Code::ResourceExhausted, "too many", details);
        let error: Value = serde_json::from_str(&error_json(&status)).unwrap();
        assert_eq!(
            (&error["code"], &error["message"]),
            (&json!("resource_exhausted"), &json!("too many"))
        );
        let details = error["details"].as_array().unwrap();
        let of = |kind: &str| details.iter().find(|detail| detail["type"] == kind).unwrap();
        let info = of("google.rpc.ErrorInfo");
        assert_eq!(info["debug"]["metadata"]["limit"], "calls");
        let value = STANDARD_NO_PAD.decode(info["value"].as_str().unwrap()).unwrap();
        assert_eq!(tonic_types::pb::ErrorInfo::decode(&*value).unwrap().reason, "OVERLOADED");
        assert_eq!(of("google.rpc.RetryInfo")["debug"]["retryDelay"], "1.250s");
        let plain: Value = serde_json::from_str(&error_json(&Status::unimplemented(""))).unwrap();
        assert_eq!(plain, json!({ "code": "unimplemented", "message": "" }));
    }

    #[test]
    fn a_delay_and_a_missing_credential_are_told_in_headers() {
        let mut trailers = HeaderMap::new();
        trailers.insert(PUSHBACK, HeaderValue::from_static("1250"));
        let answer = error(&Status::unavailable("x"), &trailers, HeaderMap::new());
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["retry-after"]),
            (503, &HeaderValue::from_static("2"))
        );
        let answer = error(&Status::unauthenticated("x"), &HeaderMap::new(), HeaderMap::new());
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["www-authenticate"]),
            (401, &HeaderValue::from_static("Bearer"))
        );
    }

    #[test]
    fn a_deadline_keeps_its_meaning() {
        let of = |text: &'static str| {
            grpc_timeout(&HeaderValue::from_static(text)).to_str().unwrap().to_owned()
        };
        assert_eq!(
            (of("250"), of("99999999"), of("9999999999")),
            ("250m".into(), "99999999m".into(), "9999999S".into())
        );
        assert_eq!((of("soon"), of("")), ("soonm".into(), "m".into()));
    }

    #[test]
    fn each_message_of_a_frame_is_turned_into_text() {
        let frame = Bytes::from_static(b"\0\0\0\0\x02ab\0\0\0\0\0\0\0\0\0\x01c");
        let text = |message: Bytes| Ok(format!("<{}>", String::from_utf8_lossy(&message)));
        assert_eq!(each_message(frame.clone(), text).unwrap(), "<ab><><c>");
        each_message(frame.slice(..6), text).unwrap_err();
        each_message(frame.slice(..9), text).unwrap_err();
    }

    #[test]
    fn json_is_known_by_its_content_type() {
        let of = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(text));
            is_json(&headers)
        };
        assert!(of("application/json") && of("Application/JSON; charset=utf-8"));
        assert!(!of("application/json+x") && !of("text/plain") && !of("application/connect+json"));
    }
}
