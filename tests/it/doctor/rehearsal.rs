//! What a rehearsal finds: rights to change, what Oz keeps of a photo, and how analyses end.

use facematch::simulator::{AnalysisType, Switches, Unlicensed};
use serde_json::json;

use crate::{
    doctor::{
        NO_LIBRARY, assert_found,
        scene::{Scene, examine},
    },
    support::rule,
};

#[tokio::test]
async fn each_switch_is_found_by_a_rehearsal() {
    type Switch = fn(&mut Switches);
    let cases: [(Switch, &[&str], &str); 13] = [
        (|on| on.uploading_forbidden = true, &["right to upload"], "to make folders"),
        (
            |on| on.analyses_forbidden = vec![AnalysisType::Biometry],
            &["right to start biometry"],
            "can_start_analysis_biometry",
        ),
        (
            |on| on.analyses_forbidden = vec![AnalysisType::Quality],
            &["right to start quality"],
            "can_start_analysis_quality",
        ),
        (
            |on| on.biometry_unlicensed = Unlicensed::Refused,
            &["right to start biometry"],
            "no licence",
        ),
        (|on| on.biometry_unlicensed = Unlicensed::Failed, &["verdict"], "no licence"),
        (|on| on.folder_files_max = 0, &["right to upload"], "code 4"),
        (|on| on.folder_files_max = 1, &["room for a photo"], "OZ_ATTACHMENT_MAX_COUNT"),
        (|on| on.request_bytes_max = 150_000, &["right to upload"], "for its size"),
        (|on| on.media_meta_data_dropped = true, &["metadata of a photo"], "by their names"),
        (
            |on| on.media_meta_data_missing = true,
            &["media", "metadata of a photo"],
            "lack meta_data",
        ),
        (|on| on.source_media_ignored = true, &["source_media"], "changed the verdict"),
        (|on| on.state_missing = true, &["analyses"], "old versions"),
        (|on| on.clock_offset_seconds = 900, &["clock", "times"], "ahead of"),
    ];
    for (switch, steps, told) in cases {
        let scene = Scene::switched(switch).await;
        let program = scene.doctor().arg("--rehearse");
        let found = assert_found(&scene, program, steps, told).await;
        if ["right to upload", "room for a photo"].contains(&steps[0]) {
            found.assert_not_tried("the rest");
        }
        let left = scene.oz.folders().iter().map(|it| it.media.len()).sum::<usize>();
        if left > 0 {
            assert!(found.line("left at Oz").contains(&format!("with {left} media")), "{found:?}");
        }
    }
}

#[tokio::test]
async fn each_end_of_an_analysis_is_judged() {
    let scene = Scene::new().await;
    let ends = |outcome: serde_json::Value| {
        scene.oz.script([rule(json!({
            "match": { "analysis_type": "biometry" }, "then": { "outcome": outcome },
        }))]);
        scene.doctor().arg("--rehearse")
    };
    let program = ends(json!({ "resolution": "SUCCESS", "no_score": true }));
    assert_found(&scene, program, &["verdict"], "OZ_INCONCLUSIVE").await;
    let program = ends(json!({ "resolution": "MAYBE", "min_confidence": 0.5 }));
    assert_found(&scene, program, &["verdict", "analyses"], "does not know").await;
    let message = "the licence for faces is used up";
    let program = ends(json!({ "state": "FAILED", "error_message": message }));
    assert_found(&scene, program, &["verdict"], message).await;
    scene.oz.script([rule(json!({
        "match": { "analysis_type": "quality" },
        "then": { "outcome": { "resolution": "SUCCESS", "no_score": true } },
    }))]);
    let program = scene.doctor().arg("--rehearse");
    assert_found(&scene, program, &["liveness"], "without a score").await;

    let found = examine(ends(json!({ "state": "FAILED" }))).await;
    found.assert_healthy(&["TLS", "session extension", "verdict", "source_media", NO_LIBRARY]);
    assert!(found.line("verdict").contains("no real video"), "{found:?}");
    scene.oz.clear_rules();
    let declined = json!({ "resolution": "DECLINED", "min_confidence": 0.1 });
    let found = examine(ends(declined)).await;
    found.assert_healthy(&["TLS", "session extension", NO_LIBRARY]);
    scene.oz.clear_rules();

    scene.oz.script([rule(json!({
        "match": { "analysis_type": "biometry" }, "then": { "outcome": { "state": "FAILED" } },
    }))]);
    assert_found(&scene, scene.with_own_media(), &["verdict"], "one face each").await;
    scene.oz.script([rule(json!({ "then": { "never_finish": true } }))]);
    let program = scene.doctor().arg("--rehearse").arg("--match-timeout").arg("100ms");
    assert_found(&scene, program, &["verdict", "liveness"], "MATCH_TIMED_OUT").await;
}

#[tokio::test]
async fn answers_that_the_service_can_not_use_are_found() {
    let scene = Scene::new().await;
    let answers = |endpoint: &str, body: serde_json::Value| {
        scene.oz.script([rule(json!({
            "match": { "endpoint": endpoint }, "then": { "status": 200, "act": true, "body": body },
        }))]);
        scene.doctor().arg("--rehearse")
    };
    let program = answers("create_folder", json!({ "id": "7" }));
    assert_found(&scene, program, &["right to upload"], "no folder_id").await;
    let program = answers("add_media", json!([]));
    assert_found(&scene, program, &["right to upload"], "not understood").await;
    let program = answers("get_analysis", json!({ "analyse_id": "x" }));
    assert_found(&scene, program, &["verdict", "liveness"], "can't be read").await;
    let program = answers("list_analyses", json!([]));
    assert_found(&scene, program, &["started analyses"], "does not list all").await;
}
