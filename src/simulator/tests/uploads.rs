//! Uploads of folders and media, valid and invalid.

use reqwest::Method;
use reqwest::multipart::Form;
use serde_json::json;

use super::client::{Lab, answer, file};
use crate::simulator::sample;

#[tokio::test]
async fn both_spellings_of_a_path_work_and_nothing_redirects() {
    let lab = Lab::new().await;
    for path in ["/api/folders", "/api/folders/"] {
        answer(lab.post(path)).await.expect(201);
        answer(lab.get(path)).await.expect(200);
    }
    assert_eq!(lab.simulator.folders().len(), 2);
}

#[tokio::test]
async fn an_upload_is_answered_by_an_array_of_media() {
    let (lab, folder) = Lab::with_folder().await;
    let media = answer(lab.upload(&folder, sample::portrait_jpeg())).await.expect(201);
    assert_eq!(media.as_array().map(Vec::len), Some(1));
    assert_eq!(media[0]["media_type"], "IMAGE_FOLDER");
    assert_eq!(media[0]["original_name"], "selfie.jpg");
    assert_eq!(media[0]["meta_data"], json!({ "match_id": "m-1" }));
    let url = media[0]["original_url"].as_str().expect("a medium has a URL");
    let bytes = lab.http.get(url).send().await.expect("it answers").bytes().await;
    assert_eq!(bytes.expect("it is complete"), sample::portrait_jpeg());
}

#[tokio::test]
async fn a_payload_is_required_and_must_be_json() {
    let (lab, folder) = Lab::with_folder().await;
    let path = format!("/api/folders/{folder}/media/");
    let photo = || file(sample::portrait_png(), "p.png", "image/png");
    let lacking = answer(lab.post(&path).multipart(Form::new().part("photo1", photo()))).await;
    assert_eq!(lacking.error(), (400, 3));
    let broken = Form::new().text("payload", "{").part("photo1", photo());
    let broken = answer(lab.post(&path).multipart(broken)).await;
    assert_eq!(broken.body["error_message"], "Could not parse body as JSON object");
    lab.simulator.switch(|on| on.payload_required = false);
    answer(lab.post(&path).multipart(Form::new().part("media", photo()))).await.expect(201);
}

#[tokio::test]
async fn a_request_over_a_limit_is_code_4_or_413() {
    let (lab, folder) = Lab::with_folder().await;
    lab.simulator.switch(|on| on.folder_files_max = 1);
    assert_eq!(answer(lab.upload(&folder, b"x")).await.error(), (400, 4));
    lab.simulator.switch(|on| {
        on.folder_files_max = 10;
        on.file_bytes_max = 100;
    });
    assert_eq!(answer(lab.upload(&folder, &[0; 101])).await.error(), (400, 4));
    lab.simulator.switch(|on| on.request_bytes_max = 100);
    let page = answer(lab.upload(&folder, &[0; 101])).await;
    assert!(page.status == 413 && page.body.is_string());
    assert_eq!(lab.simulator.folder(&folder).map(|folder| folder.media.len()), Some(1));
}

#[tokio::test]
async fn unknown_ids_and_paths_are_404_and_unknown_methods_405() {
    let lab = Lab::new().await;
    let id = uuid::Uuid::from_u128(1);
    for path in [format!("/api/folders/{id}"), format!("/api/analyses/{id}"), "/api/odd".into()] {
        assert_eq!(answer(lab.get(&path)).await.error(), (404, 10), "{path}");
    }
    let put = lab.http.request(Method::PUT, lab.url("/api/folders/"));
    assert_eq!(answer(put).await.error(), (405, 1));
    assert_eq!(answer(lab.upload(&id.to_string(), b"x")).await.error(), (404, 10));
}

#[tokio::test]
async fn metadata_is_kept_changed_and_removed() {
    let lab = Lab::new().await;
    let path = format!("/api/folders/{}/meta_data", lab.empty_folder());
    answer(lab.post(&path).json(&json!({ "a": 1, "b": 2 }))).await.expect(201);
    let patch = lab.http.patch(lab.url(&path)).header("X-Forensic-Access-Token", &lab.token);
    let patched = answer(patch.json(&json!({ "a": null, "c": 3 }))).await.expect(200);
    assert_eq!(patched, json!({ "b": 2, "c": 3 }));
    answer(lab.delete(&path)).await.expect(204);
    assert_eq!(answer(lab.get(&path)).await.expect(200), json!({}));
}

#[tokio::test]
async fn deleting_is_forbidden_unless_a_switch_allows_it() {
    let (lab, folder) = Lab::with_folder().await;
    let media = answer(lab.upload(&folder, sample::portrait_jpeg())).await.expect(201);
    let medium = format!("/api/media/{}", media[0]["media_id"].as_str().expect("an id"));
    let path = format!("/api/folders/{folder}");
    let held = lab.simulator.folder(&folder).expect("the folder is there");
    let analysis = format!("/api/analyses/{}", held.analyses[0].analyse_id);
    for path in [&medium, &analysis, &path] {
        assert_eq!(answer(lab.delete(path)).await.error(), (403, 9), "a CLIENT may not");
        answer(lab.get(path)).await.expect(200);
    }
    lab.simulator.switch(|on| on.deletion_forbidden = false);
    answer(lab.delete(&medium)).await.expect(204);
    assert_eq!(answer(lab.get(&medium)).await.error(), (404, 10));
    answer(lab.delete(&analysis)).await.expect(204);
    answer(lab.delete(&path)).await.expect(204);
    assert_eq!(answer(lab.get(&path)).await.error(), (404, 10));
}

#[tokio::test]
async fn a_single_request_is_answered_with_finished_analyses() {
    let lab = Lab::new().await;
    lab.simulator.switch(|on| on.processing_ms = 20);
    let payload = json!({ "analyses": [{ "type": "quality" }, { "type": "biometry" }] });
    let shot_set = sample::shot_set(sample::portrait_jpeg());
    let form = Form::new()
        .text("payload", payload.to_string())
        .part("video1", file(&shot_set, "v.zip", "application/zip"))
        .part("photo1", file(sample::portrait_jpeg(), "p.jpg", "image/jpeg"));
    let folder = answer(lab.post("/api/folders/").multipart(form)).await.expect(201);
    let analyses = folder["analyses"].as_array().expect("they are shown");
    let resolutions: Vec<_> = analyses.iter().map(|it| &it["resolution"]).collect();
    assert_eq!(resolutions, ["SUCCESS", "SUCCESS"]);
    assert_eq!(folder["resolution_status"], "FINISHED");
}
