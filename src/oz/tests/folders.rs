//! Requests about folders and analyses, and every answer to them that Oz is known to give.

use super::*;

use crate::domain::{Folder, Media};

async fn folder_of(body: Value) -> Result<Folder, Failure> {
    match answered_json(&read_folder(), body).await? {
        Reply::Folder(folder) => Ok(folder),
        other => panic!("not a folder: {other:?}"),
    }
}

async fn started_of(body: Value) -> Result<Vec<Analysis>, Failure> {
    match answered(&start_analyses(), Answer::json(201, body)).await? {
        Reply::Started(analyses) => Ok(analyses),
        other => panic!("nothing started: {other:?}"),
    }
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    object[name] = value;
    object
}

fn without(mut object: Value, name: &str) -> Value {
    object.as_object_mut().unwrap().remove(name);
    object
}

#[tokio::test]
async fn every_request_carries_the_token_in_the_singular_header() {
    let mock = Mock::answering([Answer::json(200, finished())]).await;
    perform(&client(settings(&mock.url)), &read_analysis()).await.unwrap();
    let headers = &mock.seen()[0].headers;
    assert_eq!(headers["x-forensic-access-token"], SERVICE_TOKEN);
    assert!(!headers.contains_key("x-forensics-access-token"));
    assert!(!headers.contains_key("authorization"));
    assert_eq!(headers["user-agent"], concat!("facematch/", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn requests_have_the_documented_paths() {
    let gets = [
        (read_folder(), format!("/api/folders/{FOLDER}?with_analyses=true")),
        (read_analysis(), format!("/api/analyses/{ANALYSIS}")),
    ];
    let posts = [
        (upload_photo(), format!("/api/folders/{FOLDER}/media/")),
        (start_analyses(), format!("/api/folders/{FOLDER}/analyses/")),
    ];
    for (method, asks) in [("GET", gets), ("POST", posts)] {
        for (ask, path) in asks {
            let mock = Mock::answering([Answer::http(500, &[], "")]).await;
            // The address has a path of its own, and a trailing slash.
            let config = settings(&format!("{}/oz/v6/", mock.url));
            perform(&client(config), &ask).await.unwrap_err();
            let seen = &mock.seen()[0];
            assert_eq!((seen.method.as_str(), &seen.path), (method, &format!("/oz/v6{path}")));
        }
    }
}

#[tokio::test]
async fn a_folder_is_read_with_its_media_and_analyses() {
    let folder = folder_of(json!({
        "folder_id": FOLDER, "unknown": { "to": "us" },
        "media": [{
            "media_id": VIDEO, "media_type": "video_folder",
            "tags": ["video_selfie", "video_selfie_blank"], "original_name": "v.mp4",
            "meta_data": { "facematch_match_id": MATCH, "other": 1 },
            "time_created": 1714600010.5
        }],
        "analyses": [finished()]
    }))
    .await
    .unwrap();
    let video = Media {
        id: media_id(VIDEO),
        media_type: Some("VIDEO_FOLDER".into()),
        tags: vec!["video_selfie".into(), "video_selfie_blank".into()],
        original_name: Some("v.mp4".into()),
        match_id: Some(MATCH.into()),
        time_created: Some(Timestamp::from_micros(1_714_600_010_500_000)),
    };
    assert_eq!(folder.media, [video]);
    assert_eq!(folder.analyses.len(), 1);
    assert_eq!(folder.analyses[0].id, Some(analysis_id()));
}

#[tokio::test]
async fn an_empty_folder_is_empty() {
    for media in [json!([]), json!(null)] {
        let folder = folder_of(json!({ "media": media, "analyses": [] })).await.unwrap();
        assert_eq!(folder, Folder::default());
    }
}

#[tokio::test]
async fn analyses_that_a_folder_omits_are_requested() {
    for list in [json!([finished()]), json!({ "items": [finished()], "total_count": 1 })] {
        let folder = json!({ "folder_id": FOLDER, "media": [{ "media_id": VIDEO }] });
        let mock = Mock::answering([Answer::json(200, folder), Answer::json(200, list)]).await;
        let reply = perform(&client(settings(&mock.url)), &read_folder()).await.unwrap();
        let Reply::Folder(folder) = reply else { panic!("{reply:?}") };
        assert_eq!((folder.media.len(), folder.analyses.len()), (1, 1));
        assert_eq!(mock.seen()[1].path, format!("/api/folders/{FOLDER}/analyses/"));
    }
}

#[tokio::test]
async fn a_folder_that_was_just_read_is_not_missing() {
    let folder = json!({ "folder_id": FOLDER, "media": [] });
    let unknown = json!({ "error_code": 10, "error_message": "Object not exist" });
    for (answer, kind) in [
        (Answer::json(404, unknown), FailureKind::Incomplete),
        (Answer::http(404, &[], ""), FailureKind::Foreign),
    ] {
        let mock = Mock::answering([Answer::json(200, folder.clone()), answer]).await;
        let failure = perform(&client(settings(&mock.url)), &read_folder()).await.unwrap_err();
        assert_eq!(failure.kind, kind);
    }
}

#[tokio::test]
async fn unusable_ids_make_an_answer_incomplete() {
    for id in [json!(null), json!(""), json!("../x"), json!(7), json!("a b")] {
        let media = json!([{ "media_id": VIDEO }, { "media_id": id }]);
        let folder = folder_of(json!({ "media": media, "analyses": [] })).await;
        assert_eq!(folder.unwrap_err().kind, FailureKind::Incomplete, "{id}");
        let started = started_of(json!([with(finished(), "analyse_id", id.clone())])).await;
        assert_eq!(started.unwrap_err().kind, FailureKind::Incomplete, "{id}");
        let folder = json!({ "media": [], "analyses": [with(finished(), "analyse_id", id)] });
        assert_eq!(folder_of(folder).await.unwrap_err().kind, FailureKind::Incomplete);
    }
}

#[tokio::test]
async fn a_start_names_exactly_these_media() {
    let mock = Mock::answering([Answer::json(201, json!([finished()]))]).await;
    let ask = Ask::StartAnalyses {
        folder_id: folder_id(),
        biometry: vec![media_id(VIDEO), media_id(PHOTO)],
        quality: Some(vec![media_id(VIDEO)]),
    };
    perform(&client(settings(&mock.url)), &ask).await.unwrap();
    let seen = &mock.seen()[0];
    assert_eq!(seen.headers["content-type"], "application/json");
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    let expected = json!({ "analyses": [
        { "type": "biometry", "source_media": [VIDEO, PHOTO] },
        { "type": "quality", "source_media": [VIDEO] },
    ]});
    assert_eq!(body, expected);
}

#[tokio::test]
async fn started_analyses_are_read_as_a_list_or_alone_or_wrapped() {
    for body in [
        json!([finished()]),
        finished(),
        json!({ "items": [finished()] }),
        json!({ "folder_id": FOLDER, "analyses": [finished()] }),
        with(without(finished(), "analyse_id"), "analysis_id", json!(ANALYSIS)),
    ] {
        let started = started_of(body.clone()).await.unwrap();
        assert_eq!(started.len(), 1, "{body}");
        assert_eq!(started[0].id, Some(analysis_id()), "{body}");
    }
}

#[tokio::test]
async fn any_2xx_is_a_success() {
    for status in [200, 201, 202] {
        let answer = Answer::json(status, json!([finished()]));
        assert!(answered(&start_analyses(), answer).await.is_ok(), "{status}");
    }
}

#[tokio::test]
async fn the_id_has_two_spellings_and_the_first_wins() {
    let neither = without(finished(), "analyse_id");
    assert_eq!(analysis_of(neither.clone()).await.unwrap().id, None);
    let new = with(neither, "analysis_id", json!(ANALYSIS.to_uppercase()));
    assert_eq!(analysis_of(new).await.unwrap().id, Some(analysis_id()));
    let both = with(finished(), "analysis_id", json!(VIDEO));
    assert_eq!(analysis_of(both).await.unwrap().id, Some(analysis_id()));
}

#[tokio::test]
async fn an_analysis_is_read_alone_or_from_an_array() {
    assert!(analysis_of(finished()).await.is_ok());
    assert!(analysis_of(json!([finished()])).await.is_ok());
}

#[tokio::test]
async fn the_analysis_of_another_match_is_not_taken() {
    let failure = analysis_of(with(finished(), "analyse_id", json!(VIDEO))).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Incomplete);
}

#[tokio::test]
async fn words_are_kept_raw_and_blank_words_are_absent() {
    let body = with(finished(), "resolution", json!("success"));
    let body = with(body, "resolution_status", json!(""));
    let body = with(body, "type", json!("biometry"));
    let analysis = analysis_of(body).await.unwrap();
    assert_eq!(analysis.kind.as_deref(), Some("BIOMETRY"));
    assert_eq!(analysis.state.as_deref(), Some("FINISHED"));
    assert_eq!(analysis.resolution.as_deref(), Some("success"));
    assert_eq!(analysis.resolution_status, None);
}

#[tokio::test]
async fn any_one_word_is_enough_for_an_analysis() {
    for kept in ["state", "resolution", "resolution_status"] {
        let body = json!({ "analyse_id": ANALYSIS, kept: "PROCESSING" });
        assert!(analysis_of(body).await.is_ok(), "{kept}");
    }
}

#[tokio::test]
async fn wrong_types_count_as_absent() {
    for wrong in [json!(7), json!([1]), json!({ "a": 1 }), json!(true), json!(null)] {
        let mut body = json!({ "state": "FINISHED" });
        let names = ["type", "group_id", "resolution", "resolution_status", "error_message"];
        for name in names {
            body[name] = wrong.clone();
        }
        let analysis = analysis_of(body).await.unwrap();
        assert_eq!(analysis, Analysis { state: Some("FINISHED".into()), ..Analysis::default() });
    }
    for name in ["time_created", "results_data", "results_media", "source_media", "error_code"] {
        let analysis = analysis_of(json!({ "state": "FINISHED", name: "text" })).await.unwrap();
        assert_eq!(analysis, Analysis { state: Some("FINISHED".into()), ..Analysis::default() });
    }
    let folder = json!({ "analyses": [], "media": [{
        "media_id": VIDEO, "media_type": 1, "tags": "video", "original_name": [],
        "meta_data": [], "time_created": "now",
    }]});
    let medium = &folder_of(folder).await.unwrap().media[0];
    assert_eq!((&medium.media_type, medium.tags.len()), (&None, 0));
}

#[tokio::test]
async fn a_duplicate_member_does_not_spoil_the_answer() {
    let body = r#"{"state":"PROCESSING","state":"FINISHED"}"#;
    assert!(answered(&read_analysis(), Answer::http(200, &[], body)).await.is_ok());
}

#[tokio::test]
async fn times_are_whole_or_fractional_seconds_or_milliseconds() {
    for (time, micros) in [
        (json!(1473928090), Some(1_473_928_090_000_000)),
        (json!(1714600020.25), Some(1_714_600_020_250_000)),
        (json!(1714600020250_u64), Some(1_714_600_020_250_000)),
        (json!("1714600020"), None),
        (json!(-5), None),
        (json!(1e300), None),
    ] {
        let body = with(finished(), "time_created", time.clone());
        let analysis = analysis_of(body).await.unwrap();
        assert_eq!(analysis.time_created, micros.map(Timestamp::from_micros), "{time}");
    }
}

#[tokio::test]
async fn scores_of_the_analysis_take_precedence_over_those_of_its_media() {
    let media = json!([
        { "results_data": { "min_confidence": 0.5, "max_confidence": 0.6 } },
        { "results_data": { "min_confidence": 0.4, "max_confidence": 0.9 } },
        { "results_data": null }, {},
    ]);
    let both = with(finished(), "results_media", media);
    let analysis = analysis_of(both.clone()).await.unwrap();
    assert_eq!((analysis.min_confidence, analysis.max_confidence), (Some(0.9), Some(0.95)));
    for absent in [json!(null), json!({}), json!({ "min_confidence": null })] {
        let analysis = analysis_of(with(both.clone(), "results_data", absent)).await.unwrap();
        assert_eq!((analysis.min_confidence, analysis.max_confidence), (Some(0.4), Some(0.9)));
    }
}

#[tokio::test]
async fn a_score_that_is_not_a_number_is_never_replaced() {
    for wrong in [json!("0.99"), json!(true), json!([0.99]), json!({})] {
        let own = with(finished(), "results_data", json!({ "min_confidence": wrong }));
        let media = json!([{ "results_data": { "min_confidence": 0.99 } }]);
        let analysis = analysis_of(with(own, "results_media", media)).await.unwrap();
        assert!(analysis.min_confidence.unwrap().is_nan(), "{wrong}");

        let media = json!([
            { "results_data": { "min_confidence": 0.99, "confidence_spoofing": wrong } },
            { "results_data": { "min_confidence": wrong, "confidence_spoofing": 0.1 } },
        ]);
        let body = with(without(finished(), "results_data"), "results_media", media);
        let analysis = analysis_of(body).await.unwrap();
        assert!(analysis.min_confidence.unwrap().is_nan(), "{wrong}");
        assert!(analysis.confidence_spoofing.unwrap().is_nan(), "{wrong}");
    }
}

#[tokio::test]
async fn a_list_is_not_read_as_scores() {
    let list = json!([0.99, 0.99, 0.01]);
    let body = with(finished(), "results_data", list.clone());
    let body = with(body, "results_media", json!([list, [{ "min_confidence": 0.99 }], "0.99"]));
    let analysis = analysis_of(body).await.unwrap();
    assert_eq!((analysis.min_confidence, analysis.max_confidence), (None, None));
    assert_eq!(analysis.confidence_spoofing, None);
}

#[tokio::test]
async fn finished_without_a_score_has_none() {
    let analysis = analysis_of(without(finished(), "results_data")).await.unwrap();
    assert_eq!((analysis.min_confidence, analysis.confidence_spoofing), (None, None));
}

#[tokio::test]
async fn the_highest_likelihood_of_an_attack_counts() {
    let media = json!([
        { "results_data": { "confidence_spoofing": 0.2 } },
        { "results_data": { "confidence_spoofing": 0.7 } },
    ]);
    let analysis = analysis_of(with(finished(), "results_media", media)).await.unwrap();
    assert_eq!(analysis.confidence_spoofing, Some(0.7));
    let own = with(finished(), "results_data", json!({ "confidence_spoofing": 0.3 }));
    assert_eq!(analysis_of(own).await.unwrap().confidence_spoofing, Some(0.3));
}

#[tokio::test]
async fn source_media_are_objects_or_ids() {
    let expected = Some(vec![media_id(VIDEO), media_id(PHOTO)]);
    for (list, ids) in [
        (
            json!([{ "media_id": VIDEO, "media_type": "VIDEO_FOLDER" }, { "media_id": PHOTO }]),
            &expected,
        ),
        (json!([VIDEO, PHOTO.to_uppercase()]), &expected),
        (json!([VIDEO, { "no": "id" }]), &None),
        (json!([VIDEO, "../x"]), &None),
        (json!(null), &None),
    ] {
        let analysis = analysis_of(with(finished(), "source_media", list.clone())).await.unwrap();
        assert_eq!(&analysis.source_media, ids, "{list}");
    }
}

#[tokio::test]
async fn the_reason_of_a_failed_analysis_is_kept() {
    let body = json!({
        "state": "FAILED", "error_code": 1012, "error_message": "face not found\u{1b}\nin it",
    });
    let analysis = analysis_of(body).await.unwrap();
    assert_eq!(analysis.error_code, Some(1012));
    assert_eq!(analysis.error_message.as_deref(), Some("face not found in it"));
}
