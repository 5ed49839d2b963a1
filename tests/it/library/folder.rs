//! A library that is a folder.

use std::{fs, os::unix::fs::symlink};

use facematch::pb::{ListMatchesRequest, MatchState, match_update::Event};
use tonic::Code;

use crate::{
    canary::{self, holds_key},
    library::{Photos, at, by_key, failure, key, run},
    support::{JOURNAL, TestServer, delete, event_names, last_match, portrait},
};

/// A service over a folder with the sample portrait, and a photo beside it.
async fn scene() -> (TestServer, Photos) {
    let photos = Photos::new();
    fs::write(photos.beside("secret.jpg"), portrait()).unwrap();
    let library = Some(at(photos.url()));
    (TestServer::build_with(|config| config.library = library).await, photos)
}

#[tokio::test]
async fn a_photo_in_a_folder_is_uploaded_byte_for_byte() {
    let (mut server, _photos) = scene().await;
    let updates = run(&mut server, &key()).await;
    assert_eq!(
        event_names(&updates),
        ["accepted", "photo_uploaded", "analysis_started", "finished"]
    );
    assert_eq!(last_match(&updates).state(), MatchState::Finished);
    let record = server.oz.record();
    let uploads: Vec<_> = record.iter().flat_map(|asked| &asked.uploads).collect();
    let [upload] = uploads[..] else { panic!("not one upload: {uploads:?}") };
    assert_eq!(upload.digest, blake3::hash(&portrait()).to_string());
    assert_eq!(upload.content_type, "image/jpeg");
    server.assert_released("a match by key").await;
}

#[tokio::test]
async fn what_is_no_photo_of_the_folder_fails_with_its_reason() {
    let (mut server, library) = scene().await;
    let photos = library.path();
    fs::write(photos.join("text.jpg"), "no picture").unwrap();
    fs::write(photos.join("empty.jpg"), "").unwrap();
    fs::write(photos.join("large.jpg"), vec![0; 10 * 1024 * 1024 + 1]).unwrap();
    symlink("../secret.jpg", photos.join("link.jpg")).unwrap();
    for (key, reason, code) in [
        ("none.jpg", "REFERENCE_NOT_FOUND", Code::NotFound),
        (canary::KEY, "REFERENCE_NOT_FOUND", Code::NotFound),
        ("link.jpg", "REFERENCE_NOT_FOUND", Code::NotFound),
        ("%2e%2e/secret.jpg", "REFERENCE_NOT_FOUND", Code::NotFound),
        ("text.jpg", "REFERENCE_UNREADABLE", Code::InvalidArgument),
        ("empty.jpg", "REFERENCE_UNREADABLE", Code::InvalidArgument),
        ("large.jpg", "REFERENCE_TOO_LARGE", Code::InvalidArgument),
    ] {
        let error = failure(&mut server, key).await;
        assert_eq!((error.reason.as_str(), error.code), (reason, code as i32), "{key}");
        assert!(!error.message.contains(key) && error.metadata.is_empty(), "{error:?}");
    }
    server.assert_released("failed matches by key").await;
}

#[tokio::test]
async fn a_key_that_leads_out_of_the_folder_is_refused_at_the_door() {
    let (mut server, _photos) = scene().await;
    let folder = server.folder();
    for key in ["", "../secret.jpg", "/etc/passwd", "a//b", "a/./b", "a\0b", &"k".repeat(513)] {
        let refusal = server.run_refused(by_key(&folder, key)).await;
        refusal.assert_fields("FIELD_INVALID", &["photo.reference_key"]);
    }
    server.assert_untouched("refused keys").await;
}

#[tokio::test]
async fn a_folder_that_is_away_for_a_while_is_waited_for() {
    let (mut server, photos) = scene().await;
    photos.take_away();
    let folder = server.folder();
    let updates = server.client.run_match(by_key(&folder, &key())).await.unwrap();
    let mut updates = updates.into_inner();
    let mut names = Vec::new();
    while let Some(update) = updates.message().await.unwrap() {
        if let Some(Event::AttemptFailed(trouble)) = &update.event {
            assert_eq!(trouble.cause, "LIBRARY_UNREACHABLE");
            photos.bring_back();
        }
        names.extend(event_names(&[update]));
    }
    assert_eq!(names[..3], ["accepted", "attempt_failed", "photo_uploaded"]);
    let found = server.client.list_matches(ListMatchesRequest::default()).await;
    assert_eq!(found.unwrap().into_inner().matches[0].state(), MatchState::Finished);
}

#[tokio::test]
async fn a_key_is_stored_with_its_match_and_gone_once_the_match_is_erased() {
    let (mut server, _photos) = scene().await;
    let journal = server.directory.path().join(JOURNAL);
    let updates = run(&mut server, &key()).await;
    assert!(holds_key(&journal), "the next replica has to find it");
    server.client.delete_match(delete(&last_match(&updates).match_id)).await.unwrap();
    assert!(!holds_key(&journal), "erased is erased");
}
