//! Traces: what a collector receives about calls, matches and requests to Oz, and what Oz receives.

pub mod collector;
mod recorder;

use std::time::Duration;

use facematch::{
    config::{Config, Sampler, TracesConfig},
    pb::{MatchRequest, MatchState},
};
use futures_util::future::join;
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use tokio::{net::TcpListener, task::JoinSet};
use tonic::Request;

use crate::{
    canary,
    library::{self, Photos},
    support::{
        TestServer, cancel, collect, get, last_match, now, portrait, portrait_request, read_until,
        rule, with_request_id,
    },
    traces::{
        collector::{Collector, attribute},
        recorder::Recorder,
    },
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// Every trace is recorded, and sent soon.
const ALL: Sampler = Sampler { root: 1.0, parent: None };

/// Has every trace exported to a collector.
pub fn export_to(url: &str, config: &mut Config) {
    config.traces = Some(TracesConfig {
        sampler: ALL,
        delay: Duration::from_millis(10),
        ..TracesConfig::new(url.to_owned())
    });
}

async fn traced(collector: &Collector) -> TestServer {
    TestServer::build_with(|config| export_to(&collector.url, config)).await
}

/// A call within the trace of its caller.
fn within_a_trace<T>(message: T, flag: &str) -> Request<T> {
    let mut request = Request::new(message);
    let parent = format!("00-{TRACE}-{PARENT}-{flag}");
    for (name, value) in [
        ("traceparent", parent.as_str()),
        ("tracestate", "vendor=1"),
        ("baggage", "person=anna-private"),
        ("x-private", "metadata-private"),
    ] {
        request.metadata_mut().insert(name, value.parse().unwrap());
    }
    request
}

/// A request with everything that must stay out of traces.
fn private_request(folder: &str) -> MatchRequest {
    let mut request = with_request_id("order-private", portrait_request(folder));
    request.labels.insert("label-private".into(), "value-private".into());
    request
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn links(span: &Span) -> Vec<(String, String)> {
    span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect()
}

fn ids(span: &Span) -> (String, String) {
    (hex(&span.trace_id), hex(&span.span_id))
}

fn of(span: &Span, name: &str) -> String {
    attribute(&span.attributes, name)
}

fn events(span: &Span) -> Vec<&str> {
    span.events.iter().map(|event| event.name.as_str()).filter(|name| *name != "poll").collect()
}

#[tokio::test]
async fn a_match_is_a_trace_linked_to_the_call_that_created_it() {
    let collector = Collector::start().await;
    let mut house = traced(&collector).await;
    let folder = house.folder();
    let request = within_a_trace(private_request(&folder), "01");
    let updates = house.client.run_match(request).await.unwrap().into_inner();
    let m = last_match(&collect(updates).await.unwrap()).clone();

    let call = collector.wait_for("facematch.v1.FaceMatch/RunMatch", 1).await.remove(0);
    assert_eq!(call.kind(), SpanKind::Server);
    assert_eq!((hex(&call.trace_id), hex(&call.parent_span_id)), (TRACE.into(), PARENT.into()));
    for (name, value) in [
        ("rpc.system.name", "grpc"),
        ("rpc.method", "facematch.v1.FaceMatch/RunMatch"),
        ("rpc.status_code", "OK"),
        ("error.type", ""),
        ("facematch.match_id", &m.match_id),
    ] {
        assert_eq!(of(&call, name), value, "{name}");
    }

    let of_match = collector.wait_for("match", 1).await.remove(0);
    assert!(of_match.parent_span_id.is_empty() && hex(&of_match.trace_id) != TRACE);
    assert_eq!(links(&of_match), [ids(&call)]);
    for (name, value) in [
        ("facematch.match_id", m.match_id.as_str()),
        ("facematch.epoch", "1"),
        ("facematch.state", "finished"),
        ("facematch.resolution", "SUCCESS"),
    ] {
        assert_eq!(of(&of_match, name), value, "{name}");
    }
    assert_eq!(events(&of_match), ["photo_uploaded", "analysis_started", "finished"]);
    assert!(of_match.events.iter().any(|event| event.name == "poll"));

    let upload = collector.wait_for("POST /api/folders/{id}/media/", 1).await.remove(0);
    let start = collector.wait_for("POST /api/folders/{id}/analyses/", 1).await.remove(0);
    let look = collector.wait_for("GET /api/folders/{id}", 1).await.remove(0);
    for (request, status) in [(&look, "200"), (&upload, "201"), (&start, "201")] {
        assert_eq!(request.kind(), SpanKind::Client);
        assert_eq!(
            (&request.trace_id, &request.parent_span_id),
            (&of_match.trace_id, &of_match.span_id)
        );
        assert_eq!(of(request, "http.response.status_code"), status, "{request:?}");
        assert_eq!(of(request, "server.address"), "127.0.0.1");
        assert_eq!(of(request, "http.request.resend_count"), "");
    }
    assert!(collector.spans().iter().all(|span| !span.name.contains("analyses/{id}")), "polls");
}

#[tokio::test]
async fn nothing_private_is_in_a_trace() {
    let collector = Collector::start().await;
    let mut house = traced(&collector).await;
    let folder = house.folder();
    let request = within_a_trace(private_request(&folder), "01");
    collect(house.client.run_match(request).await.unwrap().into_inner()).await.unwrap();
    let mut other = private_request(&folder);
    other.labels.insert("branch-private".into(), "riga".into());
    house.client.create_match(within_a_trace(other, "01")).await.unwrap_err();
    collector.wait_for("facematch.v1.FaceMatch/CreateMatch", 1).await;
    collector.wait_for("match", 1).await;
    let told = format!("{:?} {:?}", collector.spans(), collector.resources());
    for text in ["private", &folder, "vendor=1", "traceparent"] {
        assert!(!told.contains(text), "{text}");
    }
    let resource = &collector.resources()[0];
    assert_eq!(attribute(resource, "service.name"), "facematch");
    assert_eq!(attribute(resource, "service.version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(attribute(resource, "service.instance.id").len(), 16);
    // Dropping the collector searches all of it for photos, passwords and tokens, in any form.
}

#[tokio::test]
async fn a_match_that_another_process_adopts_is_linked_to_the_same_call() {
    let collector = Collector::start().await;
    let mut house = traced(&collector).await;
    house.oz.switch(|switches| switches.processing_ms = 3_600_000);
    let request = within_a_trace(portrait_request(&house.folder()), "01");
    let mut updates = house.client.run_match(request).await.unwrap().into_inner();
    read_until(&mut updates, "analysis_started").await;
    drop(updates);
    let mut house = house.restart().await;
    house.oz.switch(|switches| switches.processing_ms = 0);
    house.oz.skip(Duration::from_secs(3_600));

    let call = collector.wait_for("facematch.v1.FaceMatch/RunMatch", 1).await.remove(0);
    let [first, second] = &collector.wait_for("match", 2).await[..] else { panic!("two spans") };
    let m = house.client.get_match(get(&of(first, "facematch.match_id"))).await.unwrap();
    assert_eq!(m.into_inner().state(), MatchState::Finished);
    assert_eq!(of(first, "facematch.match_id"), of(second, "facematch.match_id"));
    assert_ne!(first.trace_id, second.trace_id);
    assert_eq!(
        (of(first, "facematch.epoch"), of(second, "facematch.epoch")),
        ("1".into(), "2".into())
    );
    for span in [first, second] {
        assert_eq!(links(span), [ids(&call)]);
    }
    assert_eq!(
        (of(first, "facematch.state"), of(second, "facematch.state")),
        ("".into(), "finished".into())
    );
    assert_eq!(events(first), ["photo_uploaded", "analysis_started"]);
    assert_eq!(events(second), ["finished"]);
    let instances: Vec<_> = collector.resources();
    let instance = |n: usize| attribute(&instances[n], "service.instance.id");
    assert_ne!(instance(0), instance(instances.len() - 1));
}

#[tokio::test]
async fn a_repeated_call_is_one_more_link_of_its_match() {
    let collector = Collector::start().await;
    let mut house = traced(&collector).await;
    house.oz.switch(|switches| switches.processing_ms = 3_600_000);
    let request = with_request_id("order-17", portrait_request(&house.folder()));
    let m = house.client.create_match(request.clone()).await.unwrap().into_inner();
    house.client.create_match(request).await.unwrap();
    house.client.cancel_match(cancel(&m.match_id)).await.unwrap();
    let calls = collector.wait_for("facematch.v1.FaceMatch/CreateMatch", 2).await;
    let of_match = collector.wait_for("match", 1).await.remove(0);
    assert_eq!(links(&of_match), [ids(&calls[0]), ids(&calls[1])]);
    assert!(calls.iter().all(|call| call.parent_span_id.is_empty()), "each begins a trace");
}

#[tokio::test]
async fn trouble_at_oz_shows_as_errors_and_resends() {
    let collector = Collector::start().await;
    let mut house = traced(&collector).await;
    let folder = house.folder();
    let fails = serde_json::json!({
        "match": {"endpoint": "start_analyses", "to": 2}, "then": {"status": 503},
    });
    house.oz.script([rule(fails)]);
    house.run(portrait_request(&folder)).await;
    let starts = collector.wait_for("POST /api/folders/{id}/analyses/", 3).await;
    let statuses: Vec<_> =
        starts.iter().map(|span| of(span, "http.response.status_code")).collect();
    assert_eq!(statuses, ["503", "503", "201"]);
    let counts: Vec<_> = starts.iter().map(|span| of(span, "http.request.resend_count")).collect();
    assert_eq!(counts, ["", "1", "2"]);
    assert_eq!(of(&starts[0], "error.type"), "OZ_SERVER_ERROR");
    let code = |span: &Span| span.status.clone().unwrap().code();
    assert_eq!((code(&starts[0]), code(&starts[2])), (StatusCode::Error, StatusCode::Unset));
    let of_match = collector.wait_for("match", 1).await.remove(0);
    assert!(events(&of_match).contains(&"attempt_failed"));
}

#[tokio::test]
async fn refused_calls_and_failed_matches_show_their_reasons() {
    let collector = Collector::start().await;
    let mut house = traced(&collector).await;
    house.client.get_match(get("01890a5d-ac96-774b-bcce-b302099a8057")).await.unwrap_err();
    let call = collector.wait_for("facematch.v1.FaceMatch/GetMatch", 1).await.remove(0);
    let shown = ["rpc.status_code", "error.type", "facematch.reason"].map(|name| of(&call, name));
    assert_eq!(shown, ["NOT_FOUND", "NOT_FOUND", "MATCH_NOT_FOUND"]);
    assert_eq!(call.status.unwrap().code(), StatusCode::Unset, "the caller's error");
    house.run(portrait_request("7e782ba3-94fa-4b34-94a0-c1e2f8c3b5b1")).await;
    let failed = collector.wait_for("match", 1).await.remove(0);
    assert_eq!(
        (of(&failed, "facematch.state"), of(&failed, "error.type")),
        ("failed".into(), "OZ_FOLDER_NOT_FOUND".into())
    );
    assert_eq!(failed.status.unwrap().code(), StatusCode::Error);
}

#[tokio::test]
async fn a_caller_without_a_credential_cannot_decide_what_is_recorded() {
    let collector = Collector::start().await;
    let mut house = TestServer::build_with(|config| {
        export_to(&collector.url, config);
        config.traces.as_mut().unwrap().sampler = Sampler { root: 0.0, parent: Some(1.0) };
    })
    .await;
    let folder = house.folder();
    let request = within_a_trace(portrait_request(&folder), "01");
    collect(house.client.run_match(request).await.unwrap().into_inner()).await.unwrap();
    house.shut_down();
    house.wait_until_stopped().await;
    assert_eq!(collector.spans(), [], "the flush at the end has sent nothing");
}

/// The headers that Oz gets in a match whose caller has a trace.
async fn headers_at_oz(change: impl FnOnce(&mut Config)) -> [Vec<String>; 3] {
    let oz = crate::support::simulator().await;
    let recorder = Recorder::to(oz.address()).await;
    let mut house = TestServer::build_with_oz(oz, |config| {
        config.oz.url = recorder.url.clone();
        change(config);
    })
    .await;
    let request = within_a_trace(portrait_request(&house.folder()), "01");
    collect(house.client.run_match(request).await.unwrap().into_inner()).await.unwrap();
    ["traceparent", "tracestate", "baggage"].map(|header| recorder.values(header))
}

#[tokio::test]
async fn without_an_exporter_oz_gets_the_callers_own_context() {
    let [parents, states, baggage] = headers_at_oz(|_| {}).await;
    assert!(parents.len() >= 4, "a folder, an upload, a start and a poll: {parents:?}");
    let caller = format!("00-{TRACE}-{PARENT}-01");
    assert!(parents.iter().all(|parent| *parent == caller), "{parents:?}");
    assert!(states.len() == parents.len() && states.iter().all(|state| state == "vendor=1"));
    assert!(baggage.is_empty(), "{baggage:?}");
}

#[tokio::test]
async fn with_an_exporter_oz_gets_the_spans_of_the_match() {
    let collector = Collector::start().await;
    let [parents, states, baggage] =
        headers_at_oz(|config| export_to(&collector.url, config)).await;
    let of_match = collector.wait_for("match", 1).await.remove(0);
    let known: Vec<_> = collector.spans().iter().map(|span| hex(&span.span_id)).collect();
    for parent in &parents {
        let parts: Vec<_> = parent.split('-').collect();
        assert_eq!((parts[1], parts[3]), (hex(&of_match.trace_id).as_str(), "01"));
        assert!(known.contains(&parts[2].to_owned()), "{parent}");
    }
    assert_eq!((states.len(), baggage.len()), (0, 0));
}

#[tokio::test]
async fn trace_headers_are_not_sent_when_they_are_off() {
    let headers = headers_at_oz(|config| config.oz.trace_headers = false).await;
    assert_eq!(headers, [const { Vec::<String>::new() }; 3]);
}

#[tokio::test]
async fn a_read_from_the_library_is_a_span_of_its_match_without_key_or_address() {
    let (collector, photos) = (Collector::start().await, Photos::new());
    let mut house = TestServer::build_with(|config| {
        export_to(&collector.url, config);
        config.library = Some(library::at(photos.url()));
    })
    .await;
    library::run(&mut house, &library::key()).await;
    library::failure(&mut house, &format!("{}/none.jpg", canary::KEY)).await;
    let reads = collector.wait_for("library.read", 2).await;
    let matches = collector.wait_for("match", 2).await;
    for (read, of_match) in reads.iter().zip(&matches) {
        assert_eq!(read.kind(), SpanKind::Client);
        assert_eq!((&read.trace_id, &read.parent_span_id), (&of_match.trace_id, &of_match.span_id));
        assert_eq!(of(read, "facematch.library_source"), "folder");
    }
    let bytes = portrait().len().to_string();
    let [done, failed] = [&reads[0], &reads[1]];
    assert_eq!((of(done, "facematch.photo_bytes"), of(done, "error.type")), (bytes, "".into()));
    assert_eq!(of(failed, "error.type"), "not_found");
    assert_eq!(failed.status.clone().unwrap().code(), StatusCode::Error);
    let told = format!("{:?}", collector.spans());
    assert!(!told.contains(photos.path().to_str().unwrap()), "{told}");
    // Dropping the collector searches all of it for the key.
}

/// An address that refuses connections, and one that takes them and never answers.
async fn dead_collectors() -> (String, String, JoinSet<()>) {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refusing = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}", listener.local_addr().unwrap());
    let mut keeper = JoinSet::new();
    keeper.spawn(async move {
        let mut held = Vec::new();
        loop {
            held.push(listener.accept().await.unwrap());
        }
    });
    (refusing, silent, keeper)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_collector_costs_nothing_but_its_spans() {
    let (refusing, silent, _keeper) = dead_collectors().await;
    join(run_beside(&refusing), run_beside(&silent)).await;
}

/// Runs matches beside a collector that is dead, and shuts down.
async fn run_beside(collector: &str) {
    let mut house = TestServer::build_with(|config| {
        export_to(collector, config);
        let traces = config.traces.as_mut().unwrap();
        (traces.queue_max, traces.batch_max) = (20, 10);
    })
    .await;
    for _ in 0..20 {
        let updates = house.run(portrait_request(&house.folder())).await;
        assert_eq!(last_match(&updates).state(), MatchState::Finished);
    }
    assert!(house.dropped_spans.count() >= 20, "five spans a match, and room for 30");
    let began = now();
    house.shut_down();
    house.wait_until_stopped().await;
    // Five seconds for the flush; the rest is for a busy machine.
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}
