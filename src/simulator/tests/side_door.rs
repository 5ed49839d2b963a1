//! The control API, `/sim/…`.

use serde_json::{Value, json};

use super::client::{Answer, Lab, answer};
use crate::simulator::Answered;

async fn put(lab: &Lab, path: &str, body: &Value) -> Answer {
    answer(lab.http.put(lab.url(path)).json(body)).await
}

async fn post(lab: &Lab, path: &str, body: &Value) -> Answer {
    answer(lab.http.post(lab.url(path)).json(body)).await
}

async fn get(lab: &Lab, path: &str) -> Value {
    answer(lab.http.get(lab.url(path))).await.expect(200)
}

#[tokio::test]
async fn a_script_is_replaced_extended_counted_and_cleared() {
    let lab = Lab::new().await;
    let rule = json!({ "match": { "endpoint": "version", "nth": 2 }, "then": { "status": 503 } });
    let script = json!({ "version": 1, "switches": { "processing_ms": 7 }, "rules": [rule] });
    put(&lab, "/sim/script", &script).await.expect(200);
    post(&lab, "/sim/script", &json!({ "version": 1, "rules": [rule] })).await.expect(200);
    assert_eq!(answer(lab.get("/api/version")).await.status, 200);
    assert_eq!(answer(lab.get("/api/version")).await.status, 503);
    let script = get(&lab, "/sim/script").await;
    assert_eq!(script["switches"]["processing_ms"], 7);
    assert_eq!(script["counts"][1], json!({ "seen": 2, "applied": 1 }));
    answer(lab.http.delete(lab.url("/sim/script"))).await.expect(204);
    assert_eq!(get(&lab, "/sim/script").await["rules"], json!([]));
}

#[tokio::test]
async fn unknown_keys_are_refused_by_name() {
    let lab = Lab::new().await;
    let refused = put(&lab, "/sim/script", &json!({ "version": 1, "ruls": [] })).await.expect(400);
    assert!(refused["error"].as_str().is_some_and(|error| error.contains("ruls")));
    let rules = json!({ "version": 1, "rules": [{ "then": { "sleep": 1 } }] });
    let refused = post(&lab, "/sim/script", &rules).await.expect(400);
    assert!(refused["error"].as_str().is_some_and(|error| error.contains("sleep")));
    for path in ["/sim/clock", "/sim/reset", "/sim/sessions/expire"] {
        post(&lab, path, &json!({ "odd": 1 })).await.expect(400);
    }
    answer(lab.http.get(lab.url("/sim/record?odd=1"))).await.expect(400);
    answer(lab.http.get(lab.url("/sim/odd"))).await.expect(404);
}

#[tokio::test]
async fn a_patch_changes_single_switches_and_keeps_the_others() {
    let lab = Lab::new().await;
    let patch = |body: Value| answer(lab.http.patch(lab.url("/sim/switches")).json(&body));
    patch(json!({ "processing_ms": 9 })).await.expect(200);
    patch(json!({ "lower_case_words": true })).await.expect(200);
    let switches = get(&lab, "/sim/switches").await;
    assert_eq!(
        (&switches["processing_ms"], &switches["lower_case_words"]),
        (&json!(9), &json!(true))
    );
    let refused = patch(json!({ "lower_case_word": true })).await.expect(400);
    assert_eq!(refused["error"], "unknown key `lower_case_word`; did you mean `lower_case_words`?");
    patch(json!({ "threshold_max": 2.0 })).await.expect(400);
}

#[tokio::test]
async fn the_record_is_paged_and_filtered() {
    let lab = Lab::new().await;
    for _ in 0..3 {
        answer(lab.get("/api/version")).await.expect(200);
    }
    answer(lab.get("/api/folders")).await.expect(200);
    let page = get(&lab, "/sim/record?limit=2").await;
    assert_eq!((&page["total"], &page["next_after"]), (&json!(4), &json!(2)));
    let page = get(&lab, "/sim/record?after=2&endpoint=version").await;
    assert_eq!(page["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(page["items"][0]["n"], 3);
    assert_eq!(page["items"][0]["answered"], json!({ "status": 200 }));
    answer(lab.http.delete(lab.url("/sim/record"))).await.expect(204);
    answer(lab.get("/api/version")).await.expect(200);
    assert_eq!(get(&lab, "/sim/record").await["items"][0]["n"], 5);
}

#[tokio::test]
async fn the_control_api_shows_folders() {
    let (lab, folder) = Lab::with_folder().await;
    let all = get(&lab, "/sim/folders").await;
    assert_eq!(all["items"][0]["folder_id"], folder);
    let one = get(&lab, &format!("/sim/folders/{folder}")).await;
    assert_eq!(one["media"][0]["tags"][0], "video_selfie");
    assert_eq!(one["media"][0]["decoded"], true);
}

#[tokio::test]
async fn the_control_api_skips_time_expires_sessions_and_resets() {
    let lab = Lab::new().await;
    let before = get(&lab, "/sim/health").await["time"].as_f64();
    post(&lab, "/sim/clock", &json!({ "skip_ms": 1_000_000 })).await.expect(200);
    let after = get(&lab, "/sim/health").await["time"].as_f64();
    assert!(after >= before.map(|before| before + 1_000.0));
    let expired = post(&lab, "/sim/sessions/expire", &json!({ "service": true })).await;
    assert_eq!(expired.expect(200), json!({ "expired": 1 }));
    assert_eq!(answer(lab.get("/api/folders")).await.error(), (401, 8));
    lab.empty_folder();
    post(&lab, "/sim/reset", &json!({})).await.expect(204);
    answer(lab.get("/api/folders")).await.expect(200);
    assert!(lab.simulator.folders().is_empty());
    assert_eq!(lab.simulator.record()[0].answered, Answered::Status(200));
}
