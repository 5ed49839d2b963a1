use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

use futures_util::{FutureExt, stream};
use http::HeaderMap;
use http_body_util::{BodyExt, StreamBody};
use serde_json::Value;
use tempfile::TempDir;
use tonic::transport::server::TcpConnectInfo;

use super::*;
use crate::{
    access::{Grant, Permissions, audit::FailureMode},
    clock::Clock,
    domain::{Position, TenantId, TraceContext},
    trace::{CallTrace, Tracer},
};

const GET: &str = "/facematch.v1.FaceMatch/GetMatch";
const WATCH_ALL: &str = "/facematch.v1.FaceMatch/WatchMatches";
const CHECK: &str = "/grpc.health.v1.Health/Check";
const MATCH: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

type Handler = Arc<Mutex<dyn FnMut(Request<Body>) -> Option<Response<Body>> + Send>>;

/// A service whose answers come from a closure. `None` means that it never answers.
#[derive(Clone)]
struct Handling(Handler);

impl Service<Request<Body>> for Handling {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Answering {
        let answer = (self.0.lock().unwrap())(request);
        Box::pin(async move {
            match answer {
                Some(answer) => Ok(answer),
                None => std::future::pending().await,
            }
        })
    }
}

/// An audit file, and a port whose calls are recorded in it.
struct Port {
    folder: TempDir,
    audit: Audit,
}

impl Port {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let audit = open(&folder.path().join("audit.log"), FailureMode::Refuse);
        Self { folder, audit }
    }

    fn over(
        &self,
        answer: impl FnMut(Request<Body>) -> Option<Response<Body>> + Send + 'static,
    ) -> Audited<Handling> {
        over(self.audit.clone(), answer)
    }

    fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.path().join("audit.log")).unwrap();
        let lines = text.lines().filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The lines once the file is closed.
    async fn into_lines(self) -> Vec<Value> {
        self.audit.close().await;
        self.lines()
    }
}

fn open(path: &Path, mode: FailureMode) -> Audit {
    Audit::open(path, mode, "replica".into(), Clock::system()).unwrap()
}

fn over(
    audit: Audit,
    answer: impl FnMut(Request<Body>) -> Option<Response<Body>> + Send + 'static,
) -> Audited<Handling> {
    Audited::new(Handling(Arc::new(Mutex::new(answer))), audit, Arc::new(|| 0.5))
}

/// A request as the call log passes it on, and its record.
fn request(path: &str) -> (Request<Body>, CallRecord) {
    let mut request = Request::post(path).body(Body::empty()).unwrap();
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let parent = TraceContext::parse(parent);
    let record = CallRecord::traced(CallTrace::begin(&Tracer::off(), parent));
    let remote_addr = Some("192.0.2.7:4711".parse().unwrap());
    request.extensions_mut().insert(record.clone());
    request.extensions_mut().insert(TcpConnectInfo { local_addr: None, remote_addr });
    (request, record)
}

/// An answer with a message, which ends with a status.
fn streamed(end: &Status) -> Response<Body> {
    let mut trailers = HeaderMap::new();
    end.add_header(&mut trailers).unwrap();
    let frames = [Frame::data(Bytes::from_static(b"update")), Frame::trailers(trailers)];
    Response::new(Body::new(StreamBody::new(stream::iter(frames.map(Ok::<_, Status>)))))
}

#[tokio::test]
async fn a_call_is_recorded_before_its_answer_with_who_called_and_how_it_ended() {
    let port = Port::new();
    let mut service = port.over(|_| Some(status::not_found("m").into_http()));
    let (request, record) = request(GET);
    let tenant = TenantId::from_stored("retail");
    record.granted(Grant::unlimited(tenant, "kyc", Permissions::all()));
    record.names_match(MATCH.parse().unwrap());
    service.call(request).await.unwrap();
    let lines = port.lines();
    let told = ["tenant", "caller", "peer", "rpc", "match_id", "code", "reason", "trace_id"]
        .map(|field| lines[0][field].as_str().unwrap());
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let expected = ["retail", "kyc", "192.0.2.7:4711", "GetMatch", MATCH, "NOT_FOUND"];
    assert_eq!((&told[..6], &told[6..]), (&expected[..], &["MATCH_NOT_FOUND", trace][..]));
    assert_eq!((lines.len(), lines[0].get("credential")), (1, None));
}

#[tokio::test]
async fn only_calls_of_facematch_are_recorded() {
    let port = Port::new();
    let mut service = port.over(|_| Some(streamed(&Status::ok(""))));
    service.call(request(CHECK).0).await.unwrap();
    service.call(request("/facematch.v1.FaceMatch/Nothing").0).await.unwrap();
    assert_eq!(port.into_lines().await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_stream_of_all_matches_is_recorded_again_before_its_trailers() {
    let port = Port::new();
    let mut service = port.over(|request| {
        let record = CallRecord::among(request.extensions());
        [7, 8, 12].into_iter().for_each(|position| record.shows(Position(position)));
        Some(streamed(&status::draining()))
    });
    let answer = service.call(request(WATCH_ALL).0).await.unwrap();
    let mut body = answer.into_body();
    assert!(body.frame().await.unwrap().unwrap().is_data());
    assert_eq!((port.lines().len(), &port.lines()[0]["code"]), (1, &"OK".into()));
    assert!(body.frame().await.unwrap().unwrap().is_trailers());
    let end = port.lines().remove(1);
    assert_eq!((&end["code"], &end["reason"]), (&"UNAVAILABLE".into(), &"SERVER_DRAINING".into()));
    assert_eq!((&end["first_position"], &end["last_position"]), (&7.into(), &12.into()));
    assert!(body.is_end_stream() || body.frame().await.is_none());
    drop(body);
    assert_eq!(port.into_lines().await.len(), 2);
}

#[tokio::test]
async fn a_call_and_a_stream_that_are_given_up_are_recorded() {
    let port = Port::new();
    let mut never = port.over(|_| None);
    // A call that finds room goes on at once.
    drop(port.audit.reserve().await.unwrap());
    assert!(never.call(request(GET).0).now_or_never().is_none());
    let mut open = port.over(|_| {
        Some(Response::new(Body::new(StreamBody::new(stream::pending::<
            Result<Frame<Bytes>, Status>,
        >()))))
    });
    drop(open.call(request(WATCH_ALL).0).await.unwrap());
    let (stalled, record) = request(WATCH_ALL);
    let stalled = open.call(stalled).await.unwrap();
    record.note_stalled();
    drop(stalled);
    let codes: Vec<_> =
        port.into_lines().await.into_iter().map(|line| line["code"].clone()).collect();
    assert_eq!(codes, ["CANCELLED", "OK", "CANCELLED", "OK", "RESOURCE_EXHAUSTED"]);
}

#[tokio::test]
async fn a_call_that_cannot_be_recorded_has_no_effect() {
    let full = open(Path::new("/dev/full"), FailureMode::Refuse);
    let mut service = over(full, |_| panic!("the call goes on"));
    for path in [GET, WATCH_ALL] {
        let answer = service.call(request(path).0).await.unwrap();
        let told = Status::from_header_map(answer.headers()).unwrap();
        assert_eq!(told.code(), Code::Unavailable);
        let details = tonic_types::StatusExt::get_error_details(&told);
        assert_eq!(details.error_info().unwrap().reason, "AUDIT_UNAVAILABLE");
        assert_eq!(answer.headers()["grpc-retry-pushback-ms"], "1250");
        assert!(answer.headers().contains_key("facematch-version"));
    }
    let logging = open(Path::new("/dev/full"), FailureMode::Log);
    let mut service = over(logging, |_| Some(streamed(&Status::ok(""))));
    let answer = service.call(request(WATCH_ALL).0).await.unwrap();
    let all = answer.into_body().collect().await.unwrap();
    assert_eq!(all.trailers().unwrap()["grpc-status"], "0");
}

#[test]
fn without_a_file_a_call_goes_straight_on() {
    let mut service = over(Audit::off(), |_| Some(streamed(&Status::ok(""))));
    service.call(request(GET).0).now_or_never().unwrap().unwrap();
}
