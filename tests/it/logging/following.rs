//! One match through three processes, followed by its id in their logs alone.

use facematch::simulator::{Endpoint, Simulator, sample};
use serde_json::{Value, json};
use tonic::Request;

use super::program::Program;
use crate::support::{
    cancel, connect, delete, eventually, portrait_request, read_until, rule, simulator, watch,
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
/// Longer than the test takes.
const NEVER_MS: u64 = 3_600_000;

/// The lines of a match, in order.
fn of_match<'a>(log: &'a [Value], match_id: &str) -> Vec<&'a Value> {
    log.iter().filter(|line| line["match.id"] == match_id).collect()
}

/// The messages of the lines about a match, without those about calls.
fn messages<'a>(lines: &[&'a Value]) -> Vec<&'a str> {
    let messages = lines.iter().map(|line| line["message"].as_str().unwrap());
    messages.filter(|message| *message != "call ended").collect()
}

/// Runs a match through three processes over one journal, each killed at once when the next event
/// is there, and returns its id and their logs.
async fn three_logs(start: impl Fn(&Simulator) -> Program) -> (String, [Vec<Value>; 3]) {
    let oz = simulator().await;
    oz.switch(|switches| switches.processing_ms = NEVER_MS);
    oz.script([rule(json!({
        "name": "trouble", "match": {"endpoint": "start_analyses"}, "then": {"status": 503},
    }))]);
    let folder = oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
    let first = start(&oz);
    let mut client = connect(&first.address).await;
    let run = client.run_match(traced(portrait_request(&folder)));
    let mut updates = run.await.unwrap().into_inner();
    let match_id = read_until(&mut updates, "attempt_failed").await[0].match_id.clone();
    let first = first.kill_after("trouble at Oz").await;

    oz.clear_rules();
    let second = start(&oz);
    let mut client = connect(&second.address).await;
    let mut updates = client.watch_match(watch(&match_id)).await.unwrap().into_inner();
    read_until(&mut updates, "analysis_started").await;
    let second = second.kill_after("analysis started").await;

    let third = start(&oz);
    oz.switch(|switches| switches.processing_ms = 0);
    oz.skip(std::time::Duration::from_millis(NEVER_MS));
    let polled = || oz.record().iter().any(|request| request.endpoint == Endpoint::GetAnalysis);
    eventually(polled, || "the analysis is not polled".to_owned()).await;
    third.line("match finished").await;
    (match_id, [first, second, third.stop()])
}

/// Checks that the logs tell all that has happened to a match.
#[track_caller]
fn check(match_id: &str, logs: &[Vec<Value>; 3]) {
    let [first, second, third] = logs.each_ref().map(|log| of_match(log, match_id));
    assert_eq!(messages(&first), ["match accepted", "photo uploaded", "trouble at Oz"]);
    let resumed = "match resumed: another driver had it before";
    assert_eq!(messages(&second), [resumed, "analysis started"]);
    assert_eq!(messages(&third), [resumed, "match finished"]);
    let epochs = [&first, &second, &third].map(|lines| lines.last().unwrap()["epoch"].as_u64());
    assert!(epochs.is_sorted_by(|a, b| a < b), "{epochs:?}");
    for line in [first, second, third].into_iter().flatten() {
        assert_eq!(line["trace_id"], TRACE, "{line}");
    }
}

/// A message within the caller's trace.
fn traced<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    request.metadata_mut().insert("traceparent", parent.parse().unwrap());
    request
}

#[tokio::test]
async fn each_end_of_a_match_has_a_line_with_its_trace() {
    let oz = simulator().await;
    oz.switch(|switches| switches.processing_ms = NEVER_MS);
    let program = Program::start(&oz, "info", &[]);
    let mut client = connect(&program.address).await;
    let folder = oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
    let create = client.create_match(traced(portrait_request(&folder)));
    let running = create.await.unwrap().into_inner().match_id;
    client.cancel_match(cancel(&running)).await.unwrap();
    client.delete_match(delete(&running)).await.unwrap();
    let nowhere = portrait_request("7e782ba3-94fa-4b34-94a0-c1e2f8c3b5b1");
    let failed = client.create_match(traced(nowhere)).await.unwrap().into_inner().match_id;
    let log = program.stop();
    let [cancelled, failed] = [&running, &failed].map(|id| of_match(&log, id));
    for message in ["match accepted", "photo uploaded", "match cancelled", "match erased"] {
        let line = cancelled.iter().find(|line| line["message"] == message);
        assert_eq!(line.unwrap_or_else(|| panic!("{message}"))["trace_id"], TRACE);
    }
    assert_eq!(messages(&failed), ["match accepted", "match failed"]);
    assert!(failed.iter().all(|line| line["trace_id"] == TRACE), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_match_is_followed_by_its_id_through_three_processes() {
    let directory = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", directory.path().join("shared.db").display());
    let start = |oz: &Simulator| Program::start(oz, "info", &["--store", &store]);
    let (match_id, logs) = three_logs(start).await;
    check(&match_id, &logs);
}

#[cfg(feature = "postgres-tests")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_match_is_followed_by_its_id_through_three_replicas() {
    let database = crate::replicas::fleet::Database::create_matches(false, None);
    let store = database.url();
    let settings = ["--store", store.as_str(), "--lease", "1s"];
    let (match_id, logs) = three_logs(|oz| Program::start(oz, "info", &settings)).await;
    check(&match_id, &logs);
}
