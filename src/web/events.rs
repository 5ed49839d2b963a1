//! Streams as server-sent events.
//!
//! Each update is an event: its kind, its JSON, and an id from which the stream goes on after a
//! break. A heartbeat is a comment. The end of the stream is an event too, since a page can't tell
//! an end from a break otherwise.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use percent_encoding::percent_decode_str;
use prost_reflect::{DynamicMessage, ReflectMessage};
use tonic::{Code, Status, body::Body};

use crate::{
    grpc::{AnswerForm, Answering, CallForm, JsonDecoder, MakeCall},
    web::{
        json,
        schema::{self, JsonMethod, LastEventId},
    },
};

/// The content type of streams.
const EVENT_STREAM: &str = "text/event-stream";
/// Names the last event that a reader has seen.
const LAST_EVENT_ID: &str = "last-event-id";
/// Tells proxies that know it not to collect the answer.
const NO_BUFFERING: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
/// The event that ends a stream whose match has ended.
const END: &str = "event: end\ndata: {}\n\n";

/// Whether a caller takes events: without the header it takes everything.
pub fn is_accepted(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(header::ACCEPT).iter().peekable();
    accepted.peek().is_none()
        || accepted.filter_map(|value| value.to_str().ok()).any(|text| {
            let types = text.split(',').map(|one| one.split(';').next().unwrap_or_default().trim());
            types.into_iter().any(|kind| matches!(kind, EVENT_STREAM | "text/*" | "*/*"))
        })
}

/// Makes a call that streams, and answers with its updates as events.
pub fn answer(
    request: Request<Body>,
    method: JsonMethod,
    form: CallForm,
    call: MakeCall,
) -> Answering {
    let last = request.headers().get(LAST_EVENT_ID).and_then(|value| value.to_str().ok());
    let last = last.filter(|last| !last.is_empty()).map(|last| LastEventId(last.to_owned()));
    let decoding = method.clone();
    let request_form: JsonDecoder = Arc::new(move |text, without_content| {
        decoding.request(text, without_content, last.as_ref())
    });
    let answer_form: AnswerForm = Arc::new(move |frame| {
        json::each_message(frame, |message| Ok(event(&method, &method.answer(message)?)))
    });
    let form = CallForm { request: Some(request_form), answer: Some(answer_form), ..form };
    let called = call(json::to_grpc(request, form));
    Box::pin(async move { Ok(stream(called.await?)) })
}

/// The request for a stream whose fields are the parameters of the URL, as pages ask for it.
pub fn by_parameters(request: Request<Body>, method: &JsonMethod) -> Request<Body> {
    let query = request.uri().query().unwrap_or_default();
    let parameters = query.split('&').filter(|part| !part.is_empty()).map(|part| {
        let (name, text) = part.split_once('=').unwrap_or((part, ""));
        (decoded(name), decoded(text))
    });
    let text = method.parameters(parameters);
    request.map(|_| Body::new(http_body_util::Full::new(Bytes::from(text))))
}

fn decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// An update as an event.
fn event(method: &JsonMethod, update: &DynamicMessage) -> String {
    let text = |name: &str| {
        update.get_field_by_name(name).and_then(|value| value.as_str().map(str::to_owned))
    };
    let id = match method.has_tokens() {
        true => text("resume_token"),
        false => update.get_field_by_name("sequence").map(|value| value.to_string()),
    };
    let id = id.filter(|id| !id.is_empty()).map(|id| format!("id: {id}\n")).unwrap_or_default();
    match kind(update) {
        // Only its token matters: an id without data is kept by readers, and no event for them.
        Some(kind) if kind == "heartbeat" => {
            let id = if method.has_tokens() { id.as_str() } else { "" };
            format!(": heartbeat\n{id}\n")
        }
        kind => {
            let kind = kind.unwrap_or_else(|| "update".to_owned());
            format!("event: {kind}\n{id}data: {}\n\n", schema::json(update))
        }
    }
}

/// The kind of an update, by its name in the proto; `None` for a kind that this version doesn't know.
fn kind(update: &DynamicMessage) -> Option<String> {
    let descriptor = update.descriptor();
    let event = descriptor.oneofs().find(|oneof| oneof.name() == "event")?;
    let mut kinds = event.fields();
    kinds.find(|kind| update.has_field(kind)).map(|kind| kind.name().to_owned())
}

fn stream(response: Response<Body>) -> Response<Body> {
    let (parts, body) = response.into_parts();
    let kept = json::kept(&parts.headers);
    if let Some(status) = Status::from_header_map(&parts.headers)
        && status.code() != Code::Ok
    {
        return json::error(&status, &parts.headers, kept);
    }
    let mut answer = Response::new(Body::new(EventsBody { body, is_over: false }));
    let headers = answer.headers_mut();
    headers.extend(kept);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    headers.extend([NO_BUFFERING]);
    answer
}

/// The last event of a stream.
fn last_event(status: &Status, trailers: &HeaderMap) -> String {
    if status.code() == Code::Ok {
        return END.to_owned();
    }
    let retry = json::retry_ms(trailers).map(|ms| format!("retry: {ms}\n")).unwrap_or_default();
    format!("{retry}event: error\ndata: {}\n\n", json::error_json(status))
}

/// A stream whose status is its last event.
struct EventsBody {
    body: Body,
    is_over: bool,
}

impl HttpBody for EventsBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let last = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            None => return Poll::Ready(None),
            Some(Err(status)) => last_event(&status, &HeaderMap::new()),
            Some(Ok(frame)) => match frame.into_trailers() {
                Err(data) => return Poll::Ready(Some(Ok(data))),
                Ok(trailers) => {
                    let status = Status::from_header_map(&trailers);
                    last_event(&status.unwrap_or_else(|| Status::unknown("no status")), &trailers)
                }
            },
        };
        self.is_over = true;
        Poll::Ready(Some(Ok(Frame::data(last.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::pb::{Accepted, Heartbeat, MatchUpdate, match_update::Event};

    fn told(method: &str, update: &MatchUpdate) -> String {
        let method = JsonMethod::find(method).unwrap();
        event(&method, &method.answer(update.encode_to_vec().into()).unwrap())
    }

    fn update(event: Option<Event>) -> MatchUpdate {
        let resume_token = "t0".to_owned();
        MatchUpdate { sequence: 3, resume_token, event, ..MatchUpdate::default() }
    }

    #[test]
    fn an_update_is_an_event_with_the_id_from_which_its_stream_goes_on() {
        let accepted = update(Some(Event::Accepted(Accepted::default())));
        let data = r#"data: {"sequence":"3","resumeToken":"t0","accepted":{}}"#;
        assert_eq!(told("WatchMatch", &accepted), format!("event: accepted\nid: 3\n{data}\n\n"));
        assert_eq!(told("WatchMatches", &accepted), format!("event: accepted\nid: t0\n{data}\n\n"));
        let later = told("RunMatch", &update(None));
        assert!(later.starts_with("event: update\nid: 3\ndata: {"), "{later}");
    }

    #[test]
    fn a_heartbeat_is_a_comment_and_keeps_its_token() {
        let beat = update(Some(Event::Heartbeat(Heartbeat::default())));
        assert_eq!(told("WatchMatch", &beat), ": heartbeat\n\n");
        assert_eq!(told("WatchMatches", &beat), ": heartbeat\nid: t0\n\n");
    }

    #[test]
    fn a_stream_ends_with_its_status() {
        assert_eq!(last_event(&Status::ok(""), &HeaderMap::new()), END);
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-retry-pushback-ms", HeaderValue::from_static("2500"));
        let last = last_event(&Status::unavailable("soon"), &trailers);
        let data = r#"{"code":"unavailable","message":"soon"}"#;
        assert_eq!(last, format!("retry: 2500\nevent: error\ndata: {data}\n\n"));
    }

    #[test]
    fn events_are_sent_to_callers_that_take_them() {
        let of = |accepted: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for text in accepted {
                headers.append(header::ACCEPT, HeaderValue::from_static(text));
            }
            is_accepted(&headers)
        };
        assert!(of(&[]) && of(&["*/*"]) && of(&["text/event-stream"]));
        assert!(of(&["application/json, text/event-stream;q=0.9"]) && of(&["a/b", "text/*"]));
        assert!(!of(&["application/json"]) && !of(&["text/html"]));
    }

    #[test]
    fn parameters_are_decoded() {
        assert_eq!(decoded("a%20b+c%5Bd%5D%ff"), "a b c[d]\u{fffd}");
    }
}
