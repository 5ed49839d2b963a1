//! One photo and one analysis per match: after a lost response the service looks for its effect
//! before it sends the request again.

use std::time::Duration;

use facematch::{
    pb::{MatchUpdate, Resolution},
    simulator::{Simulator, sample},
};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    canary::FILE_NAME,
    checker::{check_all_updates, check_one_photo_and_one_analysis},
    domain::FailureKind,
    oz_faults::{Acts, OZ_FAULTS, OzFault},
    support::{
        TestServer, collect, delete, event_names, folder_media_request, last_match,
        portrait_request, rule, then,
    },
};

/// The faults that concern one match. A 401 without a session code is left out: it renews the
/// session of all matches, and a request that takes effect later is refused with the former one.
fn faults(is_wanted: impl Fn(Acts) -> bool) -> Vec<Value> {
    let concerns_one = |fault: &&OzFault| fault.kind != FailureKind::Unauthorized;
    OZ_FAULTS.iter().filter(concerns_one).filter(|fault| is_wanted(fault.acts)).map(then).collect()
}

/// Ways to lose a response. Oz has acted in each case, or acts before `--oz-settle` is over.
fn acted() -> Vec<Value> {
    faults(|acts| acts != Acts::Never)
}

/// Failures without an effect at Oz.
fn not_acted() -> Vec<Value> {
    faults(|acts| acts == Acts::Never)
}

/// A service that waits for the effect of a lost request longer than the simulator delays any.
async fn waiting_for_effects() -> TestServer {
    TestServer::build_with(|config| config.oz_settle = Duration::from_secs(2)).await
}

/// Runs one match for each failure, concurrently; the first request of each match fails that way.
async fn run_each(house: &TestServer, endpoint: &str, ways: &[Value]) -> Vec<Vec<MatchUpdate>> {
    let runs = ways.iter().map(|then| {
        let folder = house.folder();
        let when = json!({"endpoint": endpoint, "folder": folder, "nth": 1});
        house.oz.script([rule(json!({"match": when, "then": then}))]);
        let mut client = house.client.clone();
        async move {
            let updates = client.run_match(portrait_request(&folder)).await.unwrap();
            collect(updates.into_inner()).await.unwrap()
        }
    });
    join_all(runs).await
}

fn check_each(oz: &Simulator, runs: &[Vec<MatchUpdate>], ways: &[Value]) {
    for (updates, then) in runs.iter().zip(ways) {
        check_all_updates(updates);
        let m = last_match(updates);
        let result = m.result.as_ref().unwrap_or_else(|| panic!("{then}: {m:?}"));
        assert_eq!(result.resolution(), Resolution::Success, "{then}");
        check_one_photo_and_one_analysis(oz, m);
        let told = event_names(updates).iter().filter(|name| **name == "attempt_failed").count();
        let silent = then.get("expire_session").is_some();
        assert_eq!(told, usize::from(!silent), "{then}");
    }
}

#[tokio::test]
async fn an_upload_whose_response_was_lost_is_found_and_not_repeated() {
    let house = waiting_for_effects().await;
    let runs = run_each(&house, "add_media", &acted()).await;
    check_each(&house.oz, &runs, &acted());
    assert_eq!(house.requests_to_oz("POST", "/media"), acted().len(), "a request was repeated");
}

#[tokio::test]
async fn an_upload_that_oz_never_got_is_sent_again() {
    let house = TestServer::build().await;
    let runs = run_each(&house, "add_media", &not_acted()).await;
    check_each(&house.oz, &runs, &not_acted());
    assert_eq!(house.requests_to_oz("POST", "/media"), 2 * not_acted().len());
}

#[tokio::test]
async fn a_photo_is_found_by_its_name_if_oz_returns_no_metadata() {
    let house = waiting_for_effects().await;
    house.oz.switch(|switches| switches.media_meta_data_missing = true);
    let runs = run_each(&house, "add_media", &acted()).await;
    check_each(&house.oz, &runs, &acted());
    assert_eq!(house.requests_to_oz("POST", "/media"), acted().len());
}

#[tokio::test]
async fn a_start_whose_response_was_lost_is_found_and_not_repeated() {
    let house = waiting_for_effects().await;
    let runs = run_each(&house, "start_analyses", &acted()).await;
    check_each(&house.oz, &runs, &acted());
    assert_eq!(house.requests_to_oz("POST", "/analyses"), acted().len(), "a request was repeated");
}

#[tokio::test]
async fn a_start_that_oz_never_got_is_sent_again() {
    let house = TestServer::build().await;
    let runs = run_each(&house, "start_analyses", &not_acted()).await;
    check_each(&house.oz, &runs, &not_acted());
    assert_eq!(house.requests_to_oz("POST", "/analyses"), 2 * not_acted().len());
}

#[tokio::test]
async fn the_effect_of_an_unanswered_request_is_found_after_the_timeout() {
    let house =
        TestServer::build_with(|config| config.oz.timeout = Duration::from_millis(250)).await;
    let never = [json!({"never_answer": true})];
    for endpoint in ["add_media", "start_analyses"] {
        let runs = run_each(&house, endpoint, &never).await;
        check_all_updates(&runs[0]);
        check_one_photo_and_one_analysis(&house.oz, last_match(&runs[0]));
    }
}

#[tokio::test]
async fn no_request_is_repeated_before_oz_settle_is_over() {
    let house =
        TestServer::build_with(|config| config.oz_settle = Duration::from_millis(300)).await;
    let way = [json!({"drop_before_acting": true})];
    let runs = run_each(&house, "add_media", &way).await;
    check_each(&house.oz, &runs, &way);
    let record = house.oz.record();
    let sent: Vec<u64> = record
        .iter()
        .filter(|asked| asked.method == "POST" && asked.path.contains("/media"))
        .map(|asked| asked.at_ms)
        .collect();
    assert_eq!(sent.len(), 2);
    assert!(sent[1] - sent[0] >= 300, "{sent:?}");
}

/// A folder with liveness media and a photo, and the photo's id.
fn folder_with_photo(house: &TestServer) -> (String, String) {
    let mut seed = sample::liveness_folder(sample::portrait_jpeg());
    seed.media.push(facematch::simulator::MediaSeed {
        bytes: bytes::Bytes::from_static(sample::portrait_png()),
        file_name: format!("{FILE_NAME}.png"),
        content_type: "image/png".into(),
        tags: vec!["photo_id_front".into()],
    });
    let folder = house.oz.add_folder(seed);
    let photo = house.oz.folder(&folder).unwrap().media[1].media_id.to_string();
    (folder, photo)
}

fn biometries(house: &TestServer, folder: &str) -> Vec<String> {
    let folder = house.oz.folder(folder).unwrap();
    let biometries = folder.analyses.iter().filter(|analysis| analysis.kind == "BIOMETRY");
    biometries.map(|analysis| analysis.analyse_id.to_string()).collect()
}

#[tokio::test]
async fn another_match_s_analysis_of_the_same_media_is_not_adopted() {
    for then in [json!({"drop_before_acting": true}), json!({"drop_after_acting": true})] {
        let mut house = TestServer::build().await;
        let (folder, photo) = folder_with_photo(&house);
        let first = house.run(folder_media_request(&folder, &photo)).await;
        let when = json!({"endpoint": "start_analyses", "nth": 1});
        house.oz.script([rule(json!({"match": when, "then": then}))]);
        let second = house.run(folder_media_request(&folder, &photo)).await;
        check_all_updates(&second);
        let (first, second) = (last_match(&first), last_match(&second));
        assert_eq!(
            biometries(&house, &folder),
            [&first.analysis_id, &second.analysis_id].map(String::as_str),
            "{then}"
        );
    }
}

#[tokio::test]
async fn an_earlier_analysis_without_a_match_is_not_adopted() {
    let mut house = TestServer::build().await;
    let (folder, photo) = folder_with_photo(&house);
    let first = house.run(folder_media_request(&folder, &photo)).await;
    let first = last_match(&first);
    // Without its match, the analysis has no owner.
    house.client.delete_match(delete(&first.match_id)).await.unwrap();
    let when = json!({"endpoint": "start_analyses", "nth": 1});
    house.oz.script([rule(json!({"match": when, "then": {"drop_after_acting": true}}))]);
    let second = house.run(folder_media_request(&folder, &photo)).await;
    let second = last_match(&second);
    assert!(second.result.is_some());
    assert_eq!(
        biometries(&house, &folder),
        [&first.analysis_id, &second.analysis_id].map(String::as_str)
    );
}

#[tokio::test]
async fn a_lost_start_of_two_analyses_leaves_one_of_each_type() {
    use facematch::pb::LivenessPolicy;
    for then in acted() {
        let mut house = TestServer::build().await;
        let mut seed = sample::liveness_folder(sample::portrait_jpeg());
        seed.liveness = None;
        let folder = house.oz.add_folder(seed);
        let when = json!({"endpoint": "start_analyses", "nth": 1});
        house.oz.script([rule(json!({"match": when, "then": then}))]);
        let mut request = portrait_request(&folder);
        request.set_liveness_policy(LivenessPolicy::Run);
        let updates = house.run(request).await;
        check_all_updates(&updates);
        let m = last_match(&updates);
        let result = m.result.as_ref().expect("a verdict");
        let held = house.oz.folder(&folder).unwrap();
        assert_eq!(held.analyses.len(), 2, "{then}");
        let quality = held.analyses.iter().find(|analysis| analysis.kind == "QUALITY").unwrap();
        let liveness = result.liveness.as_ref().expect("liveness is reported");
        assert_eq!(liveness.analysis_id, quality.analyse_id.to_string());
        check_one_photo_and_one_analysis(&house.oz, m);
    }
}
