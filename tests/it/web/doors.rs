//! Which door a call has come through, in metrics, in the audit file and in traces.

use std::net::SocketAddr;

use bytes::Bytes;
use facematch::pb::Match;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};

use crate::{
    http1,
    support::{TestServer, get},
    traces::{
        self,
        collector::{Collector, attribute},
    },
    web::{
        self,
        frames::{Client, MODES},
        http::{json_call, path, request, send},
    },
};

const NO_MATCH: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// A refused GetMatch by each form, and one of a stream: three by gRPC-Web, and two by JSON.
async fn refused_by_each_door(server: &mut TestServer) {
    let address = web::address(server);
    server.client.get_match(get(NO_MATCH)).await.unwrap_err();
    for mode in MODES {
        let client = Client::new(&address, mode);
        client.call::<Match>("GetMatch", &get(NO_MATCH)).await.unwrap_err();
    }
    let id = json!({ "matchId": NO_MATCH });
    assert_eq!(send(&address, json_call(&address, "GetMatch", &id)).await.status, 404);
    assert_eq!(send(&address, json_call(&address, "WatchMatch", &id)).await.status, 404);
    assert_eq!(send(&address, by_url(&address)).await.status, 404);
}

/// The events of a match, as a page asks for them.
fn by_url(address: &str) -> Request<Full<Bytes>> {
    let target = format!("{}?matchId={NO_MATCH}", path("WatchMatch"));
    request("GET", address, &target).body(Full::default()).expect("a request")
}

/// How many calls have ended, by method, code, system and door.
async fn counts(admin: SocketAddr) -> Vec<String> {
    let text = http1::get(admin, "/metrics").await.body;
    let counts =
        text.lines().filter_map(|line| line.strip_prefix("rpc_server_call_duration_seconds_count"));
    let mut counts: Vec<_> = counts.map(str::to_owned).collect();
    counts.sort();
    counts
}

fn count(system: &str, method: &str, code: &str, door: &str, calls: u32) -> String {
    format!(
        "{{rpc_system_name=\"{system}\",rpc_method=\"{method}\",rpc_status_code=\"{code}\",\
         error_type=\"{code}\",door=\"{door}\"}} {calls}"
    )
}

#[tokio::test]
async fn metrics_tell_each_door_by_a_word_of_a_closed_set() {
    let admin = |config: &mut facematch::config::Config| {
        config.admin_listen = "127.0.0.1:0".parse().ok();
    };
    let mut server = web::server_with(admin).await;
    let admin = server.admin.expect("it has one");
    refused_by_each_door(&mut server).await;
    let address = web::address(&server);
    // Neither unknown methods nor unknown forms add a door.
    for method in ["Nothing", "Other"] {
        let unknown = send(&address, json_call(&address, method, &json!({}))).await;
        assert_eq!(unknown.status, 501);
        let odd = request("POST", &address, &path(method)).header("content-type", "a/b");
        assert_eq!(send(&address, odd.body(Full::default()).unwrap()).await.status, 415);
    }
    let [of_get, of_watch] =
        ["facematch.v1.FaceMatch/GetMatch", "facematch.v1.FaceMatch/WatchMatch"];
    assert_eq!(
        counts(admin).await,
        [
            count("connectrpc", "_OTHER", "UNIMPLEMENTED", "json", 2),
            count("connectrpc", of_get, "NOT_FOUND", "json", 1),
            count("connectrpc", of_watch, "NOT_FOUND", "json", 2),
            count("grpc", of_get, "NOT_FOUND", "grpc", 1),
            count("grpc", of_get, "NOT_FOUND", "web", 3),
        ]
    );
}

#[tokio::test]
async fn the_audit_file_and_traces_tell_each_door() {
    let collector = Collector::start().await;
    let mut server = web::server_with(|config| {
        let facematch::config::StoreLocation::Sqlite(journal) = &config.store else { panic!() };
        config.audit_file = Some(journal.with_file_name("audit.log"));
        traces::export_to(&collector.url, config);
    })
    .await;
    refused_by_each_door(&mut server).await;
    let audit = std::fs::read_to_string(server.directory.path().join("audit.log")).unwrap();
    let lines = audit.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let doors: Vec<_> = lines.map(|line| line["door"].as_str().unwrap().to_owned()).collect();
    assert_eq!(doors, ["grpc", "web", "web", "web", "json", "json", "json"]);
    let mut doors = Vec::new();
    for (method, calls) in [("GetMatch", 5), ("WatchMatch", 2)] {
        let name = format!("facematch.v1.FaceMatch/{method}");
        for span in collector.wait_for(&name, calls).await {
            let of = |name: &str| attribute(&span.attributes, name);
            doors.push(format!("{} {}", of("facematch.door"), of("rpc.system.name")));
        }
    }
    doors.sort();
    let (web, json) = ("web grpc", "json connectrpc");
    assert_eq!(doors, ["grpc grpc", json, json, json, web, web, web]);
}
