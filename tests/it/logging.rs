//! The program's log: a line for each ended call and each event, and all of it in JSON.

mod following;
pub mod program;

use std::{io::Write, net::TcpListener, thread};

use facematch::{
    pb::{CancelMatchRequest, MatchRequest, MatchState, cancel_match_request::Id},
    simulator::sample,
};
use futures_util::{StreamExt, future::join_all, stream};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::{Code, Request, transport::Endpoint};

use crate::{
    canary,
    http2::{self, END_HEADERS, Kind, frame, headers},
    support::{
        cancel, collect, delete, get, last_match, portrait_request, read_until, rule, simulator,
        watch_after, with_request_id,
    },
    transport,
};
use program::Program;

/// A level at which the log has a line for every call.
const LEVEL: &str = "info,facematch=debug";

fn told<'a>(log: &'a [Value], message: &str) -> Vec<&'a Value> {
    log.iter().filter(|line| line["message"] == message).collect()
}

fn cancel_by_request(request_id: &str) -> CancelMatchRequest {
    CancelMatchRequest { id: Some(Id::RequestId(request_id.to_owned())) }
}

fn calls(log: &[Value]) -> Vec<&Value> {
    told(log, "call ended")
}

/// The log lines of a method's calls that ended with this code and reason.
fn ended<'a>(log: &'a [Value], method: &str, code: &str, reason: &str) -> Vec<&'a Value> {
    let method = format!("facematch.v1.FaceMatch/{method}");
    let fits = |line: &&Value| {
        line["rpc.method"] == *method
            && line["rpc.code"] == code
            && line["reason"].as_str().unwrap_or_default() == reason
    };
    calls(log).into_iter().filter(fits).collect()
}

#[track_caller]
fn only<'a>(log: &'a [Value], method: &str, code: &str, reason: &str) -> &'a Value {
    match &ended(log, method, code, reason)[..] {
        [line] => line,
        lines => panic!("{method} {code} {reason}: {} lines in {log:#?}", lines.len()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_of_refusal_has_a_log_line() {
    let oz = simulator().await;
    oz.switch(|switches| switches.processing_ms = 0);
    let program = Program::start(&oz, LEVEL, &[]);
    let mut client = crate::support::connect(&program.address).await;
    let folder = oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));

    let run =
        client.run_match(with_request_id("order-17", portrait_request(&folder))).await.unwrap();
    let updates = collect(run.into_inner()).await.unwrap();
    let m = last_match(&updates).clone();
    assert_eq!(m.state(), MatchState::Finished);
    client.run_match(MatchRequest::default()).await.unwrap_err();
    let mut unreadable = portrait_request(&folder);
    let text = bytes::Bytes::from_static(b"no photo at all");
    unreadable.photo.as_mut().unwrap().source =
        Some(facematch::pb::reference_photo::Source::Content(text));
    client.run_match(unreadable).await.unwrap_err();
    let mut other = with_request_id("order-17", portrait_request(&folder));
    other.labels.insert("branch".into(), "riga".into());
    client.create_match(other).await.unwrap_err();
    let unknown = "01890a5d-ac96-774b-bcce-b302099a8057";
    client.get_match(get(unknown)).await.unwrap_err();
    client.watch_match(watch_after(&m.match_id, 99)).await.unwrap_err();
    client.cancel_match(cancel(&m.match_id)).await.unwrap_err();
    client.delete_match(delete(&m.match_id)).await.unwrap();
    client.get_match(get(&m.match_id)).await.unwrap_err();

    let log = program.stop();
    let ran = only(&log, "RunMatch", "OK", "");
    assert_eq!(
        (&ran["match.id"], &ran["request.id"]),
        (&m.match_id.clone().into(), &"order-17".into())
    );
    assert!(ran["bytes_in"].as_u64().unwrap() > 1000 && ran["bytes_out"].as_u64().unwrap() > 100);
    for (method, code, reason) in [
        ("RunMatch", "INVALID_ARGUMENT", "FIELD_INVALID"),
        ("RunMatch", "INVALID_ARGUMENT", "PHOTO_UNREADABLE"),
        ("CreateMatch", "ALREADY_EXISTS", "REQUEST_ID_REUSED"),
        ("WatchMatch", "OUT_OF_RANGE", "WATCH_AHEAD"),
        ("CancelMatch", "FAILED_PRECONDITION", "MATCH_ENDED"),
    ] {
        let line = only(&log, method, code, reason);
        assert_eq!(line["level"], "INFO", "{line}");
        assert!(line["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
        assert!(line["user_agent"].as_str().unwrap().starts_with("tonic/"), "{line}");
        assert!(line["duration_ms"].is_u64() && line["bytes_in"].as_u64() > Some(0), "{line}");
        assert_eq!((&line["tenant"], &line["caller"]), (&"default".into(), &"anonymous".into()));
    }
    let reused = only(&log, "CreateMatch", "ALREADY_EXISTS", "REQUEST_ID_REUSED");
    assert_eq!(
        (&reused["match.id"], &reused["request.id"]),
        (&m.match_id.clone().into(), &"order-17".into())
    );
    let absent = ended(&log, "GetMatch", "NOT_FOUND", "MATCH_NOT_FOUND");
    assert_eq!(
        absent.iter().map(|line| &line["match.id"]).collect::<Vec<_>>(),
        [unknown, &m.match_id]
    );

    let erased = log.iter().find(|line| line["message"] == "match erased").expect("it is logged");
    assert_eq!(erased["match.id"], *m.match_id);
    let deleted = only(&log, "DeleteMatch", "OK", "");
    assert_eq!(
        (&deleted["match.id"], &deleted["level"]),
        (&m.match_id.clone().into(), &"INFO".into())
    );
    let finished = log.iter().find(|line| line["message"] == "match finished").unwrap();
    assert_eq!(
        (&finished["resolution"], &finished["request.id"]),
        (&"SUCCESS".into(), &"order-17".into())
    );
    assert!(finished["duration_ms"].is_u64() && finished["oz.folder_id"] == *folder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_calls_is_logged_as_a_few_lines_and_a_count() {
    let oz = simulator().await;
    let program = Program::start(&oz, "info", &[]);
    let mut client = crate::support::connect(&program.address).await;
    for _ in 0..500 {
        client.get_match(get("01890a5d-ac96-774b-bcce-b302099a8057")).await.unwrap_err();
    }
    let log = program.stop();
    let told = ended(&log, "GetMatch", "NOT_FOUND", "MATCH_NOT_FOUND").len();
    let more = log.iter().filter(|line| line["message"] == "more calls ended the same way");
    let counted: u64 = more.map(|line| line["calls"].as_u64().unwrap()).sum();
    assert!(told <= 10, "{told} lines");
    assert_eq!(told as u64 + counted, 500);
}

#[tokio::test]
async fn headers_break_no_log_line_and_leak_no_secret() {
    let oz = simulator().await;
    let program = Program::start(&oz, LEVEL, &[]);
    let token = "0123456789abcdef".repeat(8);
    let agent = format!("curl/8 {token} \"}} rpc.code=OK");
    let endpoint = Endpoint::from_shared(program.address.clone()).unwrap();
    let channel = endpoint.user_agent(agent).unwrap().connect().await.unwrap();
    let mut client = canary::client(channel);
    let mut request = Request::new(get("01890a5d-ac96-774b-bcce-b302099a8057"));
    for name in ["x-request-id", "traceparent", "authorization", "x-forensic-access-token"] {
        request.metadata_mut().insert(name, token.parse().unwrap());
    }
    assert_eq!(client.get_match(request).await.unwrap_err().code(), Code::NotFound);
    // `stop` checks that each line is JSON and holds no token.
    let log = program.stop();
    let line = only(&log, "GetMatch", "NOT_FOUND", "MATCH_NOT_FOUND");
    assert!(
        line["user_agent"].as_str().unwrap().starts_with("curl/8 [withheld] [withheld]"),
        "{line}"
    );
    assert!(line["x_request_id"].is_null() && line["trace_id"].is_null(), "{line}");
}

#[tokio::test]
async fn health_checks_are_logged_at_debug_level() {
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    let oz = simulator().await;
    let program = Program::start(&oz, LEVEL, &[]);
    let channel = Endpoint::from_shared(program.address.clone()).unwrap().connect().await.unwrap();
    let mut health = HealthClient::new(channel);
    health.check(HealthCheckRequest { service: String::new() }).await.unwrap();
    health.check(HealthCheckRequest { service: "nothing".into() }).await.unwrap_err();
    let log = program.stop();
    let checks: Vec<_> = calls(&log)
        .into_iter()
        .filter(|line| line["rpc.method"] == "grpc.health.v1.Health/Check")
        .collect();
    let told: Vec<_> = checks.iter().map(|line| (&line["level"], &line["rpc.code"])).collect();
    assert_eq!(told, [(&"DEBUG".into(), &"OK".into()), (&"DEBUG".into(), &"NOT_FOUND".into())]);
}

#[tokio::test]
async fn repeats_cancels_and_trouble_are_logged_with_their_match() {
    let oz = simulator().await;
    let when = json!({"endpoint": "get_folder"});
    oz.script([rule(json!({"match": when, "then": {"html": 502}}))]);
    let program = Program::start(&oz, LEVEL, &[]);
    let mut client = crate::support::connect(&program.address).await;
    let folder = oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
    let request = with_request_id("order-17", portrait_request(&folder));
    for _ in 0..2 {
        drop(client.run_match(request.clone()).await.unwrap());
    }
    let trouble = program.line("trouble at Oz").await;
    let m = client.cancel_match(cancel_by_request("order-17")).await.unwrap().into_inner();

    let log = program.stop();
    let accepted: Vec<_> = told(&log, "match accepted");
    let [accepted] = &accepted[..] else { panic!("not one match: {accepted:?}") };
    let names = |line: &Value| (line["match.id"].clone(), line["request.id"].clone());
    let its: (Value, Value) = (m.match_id.clone().into(), "order-17".into());
    assert_eq!(names(accepted), its);
    assert_eq!(names(told(&log, "match cancelled")[0]), its);
    assert_eq!(names(only(&log, "CancelMatch", "OK", "")), its);
    let runs = ended(&log, "RunMatch", "CANCELLED", "");
    assert_eq!(runs.iter().map(|line| names(line)).collect::<Vec<_>>(), [its.clone(), its]);
    assert_eq!(
        (&trouble["match.id"], &trouble["cause"]),
        (&m.match_id.into(), &"OZ_SERVER_ERROR".into())
    );
    assert_eq!(
        (&trouble["error"], &trouble["oz.http_status"]),
        (&"answered with HTML".into(), &"502".into())
    );
    assert!(trouble["next_attempt_in_ms"].is_u64(), "{trouble}");
}

/// Accepts connections and sends a fixed answer, possibly empty, which is not TLS.
fn listener(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let mut taken = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // The client may have disconnected.
            let _ = stream.write_all(answer);
            taken.push(stream);
        }
    });
    format!("https://localhost:{port}")
}

/// A call that a limit refuses or ends is logged with the limit and the peer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_reached_limit_has_a_log_line() {
    let oz = simulator().await;
    oz.script([rule(json!({"then": {"never_finish": true}}))]);
    let limits = ["--max-unfinished", "1", "--receive-timeout", "1s", "--request-memory", "256KiB"];
    let program = Program::start(&oz, "info", &limits);
    let mut client = crate::support::connect(&program.address).await;
    let folder = oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
    client.create_match(portrait_request(&folder)).await.unwrap();
    client.create_match(portrait_request(&folder)).await.unwrap_err();
    // One call stalls early, and two stall just before their ends: there is no room for both.
    let channel = transport::channel(&program.address).await;
    let stalled = |begun| {
        let mut channel = channel.clone();
        let body = stream::iter([Ok(begun)]).chain(stream::pending());
        async move { transport::call(&mut channel, "GetMatch", body).await.unwrap_err() }
    };
    stalled(transport::announced(9, b"so far")).await;
    join_all((0..2).map(|_| stalled(transport::announced(65_536, &[0; 65_535])))).await;
    let log = tokio::task::spawn_blocking(|| program.stop()).await.unwrap();
    for (method, code, reason, limit) in [
        ("CreateMatch", "RESOURCE_EXHAUSTED", "OVERLOADED", Some("unfinished-matches")),
        ("GetMatch", "DEADLINE_EXCEEDED", "CALL_TIMED_OUT", None),
        ("GetMatch", "RESOURCE_EXHAUSTED", "OVERLOADED", Some("request-memory")),
    ] {
        let lines = ended(&log, method, code, reason);
        let line = lines.first().unwrap_or_else(|| panic!("no {method} {reason} in {log:#?}"));
        assert_eq!(line["limit"].as_str(), limit, "{line}");
        assert!(line["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:")), "{line}");
    }
}

/// The log identifies peers that flood, speak another protocol or hold too many connections.
#[tokio::test]
async fn refused_and_broken_connections_are_logged_with_their_peers() {
    let oz = simulator().await;
    let program = Program::start(&oz, LEVEL, &["--max-connections-per-address", "2"]);
    let address = program.address.trim_start_matches("http://").parse().unwrap();
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut socket = http2::connect_from("127.0.0.1", address).await;
        socket.write_all(&http2::begin(65_535)).await.unwrap();
        socket.read_u8().await.expect("it is served");
        held.push(socket);
    }
    for _ in 0..3 {
        let mut socket = http2::connect_from("127.0.0.1", address).await;
        socket.read_u8().await.expect_err("it is refused");
    }
    let mut other = http2::connect_from("127.0.0.2", address).await;
    other.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let _ = other.read_to_end(&mut Vec::new()).await;
    let mut flood = http2::connect_from("127.0.0.3", address).await;
    flood.write_all(&http2::begin(65_535)).await.unwrap();
    for n in 0.. {
        let call = frame(Kind::Headers, END_HEADERS, 2 * n + 1, &headers("/a/b"));
        let reset = frame(Kind::RstStream, 0, 2 * n + 1, &[0, 0, 0, 8]);
        if flood.write_all(&[call, reset].concat()).await.is_err() {
            break;
        }
    }
    drop(held);
    let log = program.stop();
    let of = |peer: &str| -> Vec<(&str, &str, Option<u64>)> {
        let lines = log.iter().filter(|line| line["peer.address"] == peer);
        let told = lines.map(|line| {
            let reason = line["reason"].as_str().unwrap().split(':').next().unwrap();
            (line["message"].as_str().unwrap(), reason, line["connections"].as_u64())
        });
        told.collect()
    };
    let full = "the address holds as many connections as --max-connections-per-address allows";
    let refused = of("127.0.0.1");
    assert_eq!(
        refused,
        [
            ("connection refused", full, None),
            ("more connections refused for the same reason", full, Some(2))
        ]
    );
    let other = "it speaks something else than HTTP/2 in plain text, such as TLS or HTTP/1.1";
    assert_eq!(of("127.0.0.2"), [("connection broken off", other, None)]);
    assert_eq!(of("127.0.0.3"), [("connection broken off", "ENHANCE_YOUR_CALM", None)]);
}

#[tokio::test]
async fn each_cause_of_an_unreachable_oz_is_logged() {
    let oz = simulator().await;
    let folder = oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (url, why) in [
        ("http://oz.invalid".to_owned(), "dns error"),
        (format!("http://{closed}"), "Connection refused"),
        (listener(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "received corrupt message"),
        (listener(b""), "could not connect: client error (Connect): operation timed out"),
    ] {
        let program =
            Program::start(&oz, "info", &["--oz-url", &url, "--oz-connect-timeout", "200ms"]);
        let mut client = crate::support::connect(&program.address).await;
        let mut updates = client.run_match(portrait_request(&folder)).await.unwrap().into_inner();
        read_until(&mut updates, "attempt_failed").await;
        let line = program.line("trouble at Oz").await;
        assert!(line["error"].as_str().unwrap().contains(why), "{url}: {line}");
        assert_eq!(line["cause"], "OZ_UNREACHABLE");
    }
}

#[tokio::test]
async fn the_start_the_stop_and_each_change_of_health_are_logged() {
    let oz = simulator().await;
    let program = Program::start(&oz, "info", &["--heartbeat", "7s"]);
    let address = program.address.clone();
    let log = program.stop();
    let starts = told(&log, "facematch started")[0];
    assert_eq!(
        (&starts["version"], &starts["store"]),
        (&env!("CARGO_PKG_VERSION").into(), &"sqlite".into())
    );
    let settings = starts["settings"].as_str().unwrap();
    for shown in ["listen=127.0.0.1:0", "oz-password=[hidden]", "log=json", "heartbeat=7s"] {
        assert!(settings.contains(shown), "{settings}");
    }
    assert_eq!(format!("http://{}", starts["address"].as_str().unwrap()), address);
    let health: Vec<_> = log.iter().filter_map(|line| line["health"].as_str()).collect();
    assert_eq!(health, ["SERVING", "NOT_SERVING"]);
    assert_eq!(
        log.iter().find(|line| line["health"] == "NOT_SERVING").unwrap()["reason"],
        "SERVER_DRAINING"
    );
    assert_eq!(log.last().unwrap()["message"], "stopped");
}

#[test]
fn with_log_json_all_of_standard_error_is_json() {
    let odd = [("FACEMATCH_HEARTBEET", "1s")];
    let json_too = [("FACEMATCH_LOG", "json"), ("FACEMATCH_LOG_LEVEL", "off")];
    let nowhere = ["serve", "--log", "json", "--config", "/nowhere/facematch.toml"];
    let missing = ["serve", "--log", "json", "--log-level", "off"];
    for (arguments, environment, messages) in [
        (
            &nowhere[..],
            &odd[..],
            &["unknown environment variable FACEMATCH_HEARTBEET", "--config: can't read"][..],
        ),
        (&missing, &[], &["--oz-url: is required"]),
        (&["serve", "--log=json", "--nonsense"], &[], &["error: unexpected argument '--nonsense'"]),
        (&["serve"], &json_too, &["--oz-url: is required"]),
    ] {
        let ended = program::run(arguments, environment);
        assert_eq!((ended.status.success(), ended.stdout.as_str()), (false, ""), "{arguments:?}");
        let lines = program::json(&ended.stderr);
        assert_eq!(lines.len(), messages.len(), "{arguments:?}: {lines:?}");
        for (line, message) in lines.iter().zip(messages) {
            assert!(line["message"].as_str().unwrap().starts_with(message), "{line}");
        }
        assert_eq!(lines.last().unwrap()["level"], "ERROR");
    }
}

#[test]
fn with_log_text_a_failed_start_is_one_readable_line() {
    let ended = program::run(&["serve", "--log-level", "off"], &[]);
    assert!(ended.stderr.starts_with("facematch: --oz-url: is required"), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
}

/// A log collector that dies leaves a pipe without a reader.
#[tokio::test]
async fn a_log_whose_reader_is_gone_stops_no_match() {
    let oz = simulator().await;
    let mut program = Program::start_into_a_pipe(&oz);
    program.close_the_pipe();
    let mut client = crate::support::connect(&program.address).await;
    let folder = oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
    for _ in 0..3 {
        let run = client.run_match(portrait_request(&folder)).await.unwrap();
        let updates = collect(run.into_inner()).await.unwrap();
        assert_eq!(last_match(&updates).state(), MatchState::Finished);
    }
}
