//! Streams outlive no credential: they end when it expires or is withdrawn.

use std::time::{Duration, SystemTime};

use facematch::{clock::Clock, pb};
use tonic::Code;

use super::*;
use crate::support::{Refusal, portrait_request, read_until, watch_after, with_request_id};

const ALL: &[&str] = &["match", "read", "erase"];

/// Reads a stream until it ends with an error.
async fn end(mut updates: tonic::Streaming<pb::MatchUpdate>) -> Refusal {
    loop {
        match updates.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended with OK"),
            Err(status) => return Refusal::of(status),
        }
    }
}

#[tokio::test]
async fn a_withdrawn_key_ends_its_streams_and_no_others() {
    let callers =
        Callers::new("[tenant.bank]\n").with("anna", "bank", ALL).with("ben", "bank", ALL);
    let server = callers.serve(|_| {}).await;
    server.oz.switch(|switches| switches.processing_ms = 3_600_000);
    let path = server.config.callers_file.clone().unwrap();
    let mut anna = caller(&server, callers.key("anna")).await;
    let mut ben = caller(&server, callers.key("ben")).await;
    let request = with_request_id("one", portrait_request(&server.folder()));
    let mut run = anna.run_match(request.clone()).await.unwrap().into_inner();
    let seen = read_until(&mut run, "analysis_started").await;
    let (id, sequence) = (&seen[0].match_id, seen.last().unwrap().sequence);
    let all = anna.watch_matches(pb::WatchMatchesRequest::default()).await.unwrap().into_inner();
    let one = anna.watch_match(watch_after(id, sequence)).await.unwrap().into_inner();
    let mut bens = ben.watch_match(watch_after(id, sequence)).await.unwrap().into_inner();
    let mut waiting = anna.clone();
    let waited = crate::support::wait(id, Duration::from_secs(60));
    let waited = async move { Refusal::of(waiting.wait_match(waited).await.unwrap_err()) };

    let withdrawing = async {
        tokio::task::yield_now().await;
        callers.write_without(&path, "anna");
        server.reload().await;
    };
    let (run, one, all, waited, ()) =
        tokio::join!(end(run), end(one), end(all), waited, withdrawing);
    for refused in [run, one, all] {
        refused.assert(Code::Unauthenticated, "CREDENTIAL_EXPIRED");
    }
    // It may have arrived before the withdrawal, or after it.
    assert_eq!(waited.code, Code::Unauthenticated);
    assert!(["CREDENTIAL_EXPIRED", "CREDENTIAL_INVALID"].contains(&waited.reason()));
    let refused = anna.run_match(request).await.unwrap_err();
    Refusal::of(refused).assert(Code::Unauthenticated, "CREDENTIAL_INVALID");

    // The match itself goes on, and another caller of the tenant sees its end.
    server.oz.switch(|switches| switches.processing_ms = 0);
    ben.cancel_match(crate::support::cancel(id)).await.unwrap();
    read_until(&mut bens, "cancelled").await;
}

#[tokio::test]
async fn an_expired_key_ends_its_streams_and_refuses_new_calls() {
    let key = NewKey::make().unwrap();
    let write_expiring = |path: &Path, within: Duration| {
        let micros = Clock::system().now().after(within).as_micros();
        let since = Duration::from_micros(u64::try_from(micros).unwrap());
        let expires = humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + since);
        let (id, sha256) = (key.id(), key.sha256());
        let text = format!(
            "[tenant.bank]\n[caller.anna]\ntenant = \"bank\"\nallow = [\"read\"]\n\
             keys = [{{ id = \"{id}\", sha256 = \"{sha256}\", expires = {expires} }}]\n"
        );
        super::write(path, &text);
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    write_expiring(file.path(), Duration::from_secs(86_400));
    let path = file.path().to_owned();
    let server = TestServer::build_with(|config| config.callers_file = Some(path)).await;
    let mut anna = caller(&server, key.text()).await;
    // The key may have expired before the call arrives, on a busy machine: then it gets more time.
    let mut within = Duration::from_secs(2);
    let all = loop {
        write_expiring(file.path(), within);
        server.reload().await;
        match anna.watch_matches(pb::WatchMatchesRequest::default()).await {
            Ok(updates) => break updates.into_inner(),
            Err(status) => {
                Refusal::of(status).assert(Code::Unauthenticated, "CREDENTIAL_EXPIRED");
                within *= 2;
            }
        }
    };
    end(all).await.assert(Code::Unauthenticated, "CREDENTIAL_EXPIRED");
    let refused = anna.list_matches(pb::ListMatchesRequest::default()).await.unwrap_err();
    Refusal::of(refused).assert(Code::Unauthenticated, "CREDENTIAL_EXPIRED");
}

#[tokio::test]
async fn a_bad_callers_file_keeps_the_callers_that_are_known() {
    let callers = Callers::new("[tenant.bank]\n").with("anna", "bank", ALL);
    let server = callers.serve(|_| {}).await;
    let path = server.config.callers_file.clone().unwrap();
    let mut anna = caller(&server, callers.key("anna")).await;
    for text in ["", "[tenant.bank", "[tenant.bank]\nweight = 0\n", "\0"] {
        super::write(&path, text);
        server.reload().await;
        anna.list_matches(pb::ListMatchesRequest::default()).await.unwrap();
    }
    std::fs::remove_file(&path).unwrap();
    server.reload().await;
    anna.list_matches(pb::ListMatchesRequest::default()).await.unwrap();
}
