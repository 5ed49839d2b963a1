//! What only reading finds: the clock, credentials, rights, paths, sessions, and folders.

use facematch::simulator::{
    AnalysisIdName, Endpoint, Gateway, LoginCode, Switches, TrailingSlash, sample,
};
use serde_json::json;

use crate::{
    commands::program::Program,
    doctor::{
        NO_LIBRARY, assert_found,
        scene::{Scene, examine},
    },
    support::rule,
};

#[tokio::test]
async fn each_switch_is_found_by_reading() {
    type Switch = fn(&mut Switches);
    let cases: [(Switch, &[&str], &str); 14] = [
        (|on| "4.0.8".clone_into(&mut on.api_version), &["version"], "upgraded"),
        (|on| on.clock_offset_seconds = 600, &["clock"], "ahead of this machine's"),
        (|on| on.clock_offset_seconds = -600, &["clock"], "behind this machine's"),
        (|on| on.login_refused = true, &["sign-in"], "check --oz-login"),
        (
            |on| {
                on.login_refused = true;
                on.login_code = LoginCode::Older;
            },
            &["sign-in"],
            "code 7",
        ),
        (|on| on.token_header_plural = true, &["token header"], "the plural"),
        (|on| on.reading_forbidden = true, &["right to read"], "the right to read the folders"),
        (|on| on.trailing_slash = TrailingSlash::Required, &["paths"], "need a slash"),
        (|on| on.trailing_slash = TrailingSlash::Refused, &["sign-in"], "no sign-in at"),
        (|on| on.login_ends_earlier_sessions = true, &["several sessions"], "service token"),
        (
            |on| on.gateway = Some(Gateway::answering(404).before([Endpoint::Refresh])),
            &["session refresh"],
            "logs in again",
        ),
        (
            |on| on.gateway = Some(Gateway::answering(404).before([Endpoint::GetFolder])),
            &["refusals"],
            "end late",
        ),
        (
            |on| on.gateway = Some(Gateway::answering(404).before([Endpoint::Login])),
            &["sign-in"],
            "pass POST /api/authorize/auth/ through",
        ),
        (
            |on| on.gateway = Some(Gateway::answering(502).before([Endpoint::ListFolders])),
            &["Oz"],
            "what stands in front of it",
        ),
    ];
    for (switch, steps, told) in cases {
        let scene = Scene::switched(switch).await;
        assert_found(&scene, scene.doctor(), steps, told).await;
    }
}

#[tokio::test]
async fn a_clock_that_was_set_is_found() {
    let scene = Scene::new().await;
    scene.oz.skip(std::time::Duration::from_secs(3_600));
    let program = scene.doctor().arg("--rehearse");
    assert_found(&scene, program, &["clock", "times"], "ahead of this machine's").await;
}

#[tokio::test]
async fn what_oz_does_not_tell_is_not_tried() {
    let scene = Scene::switched(|on| on.version_missing = true).await;
    let found = examine(scene.doctor()).await;
    found.assert_healthy(&["TLS", "version", "session extension", "rehearsal", NO_LIBRARY]);
    let gateway = Gateway::answering(404).before([Endpoint::Version]);
    scene.oz.switch(|on| on.gateway = Some(gateway));
    examine(scene.doctor()).await.assert_not_tried("version");
}

#[tokio::test]
async fn a_wrong_or_expired_credential_is_found() {
    let scene = Scene::new().await;
    let wrong = scene.doctor().variable("FACEMATCH_OZ_PASSWORD", "another");
    assert_found(&scene, wrong, &["sign-in"], "web console").await;
    let logins = scene.oz.record().iter().filter(|it| it.path.contains("auth/")).count();
    assert_eq!(logins, 1, "a wrong password is tried once, so that it locks no account");
    let wrong = scene.doctor_with_token().variable("FACEMATCH_OZ_TOKEN", "another");
    assert_found(&scene, wrong, &["sign-in"], "Oz refuses the token").await;
    let scene = Scene::switched(|on| on.service_ttl_seconds = 0).await;
    assert_found(&scene, scene.doctor_with_token(), &["sign-in"], "the token has expired").await;
    let scene = Scene::switched(|on| on.token_header_plural = true).await;
    let program = scene.doctor_with_token();
    assert_found(&scene, program, &["token header"], "the plural").await;
    let scene = Scene::switched(|on| on.trailing_slash = TrailingSlash::Refused).await;
    assert_found(&scene, scene.doctor_with_token(), &["paths"], "must not end in a slash").await;
}

#[tokio::test]
async fn a_gateway_that_speaks_for_oz_is_found() {
    let scene = Scene::new().await;
    let list = |then: serde_json::Value| {
        rule(json!({ "match": { "endpoint": "list_folders", "nth": 1 }, "then": then }))
    };
    let foreign = json!({ "status": 401, "body": { "error_code": 1, "error_message": "no" } });
    scene.oz.script([list(foreign)]);
    assert_found(&scene, scene.doctor(), &["refusals"], "codes 6, 7 and 8").await;
    scene.oz.script([list(json!({ "status": 200, "body": [] }))]);
    assert_found(&scene, scene.doctor(), &["refusals"], "token of its own").await;
}

#[tokio::test]
async fn a_folder_is_read_and_judged() {
    let scene = Scene::new().await;
    let of = |id: &str| -> Program { scene.doctor().arg("--folder").arg(id) };
    let unknown = "7e782ba3-94fa-4b34-94a0-c1e2f8c3b5b1";
    assert_found(&scene, of(unknown), &["folder"], "check the id").await;
    let empty = scene.oz.add_folder(facematch::simulator::FolderSeed::default());
    assert_found(&scene, of(&empty), &["liveness media"], "LIVENESS_MEDIA_NOT_FOUND").await;
    let mut full = sample::liveness_folder(sample::portrait_jpeg());
    let video = full.media[0].clone();
    full.media.resize(10, video);
    let full = scene.oz.add_folder(full);
    assert_found(&scene, of(&full), &["room for a photo"], "the folder is full").await;
}

#[tokio::test]
async fn an_old_dialect_is_found_in_a_folder() {
    type Switch = fn(&mut Switches);
    let cases: [(Switch, &[&str], &str); 5] = [
        (|on| on.state_missing = true, &["analyses"], "old versions"),
        (|on| on.media_meta_data_missing = true, &["media"], "lack meta_data"),
        (|on| on.original_name_missing = true, &["media"], "lack original_name"),
        (
            |on| {
                on.original_name_missing = true;
                on.media_meta_data_missing = true;
            },
            &["media"],
            "upload it twice",
        ),
        (|on| on.clock_offset_seconds = 3_600, &["clock"], "NTP"),
    ];
    for (switch, steps, told) in cases {
        let scene = Scene::switched(switch).await;
        let program = scene.doctor().arg("--folder").arg(scene.folder());
        assert_found(&scene, program, steps, told).await;
    }
    for name in [AnalysisIdName::AnalysisId, AnalysisIdName::Both] {
        let scene = Scene::switched(|on| on.analysis_id_name = name).await;
        let found = examine(scene.doctor().arg("--folder").arg(scene.folder())).await;
        found.assert_healthy(&["TLS", "session extension", "rehearsal", NO_LIBRARY]);
        assert!(found.line("analyses").contains("their id is analy"), "{found:?}");
    }
}
