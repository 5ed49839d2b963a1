//! `facematch doctor`: what the built program says of a healthy Oz, and of each way in which an
//! installation may differ.

mod library;
mod link;
mod rehearsal;
mod scene;
mod session;

use std::fs::{self, File};

use facematch::simulator::Rule;
use serde_json::{Value, json};

use crate::{
    canary,
    commands::program::Program,
    doctor::scene::{Examination, Scene, examine},
    support::{PATIENCE, rule},
};

/// What a plain address leaves untried.
const PLAIN: &str = "TLS";

/// What settings without a photo library leave untried.
const NO_LIBRARY: &str = "photo library";

#[tokio::test]
async fn a_healthy_oz_holds_when_it_is_only_read() {
    let scene = Scene::new().await;
    let folder = scene.folder();
    let found = examine(scene.doctor().arg("--folder").arg(folder)).await;
    found.assert_healthy(&[PLAIN, "session extension", "rehearsal", NO_LIBRARY]);
    assert_eq!(found.count(), 21);
    let changed = scene.oz.record().into_iter().filter(|request| request.method != "GET");
    let paths: Vec<_> = changed.map(|request| request.path).collect();
    assert!(paths.iter().all(|path| path.starts_with("/api/authorize/")), "{paths:?}");
}

#[tokio::test]
async fn a_healthy_oz_holds_in_a_rehearsal_that_names_what_it_leaves() {
    let scene = Scene::new().await;
    let found = examine(scene.doctor().arg("--rehearse")).await;
    found.assert_healthy(&[PLAIN, "session extension", NO_LIBRARY]);
    assert!(found.ran.stderr.contains("leaves it there"), "{}", found.ran.stderr);
    let folders = scene.oz.folders();
    assert_eq!(folders.len(), 1);
    let (media, analyses) = (folders[0].media.len(), folders[0].analyses.len());
    assert_eq!((media, analyses), (3, 3));
    let left = found.line("left at Oz");
    let id = folders[0].folder_id.to_string();
    assert!(left.contains(&id) && left.contains("3 media and 3 analyses"), "{left}");
}

#[tokio::test]
async fn a_service_token_needs_no_login() {
    let scene = Scene::new().await;
    let found = examine(scene.doctor_with_token().arg("--rehearse")).await;
    found.assert_healthy(&[PLAIN, "session refresh", NO_LIBRARY]);
    assert!(scene.oz.record().iter().all(|it| !it.path.contains("authorize")));
}

#[tokio::test]
async fn every_dialect_that_the_service_reads_holds() {
    let scene = Scene::new().await;
    scene.oz.switch(|on| {
        on.created_is_200 = true;
        on.analysis_as_array = true;
        on.folder_list_bare = true;
        on.lists_as_items = true;
        on.media_answer_as_object = true;
        on.error_details = true;
        on.timestamps_as_integers = true;
        on.extra_fields = true;
        on.optional_fields_missing = true;
        on.lower_case_words = true;
        on.scores_only_in_results_media = true;
        on.analysis_id_name = facematch::simulator::AnalysisIdName::AnalysisId;
    });
    let folder = scene.folder();
    let found = examine(scene.doctor().arg("--rehearse").arg("--folder").arg(folder)).await;
    found.assert_healthy(&[PLAIN, "session extension", NO_LIBRARY]);
}

#[tokio::test]
async fn lines_are_for_people_or_json() {
    let scene = Scene::new().await;
    scene.oz.switch(|on| "4.0.8".clone_into(&mut on.api_version));
    let ran = scene.plain_doctor().piped().await;
    ran.assert_code(1);
    let verdicts = ["holds      ", "differs    ", "not tried  "];
    for line in ran.stdout.lines() {
        assert!(verdicts.iter().any(|verdict| line.starts_with(verdict)), "{line}");
        assert_eq!(line.starts_with("differs"), line.contains("version: 4.0.8"), "{line}");
        assert!(!line.starts_with("differs") || line.contains(". What to do: "), "{line}");
    }
    let found = examine(scene.doctor().arg("--rehearse")).await;
    found.assert_differs(&["version"], "have Oz upgraded");
    assert!(found.ran.stderr.starts_with(r#"{"notice":""#), "{}", found.ran.stderr);
    for (flag, value) in [("--oz-timeout", "banana"), ("--report", "/nowhere/report")] {
        let wrong = scene.doctor().arg(flag).arg(value).piped().await;
        wrong.assert_code(64);
        let told: Value = serde_json::from_str(&wrong.stderr).expect("one line of JSON");
        assert!(told["error"].as_str().is_some_and(|why| why.starts_with(flag)), "{told}");
    }
}

/// All that is in a report: keys, and values that are no objects.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| {
            found.push(key.clone());
            texts(value, found);
        }),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::String(text) => found.push(text.clone()),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[tokio::test]
async fn a_report_has_shapes_and_no_values() {
    let scene = Scene::new().await;
    let folder = scene.folder();
    let file = scene.directory.path().join("report.json");
    let program = scene.doctor().arg("--rehearse").arg("--folder").arg(&folder);
    let found = examine(program.arg("--report").arg(file.display().to_string())).await;
    assert_eq!(found.ran.code, Some(0));
    let text = fs::read_to_string(&file).unwrap();
    canary::check("the report", text.as_bytes());
    let report: Value = serde_json::from_str(&text).unwrap();
    let mut all = Vec::new();
    texts(&report, &mut all);
    let (login, _) = scene.oz.login();
    let made = scene.oz.folders().into_iter().map(|it| it.folder_id.to_string());
    let made = made.chain([folder, login.to_owned(), scene.oz.address().port().to_string()]);
    for secret in made {
        assert!(all.iter().all(|text| !text.contains(&secret)), "{secret} is in the report");
    }
    for shown in ["word FINISHED", "word BIOMETRY", "version 6.0.1", "access_token", "UUID"] {
        assert!(all.iter().any(|text| text == shown), "{shown} is not in the report");
    }
    let answers = report["answers"].as_array().unwrap();
    let answer = |request: &str| answers.iter().find(|it| it["request"] == request);
    assert_eq!(answer("GET /api/version").unwrap()["status"], 200);
    assert!(answer("POST /api/folders/{id}/analyses/").is_some());
    assert_eq!(report["findings"].as_array().unwrap().len(), found.count());
}

#[tokio::test]
async fn a_secret_that_oz_echoes_is_not_printed() {
    let scene = Scene::new().await;
    let echo = |secret: &str| {
        let message = format!("no {secret} here");
        json!({ "error_code": 9, "error_message": message, "details": null })
    };
    let password = echo(scene.oz.login().1);
    scene.oz.script([rule(json!({ "match": { "endpoint": "create_folder" },
                     "then": { "status": 403, "body": password } }))]);
    let file = scene.directory.path().join("report.json");
    let program = scene.doctor().arg("--rehearse").arg("--report");
    let found = examine(program.arg(file.display().to_string())).await;
    found.assert_differs(&["right to upload"], "[withheld]");
    canary::check("the report", &fs::read(&file).unwrap());
}

#[tokio::test]
async fn wrong_usage_and_wrong_settings_send_nothing() {
    let scene = Scene::new().await;
    let nowhere = "/nowhere/file";
    for (program, told) in [
        (Program::new("doctor"), "--oz-url"),
        (Program::new("doctor --oz-url").arg(scene.oz.url()), "--oz-login"),
        (
            Program::new("doctor --oz-token x --oz-url").arg(format!("{}/api/", scene.oz.url())),
            "must be given without its last part, /api",
        ),
        (scene.doctor().arg("--folder").arg("7"), "must be a UUID"),
        (scene.doctor().arg("--video").arg("v.mp4"), "--rehearse"),
        (scene.doctor().arg("--oz-ca-file").arg(nowhere), nowhere),
        (scene.doctor().arg("--report").arg("/nowhere/report"), "--report: /nowhere/report"),
        (scene.with_media("v.txt", "p.jpg"), "--video"),
        (scene.with_media("v.mp4", "p.jpg"), "--video"),
    ] {
        let ran = program.piped().await;
        ran.assert_code(64);
        assert!(ran.stderr.contains(told) && ran.stdout.is_empty(), "{told}: {ran:?}");
    }
    assert!(scene.oz.record().is_empty());
}

#[tokio::test]
async fn the_settings_of_serve_are_taken_from_everywhere() {
    let scene = Scene::new().await;
    let (login, password) = scene.oz.login();
    let secret = scene.directory.path().join("password");
    fs::write(&secret, format!("{password}\n")).unwrap();
    let file = scene.directory.path().join("facematch.toml");
    let settings = format!(
        "listen = \"0.0.0.0:1\"\ntls-key-file = \"/nowhere/key\"\noz-login = \"{login}\"\n\
         oz-password-file = \"{}\"\nstore-password-file = \"/nowhere/password\"\n",
        secret.display()
    );
    fs::write(&file, settings).unwrap();
    let program =
        Program::new("doctor --listen 127.0.0.1:9 --config").arg(file.display().to_string());
    let ran = program.variable("FACEMATCH_OZ_URL", scene.oz.url()).piped().await;
    ran.assert_code(0);
    fs::write(&file, "oz-ulr = \"x\"\n").unwrap();
    let ran = Program::new("doctor --config").arg(file.display().to_string()).piped().await;
    ran.assert_code(64);
    assert!(ran.stderr.contains("oz-url"), "{}", ran.stderr);
}

#[tokio::test]
async fn an_output_that_can_not_be_written_is_no_finding() {
    let scene = Scene::new().await;
    scene.plain_doctor().into_closed_pipe().await.assert_code(141);
    let full = File::options().write(true).open("/dev/full").unwrap();
    scene.plain_doctor().into(full).await.assert_code(74);
    let ran = scene.plain_doctor().arg("--report").arg("/dev/full").piped().await;
    ran.assert_code(74);
    assert!(ran.stderr.contains("--report: /dev/full: "), "{}", ran.stderr);
}

#[tokio::test]
async fn the_operator_s_own_media_are_used() {
    let scene = Scene::new().await;
    let found = examine(scene.with_own_media()).await;
    found.assert_healthy(&[PLAIN, "session extension", NO_LIBRARY]);
    let folder = &scene.oz.folders()[0];
    assert_eq!(folder.media[0].content_type, "video/mp4");
    assert!(folder.media.iter().all(|it| it.file_name.starts_with("facematch-")));
}

/// A rule that lets the examination wait for a moment and no test for long.
fn slow(endpoint: &str) -> Rule {
    let hour_ms = PATIENCE.as_millis() as u64 * 60;
    rule(json!({ "match": { "endpoint": endpoint }, "then": { "delay_ms": hour_ms } }))
}

/// Examines with a switch or a rule set, and expects these steps, and only these, to differ.
async fn assert_found(scene: &Scene, program: Program, steps: &[&str], told: &str) -> Examination {
    let found = examine(program).await;
    found.assert_differs(steps, told);
    scene.oz.clear_rules();
    found
}
