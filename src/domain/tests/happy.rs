//! The happy path: which requests a match sends, in which order and when, and how it ends.

use std::time::Duration;

use crate::domain::{
    Ask, Event, FailureKind, LivenessPolicy, MediaId, Reply, Resolution, Spec, State,
    ask::AskKind::{ReadAnalysis, ReadFolder, StartAnalyses, UploadPhoto},
    event::Cancelled,
    tests::{
        oz::{
            self, bare, biometry, decided, folder, image, judged, media_id, photo, quality,
            started, told,
        },
        scene::{Scene, spec},
    },
};

#[test]
fn a_match_sends_exactly_the_requests_it_needs() {
    let mut scene = Scene::processing(LivenessPolicy::Report);
    scene.polls("b", told(biometry("b"))).polls("b", told(decided("b", "SUCCESS"))).ends();
    let kinds: Vec<_> = scene.asked.iter().map(|(_, ask)| ask.kind()).collect();
    assert_eq!(kinds, [ReadFolder, UploadPhoto, StartAnalyses, ReadAnalysis, ReadAnalysis]);
    assert_eq!(scene.events(), ["accepted", "photo_uploaded", "analysis_started", "finished"]);
    assert_eq!(scene.result().resolution, Resolution::Success);
    assert_eq!(scene.m.oz.as_ref().map(|oz| oz.polls), Some(2));
    assert_eq!(scene.m.expire_time, Some(scene.now.after(scene.policy.retention)));
}

#[test]
fn only_the_liveness_media_and_the_photo_are_compared() {
    for (policy, quality) in [
        (LivenessPolicy::Report, None),
        (LivenessPolicy::Require, None),
        (LivenessPolicy::Run, Some(vec![media_id("v")])),
    ] {
        let mut scene = Scene::with(policy);
        let media = vec![image("a-stranger"), image("an-id")];
        scene.hears(ReadFolder, folder(media, vec![judged("q0", "SUCCESS")]));
        scene.hears(UploadPhoto, photo("p"));
        let expected = Ask::StartAnalyses {
            folder_id: oz::folder_id(),
            biometry: vec![media_id("v"), media_id("p")],
            quality,
        };
        assert_eq!(scene.next_ask(), Some(expected));
    }
}

#[test]
fn all_named_liveness_media_are_compared() {
    let named: Vec<MediaId> = vec![media_id("v"), media_id("w")];
    let mut scene = Scene::of(Spec { liveness_media: named.clone(), ..spec() });
    scene.hears(ReadFolder, folder(vec![oz::video("w"), oz::video("x")], vec![]));
    scene.hears(UploadPhoto, photo("p"));
    assert_eq!(scene.m.source_media(), Some([named, vec![media_id("p")]].concat()));
}

#[test]
fn every_verdict_is_ozs_own() {
    for (word, resolution) in [
        ("SUCCESS", Resolution::Success),
        ("DECLINED", Resolution::Declined),
        ("OPERATOR_REQUIRED", Resolution::OperatorRequired),
    ] {
        let mut scene = Scene::processing(LivenessPolicy::Report);
        scene.polls("b", told(decided("b", word))).ends();
        assert_eq!(scene.result().resolution, resolution);
    }
}

#[test]
fn polls_start_an_interval_apart() {
    let mut scene = Scene::processing(LivenessPolicy::Report);
    scene.latency = Duration::from_millis(300);
    for second in 1..=5 {
        scene.polls("b", told(biometry("b")));
        assert_eq!(scene.asked_ms(), second * 1000);
    }
}

#[test]
fn a_slow_poll_is_never_overlapped() {
    let mut scene = Scene::processing(LivenessPolicy::Report);
    scene.latency = Duration::from_millis(2500);
    scene.polls("b", told(biometry("b"))).polls("b", told(biometry("b")));
    assert_eq!(scene.asked_ms(), 3500);
}

#[test]
fn polls_without_news_write_no_events() {
    let mut scene = Scene::processing(LivenessPolicy::Run);
    for _ in 0..20 {
        scene.polls("b", told(biometry("b"))).polls("q", told(quality("q")));
    }
    assert_eq!(scene.events(), ["accepted", "photo_uploaded", "analysis_started"]);
}

#[test]
fn a_photo_that_the_folder_holds_is_found_not_uploaded() {
    let mut scene = Scene::naming_a_medium();
    scene.hears(ReadFolder, folder(vec![image("p")], vec![]));
    scene.hears(StartAnalyses, started(vec![biometry("b")]));
    assert_eq!(scene.events(), ["accepted", "photo_uploaded", "analysis_started"]);
    assert_eq!(scene.m.photo_media_id, Some(media_id("p")));
    let Event::PhotoUploaded(fact) = &scene.journal[1].event else { panic!() };
    assert!(!fact.adopted);
}

#[test]
fn a_named_photo_that_is_missing_or_not_an_image_ends_the_match() {
    let a_video = folder(vec![oz::video("p")], vec![]);
    for (answer, word) in [(bare(), "no medium"), (a_video, "not an image")] {
        let mut scene = Scene::naming_a_medium();
        scene.hears(ReadFolder, answer).ends();
        assert_eq!(scene.reason(), "OZ_MEDIA_NOT_FOUND");
        assert!(scene.error().message.contains(word), "{}", scene.error().message);
        assert_eq!(scene.error().metadata["media_id"], "p");
    }
}

#[test]
fn a_folder_without_liveness_media_ends_the_match_before_anything_is_sent() {
    let mut scene = Scene::new();
    let folder = oz::holding(vec![image("a-stranger")], vec![]);
    scene.hears(ReadFolder, Ok(Reply::Folder(folder))).ends();
    assert_eq!(scene.reason(), "LIVENESS_MEDIA_NOT_FOUND");
    assert_eq!(scene.count(UploadPhoto), 0);
}

#[test]
fn a_photo_that_oz_refuses_ends_the_match_and_a_full_folder_is_named() {
    let images = |count| (0..count).map(|n| image(&format!("i{n}"))).collect::<Vec<_>>();
    for kind in [FailureKind::Rejected, FailureKind::TooLarge] {
        for (others, reason) in [(8, "OZ_REJECTED_PHOTO"), (9, "OZ_FOLDER_FULL")] {
            let mut scene = Scene::new();
            scene.hears(ReadFolder, folder(images(others), vec![]));
            scene.hears(UploadPhoto, oz::fails(kind)).ends();
            assert_eq!((scene.reason(), scene.error().retryable), (reason, false));
        }
    }
}

#[test]
fn a_refused_start_ends_the_match_and_is_not_worth_repeating() {
    let mut scene = Scene::uploaded(LivenessPolicy::Report);
    scene.hears(StartAnalyses, oz::fails(FailureKind::Rejected)).ends();
    assert_eq!((scene.reason(), scene.error().retryable), ("OZ_ANALYSIS_FAILED", false));
}

#[test]
fn a_request_that_oz_forbids_or_whose_folder_is_unknown_ends_the_match() {
    for (kind, reason) in
        [(FailureKind::NotFound, "OZ_FOLDER_NOT_FOUND"), (FailureKind::Forbidden, "OZ_FORBIDDEN")]
    {
        let mut looking = Scene::new();
        looking.hears(ReadFolder, oz::fails(kind)).ends();
        let mut uploading = Scene::new();
        uploading.hears(ReadFolder, bare()).hears(UploadPhoto, oz::fails(kind)).ends();
        let mut starting = Scene::uploaded(LivenessPolicy::Report);
        starting.hears(StartAnalyses, oz::fails(kind)).ends();
        for scene in [looking, uploading, starting] {
            assert_eq!((scene.reason(), scene.error().retryable), (reason, false));
        }
    }
}

#[test]
fn an_ended_match_sends_nothing() {
    let mut scene = Scene::new();
    scene.write(Event::Cancelled(Cancelled { keep: Duration::ZERO }));
    assert_eq!(scene.m.state, State::Cancelled);
    scene.waits(1_000_000).ends();
}
