//! The calls by JSON, and their errors.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use facematch::{config::Config, pb::WatchMatchesRequest, simulator::sample};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    access::Callers,
    canary,
    support::{PATIENCE, TestServer, eventually, read_until, with_request_id},
    web::{
        self,
        http::{Answer, begin_http2, json_call, path, read, request, send},
    },
};

/// A match of the sample portrait as JSON. The photo and its file name carry canaries.
pub fn portrait(folder: &str) -> Value {
    let photo = canary::marked(Bytes::from_static(sample::portrait_jpeg()));
    json!({
        "folderId": folder,
        "photo": { "fileName": canary::FILE_NAME, "content": STANDARD.encode(photo) },
    })
}

/// Calls a unary method.
async fn call(server: &TestServer, method: &str, json: Value) -> Answer {
    let address = web::address(server);
    send(&address, json_call(&address, method, &json)).await
}

/// Calls a unary method that succeeds.
async fn called(server: &TestServer, method: &str, json: Value) -> Value {
    let answer = call(server, method, json).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "application/json"),
        "{answer:?}"
    );
    assert_eq!(answer.header("facematch-version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(answer.header("cache-control"), "no-store");
    canary::check("an answer", &answer.body);
    answer.json()
}

/// The reason of a refusal, by its detail.
fn reason(answer: &Answer) -> String {
    canary::check("an answer", &answer.body);
    let error = answer.json();
    let info = detail(&error, "google.rpc.ErrorInfo");
    info["reason"].as_str().expect("a reason").to_owned()
}

fn detail(error: &Value, kind: &str) -> Value {
    let details = error["details"].as_array().unwrap_or_else(|| panic!("{error}"));
    let found = details.iter().find(|detail| detail["type"] == kind);
    found.unwrap_or_else(|| panic!("{error} has no {kind}"))["debug"].clone()
}

#[tokio::test]
async fn the_six_unary_calls_are_made_by_json() {
    let server = web::server().await;
    let mut request = portrait(&server.folder());
    request["requestId"] = "order 17".into();
    request["labels"] = json!({ "branch": "riga" });
    let created = called(&server, "CreateMatch", request.clone()).await;
    let id = created["matchId"].as_str().unwrap().to_owned();
    assert_eq!(called(&server, "CreateMatch", request).await["matchId"], id.as_str());
    let waited = json!({ "requestId": "order 17", "timeout": "60s" });
    let ended = called(&server, "WaitMatch", waited).await;
    assert_eq!(ended["state"], "MATCH_STATE_FINISHED", "{ended}");
    assert_eq!(ended["result"]["resolution"], "RESOLUTION_SUCCESS");
    assert!(ended["result"]["minConfidence"].as_f64().unwrap() > 0.9);
    assert_eq!(ended["sequence"], "4", "64-bit numbers are strings");
    assert_eq!(ended["labels"]["branch"], "riga");
    assert!(ended["createTime"].as_str().unwrap().ends_with('Z'));
    assert_eq!(called(&server, "GetMatch", json!({ "match_id": id })).await, ended);
    let list = called(&server, "ListMatches", json!({ "states": ["MATCH_STATE_FINISHED"] })).await;
    assert_eq!(list["matches"], json!([ended]));
    let refused = call(&server, "CancelMatch", json!({ "matchId": id })).await;
    assert_eq!((refused.status, reason(&refused).as_str()), (400, "MATCH_ENDED"));
    let deleted = called(&server, "DeleteMatch", json!({ "matchId": id })).await;
    assert_eq!(deleted["matchId"], id.as_str());
    let gone = call(&server, "GetMatch", json!({ "matchId": id })).await;
    assert_eq!((gone.status, reason(&gone).as_str()), (404, "MATCH_NOT_FOUND"));
    server.assert_released("all calls").await;
}

#[tokio::test]
async fn json_is_taken_over_http_2_and_by_connect_clients() {
    let server = web::server().await;
    let address = web::address(&server);
    let mut request = json_call(&address, "ListMatches", &json!({}));
    let headers = request.headers_mut();
    headers.insert("connect-protocol-version", "1".parse().unwrap());
    headers.insert("connect-timeout-ms", "20000".parse().unwrap());
    headers.insert("content-type", "application/json; charset=utf-8".parse().unwrap());
    let answer = read(begin_http2(&address, request).await).await;
    assert_eq!((answer.status, answer.json()), (200, json!({})));
    let mut late = json_call(&address, "ListMatches", &json!({}));
    late.headers_mut().insert("connect-timeout-ms", "0".parse().unwrap());
    let late = send(&address, late).await;
    assert_eq!((late.status, reason(&late).as_str()), (504, "CALL_TIMED_OUT"));
    let mut wrong = json_call(&address, "ListMatches", &json!({}));
    wrong.headers_mut().insert("connect-timeout-ms", "soon".parse().unwrap());
    let wrong = send(&address, wrong).await;
    assert_eq!((wrong.status, reason(&wrong).as_str()), (400, "FIELD_INVALID"));
}

#[tokio::test]
async fn a_refusal_names_every_wrong_field() {
    let mut server = web::server().await;
    let refused = call(&server, "RunMatch", json!({ "folderId": "x", "timeout": "-1s" })).await;
    assert_eq!((refused.status, refused.json()["code"].clone()), (400, json!("invalid_argument")));
    assert_eq!(reason(&refused), "FIELD_INVALID");
    let violations = detail(&refused.json(), "google.rpc.BadRequest");
    let fields: Vec<_> = violations["fieldViolations"].as_array().unwrap().iter().collect();
    assert!(fields.len() >= 3, "{violations}");
    for (json, field) in [
        (json!({ "foldrId": "x" }), "foldrId"),
        (json!({ "photo": { "kind": "PHOTO" } }), "photo.kind"),
        (json!({ "photo": { "content": "*" } }), "photo.content"),
        (json!({ "photo": { "content": 5 } }), "photo.content"),
        (json!([]), "request"),
    ] {
        let refused = call(&server, "CreateMatch", json.clone()).await;
        assert_eq!((refused.status, reason(&refused).as_str()), (400, "FIELD_INVALID"), "{json}");
        let violations = detail(&refused.json(), "google.rpc.BadRequest");
        assert_eq!(violations["fieldViolations"][0]["field"], field, "{json}");
    }
    let unreadable = json!({ "folderId": server.folder(), "photo": { "content": "aGVsbG8=" } });
    let refused = call(&server, "CreateMatch", unreadable).await;
    assert_eq!(reason(&refused), "PHOTO_UNREADABLE");
    let unknown = call(&server, "NoMethod", json!({})).await;
    assert_eq!((unknown.status, unknown.json()["code"].clone()), (501, json!("unimplemented")));
    server.assert_untouched("refused requests").await;
}

#[tokio::test]
async fn requests_in_other_forms_are_no_calls() {
    let mut server = web::server().await;
    let address = web::address(&server);
    let with = |name: &'static str, value: &'static str, method: &str| {
        let mut request = json_call(&address, method, &json!({}));
        request.headers_mut().insert(name, value.parse().unwrap());
        request
    };
    for (request, status) in [
        (with("content-type", "text/plain", "ListMatches"), 415),
        (with("content-type", "application/connect+json", "RunMatch"), 415),
        (with("content-encoding", "gzip", "ListMatches"), 415),
        (with("accept", "application/json", "RunMatch"), 406),
    ] {
        let answer = send(&address, request).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.json()["message"].is_string());
    }
    for method in ["ListMatches", "RunMatch", "DeleteMatch"] {
        let get = request("GET", &address, &path(method)).body(Full::default()).unwrap();
        assert_eq!(send(&address, get).await.status, 405);
    }
    server.assert_untouched("other forms").await;
}

#[tokio::test]
async fn photos_of_every_size_arrive_whole() {
    let server = web::server().await;
    for bytes in [100_000, 5 << 20, 10 << 20] {
        let mut photo = sample::portrait_jpeg().to_vec();
        photo.resize(bytes, 0);
        let folder = server.folder();
        let request =
            json!({ "photo": { "content": STANDARD.encode(&photo) }, "folderId": folder });
        called(&server, "CreateMatch", request).await;
        let uploads = server.oz.record().into_iter().flat_map(|request| request.uploads);
        let digest = uploads.last().expect("an upload").digest;
        assert_eq!(digest, blake3::hash(&photo).to_hex().as_str(), "{bytes}");
    }
    let photo = vec![0; (10 << 20) + 1];
    let request = json!({ "photo": { "content": STANDARD.encode(&photo) }, "folderId": "x" });
    let refused = call(&server, "CreateMatch", request).await;
    assert_eq!((refused.status, reason(&refused).as_str()), (400, "PHOTO_TOO_LARGE"));
    let long = json!({ "photo": { "fileName": "x".repeat(70_000) } });
    assert_eq!(reason(&call(&server, "CreateMatch", long).await), "FIELD_INVALID");
    let photo = json!({ "photo": { "content": "AAAA" } });
    let refused = call(&server, "GetMatch", photo).await;
    assert!(refused.text().contains("photo is not a field of this request"), "{refused:?}");
    let twice = r#"{"photo":{"content":"AAAA","content":"AAAA"}}"#;
    let mut request = json_call(&web::address(&server), "CreateMatch", &json!({}));
    *request.body_mut() = Full::new(twice.into());
    let refused = send(&web::address(&server), request).await;
    assert!(refused.text().contains("photo.content is given twice"), "{refused:?}");
    let long = json!({ "matchId": "x".repeat(70_000) });
    assert_eq!(reason(&call(&server, "GetMatch", long).await), "FIELD_INVALID");
    server.assert_released("photos").await;
}

/// The head of a call by JSON and the beginning of its body, with a photo that has begun.
fn begun(address: &str, photo_bytes: usize) -> String {
    let body =
        format!(r#"{{"requestId":"known","photo":{{"content":"{}"#, "AAAA".repeat(photo_bytes / 3));
    format!(
        "POST {} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: 5000000\r\n\r\n{body}",
        path("CreateMatch")
    )
}

#[tokio::test]
async fn a_photo_counts_as_it_arrives_and_no_more_after_its_caller_is_gone() {
    let server = web::server().await;
    let address = web::address(&server);
    let mut socket = TcpStream::connect(&address).await.unwrap();
    socket.write_all(begun(&address, 300_000).as_bytes()).await.unwrap();
    let load = &server.load;
    eventually(|| load.photo_bytes() >= 290_000, || format!("{}", load.photo_bytes())).await;
    assert!(load.photo_bytes() < 400_000, "the text isn't kept: {}", load.photo_bytes());
    drop(socket);
    server.assert_released("a caller that is gone").await;
}

#[tokio::test]
async fn a_repeat_of_a_known_match_is_not_refused_while_photo_memory_is_full() {
    let full = |config: &mut Config| config.photo_memory = 1 << 20;
    let mut server = web::server_with(full).await;
    server.oz.switch(|switches| switches.processing_ms = 600_000);
    let folder = server.folder();
    let request = with_request_id("known", crate::support::portrait_request(&folder));
    let mut run = server.client.run_match(request).await.unwrap().into_inner();
    read_until(&mut run, "analysis_started").await;
    let address = web::address(&server);
    let mut holding = TcpStream::connect(&address).await.unwrap();
    let other = begun(&address, 1_000_000).replace("known", "other");
    holding.write_all(other.as_bytes()).await.unwrap();
    let load = &server.load;
    eventually(|| load.photo_bytes() > 900_000, || format!("{}", load.photo_bytes())).await;
    // The id stands before the photo.
    let known = format!(r#"{{"requestId":"known",{}"#, &portrait(&folder).to_string()[1..]);
    let mut repeat = json_call(&address, "CreateMatch", &json!({}));
    *repeat.body_mut() = Full::new(known.into());
    let again = send(&address, repeat).await;
    assert_eq!((again.status, again.json()["requestId"].clone()), (200, json!("known")));
    let mut unknown = portrait(&folder);
    unknown["requestId"] = "unknown".into();
    let refused = call(&server, "CreateMatch", unknown).await;
    assert_eq!((refused.status, reason(&refused).as_str()), (429, "OVERLOADED"));
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1, "{refused:?}");
    drop(holding);
}

#[tokio::test]
async fn a_sender_that_stalls_gets_an_answer() {
    let short = |config: &mut Config| config.receive_timeout = std::time::Duration::from_secs(1);
    let server = web::server_with(short).await;
    let address = web::address(&server);
    let mut socket = TcpStream::connect(&address).await.unwrap();
    socket.write_all(begun(&address, 300_000).as_bytes()).await.unwrap();
    let mut said = Vec::new();
    let read = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut said)).await;
    let _ = read.expect("the port ends the call");
    let said = String::from_utf8_lossy(&said);
    assert!(said.starts_with("HTTP/1.1 504 ") && said.contains("CALL_TIMED_OUT"), "{said}");
    server.assert_released("a stalled sender").await;
}

#[tokio::test]
async fn callers_show_their_credential_in_a_header() {
    let callers = Callers::new("[tenant.retail]\n").with("desk", "retail", &["read"]);
    let server = callers.serve(|config| config.web = Some(web::web_config())).await;
    let address = web::address(&server);
    let refused = call(&server, "ListMatches", json!({})).await;
    assert_eq!((refused.status, reason(&refused).as_str()), (401, "CREDENTIAL_MISSING"));
    assert_eq!(refused.header("www-authenticate"), "Bearer");
    let mut request = json_call(&address, "ListMatches", &json!({}));
    let credential = format!("Bearer {}", callers.key("desk"));
    request.headers_mut().insert("authorization", credential.parse().unwrap());
    assert_eq!(send(&address, request).await.status, 200);
    let mut request = json_call(&address, "CancelMatch", &json!({ "matchId": "x" }));
    request.headers_mut().insert("authorization", credential.parse().unwrap());
    let refused = send(&address, request).await;
    assert_eq!((refused.status, reason(&refused).as_str()), (403, "CALL_FORBIDDEN"));
}

#[tokio::test]
async fn a_unary_call_ends_when_its_answer_is_read() {
    let server = web::server().await;
    let stream = web::frames::Client::new(&web::address(&server), web::frames::Mode::Binary);
    let mut all = stream.begin("WatchMatches", &WatchMatchesRequest::default()).await;
    all.next::<facematch::pb::MatchUpdate>().await.unwrap();
    for _ in 0..3 {
        called(&server, "ListMatches", json!({})).await;
    }
    let ended = || {
        let calls = server.load.ended_calls();
        calls.iter().map(|call| (call.code, call.calls)).collect::<Vec<_>>()
    };
    eventually(|| ended() == [("OK", 3)], || format!("{:?}", ended())).await;
}
