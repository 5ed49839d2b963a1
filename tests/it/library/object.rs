//! A library in an object store: S3, played by a server of the test.

use std::{collections::BTreeMap, process::Command};

use facematch::{app::App, clock::Clock, pb::MatchState, simulator::sample};
use secrecy::SecretString;
use tempfile::TempDir;

use crate::{
    canary,
    library::{
        at, by_key, failure, run,
        server::{Answer, Asked, PhotoServer, answer, photo},
        trouble::{self, KEY, Scene},
    },
    process::{PROGRAM, Process},
    support::{TestServer, collect, config, last_match, portrait, simulator},
};

/// The account whose requests the server accepts. The secret carries a canary.
const ACCESS_KEY_ID: &str = "AKIDFACEMATCH";

/// What an S3 server with one bucket and one photo answers.
fn s3(asked: &Asked) -> Answer {
    let signed = format!("authorization: AWS4-HMAC-SHA256 Credential={ACCESS_KEY_ID}/");
    if !asked.head.contains(&signed) {
        return error("403 Forbidden", "AccessDenied");
    }
    match asked.path.as_str() {
        "/photos/bank-a/17.jpg" | "/photos/bank-a/o%27neil%20%252e/b%20c/%C3%A4" => {
            photo(&portrait())
        }
        path if path.starts_with("/photos/") => error("404 Not Found", "NoSuchKey"),
        _ => error("404 Not Found", "NoSuchBucket"),
    }
}

/// An error of S3's.
fn error(status: &str, code: &str) -> Answer {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>");
    answer(status, "content-type: application/xml\r\n", body.as_bytes())
}

fn variables(photos: &PhotoServer) -> BTreeMap<String, SecretString> {
    [
        ("AWS_ENDPOINT_URL", photos.address()),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", canary::PASSWORD),
        ("AWS_REGION", "eu-west-1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.into()))
    .into()
}

/// A service whose library is a part of a bucket.
async fn scene() -> Scene {
    let photos = PhotoServer::start(s3).await;
    let server = TestServer::build_with(|config| {
        config.library = Some(at("s3://photos/bank-a".to_owned()));
        config.cloud_variables = variables(&photos);
    })
    .await;
    Scene { photos, server }
}

#[tokio::test]
async fn a_photo_in_a_bucket_is_uploaded_byte_for_byte() {
    let mut scene = scene().await;
    for key in [KEY, "o'neil %2e/b c/ä"] {
        let updates = run(&mut scene.server, key).await;
        assert_eq!(last_match(&updates).state(), MatchState::Finished, "{updates:?}");
    }
    let record = scene.server.oz.record();
    let uploads: Vec<_> = record.iter().flat_map(|asked| &asked.uploads).collect();
    let digest = blake3::hash(&portrait()).to_string();
    assert!(uploads.len() == 2 && uploads.iter().all(|upload| upload.digest == digest));
    // One request for each photo, after that of the check.
    let paths: Vec<_> = scene.photos.asked().into_iter().map(|asked| asked.path).collect();
    assert_eq!(paths[0], "/photos/bank-a/facematch-check");
    assert_eq!(paths.len(), 3, "{paths:?}");
    scene.server.assert_released("matches by key").await;
}

#[tokio::test]
async fn a_key_of_another_tenant_s_prefix_is_not_found() {
    let mut scene = scene().await;
    for key in ["none.jpg", "bank-a/17.jpg", "%2e%2e/bank-b/17.jpg", "..%2fbank-b%2f17.jpg"] {
        let error = failure(&mut scene.server, key).await;
        assert_eq!(error.reason, "REFERENCE_NOT_FOUND", "{key}");
    }
    assert!(scene.photos.asked().iter().all(|asked| asked.path.starts_with("/photos/bank-a/")));
    let folder = scene.server.folder();
    for key in ["../bank-b/17.jpg", "/bank-b/17.jpg", "a/../../bank-b/17.jpg", "a//b", "a/"] {
        let refusal = scene.server.run_refused(by_key(&folder, key)).await;
        refusal.assert_fields("FIELD_INVALID", &["photo.reference_key"]);
    }
}

#[tokio::test]
async fn each_answer_without_a_photo_has_its_reason() {
    trouble::each_answer_without_a_photo_has_its_reason(scene().await).await;
}

#[tokio::test]
async fn a_bucket_that_is_gone_and_a_refused_account_are_the_operator_s() {
    let mut scene = scene().await;
    for (status, code, reason) in [
        ("404 Not Found", "NoSuchBucket", "LIBRARY_PROTOCOL"),
        ("403 Forbidden", "SignatureDoesNotMatch", "LIBRARY_FORBIDDEN"),
        ("400 Bad Request", "ExpiredToken", "LIBRARY_FORBIDDEN"),
    ] {
        scene.photos.set_answers(move |_| error(status, code));
        let told = failure(&mut scene.server, KEY).await;
        assert_eq!(told.reason, reason);
        assert!(!told.message.contains(code), "{told:?}");
    }
}

#[tokio::test]
async fn an_endless_body_is_left() {
    let photo = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n";
    trouble::an_endless_body_is_left(scene().await, photo).await;
    let refusal = "HTTP/1.1 418 Endless\r\ntransfer-encoding: chunked\r\n\r\n";
    trouble::an_endless_body_is_left(scene().await, refusal).await;
}

#[tokio::test]
async fn a_library_that_fails_for_a_while_is_waited_for() {
    trouble::a_library_that_fails_for_a_while_is_waited_for(scene().await).await;
}

#[tokio::test]
async fn a_library_that_hangs_slows_no_other_match() {
    trouble::a_library_that_hangs_slows_no_other_match(scene().await).await;
}

#[tokio::test]
async fn a_start_finds_that_the_bucket_is_missing() {
    let photos = PhotoServer::start(s3).await;
    let (oz, directory) = (simulator().await, TempDir::new().unwrap());
    let mut config = config(&oz, directory.path());
    config.library = Some(at("s3://another/bank-a".to_owned()));
    config.cloud_variables = variables(&photos);
    let refused = App::build(config, Clock::system()).await.err().expect("the start is refused");
    let text = format!("{refused:#}");
    assert!(text.contains("there is no such bucket"), "{text}");
    assert!(!text.contains(canary::PASSWORD));
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_come_from_the_environment_and_proxies_do_not() {
    let photos = PhotoServer::start(s3).await;
    let proxy = PhotoServer::start(|_| Answer::Hang).await;
    let (oz, directory) = (simulator().await, TempDir::new().unwrap());
    let mut command = Command::new(PROGRAM);
    command.envs([
        ("AWS_ENDPOINT_URL", photos.address()),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", canary::PASSWORD),
    ]);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "AWS_PROXY_URL"] {
        command.env(name, proxy.address());
    }
    let library = ["--library", "s3://photos/bank-a"];
    let process = Process::start_by(&mut command, &oz, directory.path(), &library);
    let folder = oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
    let updates = process.client().await.run_match(by_key(&folder, KEY)).await.unwrap();
    let updates = collect(updates.into_inner()).await.unwrap();
    assert_eq!(last_match(&updates).state(), MatchState::Finished, "{updates:?}");
    assert!(proxy.asked().is_empty());
    process.stop();
}
