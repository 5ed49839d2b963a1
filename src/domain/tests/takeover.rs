//! A driver that takes over has the match's journal and nothing else. It reads the folder before it
//! sends, and waits for the photo no longer than it must.

use crate::domain::{
    Event, FailureKind, LivenessPolicy, PhotoSource, Spec, Step, VolatileState,
    ask::AskKind::{ReadFolder, StartAnalyses, UploadPhoto},
    tests::{
        oz::{
            analysis_id, bare, biometry, decided, fails, folder, image, judged, media_id,
            our_photo, photo, quality, seconds, started, told, with_photo,
        },
        scene::{Scene, spec},
    },
};

#[test]
fn a_revived_match_looks_for_its_photo_first() {
    let mut scene = Scene::new();
    scene.revive().hears(ReadFolder, with_photo(vec![]));
    assert_eq!(scene.m.photo_media_id, Some(media_id("p")));
}

#[test]
fn a_revived_match_sends_its_photo_only_after_settling() {
    let mut scene = Scene::new();
    scene.revive().photo_here = true;
    scene.hears(ReadFolder, bare()).hears(ReadFolder, bare());
    assert_eq!(scene.asked_ms(), 5000);
    scene.hears(UploadPhoto, photo("p"));
}

#[test]
fn a_revived_match_looks_for_its_analysis_first() {
    let mut scene = Scene::uploaded(LivenessPolicy::Report);
    scene.revive().hears(ReadFolder, with_photo(vec![biometry("b")]));
    assert_eq!(scene.m.analysis_id, Some(analysis_id("b")));
}

#[test]
fn a_revived_match_starts_its_analysis_only_after_settling() {
    let mut scene = Scene::uploaded(LivenessPolicy::Report);
    scene.revive().hears(ReadFolder, with_photo(vec![])).hears(ReadFolder, with_photo(vec![]));
    assert_eq!(scene.asked_ms(), 5000);
    scene.hears(StartAnalyses, started(vec![biometry("b")]));
}

#[test]
fn a_revived_match_goes_on_polling_and_counting() {
    let mut scene = Scene::processing(LivenessPolicy::Run);
    scene.polls("b", told(biometry("b"))).polls("q", fails(FailureKind::ServerError));
    scene.revive().polls("b", told(decided("b", "SUCCESS")));
    scene.polls("q", told(judged("q", "DECLINED"))).ends();
    assert_eq!(scene.m.oz.as_ref().map(|oz| oz.polls), Some(2));
}

#[test]
fn a_revived_match_reports_trouble_with_ozs_last_status() {
    let mut scene = Scene::processing(LivenessPolicy::Report);
    scene.polls("b", told(biometry("b"))).polls("b", fails(FailureKind::ServerError));
    scene.revive().polls("b", fails(FailureKind::Unreachable));
    let Event::AttemptFailed(fact) = scene.last_event() else { panic!() };
    assert_eq!(fact.oz.as_ref().map(|oz| oz.state.as_str()), Some("PROCESSING"));
}

#[test]
fn the_first_polls_of_many_revived_matches_are_spread_over_an_interval() {
    let scene = Scene::processing(LivenessPolicy::Report);
    let first = |chance| {
        let revived = VolatileState::revived(&scene.m, scene.now, &scene.policy, chance);
        [revived.biometry.due, revived.quality.due].map(|due| due.since(scene.now).as_millis())
    };
    assert_eq!([0.0, 0.25, 1.0].map(first), [[0; 2], [250; 2], [1000; 2]]);
}

#[test]
fn a_photo_is_lost_one_grace_period_after_the_first_folder_read_without_it() {
    let mut scene = Scene::new();
    scene.waits(100).revive();
    scene.hears(ReadFolder, fails(FailureKind::Unreachable));
    scene.hears(ReadFolder, bare()).hears(ReadFolder, bare()).ends();
    assert_eq!((scene.reason(), scene.error().retryable), ("PHOTO_LOST", true));
    assert_eq!(scene.now, seconds(161));
}

/// A match that was taken over without its photo, and has read once a second, this many times, that
/// liveness is pending.
fn awaiting_liveness(looks: usize) -> Scene {
    let mut scene = Scene::with(LivenessPolicy::Require);
    scene.revive();
    for _ in 0..looks {
        scene.hears(ReadFolder, folder(vec![], vec![quality("q")]));
    }
    scene
}

#[test]
fn pending_liveness_does_not_prolong_the_wait_for_a_photo() {
    let mut scene = awaiting_liveness(60);
    assert_eq!(scene.ends().reason(), "PHOTO_LOST");
    assert_eq!(scene.now, seconds(60));
}

#[test]
fn a_photo_that_arrives_while_liveness_is_pending_is_sent_after_it() {
    let mut scene = awaiting_liveness(50);
    scene.photo_here = true;
    for _ in 0..50 {
        scene.hears(ReadFolder, folder(vec![], vec![quality("q")]));
    }
    scene.hears(ReadFolder, folder(vec![], vec![judged("q", "SUCCESS")]));
    scene.hears(UploadPhoto, photo("p"));
}

#[test]
fn a_photo_that_is_found_while_liveness_is_pending_is_not_lost() {
    let mut scene = awaiting_liveness(50);
    for _ in 0..50 {
        scene.hears(ReadFolder, folder(vec![our_photo("p")], vec![quality("q")]));
    }
    scene.hears(ReadFolder, folder(vec![our_photo("p")], vec![judged("q", "SUCCESS")]));
    assert_eq!(scene.m.photo_media_id, Some(media_id("p")));
}

#[test]
fn a_photo_that_arrives_within_its_grace_period_is_sent() {
    let mut scene = Scene::new();
    scene.revive().hears(ReadFolder, bare()).hears(ReadFolder, bare());
    assert_eq!(scene.step(), Step::Wait(seconds(60)));
    scene.waits(50).photo_here = true;
    scene.hears(UploadPhoto, photo("p"));
    assert_eq!(scene.m.photo_media_id, Some(media_id("p")));
}

#[test]
fn a_photo_that_the_folder_holds_needs_no_grace_period() {
    let mut scene = Scene::naming_a_medium();
    scene.waits(500).revive().hears(ReadFolder, with_photo(vec![]));
    assert_eq!(scene.m.photo_media_id, Some(media_id("p")));
}

#[test]
fn trouble_that_a_takeover_meets_again_is_not_reported_again() {
    const DOWN: FailureKind = FailureKind::ServerError;
    let mut polling = Scene::processing(LivenessPolicy::Report);
    polling.polls("b", fails(DOWN)).revive().polls("b", fails(DOWN));
    assert_eq!(polling.troubles(), 1);
    let mut starting = Scene::uploaded(LivenessPolicy::Report);
    starting.hears(StartAnalyses, fails(DOWN)).revive();
    starting.hears(ReadFolder, with_photo(vec![])).hears(ReadFolder, with_photo(vec![]));
    starting.hears(StartAnalyses, fails(DOWN));
    assert_eq!(starting.troubles(), 1);
    let mut uploading = Scene::new();
    uploading.hears(ReadFolder, bare()).hears(UploadPhoto, fails(DOWN)).revive();
    uploading.photo_here = true;
    uploading.hears(ReadFolder, bare()).hears(ReadFolder, bare()).hears(UploadPhoto, fails(DOWN));
    assert_eq!(uploading.troubles(), 1);
}

#[test]
fn trouble_that_ended_after_a_takeover_is_reported_when_it_returns() {
    let photo = PhotoSource::FolderMedia(media_id("p"));
    let mut scene = Scene::of(Spec { photo, liveness_policy: LivenessPolicy::Require, ..spec() });
    scene.hears(ReadFolder, fails(FailureKind::ServerError)).revive();
    scene.hears(ReadFolder, folder(vec![image("p")], vec![quality("q")]));
    scene.hears(ReadFolder, fails(FailureKind::ServerError));
    assert_eq!(scene.troubles(), 2);
}
