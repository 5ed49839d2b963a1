//! From an empty simulator to a verdict, with the requests of an SDK and a back end.

use reqwest::multipart::Form;
use serde_json::json;

use super::client::{Lab, answer, file};
use crate::simulator::{Endpoint, sample};

const TAGS: [&str; 3] = ["video_selfie", "video_selfie_blank", "orientation_portrait"];

async fn sdk_folder(lab: &Lab, bytes: &[u8], name: &str, mime: &str) -> String {
    let payload = json!({
        "folder:meta_data": { "transaction_id": "t-1" },
        "media:tags": { "video1": TAGS },
    });
    let form =
        Form::new().text("payload", payload.to_string()).part("video1", file(bytes, name, mime));
    let folder = answer(lab.post("/api/folders/").multipart(form)).await.expect(201);
    assert_eq!(folder["media"][0]["tags"], json!(TAGS));
    assert_eq!(folder["meta_data"]["transaction_id"], "t-1");
    assert_eq!(folder["resolution_status"], "INITIAL");
    folder["folder_id"].as_str().expect("a folder has an id").to_owned()
}

#[tokio::test]
async fn the_same_person_s_picture_is_a_success() {
    let lab = Lab::new().await;
    let shot_set = sample::shot_set(sample::portrait_jpeg());
    let folder = sdk_folder(&lab, &shot_set, "v.zip", "application/zip").await;
    let analysis = lab.match_photo(&folder, sample::portrait_png()).await;
    assert_eq!(analysis["state"], "FINISHED");
    assert_eq!(analysis["resolution"], "SUCCESS");
    assert!(analysis["results_data"]["min_confidence"].as_f64() > Some(0.9));
    let media = &analysis["results_media"][0];
    assert!(media["source_shots_set_id"].is_string(), "{media}");
}

#[tokio::test]
async fn another_person_s_picture_is_declined() {
    let (lab, folder) = Lab::with_folder().await;
    let analysis = lab.match_photo(&folder, sample::stranger_jpeg()).await;
    assert_eq!(analysis["resolution"], "DECLINED");
    assert!(analysis["results_data"]["min_confidence"].as_f64() < Some(0.6));
}

#[tokio::test]
async fn the_least_alike_pair_decides_unless_the_media_are_named() {
    let (lab, folder) = Lab::with_folder().await;
    answer(lab.upload(&folder, sample::stranger_jpeg())).await.expect(201);
    let photo = answer(lab.upload(&folder, sample::portrait_jpeg())).await.expect(201);
    assert_eq!(lab.compare(&folder).await["resolution"], "DECLINED");

    let held = lab.simulator.folder(&folder).expect("the folder is there");
    let named = json!([held.media[0].media_id, photo[0]["media_id"]]);
    let asked = json!([{ "type": "BIOMETRY", "source_media": named }]);
    let started = answer(lab.analyse(&folder, &asked)).await.expect(201);
    assert_eq!(started[0]["state"], "PROCESSING");
    lab.simulator.skip(std::time::Duration::from_secs(5));
    let held = lab.simulator.folder(&folder).expect("the folder is there");
    assert_eq!(held.analyses.last().map(|it| it.resolution.as_str()), Some("SUCCESS"));
}

#[tokio::test]
async fn undecodable_liveness_media_end_as_success_and_say_so() {
    for (name, mime) in [
        ("v.mp4", "video/mp4"),
        ("v.mov", "video/quicktime"),
        ("v.webm", "video/webm"),
        ("v.mp4", "application/octet-stream"),
        ("v.zip", "application/zip"),
    ] {
        let lab = Lab::new().await;
        let folder = sdk_folder(&lab, b"no decoder for this", name, mime).await;
        let analysis = lab.match_photo(&folder, sample::stranger_jpeg()).await;
        assert_eq!(
            (&analysis["state"], &analysis["resolution"]),
            (&json!("FINISHED"), &json!("SUCCESS"))
        );
        assert!(analysis["results_data"]["min_confidence"].as_f64() > Some(0.85));
        let held = lab.simulator.folder(&folder).expect("the folder is there");
        assert_eq!(held.analyses[0].settled_by, "undecoded_video", "{mime}");
        assert!(!held.media[0].decoded);
    }
}

#[tokio::test]
async fn a_photo_that_cannot_be_decoded_fails_and_says_how_to_script_it() {
    let (lab, folder) = Lab::with_folder().await;
    let analysis = lab.match_photo(&folder, b"no picture").await;
    assert_eq!(analysis["state"], "FAILED");
    let message = analysis["error_message"].as_str().expect("it says why");
    assert!(message.contains("could not decode") && message.contains("`outcome`"), "{message}");
}

#[tokio::test]
async fn liveness_passes_with_a_low_score() {
    let (lab, folder) = Lab::with_folder().await;
    let path = format!("/api/folders/{folder}?with_analyses=true");
    let folder = answer(lab.get(&path)).await.expect(200);
    let quality = &folder["analyses"][0];
    assert_eq!((&quality["type"], &quality["resolution"]), (&json!("QUALITY"), &json!("SUCCESS")));
    let spoofing = quality["results_media"][0]["results_data"]["confidence_spoofing"].as_f64();
    assert!(spoofing < Some(0.5));
    assert_eq!(folder["system_resolution"], "SUCCESS");
}

#[tokio::test]
async fn the_record_holds_uploads_and_requested_analyses() {
    let (lab, folder) = Lab::with_folder().await;
    lab.match_photo(&folder, sample::portrait_jpeg()).await;
    let record = lab.simulator.record();
    let endpoints: Vec<_> = record.iter().map(|request| request.endpoint).collect();
    assert_eq!(endpoints, [Endpoint::AddMedia, Endpoint::StartAnalyses, Endpoint::GetAnalysis]);
    let upload = &record[0].uploads[0];
    assert_eq!(upload.tags, ["photo_selfie"]);
    assert_eq!(upload.meta_data["match_id"], "m-1");
    assert_eq!(upload.file_name, "selfie.jpg");
    assert_eq!(upload.bytes, sample::portrait_jpeg().len() as u64);
    assert_eq!(upload.digest, blake3::hash(sample::portrait_jpeg()).to_hex().to_string());
    assert_eq!(record[1].asked, Some(json!({ "analyses": [{ "type": "biometry" }] })));
    assert_eq!(record[1].analyses.len(), 1);
    assert!(record.iter().all(|request| request.acted));
}
