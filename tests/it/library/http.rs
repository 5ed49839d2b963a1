//! A library behind a web service.

use std::fs;

use facematch::pb::MatchState;
use tempfile::TempDir;

use crate::{
    canary,
    library::{
        at, by_key, failure, run,
        server::{PhotoServer, answer, photo},
        trouble::{self, Scene},
    },
    support::{TestServer, last_match, portrait},
};

/// A service whose library is a web service that has a photo for every key.
async fn scene() -> Scene {
    let photos = PhotoServer::start(|_| photo(&portrait())).await;
    let library = Some(at(format!("{}/photos/{{key}}", photos.address())));
    let server = TestServer::build_with(|config| config.library = library).await;
    Scene { photos, server }
}

#[tokio::test]
async fn a_photo_of_a_web_service_is_uploaded_byte_for_byte() {
    let photos = PhotoServer::start(|_| photo(&portrait())).await;
    let directory = TempDir::new().unwrap();
    let secret = directory.path().join("token");
    fs::write(&secret, format!("{}\n", canary::PASSWORD)).unwrap();
    let mut library = at(format!("{}/photos/{{key}}.jpg?size=full", photos.address()));
    library.secret_file = Some(secret);
    let mut server = TestServer::build_with(|config| config.library = Some(library)).await;
    let updates = run(&mut server, "o'neil %2e ä/17").await;
    assert_eq!(last_match(&updates).state(), MatchState::Finished, "{updates:?}");
    let record = server.oz.record();
    let uploads: Vec<_> = record.iter().flat_map(|asked| &asked.uploads).collect();
    let [upload] = uploads[..] else { panic!("not one upload: {uploads:?}") };
    assert_eq!(upload.digest, blake3::hash(&portrait()).to_string());
    let asked = photos.asked();
    let [_check, read] = &asked[..] else { panic!("a check and a read: {asked:?}") };
    assert_eq!(read.path, "/photos/o%27neil%20%252e%20%C3%A4%2F17.jpg?size=full");
    let token = format!("authorization: Bearer {}\r\n", canary::PASSWORD);
    assert!(read.head.contains(&token) && read.head.contains("accept-encoding: identity\r\n"));
    server.assert_released("a match by key").await;
}

#[tokio::test]
async fn each_answer_without_a_photo_has_its_reason() {
    trouble::each_answer_without_a_photo_has_its_reason(scene().await).await;
}

#[tokio::test]
async fn an_encoded_photo_is_against_the_protocol() {
    let mut scene = scene().await;
    scene.photos.set_answers(|_| answer("200 OK", "content-encoding: gzip\r\n", &portrait()));
    assert_eq!(failure(&mut scene.server, "17").await.reason, "LIBRARY_PROTOCOL");
}

#[tokio::test]
async fn an_endless_body_is_left() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    trouble::an_endless_body_is_left(scene().await, head).await;
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
async fn a_key_that_leads_elsewhere_is_refused_at_the_door() {
    let mut scene = scene().await;
    let folder = scene.server.folder();
    for key in ["", ".", "..", "../17", "a/../b", "..\\17", "a\r\nb", &"k".repeat(513)] {
        let refusal = scene.server.run_refused(by_key(&folder, key)).await;
        refusal.assert_fields("FIELD_INVALID", &["photo.reference_key"]);
    }
    scene.server.assert_untouched("refused keys").await;
}
