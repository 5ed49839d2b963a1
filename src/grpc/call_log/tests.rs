use std::{io, sync::Mutex};

use futures_util::{FutureExt, stream};
use http_body_util::{BodyExt, StreamBody};
use tonic_types::ErrorDetails;
use tracing::Level;

use super::*;
use crate::{
    access::Permissions,
    clock::Hand,
    domain::{MatchId, TenantId},
    grpc::{second_door::CallForm, status},
    metrics::{
        ConnectionMetrics, Exposition, Format, JournalMetrics, LibraryMetrics, MatchMetrics,
        OzMetrics, Sources, WatchMetrics,
    },
    telemetry::captured::{CapturedLine, Lines, capture},
    watch::StoreError,
};

const GET: &str = "/facematch.v1.FaceMatch/GetMatch";
const CANCEL: &str = "/facematch.v1.FaceMatch/CancelMatch";
const WATCH: &str = "/facematch.v1.FaceMatch/WatchMatch";
const CHECK: &str = "/grpc.health.v1.Health/Check";
const MATCH: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

type Handler = Box<dyn FnMut(Request<Body>) -> Option<Response<Body>> + Send>;

/// A service whose answers come from a closure. `None` means that it never answers.
struct Answering(Mutex<Handler>);

impl Service<Request<Body>> for Answering {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = (self.0.get_mut().unwrap())(request);
        Box::pin(async move {
            match answer {
                Some(answer) => Ok(answer),
                None => std::future::pending().await,
            }
        })
    }
}

/// A call log whose clock the test moves.
struct Port {
    log: CallLog,
    hand: Hand,
}

impl Port {
    fn new() -> Self {
        let (clock, hand) = Clock::manual(Timestamp::default());
        let store = Outage::new("the store", clock.clone());
        Self { log: CallLog::new(store, clock), hand }
    }

    fn over(
        &self,
        answer: impl FnMut(Request<Body>) -> Option<Response<Body>> + Send + 'static,
    ) -> Logged<Answering> {
        self.log.over(Answering(Mutex::new(Box::new(answer))))
    }

    /// Calls a method whose answer `answer` makes, and reads the whole answer.
    fn call(&self, path: &str, answer: impl Fn() -> Response<Body> + Send + 'static) {
        let called = self.over(move |_| Some(answer())).call(request(path));
        let answer = called.now_or_never().unwrap().unwrap();
        // A body that fails has ended as well.
        let _ = answer.into_body().collect().now_or_never().unwrap();
    }
}

fn request(path: &str) -> Request<Body> {
    Request::post(path).body(Body::empty()).unwrap()
}

fn ok() -> Response<Body> {
    streamed(&["one", "other"], Some(Status::ok("")))
}

/// An answer of some frames, with the trailers of `end` if it is set.
fn streamed(pieces: &[&'static str], end: Option<Status>) -> Response<Body> {
    let data = pieces.iter().map(|piece| Frame::data(Bytes::from_static(piece.as_bytes())));
    let trailers = end.map(|status| {
        let mut trailers = HeaderMap::new();
        status.add_header(&mut trailers).unwrap();
        Frame::trailers(trailers)
    });
    let frames: Vec<_> = data.chain(trailers).map(Ok::<_, Status>).collect();
    Response::new(Body::new(StreamBody::new(stream::iter(frames))))
}

fn full() -> Status {
    let details = ErrorDetails::with_error_info(
        "OVERLOADED",
        "facematch",
        [("limit".to_owned(), "photo-memory".to_owned())],
    );
    Status::with_error_details(Code::ResourceExhausted, "full", details)
}

#[track_caller]
fn only(lines: &Lines) -> CapturedLine {
    match &lines.all()[..] {
        [line] => line.clone(),
        lines => panic!("one line, not {lines:#?}"),
    }
}

/// The values of a line's fields, in the order of `names`; `-` for a missing field.
fn fields<'a, const N: usize>(line: &'a CapturedLine, names: [&str; N]) -> [&'a str; N] {
    names.map(|name| line.field(name).unwrap_or("-"))
}

#[test]
fn a_changing_call_gets_one_line_at_info_with_all_known_fields() {
    let port = Port::new();
    let hand = port.hand.clone();
    let mut service = port.over(move |request| {
        let record = request.extensions().get::<CallRecord>().unwrap().clone();
        let tenant = TenantId::from_stored("retail");
        record.granted(Grant::unlimited(tenant, "kyc", Permissions::all()));
        record.names_match(MATCH.parse::<MatchId>().unwrap());
        record.names_request("order 17\" rpc.code=OK");
        // A real handler reads the request before it answers, too.
        request.into_body().collect().now_or_never().unwrap().unwrap();
        hand.advance(Duration::from_millis(250));
        Some(ok())
    });
    let mut request = request(CANCEL)
        .map(|_| Body::new(http_body_util::Full::from("question").map_err(|e| match e {})));
    let headers = request.headers_mut();
    headers.insert("user-agent", "grpc-go/1.60.0".parse().unwrap());
    headers.insert("x-request-id", "edge-7".parse().unwrap());
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    headers.insert("traceparent", parent.parse().unwrap());
    let address: SocketAddr = "192.0.2.7:4711".parse().unwrap();
    request
        .extensions_mut()
        .insert(TcpConnectInfo { local_addr: None, remote_addr: Some(address) });
    request.extensions_mut().insert(CallForm { door: CallDoor::Web, ..CallForm::default() });
    let line = only(&capture(|| {
        let answer = service.call(request).now_or_never().unwrap().unwrap();
        answer.into_body().collect().now_or_never().unwrap().unwrap();
    }));
    assert_eq!((line.level, line.message.as_str()), (Level::INFO, "call ended"));
    for (name, value) in [
        ("door", "web"),
        ("rpc.method", "facematch.v1.FaceMatch/CancelMatch"),
        ("rpc.code", "OK"),
        ("tenant", "retail"),
        ("caller", "kyc"),
        ("peer", "192.0.2.7:4711"),
        ("user_agent", "grpc-go/1.60.0"),
        ("match.id", MATCH),
        ("request.id", "order 17\" rpc.code=OK"),
        ("duration_ms", "250"),
        ("bytes_in", "8"),
        ("bytes_out", "8"),
        ("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"),
        ("x_request_id", "edge-7"),
    ] {
        assert_eq!(line.field(name), Some(value), "{name}");
    }
    for name in ["reason", "limit", "error", "rpc.path"] {
        assert_eq!(line.field(name), None, "{name}");
    }
}

#[test]
fn a_step_of_the_clock_is_no_part_of_a_duration() {
    let line = only(&capture(|| {
        let port = Port::new();
        let clock = port.log.0.clock.clone();
        port.call(CANCEL, move || {
            clock.step_to(clock.now().after(Duration::from_secs(3_600)));
            ok()
        });
    }));
    assert_eq!(line.field("duration_ms"), Some("0"));
}

#[test]
fn an_exemplar_is_of_a_trace_that_is_recorded() {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    for (flags, is_shown) in [("01", true), ("00", false)] {
        let port = Port::new();
        let mut request = request(CANCEL);
        let parent = format!("00-{trace}-00f067aa0ba902b7-{flags}");
        request.headers_mut().insert("traceparent", parent.parse().unwrap());
        let answer = port.over(|_| Some(ok())).call(request).now_or_never().unwrap().unwrap();
        answer.into_body().collect().now_or_never().unwrap().unwrap();
        assert_eq!(scraped(&port).contains(trace), is_shown, "{flags}");
    }
}

/// A scrape with exemplars of what the calls of a port have counted.
fn scraped(port: &Port) -> String {
    let exposition = Exposition::new(Sources {
        calls: port.log.metrics(),
        connections: &ConnectionMetrics::default(),
        matches: &MatchMetrics::default(),
        oz: &OzMetrics::new("oz.example"),
        library: &LibraryMetrics::default(),
        journal: &JournalMetrics::default(),
        watch: &WatchMetrics::default(),
        samplers: Vec::new(),
    });
    exposition.encode(Format::OpenMetrics).unwrap()
}

#[test]
fn unknown_fields_are_left_out() {
    let line = only(&capture(|| Port::new().call(CANCEL, ok)));
    assert_eq!(line.field("door"), Some("grpc"));
    for name in ["peer", "user_agent", "match.id", "request.id", "trace_id", "x_request_id"] {
        assert_eq!(line.field(name), None, "{name}");
    }
}

#[test]
fn reads_and_health_checks_are_logged_at_debug_and_refusals_at_info() {
    let refused = || full().into_http();
    for (path, answer, level) in [
        (CANCEL, ok as fn() -> Response<Body>, Level::INFO),
        (GET, ok, Level::DEBUG),
        (CHECK, ok, Level::DEBUG),
        (CANCEL, refused, Level::INFO),
        (GET, refused, Level::INFO),
        (CHECK, refused, Level::DEBUG),
        (GET, || status::internal("a bug").into_http(), Level::ERROR),
    ] {
        let line = only(&capture(|| Port::new().call(path, answer)));
        assert_eq!(line.level, level, "{path} {:?}", line.field("rpc.code"));
    }
}

#[test]
fn a_refusal_shows_its_reason_and_limit_from_headers_and_from_trailers() {
    for answer in [
        || full().into_http(),
        // The status is in the extensions and the headers, as after another layer.
        || full().into_http::<Body>().map(|_| Body::empty()),
        || {
            let mut response = full().into_http::<Body>();
            response.extensions_mut().clear();
            response
        },
        || streamed(&["an update"], Some(full())),
    ] {
        let line = only(&capture(|| Port::new().call(GET, answer)));
        assert_eq!(
            fields(&line, ["rpc.code", "reason", "limit"]),
            ["RESOURCE_EXHAUSTED", "OVERLOADED", "photo-memory"]
        );
    }
}

#[test]
fn an_answer_that_is_not_grpc_gets_the_code_of_its_http_status() {
    for (status, code) in [(415, "UNKNOWN"), (404, "UNIMPLEMENTED"), (503, "UNAVAILABLE")] {
        let answer = move || Response::builder().status(status).body(Body::empty()).unwrap();
        let line = only(&capture(|| Port::new().call(GET, answer)));
        assert_eq!(line.field("rpc.code"), Some(code));
    }
    let line = only(&capture(|| Port::new().call(GET, || streamed(&["cut"], None))));
    assert_eq!(line.field("rpc.code"), Some("UNKNOWN"));
}

#[test]
fn a_stream_whose_caller_disconnects_is_logged_once_as_cancelled() {
    let port = Port::new();
    let line = only(&capture(|| {
        let endless = || stream::pending::<Result<Frame<Bytes>, Status>>();
        let mut service =
            port.over(move |_| Some(Response::new(Body::new(StreamBody::new(endless())))));
        let answer = service.call(request(WATCH)).now_or_never().unwrap().unwrap();
        let mut body = answer.into_body();
        assert!(body.frame().now_or_never().is_none());
        port.hand.advance(Duration::from_secs(60));
    }));
    assert_eq!(line.level, Level::DEBUG, "a caller that has read enough is not refused");
    assert_eq!(fields(&line, ["rpc.code", "duration_ms"]), ["CANCELLED", "60000"]);
}

#[test]
fn a_call_dropped_before_its_answer_is_cancelled_or_past_its_deadline() {
    for (timeout, code) in
        [(None, "CANCELLED"), (Some("3S"), "CANCELLED"), (Some("700m"), "DEADLINE_EXCEEDED")]
    {
        let port = Port::new();
        let line = only(&capture(|| {
            let mut request = request(CANCEL);
            if let Some(timeout) = timeout {
                request.headers_mut().insert("grpc-timeout", timeout.parse().unwrap());
            }
            let called = port.over(|_| None).call(request);
            port.hand.advance(Duration::from_secs(1));
            drop(called);
        }));
        assert_eq!((line.level, line.field("rpc.code")), (Level::INFO, Some(code)), "{timeout:?}");
    }
}

#[test]
fn a_stalled_stream_is_logged_as_unread_even_if_its_caller_never_reads_the_status() {
    let port = Port::new();
    let line = only(&capture(|| {
        let called = port.over(|request| {
            CallRecord::among(request.extensions()).note_stalled();
            let silent = stream::pending::<Result<Frame<Bytes>, Status>>();
            Some(Response::new(Body::new(StreamBody::new(Box::pin(silent)))))
        });
        let answer = { called }.call(request(WATCH)).now_or_never().unwrap().unwrap();
        drop(answer);
    }));
    assert_eq!(line.level, Level::INFO);
    assert_eq!(fields(&line, ["rpc.code", "reason"]), ["RESOURCE_EXHAUSTED", "UPDATES_UNREAD"]);
}

#[test]
fn a_flood_of_refusals_gets_a_few_lines_and_a_count() {
    let port = Port::new();
    let lines = capture(|| {
        for _ in 0..1000 {
            port.call(GET, || full().into_http());
        }
        port.call(WATCH, || full().into_http());
        port.log.close();
    });
    let told: Vec<_> = lines.all().into_iter().filter(|line| line.level <= Level::INFO).collect();
    assert_eq!(told.len(), 7, "five of the flood, one of another method, and the count");
    let rest = &told[6];
    assert_eq!(rest.message, "more calls ended the same way");
    assert_eq!(
        fields(rest, ["rpc.method", "rpc.code", "reason", "calls"]),
        ["facematch.v1.FaceMatch/GetMatch", "RESOURCE_EXHAUSTED", "OVERLOADED", "995"]
    );
    let of_get =
        |ended: &EndedCalls| ended.method.ends_with("GetMatch") && ended.reason == "OVERLOADED";
    assert_eq!(port.log.ended().iter().find(|ended| of_get(ended)).unwrap().calls, 1000);
}

#[test]
fn a_store_outage_is_warned_of_once_and_not_for_each_call() {
    let port = Port::new();
    let unavailable = || {
        let cause = io::Error::other("connection refused");
        status::store(&StoreError::Unavailable(Arc::new(cause)))
    };
    let lines = capture(|| {
        for path in [GET, CANCEL, WATCH] {
            (0..100).for_each(|_| port.call(path, move || unavailable().into_http()));
        }
    });
    let warned: Vec<_> = lines.all().into_iter().filter(|line| line.level <= Level::WARN).collect();
    let [line] = &warned[..] else { panic!("one warning, not {warned:?}") };
    assert_eq!(line.message, "the store fails");
    let why = "the store is unavailable: connection refused";
    assert_eq!(line.field("error"), Some(why));
    assert_eq!(lines.all()[1].field("error"), Some(why), "the call's own line shows the cause too");
}

#[test]
fn the_error_behind_a_broken_stream_comes_from_its_record() {
    let port = Port::new();
    let line = only(&capture(|| {
        let mut service = port.over(|request| {
            let bug = status::internal("event 7 can't follow");
            request.extensions().get::<CallRecord>().unwrap().broke_off(&bug);
            Some(streamed(&["an update"], Some(bug)))
        });
        let answer = service.call(request(WATCH)).now_or_never().unwrap().unwrap();
        answer.into_body().collect().now_or_never().unwrap().unwrap();
    }));
    assert_eq!(fields(&line, ["rpc.code", "error"]), ["INTERNAL", "event 7 can't follow"]);
    assert_eq!(line.level, Level::ERROR);
}

#[test]
fn an_unknown_method_is_other_and_its_path_is_logged_if_it_is_well_formed() {
    let unknown = || Status::unimplemented("").into_http();
    for (path, told) in
        [("/a.v1.B/C", Some("a.v1.B/C")), ("/a/b?token=c", Some("a/b")), ("/a%0Ab/c", None)]
    {
        let line = only(&capture(|| Port::new().call(path, unknown)));
        assert_eq!((line.field("rpc.method"), line.field("rpc.path")), (Some("other"), told));
        assert_eq!(line.field("tenant"), None);
    }
}

#[test]
fn grpc_timeouts_are_parsed() {
    let read = |text: &str| timeout(&text.parse().unwrap());
    assert_eq!(read("700m"), Some(Duration::from_millis(700)));
    assert_eq!(read("2H"), Some(Duration::from_secs(7200)));
    for wrong in ["", "m", "7", "-1S", "1s", "123456789S", "1,5S"] {
        assert_eq!(read(wrong), None, "{wrong}");
    }
}
