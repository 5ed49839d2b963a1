//! The audit file: what it tells of each call, and what happens to calls without a record.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use facematch::{
    app::{App, StartError},
    clock::Clock,
    config::{AuditFailureMode, Config},
    pb,
};
use serde_json::Value;
use tonic::Code;

use crate::{
    process::{PROGRAM, Process},
    support::{
        Refusal, TestServer, cancel, collect, delete, get, last_match, portrait_request,
        read_until, simulator, wait, watch, with_request_id,
    },
};

const AUDIT: &str = "audit.log";

/// A well-formed id that no match has.
const NO_MATCH: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// The fields that a line may have, in their order.
const FIELDS: [&str; 15] = [
    "time",
    "replica",
    "tenant",
    "caller",
    "credential",
    "peer",
    "door",
    "rpc",
    "match_id",
    "code",
    "reason",
    "trace_id",
    "first_position",
    "last_position",
    "previous",
];

/// Starts the service with an audit file beside its journal.
async fn audited() -> TestServer {
    TestServer::build_with(|config| config.audit_file = Some(beside_journal(config))).await
}

fn beside_journal(config: &Config) -> PathBuf {
    let facematch::config::StoreLocation::Sqlite(journal) = &config.store else {
        panic!("a test server has a file")
    };
    journal.with_file_name(AUDIT)
}

fn lines(house: &TestServer) -> Vec<Value> {
    lines_of(&house.directory.path().join(AUDIT))
}

fn lines_of(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The last line, as its method, code and reason.
fn last(house: &TestServer) -> (String, String, Option<String>) {
    let line = lines(house).pop().expect("a line");
    let text = |field: &str| line.get(field).map(|value| value.as_str().unwrap().to_owned());
    (text("rpc").unwrap(), text("code").unwrap(), text("reason"))
}

#[track_caller]
fn assert_last(house: &TestServer, rpc: &str, code: &str, reason: Option<&str>) {
    let expected = (rpc.to_owned(), code.to_owned(), reason.map(str::to_owned));
    assert_eq!(last(house), expected);
}

/// Runs `facematch audit verify`.
fn verify<'a>(files: impl IntoIterator<Item = &'a Path>) -> Output {
    Command::new(PROGRAM).args(["audit", "verify"]).args(files).output().unwrap()
}

#[track_caller]
fn assert_fits<'a>(files: impl IntoIterator<Item = &'a Path>, lines: usize) {
    let output = verify(files);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}");
    assert!(told.starts_with(&format!("{lines} lines from ")), "{told}");
}

#[tokio::test]
async fn each_call_has_its_line_when_its_answer_arrives() {
    let mut house = audited().await;
    let folder = house.folder();
    let request = with_request_id("secret order 17", portrait_request(&folder));
    let mut updates = house.client.run_match(request).await.unwrap().into_inner();
    assert_last(&house, "RunMatch", "OK", None);
    let id = last_match(&read_until(&mut updates, "finished").await).match_id.clone();
    house.client.create_match(portrait_request(&folder)).await.unwrap();
    assert_last(&house, "CreateMatch", "OK", None);
    house.client.get_match(get(&id)).await.unwrap();
    assert_last(&house, "GetMatch", "OK", None);
    house.client.wait_match(wait(&id, Duration::from_secs(30))).await.unwrap();
    assert_last(&house, "WaitMatch", "OK", None);
    let watched = house.client.watch_match(watch(&id)).await.unwrap();
    assert_last(&house, "WatchMatch", "OK", None);
    collect(watched.into_inner()).await.unwrap();
    house.client.list_matches(pb::ListMatchesRequest::default()).await.unwrap();
    assert_last(&house, "ListMatches", "OK", None);
    house.client.cancel_match(cancel(&id)).await.unwrap_err();
    assert_last(&house, "CancelMatch", "FAILED_PRECONDITION", Some("MATCH_ENDED"));
    house.client.delete_match(delete(&id)).await.unwrap();
    assert_last(&house, "DeleteMatch", "OK", None);
    let all = pb::WatchMatchesRequest::default();
    let stream = house.client.watch_matches(all).await.unwrap();
    assert_last(&house, "WatchMatches", "OK", None);
    drop(stream);

    let found = lines(&house);
    let of_match = found.iter().filter(|line| line.get("match_id") == Some(&id.clone().into()));
    assert_eq!(of_match.count(), 6, "{found:?}");
    for line in &found {
        let places = line.as_object().unwrap().keys();
        let places = places.map(|key| FIELDS.iter().position(|field| field == key).expect(key));
        assert!(places.collect::<Vec<_>>().len() >= 5, "{line}");
        assert!(line["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
    }
    let replicas: BTreeSet<_> = found.iter().map(|line| line["replica"].to_string()).collect();
    assert_eq!(replicas.len(), 1);
    let text = fs::read_to_string(house.directory.path().join(AUDIT)).unwrap();
    assert!(!text.contains("secret order 17") && !text.contains(&folder));
}

#[tokio::test]
async fn refusals_are_recorded_before_they_are_answered() {
    let mut house = audited().await;
    house.run_refused(pb::MatchRequest::default()).await;
    assert_last(&house, "RunMatch", "INVALID_ARGUMENT", Some("FIELD_INVALID"));
    house.client.get_match(get(NO_MATCH)).await.unwrap_err();
    assert_last(&house, "GetMatch", "NOT_FOUND", Some("MATCH_NOT_FOUND"));
    assert_eq!(lines(&house)[1]["match_id"], NO_MATCH);
}

#[tokio::test]
async fn the_end_of_a_stream_of_all_matches_tells_what_it_has_shown() {
    let mut house = audited().await;
    let token = "earliest".to_owned();
    let all = pb::WatchMatchesRequest { resume_token: token, ..Default::default() };
    let mut stream = house.client.watch_matches(all).await.unwrap().into_inner();
    house.run(portrait_request(&house.folder())).await;
    read_until(&mut stream, "finished").await;
    let directory = tempfile::tempdir().unwrap();
    let kept = directory.path().join(AUDIT);
    house.shut_down();
    let ended = collect(stream).await.unwrap_err();
    fs::copy(house.directory.path().join(AUDIT), &kept).unwrap();
    house.wait_until_stopped().await;
    Refusal::of(ended).assert(Code::Unavailable, "SERVER_DRAINING");
    let end = lines_of(&kept).into_iter().rfind(|line| line["rpc"] == "WatchMatches").unwrap();
    assert_eq!((&end["code"], &end["reason"]), (&"UNAVAILABLE".into(), &"SERVER_DRAINING".into()));
    assert_eq!((&end["first_position"], &end["last_position"]), (&1.into(), &4.into()));
}

#[tokio::test]
async fn a_call_without_a_record_has_no_effect() {
    let full = |config: &mut Config| config.audit_file = Some("/dev/full".into());
    let mut house = TestServer::build_with(full).await;
    let refused = house.run_refused(portrait_request(&house.folder())).await;
    refused.assert(Code::Unavailable, "AUDIT_UNAVAILABLE");
    assert!(refused.has_retry_delay());
    let listed = house.client.list_matches(pb::ListMatchesRequest::default()).await;
    Refusal::of(listed.unwrap_err()).assert(Code::Unavailable, "AUDIT_UNAVAILABLE");
    house.assert_released("a refused call").await;
    assert!(house.oz.record().is_empty(), "Oz got {:?}", house.oz.record());
    house.config.audit_file = None;
    let mut house = house.restart().await;
    house.assert_untouched("a refused call").await;
}

#[tokio::test]
async fn failures_that_are_only_logged_change_no_call() {
    let mut house = TestServer::build_with(|config| {
        config.audit_file = Some("/dev/full".into());
        config.audit_failure = AuditFailureMode::Log;
    })
    .await;
    house.assert_works().await;
}

#[tokio::test]
async fn a_file_that_is_moved_away_under_load_is_continued_without_a_gap() {
    let mut house = audited().await;
    let path = house.directory.path().join(AUDIT);
    let moved = |n: usize| house.directory.path().join(format!("{AUDIT}.{n}"));
    let mut client = house.client.clone();
    client.get_match(get(NO_MATCH)).await.unwrap_err();
    let mut calls = 1;
    for n in 0..20 {
        let burst = (0..10).map(|_| {
            let mut client = client.clone();
            async move { client.get_match(get(NO_MATCH)).await.unwrap_err() }
        });
        let moving = async { fs::rename(&path, moved(n)).unwrap() };
        let (refused, ()) =
            futures_util::future::join(futures_util::future::join_all(burst), moving).await;
        calls += refused.len();
        // One call more makes the server notice.
        client.get_match(get(NO_MATCH)).await.unwrap_err();
        calls += 1;
        assert!(path.exists());
    }
    let mut files: Vec<_> = (0..20).map(moved).collect();
    files.push(path);
    house.client.get_match(get(NO_MATCH)).await.unwrap_err();
    assert_fits(files.iter().map(PathBuf::as_path), calls + 1);
    let output = verify(files.iter().skip(1).map(PathBuf::as_path));
    assert!(String::from_utf8(output.stdout).unwrap().contains("continues a file whose last hash"));
    let output = verify(files.iter().rev().map(PathBuf::as_path));
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains(&format!("{AUDIT}.19:1: does not fit: ")), "{told}");
}

#[tokio::test]
async fn a_start_without_its_audit_file_is_refused_with_one_line() {
    let house = audited().await;
    let refused = async |path: PathBuf| {
        let directory = tempfile::tempdir().unwrap();
        let store = facematch::config::StoreLocation::Sqlite(directory.path().join("journal.db"));
        let config = Config { store, audit_file: Some(path), ..house.config.clone() };
        match App::build(config, Clock::system()).await {
            Err(error @ StartError::Audit(_)) => error.to_string(),
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("it starts"),
        }
    };
    let in_use = house.directory.path().join(AUDIT);
    let told = refused(in_use.clone()).await;
    assert_eq!(told, format!("--audit-file: {}: another process writes it", in_use.display()));
    let absent = house.directory.path().join("absent/audit.log");
    assert!(refused(absent).await.ends_with("No such file or directory (os error 2)"));
    let journal = house.directory.path().join(crate::support::JOURNAL);
    assert!(refused(journal).await.ends_with("it holds something else than audit records"));
}

#[tokio::test]
async fn a_limit_of_file_sizes_refuses_calls_and_leaves_the_chain_whole() {
    let oz = simulator().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(AUDIT);
    let more = ["--audit-file", path.to_str().unwrap()];
    let process = Process::start(&oz, directory.path(), &more);
    let limit = |bytes| {
        let limits = Some((bytes, rlimit::INFINITY));
        let id = process.id().try_into().unwrap();
        rlimit::prlimit(id, rlimit::Resource::FSIZE, limits, None).unwrap();
    };
    let mut client = process.client().await;
    let mut look = async || Refusal::of(client.get_match(get(NO_MATCH)).await.unwrap_err());
    look().await.assert(Code::NotFound, "MATCH_NOT_FOUND");
    limit(100);
    for _ in 0..3 {
        look().await.assert(Code::Unavailable, "AUDIT_UNAVAILABLE");
    }
    limit(rlimit::INFINITY);
    look().await.assert(Code::NotFound, "MATCH_NOT_FOUND");
    tokio::task::spawn_blocking(move || process.stop()).await.unwrap();
    assert_fits([path.as_path()], 2);
}

#[tokio::test]
async fn a_killed_server_leaves_a_chain_that_the_next_one_continues() {
    let oz = simulator().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(AUDIT);
    let more = ["--audit-file", path.to_str().unwrap()];
    let mut calls = 0;
    for _ in 0..2 {
        let process = Process::start(&oz, directory.path(), &more);
        let mut client = process.client().await;
        for _ in 0..50 {
            client.get_match(get(NO_MATCH)).await.unwrap_err();
            calls += 1;
        }
        process.kill();
    }
    assert_fits([path.as_path()], calls);
    let replicas: BTreeSet<_> =
        lines_of(&path).iter().map(|line| line["replica"].to_string()).collect();
    assert_eq!(replicas.len(), 2, "each run has its own id");
}
