//! Each switch, as a client sees it.

use std::time::Duration;

use reqwest::multipart::Form;
use serde_json::{Value, json};

use super::client::{Lab, answer, file};
use crate::simulator::answer::UNLICENSED;
use crate::simulator::{
    AnalysisIdName, AnalysisType, Config, Outcome, Script, Switches, TooFewMedia, TrailingSlash,
    Unlicensed, sample,
};

async fn analysis(change: impl FnOnce(&mut Switches)) -> Value {
    let (lab, folder) = Lab::with_folder().await;
    answer(lab.upload(&folder, sample::portrait_jpeg())).await.expect(201);
    let started = answer(lab.analyse(&folder, &json!([{ "type": "biometry" }]))).await;
    let id = started.expect(201)[0]["analyse_id"].as_str().expect("an id").to_owned();
    lab.simulator.skip(Duration::from_secs(60));
    lab.simulator.switch(change);
    answer(lab.get(&format!("/api/analyses/{id}/"))).await.expect(200)
}

#[tokio::test]
async fn an_analysis_may_come_in_other_shapes() {
    assert!(analysis(|on| on.analysis_as_array = true).await.is_array());
    let alias = analysis(|on| on.analysis_id_name = AnalysisIdName::AnalysisId).await;
    assert!(alias["analysis_id"].is_string() && alias["analyse_id"].is_null());
    let both = analysis(|on| on.analysis_id_name = AnalysisIdName::Both).await;
    assert!(both["analysis_id"] == both["analyse_id"]);
    let times = analysis(|on| on.timestamps_as_integers = true).await;
    assert!(times["time_created"].is_u64());
    let lower = analysis(|on| on.lower_case_words = true).await;
    assert_eq!((&lower["state"], &lower["type"]), (&json!("finished"), &json!("biometry")));
    let extra = analysis(|on| on.extra_fields = true).await;
    assert!(extra["x_unknown"].is_object());
    let few = analysis(|on| on.optional_fields_missing = true).await;
    assert!(few["group_id"].is_null() && few["resolution"].is_string());
    let stateless = analysis(|on| on.state_missing = true).await;
    assert!(stateless["state"].is_null() && stateless["resolution"] == "SUCCESS");
}

#[tokio::test]
async fn scores_may_be_in_results_media_only() {
    let analysis = analysis(|on| on.scores_only_in_results_media = true).await;
    assert!(analysis["results_data"].is_null());
    let media = &analysis["results_media"][0]["results_data"];
    assert!(media["min_confidence"].as_f64() > Some(0.9));
}

#[tokio::test]
async fn lists_and_uploads_may_come_in_other_shapes() {
    let (lab, folder) = Lab::with_folder().await;
    lab.simulator.switch(|on| {
        on.folder_list_bare = true;
        on.lists_as_items = true;
        on.media_answer_as_object = true;
        on.created_is_200 = true;
        on.media_meta_data_missing = true;
        on.original_name_missing = true;
    });
    assert!(answer(lab.get("/api/folders")).await.expect(200).is_array());
    let path = format!("/api/folders/{folder}/analyses");
    assert!(answer(lab.get(&path)).await.expect(200)["items"].is_array());
    let object = answer(lab.upload(&folder, sample::portrait_jpeg())).await.expect(200);
    let photo = &object["media"][1];
    assert!(photo["media_id"].is_string());
    assert!(photo["meta_data"].is_null() && photo["original_name"].is_null());
    let held = lab.simulator.folder(&folder).expect("the folder is there");
    assert_eq!(held.media[1].meta_data["match_id"], "m-1");
}

#[tokio::test]
async fn errors_may_name_their_details_differently() {
    let lab = Lab::new().await;
    lab.simulator.switch(|on| on.error_details = true);
    let error = answer(lab.get("/api/odd")).await.expect(404);
    assert!(error.get("error_details").is_some() && error.get("details").is_none());
}

#[tokio::test]
async fn too_few_media_are_refused_or_fail() {
    let (lab, folder) = Lab::with_folder().await;
    let start = || answer(lab.analyse(&folder, &json!([{ "type": "biometry" }])));
    assert_eq!(start().await.error(), (400, 3));
    lab.simulator.switch(|on| on.too_few_media = TooFewMedia::InvalidValue);
    assert_eq!(start().await.error(), (400, 4));
    lab.simulator.switch(|on| on.too_few_media = TooFewMedia::Failed);
    assert_eq!(lab.compare(&folder).await["state"], "FAILED");
}

#[tokio::test]
async fn thresholds_open_a_gap_for_operators() {
    let (lab, folder) = Lab::with_folder().await;
    lab.simulator.switch(|on| {
        on.threshold_min = 0.0;
        on.threshold_max = 0.85;
    });
    let analysis = lab.match_photo(&folder, sample::stranger_jpeg()).await;
    assert_eq!(analysis["resolution"], "OPERATOR_REQUIRED");
}

#[tokio::test]
async fn a_user_may_be_forbidden_to_start_analyses() {
    let (lab, folder) = Lab::with_folder().await;
    lab.simulator.switch(|on| on.analyses_forbidden = vec![AnalysisType::Biometry]);
    let started = answer(lab.analyse(&folder, &json!([{ "type": "BIOMETRY" }]))).await;
    assert_eq!(started.error(), (403, 9));
}

#[tokio::test]
async fn a_switch_sets_the_verdict_on_undecodable_media() {
    let (lab, folder) = Lab::with_folder().await;
    lab.simulator.switch(|on| on.undecodable = Some(Outcome::scored("SUCCESS", 0.99)));
    assert_eq!(lab.match_photo(&folder, b"no picture").await["resolution"], "SUCCESS");
}

#[tokio::test]
async fn a_folder_s_status_may_be_its_verdict_as_in_old_versions() {
    let (lab, folder) = Lab::with_folder().await;
    let path = format!("/api/folders/{folder}");
    assert_eq!(answer(lab.get(&path)).await.expect(200)["resolution_status"], "FINISHED");
    lab.simulator.switch(|on| on.folder_verdict_in_resolution_status = true);
    assert_eq!(answer(lab.get(&path)).await.expect(200)["resolution_status"], "SUCCESS");
}

#[tokio::test]
async fn the_service_account_s_session_has_its_own_lifetime() {
    let switches =
        Switches { service_ttl_seconds: 60, session_sliding: false, ..Switches::default() };
    let script = Script { switches, ..Script::default() };
    let lab = Lab::with(Config { script, ..Config::default() }).await;
    answer(lab.get("/api/folders")).await.expect(200);
    lab.simulator.skip(Duration::from_secs(61));
    assert_eq!(answer(lab.get("/api/folders")).await.error(), (401, 8));
}

#[tokio::test]
async fn jitter_is_added_to_the_time_that_an_analysis_takes() {
    const YEAR_MS: u64 = 365 * 24 * 3_600 * 1_000;
    let lab = Lab::with(Config { seed: Some(7), ..Config::default() }).await;
    let folder = lab.simulator.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
    lab.simulator.switch(|on| on.processing_jitter_ms = YEAR_MS);
    let late = lab.match_photo(&folder, sample::portrait_jpeg()).await;
    assert_eq!(late["state"], "PROCESSING", "a minute is not enough");
    lab.simulator.skip(Duration::from_millis(YEAR_MS));
    let id = late["analyse_id"].as_str().expect("an id");
    let ended = answer(lab.get(&format!("/api/analyses/{id}"))).await.expect(200);
    assert_eq!(ended["state"], "FINISHED");
}

#[tokio::test]
async fn additions_may_leave_time_updated_unchanged() {
    for touched in [true, false] {
        let (lab, folder) = Lab::with_folder().await;
        lab.simulator.switch(|on| on.folder_touched_by_additions = touched);
        let path = format!("/api/folders/{folder}");
        let updated = async || answer(lab.get(&path)).await.expect(200)["time_updated"].as_f64();
        let before = updated().await;
        lab.simulator.skip(Duration::from_secs(10));
        answer(lab.upload(&folder, sample::portrait_jpeg())).await.expect(201);
        let uploaded = updated().await;
        assert_eq!(uploaded > before, touched);
        lab.simulator.skip(Duration::from_secs(10));
        answer(lab.analyse(&folder, &json!([{ "type": "biometry" }]))).await.expect(201);
        assert_eq!(updated().await > uploaded, touched);
    }
}

#[tokio::test]
async fn liveness_may_report_three_scores() {
    let (lab, folder) = Lab::with_folder().await;
    let path = format!("/api/folders/{folder}?with_analyses=true");
    let scores = async || {
        let folder = answer(lab.get(&path)).await.expect(200);
        folder["analyses"][0]["results_media"][0]["results_data"].clone()
    };
    assert_eq!(scores().await, json!({ "confidence_spoofing": 0.02 }));
    lab.simulator.switch(|on| on.confidence_triple = true);
    let three = json!({
        "confidence_spoofing": 0.02, "confidence_replay": 0.02, "confidence_liveness": 0.98,
    });
    assert_eq!(scores().await, three);
}

#[tokio::test]
async fn the_back_of_a_document_may_be_left_out() {
    for (ignored, expected) in [(false, "DECLINED"), (true, "SUCCESS")] {
        let (lab, folder) = Lab::with_folder().await;
        lab.simulator.switch(|on| on.photo_id_back_ignored = ignored);
        let payload = json!({ "media:tags": { "back": ["photo_id", "photo_id_back"] } });
        let back = file(sample::stranger_jpeg(), "back.jpg", "image/jpeg");
        let form = Form::new().text("payload", payload.to_string()).part("back", back);
        let path = format!("/api/folders/{folder}/media/");
        answer(lab.post(&path).multipart(form)).await.expect(201);
        let analysis = lab.match_photo(&folder, sample::portrait_jpeg()).await;
        assert_eq!(analysis["resolution"], expected);
    }
}

#[tokio::test]
async fn a_failed_analysis_may_not_say_why() {
    let (lab, folder) = Lab::with_folder().await;
    let failed = lab.match_photo(&folder, b"no picture").await;
    assert!(failed["state"] == "FAILED" && failed["error_message"].is_string());
    lab.simulator.switch(|on| on.failure_reason_missing = true);
    let id = failed["analyse_id"].as_str().expect("an id");
    let silent = answer(lab.get(&format!("/api/analyses/{id}"))).await.expect(200);
    assert!(silent["state"] == "FAILED" && silent.get("error_message").is_none());
    assert!(silent.get("error_code").is_none());
}

#[tokio::test]
async fn a_shot_set_may_have_another_type() {
    let (lab, folder) = Lab::with_folder().await;
    let path = format!("/api/folders/{folder}");
    let media_type =
        async || answer(lab.get(&path)).await.expect(200)["media"][0]["media_type"].clone();
    assert_eq!(media_type().await, "SHOTS_SET_FOLDER");
    lab.simulator.switch(|on| "VIDEO_FOLDER".clone_into(&mut on.shot_set_type));
    assert_eq!(media_type().await, "VIDEO_FOLDER");
}

#[tokio::test]
async fn the_folder_list_may_ignore_the_filter_by_id() {
    let (lab, folder) = Lab::with_folder().await;
    lab.empty_folder();
    let path = format!("/api/folders/?folder_id={folder}");
    let found = async || answer(lab.get(&path)).await.expect(200)["total_count"].clone();
    assert_eq!(found().await, 1);
    lab.simulator.switch(|on| on.folder_id_filter = false);
    assert_eq!(found().await, 2, "the filter is ignored");
}

#[tokio::test]
async fn a_user_may_lack_the_right_to_read_or_to_upload() {
    let (lab, folder) = Lab::with_folder().await;
    let path = format!("/api/folders/{folder}");
    lab.simulator.switch(|on| on.reading_forbidden = true);
    for path in ["/api/folders/", &path, &format!("{path}/analyses/")] {
        assert_eq!(answer(lab.get(path)).await.error(), (403, 9), "{path}");
    }
    answer(lab.upload(&folder, sample::portrait_jpeg())).await.expect(201);
    lab.simulator.switch(|on| {
        on.reading_forbidden = false;
        on.uploading_forbidden = true;
    });
    assert_eq!(answer(lab.upload(&folder, sample::portrait_jpeg())).await.error(), (403, 9));
    assert_eq!(answer(lab.post("/api/folders/")).await.error(), (403, 9));
    answer(lab.get(&path)).await.expect(200);
    let stranger = lab.http.get(lab.url(&path));
    assert_eq!(answer(stranger).await.error(), (401, 6), "the session is checked first");
}

#[tokio::test]
async fn face_matching_may_be_unlicensed() {
    let (lab, folder) = Lab::with_folder().await;
    answer(lab.upload(&folder, sample::portrait_jpeg())).await.expect(201);
    lab.simulator.switch(|on| on.biometry_unlicensed = Unlicensed::Failed);
    let failed = lab.compare(&folder).await;
    assert_eq!(
        (&failed["state"], &failed["error_message"]),
        (&json!("FAILED"), &UNLICENSED.into())
    );
    lab.simulator.switch(|on| on.biometry_unlicensed = Unlicensed::Refused);
    let start = |kind: &str| answer(lab.analyse(&folder, &json!([{ "type": kind }])));
    assert_eq!(start("biometry").await.error(), (403, 9));
    start("quality").await.expect(201);
}

#[tokio::test]
async fn oz_may_read_the_token_from_the_plural_header() {
    let lab = Lab::new().await;
    let plural = || {
        let request = lab.http.get(lab.url("/api/folders"));
        request.header("X-Forensics-Access-Token", &lab.token)
    };
    assert_eq!(answer(plural()).await.error(), (401, 6));
    lab.simulator.switch(|on| on.token_header_plural = true);
    answer(plural()).await.expect(200);
    assert_eq!(answer(lab.get("/api/folders")).await.error(), (401, 6));
}

#[tokio::test]
async fn the_version_may_differ_or_be_missing() {
    let lab = Lab::new().await;
    let version = async || answer(lab.http.get(lab.url("/api/version"))).await;
    assert_eq!(version().await.expect(200)["version"], "6.0.1");
    lab.simulator.switch(|on| "4.0.8".clone_into(&mut on.api_version));
    assert_eq!(version().await.expect(200)["version"], "4.0.8");
    lab.simulator.switch(|on| on.version_missing = true);
    assert_eq!(version().await.error(), (404, 10));
}

#[tokio::test]
async fn one_spelling_of_paths_may_be_missing() {
    let lab = Lab::new().await;
    for (spelling, bare, slashed) in
        [(TrailingSlash::Required, 404, 200), (TrailingSlash::Refused, 200, 404)]
    {
        lab.simulator.switch(|on| on.trailing_slash = spelling);
        for (path, status) in [("/api/folders", bare), ("/api/folders/?limit=1", slashed)] {
            assert_eq!(answer(lab.get(path)).await.status, status, "{spelling:?} {path}");
        }
    }
}

#[tokio::test]
async fn oz_s_clock_may_differ_in_headers_and_in_times() {
    let (lab, folder) = Lab::with_folder().await;
    let path = format!("/api/folders/{folder}");
    let times = async || {
        let answer = answer(lab.get(&path)).await;
        let date = answer.headers["date"].to_str().expect("text").to_owned();
        let date = httpdate::parse_http_date(&date).expect("a date");
        let date = date.duration_since(std::time::UNIX_EPOCH).expect("since 1970").as_secs();
        (date as i64, answer.expect(200)["time_created"].as_f64().expect("a time"))
    };
    let (date, created) = times().await;
    for offset in [900, -900] {
        lab.simulator.switch(|on| on.clock_offset_seconds = offset);
        let (other_date, other_created) = times().await;
        assert!((other_date - date - offset).abs() < 60, "{offset}");
        assert!((other_created - created - offset as f64).abs() < 1e-3, "{offset}");
    }
    lab.simulator.switch(|on| on.clock_offset_seconds = 0);
    lab.simulator.skip(Duration::from_secs(3_600));
    assert!(times().await.0 >= date + 3_600, "headers show skipped time too");
}

#[tokio::test]
async fn the_metadata_of_media_may_be_dropped() {
    let (lab, folder) = Lab::with_folder().await;
    lab.simulator.switch(|on| on.media_meta_data_dropped = true);
    let photo = answer(lab.upload(&folder, sample::portrait_jpeg())).await.expect(201);
    assert_eq!(photo[0]["meta_data"], json!({}));
}

#[tokio::test]
async fn named_media_may_be_ignored() {
    for (ignored, expected) in [(false, "SUCCESS"), (true, "DECLINED")] {
        let (lab, folder) = Lab::with_folder().await;
        lab.simulator.switch(|on| on.source_media_ignored = ignored);
        let held = lab.simulator.folder(&folder).expect("the folder is there");
        let added = |answer: Value| answer[0]["media_id"].clone();
        let photo = added(answer(lab.upload(&folder, sample::portrait_jpeg())).await.expect(201));
        answer(lab.upload(&folder, sample::stranger_jpeg())).await.expect(201);
        let named = json!([held.media[0].media_id, photo]);
        let asked = json!([{ "type": "biometry", "source_media": named }]);
        let started = answer(lab.analyse(&folder, &asked)).await.expect(201);
        let id = started[0]["analyse_id"].as_str().expect("an id").to_owned();
        lab.simulator.skip(Duration::from_secs(60));
        let ended = answer(lab.get(&format!("/api/analyses/{id}"))).await.expect(200);
        assert_eq!(ended["resolution"], expected);
        assert_eq!(ended["source_media"].as_array().map(Vec::len), Some(2));
    }
}
