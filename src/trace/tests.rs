use std::{sync::Mutex, time::Duration};

use super::*;
use crate::{
    clock::Hand,
    domain::{CreatorTrace, MatchId, TraceState},
};

const START: Timestamp = Timestamp::from_micros(1_764_000_000_000_000);
const CALLER: TraceContext = TraceContext::new([0xca; 16], [0xca; 8], true);
const METHOD: &str = "facematch.v1.FaceMatch/RunMatch";
const UPLOAD: &str = "POST /api/folders/{id}/media/";
const OZ: OzServer<'static> = OzServer { host: "oz.example", port: Some(443) };

struct Scene {
    tracer: Tracer,
    ended: mpsc::Receiver<EndedSpan>,
    hand: Hand,
}

/// Ids from 1 on, and room for this many spans.
fn scene_with(sampling: Sampling, waiting_max: usize) -> Scene {
    let (clock, hand) = Clock::manual(START);
    let next = Mutex::new(0);
    let ids = move || {
        let mut next = next.lock().unwrap();
        *next += 1;
        *next
    };
    let (tracer, ended) = Tracer::new(sampling, clock, Arc::new(ids), waiting_max);
    Scene { tracer, ended, hand }
}

fn scene(sampling: Sampling) -> Scene {
    scene_with(sampling, 100)
}

impl Scene {
    fn ended(&mut self) -> Vec<EndedSpan> {
        std::iter::from_fn(|| self.ended.try_recv().ok()).collect()
    }

    #[track_caller]
    fn only(&mut self) -> EndedSpan {
        match &self.ended()[..] {
            [span] => span.clone(),
            spans => panic!("{spans:?}"),
        }
    }
}

fn match_id() -> MatchId {
    "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap()
}

fn outcome() -> CallOutcome {
    CallOutcome {
        door: "web",
        rpc_system: "grpc",
        method: METHOD,
        began: START,
        ended: START.after(Duration::from_secs(1)),
        code: "NOT_FOUND",
        is_ok: false,
        is_fault: false,
        reason: Some("MATCH_NOT_FOUND".to_owned()),
        match_id: Some(match_id()),
    }
}

fn attribute(span: &EndedSpan, name: &str) -> Option<AttributeValue> {
    span.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
}

fn text(span: &EndedSpan, name: &str) -> String {
    match attribute(span, name) {
        Some(AttributeValue::Text(text)) => text.into_owned(),
        other => panic!("{name}: {other:?}"),
    }
}

fn creator(context: TraceContext) -> CreatorTrace {
    CreatorTrace { context, state: TraceState::parse("vendor=1") }
}

#[test]
fn a_call_without_an_exporter_passes_its_callers_context_on_and_ends_no_span() {
    let call = CallTrace::begin(&Tracer::off(), Some(CALLER));
    assert_eq!((call.context(true), call.has_span()), (Some(CALLER), false));
    call.end(true, || panic!("nothing is asked"));
    assert_eq!(CallTrace::default().context(false), None);
}

#[test]
fn the_span_of_a_call_belongs_to_its_callers_trace() {
    let mut scene = scene(Sampling::ratio(1.0));
    let call = CallTrace::begin(&scene.tracer, Some(CALLER));
    let own = call.context(false).unwrap();
    assert_eq!(own.trace_id(), CALLER.trace_id());
    assert_ne!(own.span_id(), CALLER.span_id());
    assert_eq!(call.context(true), Some(own), "it is decided once");
    call.end(true, outcome);
    let span = scene.only();
    assert_eq!((span.context, span.kind, span.name), (own, SpanKind::Server, METHOD));
    assert_eq!(span.parent, Some(ParentSpan { span_id: CALLER.span_id(), is_remote: true }));
    assert_eq!((span.began, span.ended), (START, START.after(Duration::from_secs(1))));
    for (name, value) in [
        ("rpc.system.name", "grpc"),
        ("facematch.door", "web"),
        ("rpc.method", METHOD),
        ("rpc.status_code", "NOT_FOUND"),
        ("error.type", "NOT_FOUND"),
        ("facematch.reason", "MATCH_NOT_FOUND"),
        ("facematch.match_id", "01890a5d-ac96-774b-bcce-b302099a8057"),
    ] {
        assert_eq!(text(&span, name), value);
    }
    assert_eq!((span.attributes.len(), span.is_error), (7, false));
}

#[test]
fn a_call_without_a_parent_begins_a_trace() {
    let mut scene = scene(Sampling::ratio(1.0));
    let call = CallTrace::begin(&scene.tracer, None);
    call.end(false, outcome);
    let span = scene.only();
    assert_eq!((span.parent, Some(span.context)), (None, call.context(false)));
}

#[test]
fn a_call_that_is_not_sampled_has_ids_and_no_span() {
    let mut scene = scene(Sampling::ratio(0.0));
    let call = CallTrace::begin(&scene.tracer, Some(CALLER));
    let own = call.context(true).unwrap();
    assert_eq!((own.trace_id(), own.is_sampled()), (CALLER.trace_id(), false));
    call.end(true, || panic!("nothing is asked"));
    assert_eq!(scene.ended(), []);
}

#[test]
fn a_match_without_an_exporter_has_its_creators_context() {
    let (mut trace, creator) =
        (MatchTrace::begin(&Tracer::off(), match_id(), 1, None), creator(CALLER));
    assert_eq!((trace.context(Some(&creator)), trace.own()), (Some(CALLER), None));
    trace.event("accepted", || panic!("nothing is asked"));
    trace.poll(|| panic!("nothing is asked"));
    let request = trace.ask(Some(&creator), 3).request(UPLOAD, OZ, 0);
    assert_eq!((request.context(), request.state()), (Some(CALLER), Some("vendor=1")));
    request.end(RequestOutcome::default());
    let poll = trace.ask(None, 0).poll();
    assert_eq!((poll.context(), poll.state()), (None, None));
    drop(poll);
    trace.end(vec![CALLER]);
}

#[test]
fn a_match_is_a_trace_of_its_own_linked_to_its_call_and_to_its_repeats() {
    let mut scene = scene(Sampling::ratio(1.0));
    let creator = creator(CALLER);
    let mut trace = MatchTrace::begin(&scene.tracer, match_id(), 7, Some(&creator));
    let own = trace.own().unwrap();
    assert_eq!(trace.context(Some(&creator)), Some(own));
    assert_ne!(own.trace_id(), CALLER.trace_id());
    scene.hand.advance(Duration::from_secs(2));
    trace.event("photo_uploaded", || vec![("adopted", true.into())]);
    trace.conclude(true, || vec![("error.type", "PHOTO_LOST".into())]);
    let repeat = TraceContext::new([9; 16], [9; 8], true);
    trace.end(vec![repeat]);
    let span = scene.only();
    assert_eq!(
        (span.context, span.parent, span.kind, span.name),
        (own, None, SpanKind::Internal, "match")
    );
    assert_eq!(span.links, [CALLER, repeat]);
    assert_eq!(attribute(&span, "facematch.epoch"), Some(7_u64.into()));
    assert_eq!(text(&span, "facematch.match_id"), match_id().to_string());
    assert_eq!((span.is_error, span.events.len()), (true, 1));
    assert_eq!(span.events[0].time, START.after(Duration::from_secs(2)));
    trace.end(Vec::new());
    assert_eq!(scene.ended(), [], "it ends once");
}

#[test]
fn a_match_is_recorded_as_its_call_is() {
    let mut scene = scene(Sampling::parent_based(1.0, 1.0));
    let unsampled = creator(TraceContext::new([1; 16], [1; 8], false));
    let mut trace = MatchTrace::begin(&scene.tracer, match_id(), 1, Some(&unsampled));
    trace.event("accepted", || panic!("nothing is asked"));
    let request = trace.ask(Some(&unsampled), 0).request(UPLOAD, OZ, 0);
    let context = request.context().unwrap();
    assert_eq!(
        (context.trace_id(), context.is_sampled()),
        (trace.own().unwrap().trace_id(), false)
    );
    request.end(RequestOutcome::default());
    trace.end(Vec::new());
    assert_eq!(scene.ended(), []);
}

#[test]
fn a_long_match_keeps_its_first_polls_and_all_its_facts() {
    let mut scene = scene(Sampling::ratio(1.0));
    let mut trace = MatchTrace::begin(&scene.tracer, match_id(), 1, None);
    for _ in 0..1_200 {
        trace.poll(Vec::new);
    }
    trace.event("finished", Vec::new);
    trace.end(vec![CALLER; 40]);
    let span = scene.only();
    assert!(span.events.len() <= 128 && span.events.last().unwrap().name == "finished");
    assert_eq!(span.events.len() + span.events_left_out as usize, 1_201);
    assert_eq!(span.links.len(), 16);
}

#[test]
fn a_request_is_a_span_of_its_match_and_tells_how_often_it_was_sent() {
    let mut scene = scene(Sampling::ratio(1.0));
    let trace = MatchTrace::begin(&scene.tracer, match_id(), 1, None);
    let own = trace.own().unwrap();
    let request = trace.ask(None, 2).request(UPLOAD, OZ, 1);
    let context = request.context().unwrap();
    request.end(RequestOutcome { status: Some(503), error: Some("OZ_SERVER_ERROR") });
    let span = scene.only();
    assert_eq!((span.context, span.kind, span.name), (context, SpanKind::Client, UPLOAD));
    assert_eq!(context.trace_id(), own.trace_id());
    assert_eq!(span.parent, Some(ParentSpan { span_id: own.span_id(), is_remote: false }));
    for (name, value) in [
        ("http.request.method", "POST"),
        ("url.template", "/api/folders/{id}/media/"),
        ("server.address", "oz.example"),
        ("error.type", "OZ_SERVER_ERROR"),
    ] {
        assert_eq!(text(&span, name), value);
    }
    for (name, number) in [
        ("server.port", 443_u64),
        ("http.response.status_code", 503),
        ("http.request.resend_count", 3),
    ] {
        assert_eq!(attribute(&span, name), Some(number.into()), "{name}");
    }
    assert!(span.is_error);
}

#[test]
fn a_request_that_is_given_up_ends_with_an_error() {
    let mut scene = scene(Sampling::ratio(1.0));
    let trace = MatchTrace::begin(&scene.tracer, match_id(), 1, None);
    drop(trace.ask(None, 0).request(UPLOAD, OZ, 0));
    let span = scene.only();
    assert_eq!((text(&span, "error.type").as_str(), span.is_error), ("given_up", true));
    assert_eq!(attribute(&span, "http.request.resend_count"), None);
}

#[test]
fn a_poll_has_the_context_of_its_match_and_no_span() {
    let mut scene = scene(Sampling::ratio(1.0));
    let creator = creator(CALLER);
    let trace = MatchTrace::begin(&scene.tracer, match_id(), 1, Some(&creator));
    let poll = trace.ask(Some(&creator), 0).poll();
    assert_eq!((poll.context(), poll.state()), (trace.own(), None), "a new trace has no state yet");
    poll.end(RequestOutcome::default());
    assert_eq!(scene.ended(), []);
}

#[test]
fn spans_that_find_no_room_are_dropped_and_counted() {
    let mut scene = scene_with(Sampling::ratio(1.0), 2);
    let dropped = scene.tracer.dropped();
    for _ in 0..5 {
        CallTrace::begin(&scene.tracer, None).end(false, outcome);
    }
    assert_eq!((scene.ended().len(), dropped.count()), (2, 3));
    drop(scene.ended);
    CallTrace::begin(&scene.tracer, None).end(false, outcome);
    assert_eq!(scene.tracer.dropped().count(), 4, "the exporter is gone");
}

#[test]
fn no_id_is_zero() {
    let (clock, _hand) = Clock::manual(START);
    let (tracer, _ended) = Tracer::new(Sampling::ratio(0.0), clock, Arc::new(|| 0), 1);
    let context = CallTrace::begin(&tracer, None).context(false).unwrap();
    assert_eq!(TraceContext::parse(&context.to_string()), Some(context));
}
