//! The photo is never written to disk, and no text holds a secret. All services of these tests are
//! searched for canaries (`canary.rs`); this one logs at `trace`, meets faults of Oz, and is also
//! searched in the middle of a match.

use facematch::{
    pb::MatchRequest,
    simulator::{Simulator, sample},
};
use serde_json::json;

use crate::{
    canary::{self, Client, FILE_NAME, search_journal},
    checker::check_all_updates,
    library::{Photos, by_key, key, strangers_key},
    process::Process,
    support::{
        JOURNAL, Refusal, cancel, collect, event_names, last_match, portrait_request, read_until,
        request, rule, simulator, with_request_id,
    },
};

#[tokio::test]
async fn no_file_log_or_error_holds_the_photo_or_a_secret() {
    let oz = simulator().await;
    oz.switch(|switches| switches.processing_ms = 50);
    let folder = oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
    oz.script([
        rule(json!({"match": {"endpoint": "get_analysis", "nth": 1}, "then": {"expire_session": true}})),
        rule(json!({"match": {"endpoint": "add_media", "nth": 1}, "then": {"html": 502}})),
    ]);
    let directory = tempfile::tempdir().unwrap();
    let journal = directory.path().join(JOURNAL);
    let audit = directory.path().join("audit.log");
    let (photos, audit_path) = (Photos::new(), audit.to_str().unwrap());
    let url = photos.url();
    // The level holds for all crates, not only for the service.
    let more = ["--log-level", "trace", "--audit-file", audit_path, "--library", &url];
    let process = Process::start(&oz, directory.path(), &more);
    let mut client = process.client().await;
    let asked = with_request_id("order 17", portrait_request(&folder));
    let mut updates = client.run_match(asked.clone()).await.unwrap().into_inner();
    let mut seen = read_until(&mut updates, "attempt_failed").await;
    assert!(directory.path().join(format!("{JOURNAL}-wal")).exists());
    search_journal(&journal);
    seen.extend(collect(updates).await.unwrap());
    check_all_updates(&seen);

    let stranger = with_request_id("order 17", request(&folder, sample::stranger_jpeg().into()));
    let reused = client.run_match(stranger).await.unwrap_err();
    Refusal::of(reused).assert(tonic::Code::AlreadyExists, "REQUEST_ID_REUSED");
    let mut broken = asked;
    broken.folder_id = FILE_NAME[..8].into();
    let refused = client.run_match(broken).await.unwrap_err();
    Refusal::of(refused).assert_fields("FIELD_INVALID", &["folder_id"]);
    photos_by_key(&mut client, &oz, &photos).await;
    search_journal(&journal);
    canary::check("the audit file", &std::fs::read(&audit).unwrap());
    // On another thread, because the client's connection is closed on this one.
    let logged = tokio::task::spawn_blocking(move || process.stop()).await.unwrap();
    assert!(logged > 10_000, "there is no trace level in the log");
}

/// Matches by a key with a canary: one that finishes, one whose photo is missing, one that waits for
/// the library, and calls that are refused.
async fn photos_by_key(client: &mut Client, oz: &Simulator, photos: &Photos) {
    let folder = || oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
    for (key, last) in [(key(), "finished"), (format!("{}/none.jpg", canary::KEY), "failed")] {
        let updates = client.run_match(by_key(&folder(), &key)).await.unwrap().into_inner();
        assert_eq!(event_names(&collect(updates).await.unwrap()).last(), Some(&last));
    }
    photos.take_away();
    let waits = with_request_id("by key", by_key(&folder(), &key()));
    let mut updates = client.run_match(waits.clone()).await.unwrap().into_inner();
    let seen = read_until(&mut updates, "attempt_failed").await;
    let reused = MatchRequest { folder_id: waits.folder_id, ..by_key("", &strangers_key()) };
    let reused = client.run_match(with_request_id("by key", reused)).await.unwrap_err();
    Refusal::of(reused).assert(tonic::Code::AlreadyExists, "REQUEST_ID_REUSED");
    let bad = format!("../{}", key());
    let refused = client.run_match(by_key(&folder(), &bad)).await.unwrap_err();
    Refusal::of(refused).assert_fields("FIELD_INVALID", &["photo.reference_key"]);
    client.cancel_match(cancel(&last_match(&seen).match_id)).await.unwrap();
}
