//! Folders that are made with their verdict in one call, and reset or removed one by one.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::client::{Answer, Lab, answer};
use crate::simulator::{Config, sample};

async fn make(lab: &Lab, request: &Value) -> Answer {
    answer(lab.http.post(lab.url("/sim/folders")).json(request)).await
}

async fn made(lab: &Lab, request: &Value) -> Value {
    make(lab, request).await.expect(201)
}

fn id(folder: &Value) -> &str {
    folder["folder_id"].as_str().expect("a folder has an id")
}

#[tokio::test]
async fn by_default_the_folder_has_the_sample_person_and_pictures_decide() {
    let lab = Lab::new().await;
    for (photo, expected) in
        [(sample::portrait_png(), "SUCCESS"), (sample::stranger_jpeg(), "DECLINED")]
    {
        let folder = made(&lab, &json!({})).await;
        assert_eq!(folder["media"][0]["kind"], "shot_set");
        assert!(folder["media"][0]["media_id"].is_string());
        assert_eq!(folder["analyses"][0]["type"], "QUALITY");
        assert_eq!(folder["analyses"][0]["resolution"], "SUCCESS");
        assert_eq!(lab.match_photo(id(&folder), photo).await["resolution"], expected);
    }
}

#[tokio::test]
async fn a_video_made_from_a_picture_can_be_compared() {
    let lab = Lab::new().await;
    let picture = BASE64_STANDARD.encode(sample::stranger_jpeg());
    for (photo, expected) in
        [(sample::stranger_jpeg(), "SUCCESS"), (sample::portrait_jpeg(), "DECLINED")]
    {
        let folder = made(&lab, &json!({ "kind": "video", "picture": picture })).await;
        assert_eq!(folder["media"][0]["content_type"], "video/mp4");
        assert_eq!(folder["media"][0]["decoded"], true);
        assert_eq!(lab.match_photo(id(&folder), photo).await["resolution"], expected);
    }
}

#[tokio::test]
async fn a_folder_is_made_with_its_verdict_score_and_delay() {
    let lab = Lab::new().await;
    let verdict = json!({ "resolution": "OPERATOR_REQUIRED", "min_confidence": 0.7, "processing_ms": 61_000 });
    let folder = made(&lab, &json!({ "verdict": verdict })).await;
    let analysis = lab.match_photo(id(&folder), sample::portrait_jpeg()).await;
    assert_eq!(analysis["state"], "PROCESSING", "a minute is not enough");
    lab.simulator.skip(std::time::Duration::from_secs(2));
    let held = lab.simulator.folder(id(&folder)).expect("the folder is there");
    let biometry = held.analyses.last().expect("it was started");
    assert_eq!((&*biometry.resolution, biometry.settled_by), ("OPERATOR_REQUIRED", "folder"));
    assert_eq!(biometry.min_confidence, Some(0.7));
}

#[tokio::test]
async fn the_requested_liveness_holds_for_every_liveness_check() {
    let lab = Lab::new().await;
    let quality = json!({ "resolution": "DECLINED", "confidence_spoofing": 0.8 });
    let folder = made(&lab, &json!({ "quality": quality })).await;
    assert_eq!(folder["analyses"][0]["resolution"], "DECLINED");
    let started = answer(lab.analyse(id(&folder), &json!([{ "type": "quality" }]))).await;
    started.expect(201);
    lab.simulator.skip(std::time::Duration::from_secs(60));
    let held = lab.simulator.folder(id(&folder)).expect("the folder is there");
    assert!(held.analyses.iter().all(|analysis| analysis.resolution == "DECLINED"));
    let without = made(&lab, &json!({ "quality_analysis": false })).await;
    assert_eq!(without["analyses"], json!([]));
    let empty = made(&lab, &json!({ "kind": "none" })).await;
    assert_eq!((&empty["analyses"], &empty["media"]), (&json!([]), &json!([])));
}

#[tokio::test]
async fn photos_and_metadata_come_with_the_folder() {
    let lab = Lab::new().await;
    let request = json!({
        "meta_data": { "transaction_id": "t-9" },
        "media_meta_data": { "device": "test" },
        "photos": [{ "person": "stranger", "tags": ["photo_id", "photo_id_front"] }],
    });
    let folder = made(&lab, &request).await;
    assert_eq!(folder["meta_data"]["transaction_id"], "t-9");
    assert_eq!(folder["media"][0]["meta_data"]["device"], "test");
    assert_eq!(folder["media"][1]["kind"], "image");
    assert_eq!(folder["media"][1]["tags"][1], "photo_id_front");
    let sources = &folder["analyses"][0]["source_media"];
    assert_eq!(sources, &json!([folder["media"][0]["media_id"]]), "liveness leaves documents out");
    let listed = answer(lab.get("/api/folders/?meta_data=transaction_id==t-9")).await.expect(200);
    assert_eq!(listed["items"][0]["folder_id"], folder["folder_id"]);
}

#[tokio::test]
async fn an_invalid_request_is_refused_with_its_key() {
    let lab = Lab::new().await;
    for (request, expected) in [
        (json!({ "verdikt": {} }), "unknown key `verdikt`; did you mean `verdict`?"),
        (json!({ "person": "ghost" }), "unknown word `ghost`"),
        (json!({ "picture": "AAAA" }), "picture: neither a JPEG nor a PNG"),
        (json!({ "verdict": { "processing_ms": 1e12 as u64 } }), "verdict.processing_ms"),
        (json!({ "meta_data": { "long": "x".repeat(70_000) } }), "meta_data: more than"),
    ] {
        let refused = make(&lab, &request).await.expect(400);
        assert!(refused["error"].as_str().is_some_and(|it| it.contains(expected)), "{refused}");
    }
    assert!(lab.simulator.folders().is_empty());
}

#[tokio::test]
async fn a_reset_restores_one_folder_and_leaves_the_others() {
    let lab = Lab::new().await;
    let request = json!({ "meta_data": { "transaction_id": "t-1" } });
    let (mine, other) = (made(&lab, &request).await, made(&lab, &request).await);
    for folder in [&mine, &other] {
        lab.match_photo(id(folder), sample::portrait_jpeg()).await;
    }
    let meta_data = format!("/api/folders/{}/meta_data", id(&mine));
    answer(lab.post(&meta_data).json(&json!({ "transaction_id": "t-2" }))).await.expect(201);
    let path = format!("/sim/folders/{}/reset", id(&mine));
    assert_eq!(answer(lab.http.post(lab.url(&path))).await.expect(200), mine);
    let held = |folder| lab.simulator.folder(id(folder)).map(|it| it.media.len());
    assert_eq!((held(&mine), held(&other)), (Some(1), Some(2)));
    // Twenty times, with a limit of ten media: a reset leaves nothing of earlier matches.
    for _ in 0..20 {
        answer(lab.upload(id(&mine), sample::portrait_jpeg())).await.expect(201);
        answer(lab.http.post(lab.url(&path))).await.expect(200);
    }
    answer(lab.http.post(lab.url("/sim/folders/odd/reset"))).await.expect(404);
}

#[tokio::test]
async fn the_control_api_removes_a_folder_even_if_the_account_may_not() {
    let lab = Lab::new().await;
    let folder = made(&lab, &json!({})).await;
    let path = format!("/sim/folders/{}", id(&folder));
    answer(lab.http.delete(lab.url(&path))).await.expect(204);
    answer(lab.http.delete(lab.url(&path))).await.expect(404);
    answer(lab.get(&format!("/api/folders/{}", id(&folder)))).await.expect(404);
}

#[tokio::test]
async fn the_sample_folder_exists_from_the_start_and_after_a_reset() {
    let lab = Lab::with(Config { sample_folder: true, ..Config::default() }).await;
    let folder = lab.simulator.sample_folder().expect("the settings ask for it");
    for _ in 0..2 {
        let match_ = lab.match_photo(&folder, sample::portrait_jpeg()).await;
        assert_eq!(match_["resolution"], "SUCCESS");
        answer(lab.http.post(lab.url("/sim/reset"))).await.expect(204);
        assert_eq!(lab.simulator.folder(&folder).map(|it| it.media.len()), Some(1));
    }
    let picture = lab.http.get(lab.url("/sim/samples/portrait.jpg")).send().await;
    let bytes = picture.expect("it answers").bytes().await.expect("it is complete");
    assert_eq!(bytes, sample::portrait_jpeg());
    assert_eq!(Lab::new().await.simulator.sample_folder(), None);
}
