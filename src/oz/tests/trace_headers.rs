//! The trace context that requests carry to Oz.

use super::*;

use sessions::{is_ask, pair, unauthorized};

use crate::{
    domain::{CreatorTrace, TraceContext, TraceState},
    trace::{AskTrace, AttributeValue, EndedSpan, MatchTrace, Sampling, SpanKind, Tracer},
};

const CALLER: TraceContext = TraceContext::new([0xca; 16], [0xfe; 8], true);

fn creator() -> CreatorTrace {
    CreatorTrace { context: CALLER, state: TraceState::parse("vendor=1") }
}

fn headers(request: &mock::Request) -> [Option<&str>; 3] {
    ["traceparent", "tracestate", "baggage"]
        .map(|name| request.headers.get(name).map(|value| value.to_str().unwrap()))
}

async fn ask(client: &Client, ask: &Ask, trace: AskTrace<'_>) {
    let photo = Bytes::from_static(b"a photo-canary of a face");
    let _ = client.perform(ask, Some(photo), &|_| {}, trace).await;
}

/// Each request of a match: a folder, an upload, a start and a poll.
fn asks() -> [Ask; 4] {
    [read_folder(), upload_photo(), start_analyses(), read_analysis()]
}

#[tokio::test]
async fn a_callers_context_goes_on_to_oz_with_its_state_where_matches_have_no_spans() {
    let (trace, creator) = (MatchTrace::begin(&Tracer::off(), match_id(), 1, None), creator());
    let mock = Mock::answering([]).await;
    let client = client(settings(&mock.url));
    for asked in asks() {
        ask(&client, &asked, trace.ask(Some(&creator), 0)).await;
    }
    ask(&client, &read_analysis(), trace.ask(None, 0)).await;
    let seen = mock.seen();
    let caller = CALLER.to_string();
    for request in &seen[..4] {
        assert_eq!(headers(request), [Some(caller.as_str()), Some("vendor=1"), None]);
    }
    assert_eq!(headers(&seen[4]), [None; 3], "no context, no headers");
}

#[tokio::test]
async fn trace_headers_can_be_switched_off() {
    let (trace, creator) = (MatchTrace::begin(&Tracer::off(), match_id(), 1, None), creator());
    let mock = Mock::answering([]).await;
    let client = client(Config { trace_headers: false, ..settings(&mock.url) });
    for asked in asks() {
        ask(&client, &asked, trace.ask(Some(&creator), 0)).await;
    }
    assert_eq!(mock.seen().len(), 4);
    assert!(mock.seen().iter().all(|request| headers(request) == [None; 3]));
}

/// A tracer that records everything.
fn tracer() -> (Tracer, tokio::sync::mpsc::Receiver<EndedSpan>) {
    let ids = std::sync::atomic::AtomicU64::new(1);
    let next = move || ids.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    Tracer::new(Sampling::ratio(1.0), Clock::manual(NOW).0, Arc::new(next), 100)
}

fn text(span: &EndedSpan, name: &str) -> Option<String> {
    let value = span.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value);
    value.map(|value| match value {
        AttributeValue::Text(text) => text.to_string(),
        AttributeValue::Number(number) => number.to_string(),
        AttributeValue::Flag(flag) => flag.to_string(),
    })
}

#[tokio::test]
async fn each_request_but_a_poll_is_a_span_whose_context_oz_gets() {
    let (tracer, mut ended) = tracer();
    let creator = creator();
    let trace = MatchTrace::begin(&tracer, match_id(), 1, Some(&creator));
    let mock = Mock::answering([]).await;
    let client = client(settings(&mock.url));
    for asked in asks() {
        ask(&client, &asked, trace.ask(Some(&creator), 0)).await;
    }
    let spans: Vec<EndedSpan> = std::iter::from_fn(|| ended.try_recv().ok()).collect();
    let names: Vec<_> = spans.iter().map(|span| span.name).collect();
    let expected = [
        "GET /api/folders/{id}",
        "POST /api/folders/{id}/media/",
        "POST /api/folders/{id}/analyses/",
    ];
    assert_eq!(names, expected);
    let seen = mock.seen();
    for (span, request) in spans.iter().zip(&seen) {
        let context = span.context.to_string();
        assert_eq!(headers(request), [Some(context.as_str()), None, None]);
        assert_eq!(span.kind, SpanKind::Client);
        assert_eq!(text(span, "http.response.status_code").as_deref(), Some("599"));
        assert_eq!(text(span, "server.address").as_deref(), Some("127.0.0.1"));
        let shown = format!("{span:?}");
        assert!(!shown.contains("canary") && !shown.contains(FOLDER), "{shown}");
    }
    let own = trace.own().unwrap().to_string();
    assert_eq!(headers(&seen[3]), [Some(own.as_str()), None, None]);
}

#[tokio::test]
async fn a_replay_after_a_refused_session_is_counted() {
    let (tracer, mut ended) = tracer();
    let trace = MatchTrace::begin(&tracer, match_id(), 1, None);
    let mock = Mock::serving(|request| match is_ask(request) {
        true => unauthorized(),
        false => pair("one"),
    })
    .await;
    ask(&client(login_settings(&mock.url)), &read_folder(), trace.ask(None, 4)).await;
    let spans: Vec<EndedSpan> = std::iter::from_fn(|| ended.try_recv().ok()).collect();
    let counts: Vec<_> =
        spans.iter().map(|span| text(span, "http.request.resend_count").unwrap()).collect();
    assert_eq!(counts, ["4", "5"]);
}
