//! One photo, one analysis: the effect of a request whose answer was lost is looked for before the
//! request is sent again.

use crate::domain::{
    Analysis, Event, FailureKind, LivenessPolicy, Media, OzResult, OzStatus,
    ask::AskKind::{ReadFolder, StartAnalyses, UploadPhoto},
    tests::{
        oz::{
            self, analysis, analysis_id, as_of, bare, biometry, decided, fails, folder, image,
            judged, lost, media_id, our_photo, photo, quality, started, told, with_photo,
        },
        scene::Scene,
    },
};

/// A match whose upload had this outcome.
fn after_upload(outcome: OzResult) -> Scene {
    let mut scene = Scene::new();
    scene.hears(ReadFolder, bare()).hears(UploadPhoto, outcome);
    scene
}

/// A match whose start of analyses had this outcome.
fn after_start(policy: LivenessPolicy, outcome: OzResult) -> Scene {
    let mut scene = Scene::uploaded(policy);
    scene.hears(StartAnalyses, outcome);
    scene
}

#[test]
fn a_lost_upload_is_looked_for_at_once_and_after_settling_and_only_then_sent_again() {
    let mut scene = after_upload(lost());
    scene.hears(ReadFolder, bare());
    assert_eq!(scene.asked_ms(), 0);
    scene.hears(ReadFolder, bare());
    assert_eq!(scene.asked_ms(), 5000);
    scene.hears(UploadPhoto, photo("p"));
    assert_eq!(scene.count(UploadPhoto), 2);
}

#[test]
fn a_lost_start_is_looked_for_at_once_and_after_settling_and_only_then_sent_again() {
    let mut scene = after_start(LivenessPolicy::Report, lost());
    scene.hears(ReadFolder, with_photo(vec![]));
    assert_eq!(scene.asked_ms(), 0);
    scene.hears(ReadFolder, with_photo(vec![]));
    assert_eq!(scene.asked_ms(), 5000);
    scene.hears(StartAnalyses, started(vec![biometry("b")]));
    assert_eq!(scene.count(StartAnalyses), 2);
}

#[test]
fn a_folder_read_that_fails_is_repeated() {
    let mut scene = after_upload(lost());
    scene.waits(10).hears(ReadFolder, fails(FailureKind::ServerError));
    scene.hears(ReadFolder, bare()).hears(UploadPhoto, photo("p"));
}

#[test]
fn a_photo_that_arrived_after_all_is_adopted_by_its_metadata_or_its_name() {
    let name = format!("{}.jpg", oz::match_id());
    let by_name = Media { original_name: Some(name), ..image("p") };
    for ours in [our_photo("p"), by_name] {
        let mut scene = after_upload(lost());
        scene.hears(ReadFolder, folder(vec![image("a-stranger"), ours], vec![]));
        let Event::PhotoUploaded(fact) = scene.last_event() else { panic!() };
        assert_eq!((&fact.photo_media_id, fact.adopted), (&media_id("p"), true));
        assert_eq!(scene.count(UploadPhoto), 1);
    }
}

#[test]
fn a_start_that_reached_oz_after_all_is_adopted() {
    let mut scene = after_start(LivenessPolicy::Report, lost());
    scene.hears(
        ReadFolder,
        with_photo(vec![
            analysis("BIOMETRY", "other-photo", &["v", "stranger"], ["PROCESSING"; 3]),
            analysis("BIOMETRY", "more-media", &["v", "p", "stranger"], ["PROCESSING"; 3]),
            analysis("QUALITY", "other-type", &["v", "p"], ["PROCESSING"; 3]),
            biometry("b"),
        ]),
    );
    let Event::AnalysisStarted(fact) = scene.last_event() else { panic!() };
    assert_eq!((&fact.analysis_id, fact.adopted), (&analysis_id("b"), true));
    assert_eq!(fact.liveness_analysis_id, None);
    scene.polls("b", told(decided("b", "SUCCESS"))).ends();
    scene.result();
}

#[test]
fn under_run_the_adopted_partner_is_from_the_same_request() {
    let grouped = |group: &str, a: Analysis| Analysis { group_id: Some(group.into()), ..a };
    let by_group =
        vec![grouped("1", quality("q1")), grouped("2", quality("q2")), grouped("2", biometry("b"))];
    let by_time = vec![
        as_of(10, quality("q1")),
        as_of(20, quality("q2")),
        as_of(21, biometry("b")),
        as_of(30, quality("q3")),
    ];
    for analyses in [by_group, by_time] {
        let mut scene = after_start(LivenessPolicy::Run, lost());
        scene.hears(ReadFolder, with_photo(analyses));
        assert_eq!(scene.m.liveness_analysis_id, Some(analysis_id("q2")));
    }
}

#[test]
fn after_an_analysis_of_another_match_ours_is_looked_for_before_one_is_started() {
    let mut scene = Scene::uploaded(LivenessPolicy::Report);
    scene.volatile.analysis_belongs_to_another(&scene.m, scene.now);
    scene.hears(ReadFolder, with_photo(vec![])).hears(ReadFolder, with_photo(vec![]));
    assert_eq!(scene.asked_ms(), 5000);
    scene.hears(StartAnalyses, started(vec![biometry("b")]));
}

#[test]
fn what_oz_says_of_another_matchs_analysis_is_not_told_of_this_one() {
    let mut scene = Scene::uploaded(LivenessPolicy::Report);
    scene.volatile.oz = Some(OzStatus { state: "FINISHED".into(), ..OzStatus::default() });
    scene.volatile.analysis_belongs_to_another(&scene.m, scene.now);
    assert_eq!(scene.volatile.oz, None);
}

#[test]
fn an_analysis_that_existed_before_is_never_adopted() {
    let mut scene = Scene::naming_a_medium();
    let holds = |analyses| folder(vec![image("p")], analyses);
    let earlier = || holds(vec![decided("b0", "SUCCESS")]);
    scene.hears(ReadFolder, earlier()).hears(StartAnalyses, lost());
    scene.hears(ReadFolder, earlier()).hears(ReadFolder, earlier());
    scene.hears(StartAnalyses, lost());
    scene.hears(ReadFolder, holds(vec![decided("b0", "SUCCESS"), biometry("b")]));
    assert_eq!(scene.m.analysis_id, Some(analysis_id("b")));
}

#[test]
fn an_analysis_that_existed_before_is_not_taken_from_an_answer_that_lists_it() {
    let mut scene = Scene::naming_a_medium();
    scene.hears(ReadFolder, folder(vec![image("p")], vec![decided("b0", "SUCCESS")]));
    scene.hears(StartAnalyses, started(vec![decided("b0", "SUCCESS"), biometry("b")]));
    assert_eq!(scene.m.analysis_id, Some(analysis_id("b")));
}

#[test]
fn of_several_started_analyses_the_one_that_names_our_media_is_taken() {
    let mut scene = Scene::uploaded(LivenessPolicy::Report);
    let other = analysis("BIOMETRY", "other", &["v", "stranger"], ["PROCESSING"; 3]);
    scene.hears(StartAnalyses, started(vec![other, biometry("b")]));
    assert_eq!(scene.m.analysis_id, Some(analysis_id("b")));
}

#[test]
fn a_started_analysis_of_other_media_is_never_taken() {
    let other = || analysis("BIOMETRY", "other", &["v", "stranger"], ["PROCESSING"; 3]);
    let silent = Analysis { source_media: None, ..biometry("b") };
    let scene = after_start(LivenessPolicy::Report, started(vec![other(), silent]));
    assert_eq!(scene.m.analysis_id, Some(analysis_id("b")));
    let mut scene = after_start(LivenessPolicy::Report, started(vec![other()]));
    assert_eq!(scene.events().last(), Some(&"attempt_failed"));
    scene.hears(ReadFolder, with_photo(vec![other(), biometry("b")]));
    assert_eq!(scene.m.analysis_id, Some(analysis_id("b")), "ours is looked for");
}

#[test]
fn under_run_a_liveness_analysis_that_existed_before_is_no_partner() {
    let mut scene = Scene::with(LivenessPolicy::Run);
    scene.hears(ReadFolder, folder(vec![], vec![judged("q0", "SUCCESS")]));
    scene.hears(UploadPhoto, photo("p")).hears(StartAnalyses, lost());
    let analyses = vec![judged("q0", "SUCCESS"), biometry("b"), quality("q")];
    scene.hears(ReadFolder, with_photo(analyses));
    assert_eq!(scene.m.liveness_analysis_id, Some(analysis_id("q")));
}

#[test]
fn an_adopted_photo_knows_the_analyses_that_existed_before() {
    let mut scene = after_upload(lost());
    scene.hears(ReadFolder, with_photo(vec![decided("b0", "SUCCESS"), judged("q0", "SUCCESS")]));
    assert_eq!(scene.m.earlier_analyses, [analysis_id("b0"), analysis_id("q0")]);
}

#[test]
fn duplicates_are_counted_and_change_nothing() {
    let mut scene = after_upload(lost());
    scene.hears(ReadFolder, folder(vec![our_photo("p"), our_photo("p2")], vec![]));
    scene.hears(StartAnalyses, lost());
    scene.hears(ReadFolder, with_photo(vec![biometry("b"), biometry("b2"), biometry("b3")]));
    assert_eq!(scene.duplicates, 3);
    assert_eq!(scene.m.source_media(), Some(vec![media_id("v"), media_id("p")]));
    assert_eq!(scene.m.analysis_id, Some(analysis_id("b")));
}

#[test]
fn the_folder_is_read_only_after_failures_that_may_hide_an_effect() {
    for (kind, next) in [
        (FailureKind::TimedOut, Some(ReadFolder)),
        (FailureKind::Interrupted, Some(ReadFolder)),
        (FailureKind::ServerError, Some(ReadFolder)),
        (FailureKind::Redirected, Some(ReadFolder)),
        (FailureKind::Unreadable, Some(ReadFolder)),
        (FailureKind::Incomplete, Some(ReadFolder)),
        (FailureKind::RateLimited, Some(ReadFolder)),
        (FailureKind::Unreachable, Some(UploadPhoto)),
        (FailureKind::SessionRefused, Some(UploadPhoto)),
        (FailureKind::LoginRefused, Some(UploadPhoto)),
        (FailureKind::Forbidden, None),
        (FailureKind::NotFound, None),
        (FailureKind::TooLarge, None),
        (FailureKind::Rejected, None),
    ] {
        let mut scene = after_upload(fails(kind));
        assert_eq!(scene.next_ask().map(|ask| ask.kind()), next, "{kind:?}");
    }
}

#[test]
fn an_answer_of_another_kind_may_hide_that_oz_acted() {
    let mut uploading = after_upload(told(biometry("b")));
    uploading.hears(ReadFolder, with_photo(vec![]));
    assert_eq!(uploading.m.photo_media_id, Some(media_id("p")));
    let mut starting = after_start(LivenessPolicy::Report, photo("p"));
    starting.hears(ReadFolder, with_photo(vec![biometry("b")]));
    assert_eq!(starting.m.analysis_id, Some(analysis_id("b")));
}

#[test]
fn an_answer_without_the_analysis_may_hide_that_oz_acted() {
    for analyses in [vec![], vec![quality("q")], vec![Analysis { id: None, ..biometry("b") }]] {
        let mut scene = after_start(LivenessPolicy::Run, started(analyses));
        scene.hears(ReadFolder, with_photo(vec![biometry("b"), quality("q")]));
        assert_eq!(scene.m.analysis_id, Some(analysis_id("b")));
    }
}

#[test]
fn a_liveness_medium_is_never_taken_for_the_uploaded_photo() {
    let mut scene = after_upload(photo("v"));
    scene.hears(ReadFolder, with_photo(vec![]));
    assert_eq!(scene.m.source_media(), Some(vec![media_id("v"), media_id("p")]));
}
