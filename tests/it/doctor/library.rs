//! The photo library of the settings: reached, and read by a key.

use std::fs::{self, File};

use crate::{
    canary,
    commands::program::Program,
    doctor::{
        NO_LIBRARY, PLAIN,
        scene::{Scene, examine},
    },
    support::portrait,
};

/// A key that stands for a person, so that it must not be shown.
const KEY: &str = "ieva-17.jpg";

/// A scene with a folder of one photo, and the address of the folder.
async fn with_photos() -> (Scene, String) {
    let scene = Scene::new().await;
    let photos = scene.directory.path().join("photos");
    fs::create_dir(&photos).expect("a folder");
    fs::write(photos.join(KEY), portrait()).expect("a photo");
    (scene, format!("file://{}", photos.display()))
}

fn doctor(scene: &Scene, library: &str) -> Program {
    scene.doctor().arg("--library").arg(library)
}

#[tokio::test]
async fn a_photo_is_read_and_neither_it_nor_its_key_is_shown() {
    let (scene, library) = with_photos().await;
    let file = scene.directory.path().join("report.json");
    let program = doctor(&scene, &library).arg("--reference").arg(KEY);
    let found = examine(program.arg("--report").arg(file.display().to_string())).await;
    found.assert_healthy(&[PLAIN, "session extension", "rehearsal"]);
    assert!(found.line("photo library").starts_with("the folder answers"));
    let bytes = portrait().len();
    let told = format!("the library has a JPEG of {bytes} bytes for the key; ");
    assert_eq!(found.line("reference photo"), told);
    let report = fs::read(&file).expect("a report");
    canary::check("the report", &report);
    let report = String::from_utf8(report).expect("JSON");
    assert!(report.contains("reference photo"), "{report}");
    for text in [&report, &found.ran.stdout, &found.ran.stderr] {
        assert!(!text.contains("ieva"), "{text}");
    }
    for private in ["photos", &bytes.to_string()] {
        assert!(!report.contains(private), "the report has {private}: {report}");
    }
    let sent = scene.oz.record();
    assert!(sent.iter().all(|request| request.uploads.is_empty()), "the photo isn't sent to Oz");
}

#[tokio::test]
async fn a_library_is_tried_without_a_key_and_beside_an_oz_that_can_not_be_reached() {
    let (scene, library) = with_photos().await;
    let found = examine(doctor(&scene, &library)).await;
    found.assert_healthy(&[PLAIN, "session extension", "rehearsal", "reference photo"]);
    assert!(found.line("reference photo").contains("--reference KEY"));

    let away = scene.doctor_at("http://127.0.0.1:1").arg("--library").arg(&library);
    let found = examine(away.arg("--reference").arg(KEY)).await;
    found.assert_differs(&["connection"], "");
    assert!(found.line("reference photo").starts_with("the library has a JPEG"));
}

#[tokio::test]
async fn what_keeps_a_match_by_key_from_its_photo_differs() {
    let (scene, library) = with_photos().await;
    let photos = scene.directory.path().join("photos");
    fs::write(photos.join("text.jpg"), "no picture").expect("a file");
    let large = File::create(photos.join("large.jpg")).expect("a file");
    large.set_len(10 * 1024 * 1024 + 1).expect("it grows");
    for (key, told) in [
        ("none.jpg", "the photo library has no photo for this key"),
        ("text.jpg", "the library's photo is neither a JPEG nor a PNG but text"),
        ("large.jpg", "the library's photo is over 10 MiB"),
    ] {
        let found = examine(doctor(&scene, &library).arg("--reference").arg(key)).await;
        found.assert_differs(&["reference photo"], told);
    }
    let program = doctor(&scene, &format!("{library}-moved")).arg("--reference").arg(KEY);
    let found = examine(program).await;
    found.assert_differs(&[NO_LIBRARY, "reference photo"], "the photo library can't be reached");
    let file = doctor(&scene, &format!("{library}/{KEY}"));
    examine(file).await.assert_differs(&[NO_LIBRARY], "/ieva-17.jpg is not a folder");
}

#[tokio::test]
async fn settings_and_keys_that_no_library_takes_are_wrong_usage() {
    let (scene, library) = with_photos().await;
    let query = doctor(&scene, &library).arg("--library-query").arg("SELECT 1");
    for (program, told) in [
        (scene.doctor().arg("--reference").arg(KEY), "--reference: needs a photo library"),
        (doctor(&scene, &library).arg("--reference").arg("../ieva"), "--reference: must be a path"),
        (doctor(&scene, "photos"), "--library: is no URL"),
        (query, "--library-query: is of no use"),
        (scene.doctor().arg("--library-query").arg("SELECT 1"), "--library-query: needs --library"),
    ] {
        let ran = program.piped().await;
        ran.assert_code(64);
        assert!(ran.stderr.contains(told) && ran.stdout.is_empty(), "{told}: {ran:?}");
        assert!(!ran.stderr.contains("ieva"), "{ran:?}");
    }
    assert!(scene.oz.record().is_empty());
}
