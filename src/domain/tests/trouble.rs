//! Trouble at Oz is waited out, reported once, and given up on only if a repeat can't fix it.

use std::time::Duration;

use crate::domain::{
    Ask, Event, FailureKind, LivenessPolicy, Resolution,
    ask::AskKind::{ReadFolder, StartAnalyses, UploadPhoto},
    tests::{
        oz::{
            analysis, analysis_id, bare, biometry, decided, fails, fails_until, photo, quality,
            seconds, started, told, with_photo,
        },
        scene::{POLICY, Scene},
    },
    volatile::{LOGIN_REFUSED_MAX, TROUBLES_MAX},
};

const DOWN: FailureKind = FailureKind::ServerError;

fn outage(scene: &mut Scene, tries: usize) {
    for _ in 0..tries {
        scene.polls("b", fails(DOWN));
    }
}

#[test]
fn trouble_is_reported_once_and_not_for_each_attempt() {
    let mut scene = Scene::processing(LivenessPolicy::Report);
    outage(&mut scene, 30);
    assert_eq!(scene.troubles(), 1);
    let Event::AttemptFailed(fact) = scene.last_event() else { panic!() };
    assert_eq!(fact.cause.as_str(), "OZ_SERVER_ERROR");
    assert_eq!(fact.next_attempt, seconds(2));
}

#[test]
fn trouble_is_reported_when_its_cause_changes_and_when_it_returns() {
    let mut scene = Scene::processing(LivenessPolicy::Report);
    outage(&mut scene, 3);
    scene.polls("b", fails(FailureKind::Unreachable)).polls("b", fails(FailureKind::Unreachable));
    assert_eq!(scene.troubles(), 2);
    scene.polls("b", told(biometry("b"))).polls("b", fails(FailureKind::Unreachable));
    assert_eq!(scene.troubles(), 3);
}

#[test]
fn folder_reads_that_succeed_between_failing_sends_are_no_new_trouble() {
    let mut scene = Scene::new();
    scene.hears(ReadFolder, bare());
    for _ in 0..10 {
        scene.hears(UploadPhoto, fails(DOWN)).hears(ReadFolder, bare()).hears(ReadFolder, bare());
    }
    assert_eq!(scene.troubles(), 1);
}

#[test]
fn folder_reads_that_fail_and_recover_between_failing_sends_are_no_new_trouble() {
    let mut scene = Scene::uploaded(LivenessPolicy::Report);
    for _ in 0..10 {
        scene.hears(StartAnalyses, fails(DOWN)).hears(ReadFolder, fails(DOWN));
        while scene.next_ask().is_some_and(|ask| ask.kind() == ReadFolder) {
            scene.hears(ReadFolder, with_photo(vec![]));
        }
    }
    assert_eq!(scene.troubles(), 1);
    assert_eq!(scene.volatile.failures(), 20);
}

#[test]
fn adopting_ends_the_trouble_of_sending() {
    let mut scene = Scene::new();
    scene.hears(ReadFolder, bare()).hears(UploadPhoto, fails(DOWN));
    scene.hears(ReadFolder, with_photo(vec![]));
    assert_eq!(scene.volatile.failures(), 0);
    scene.hears(StartAnalyses, fails(DOWN));
    assert_eq!(scene.troubles(), 2);
    scene.hears(ReadFolder, with_photo(vec![biometry("b")]));
    assert_eq!(scene.volatile.failures(), 0);
    scene.polls("b", fails(DOWN));
    assert_eq!(scene.troubles(), 3);
}

#[test]
fn a_flapping_oz_does_not_fill_the_journal() {
    let mut scene = Scene::processing(LivenessPolicy::Report);
    for _ in 0..TROUBLES_MAX * 2 {
        scene.polls("b", fails(DOWN)).polls("b", told(biometry("b")));
    }
    assert_eq!(scene.m.troubles, TROUBLES_MAX);
}

#[test]
fn a_match_that_recovers_finishes_normally() {
    let mut scene = Scene::new();
    scene.hears(ReadFolder, fails(FailureKind::Unreachable)).hears(ReadFolder, bare());
    scene.hears(UploadPhoto, fails(FailureKind::SessionRefused)).hears(UploadPhoto, photo("p"));
    scene.hears(StartAnalyses, fails(FailureKind::Unreachable));
    scene.hears(StartAnalyses, started(vec![biometry("b")]));
    outage(&mut scene, 5);
    scene.polls("b", told(decided("b", "SUCCESS"))).ends();
    scene.result();
    assert_eq!(scene.volatile.failures(), 0);
}

// Waiting.

#[test]
fn backoff_grows_and_is_capped() {
    let mut scene = Scene::processing(LivenessPolicy::Report);
    scene.chance = 1.0;
    let mut times = Vec::new();
    for _ in 0..8 {
        outage(&mut scene, 1);
        times.push(scene.asked_ms() / 1000);
    }
    assert_eq!(times, [1, 3, 7, 15, 31, 61, 91, 121]);
}

#[test]
fn no_attempt_comes_before_retry_after() {
    let busy = || fails_until(FailureKind::RateLimited, Duration::from_secs(90));
    let mut polling = Scene::processing(LivenessPolicy::Report);
    polling.polls("b", busy()).polls("b", told(biometry("b")));
    assert_eq!(polling.asked_ms(), 91_000);
    let mut uploading = Scene::new();
    uploading.hears(ReadFolder, bare()).hears(UploadPhoto, busy()).hears(ReadFolder, bare());
    assert_eq!(uploading.asked_ms(), 90_000);
}

#[test]
fn retry_after_also_delays_the_folder_read_after_a_lost_answer() {
    let mut scene = Scene::new();
    scene.hears(ReadFolder, bare());
    scene.hears(UploadPhoto, fails_until(DOWN, Duration::from_secs(40)));
    scene.hears(ReadFolder, bare());
    assert_eq!(scene.asked_ms(), 40_000);
    scene.hears(UploadPhoto, photo("p"));
}

#[test]
fn retry_after_on_one_analysis_holds_for_the_other() {
    let mut scene = Scene::processing(LivenessPolicy::Run);
    scene.polls("b", told(biometry("b")));
    scene.polls("q", fails_until(FailureKind::RateLimited, Duration::from_secs(30)));
    scene.polls("b", told(biometry("b")));
    assert_eq!(scene.asked_ms(), 31_000);
}

// Giving up.

#[test]
fn a_missing_or_forbidden_analysis_is_waited_for_and_then_given_up() {
    for kind in [FailureKind::NotFound, FailureKind::Forbidden] {
        gives_up_an_analysis_after_minutes_of(kind);
    }
}

fn gives_up_an_analysis_after_minutes_of(kind: FailureKind) {
    let mut scene = Scene::processing(LivenessPolicy::Report);
    while scene.m.error.is_none() {
        scene.polls("b", fails(kind));
    }
    assert_eq!(scene.reason(), "OZ_PROTOCOL");
    assert_eq!(scene.now, seconds(301));
    assert_eq!(scene.troubles(), 1);
}

#[test]
fn an_analysis_that_turns_up_restarts_the_time_allowed_for_its_absence() {
    let mut scene = Scene::processing(LivenessPolicy::Report);
    for _ in 0..3 {
        for _ in 0..20 {
            scene.polls("b", fails(FailureKind::NotFound));
        }
        scene.polls("b", told(biometry("b")));
    }
    scene.polls("b", told(decided("b", "SUCCESS"))).ends();
    scene.result();
}

#[test]
fn the_fifth_answer_that_lacks_required_data_fails_the_match() {
    let mut scene = Scene::processing(LivenessPolicy::Report);
    for answer in [
        told(analysis("BIOMETRY", "b", &["v", "p"], [""; 3])),
        told(analysis("BIOMETRY", "b", &["v", "p"], ["FINISHED", "", ""])),
        told(biometry("another")),
        told(quality("b")),
        photo("p"),
    ] {
        assert_eq!(scene.m.error, None);
        scene.polls("b", answer);
    }
    assert_eq!(scene.reason(), "OZ_PROTOCOL");
}

#[test]
fn refused_folder_reads_are_counted_in_every_state() {
    let mut uploaded = Scene::uploaded(LivenessPolicy::Report);
    uploaded.hears(StartAnalyses, fails(DOWN));
    for mut scene in [Scene::new(), uploaded] {
        for _ in 0..5 {
            assert_eq!(scene.m.error, None);
            scene.hears(ReadFolder, fails(FailureKind::Rejected));
        }
        assert_eq!(scene.reason(), "OZ_PROTOCOL");
    }
}

#[test]
fn a_match_without_an_analysis_waits_out_a_refused_login_for_a_minute() {
    let refused = || fails(FailureKind::LoginRefused);
    let uploaded = Scene::uploaded(LivenessPolicy::Report);
    for (mut scene, ask) in [(Scene::new(), ReadFolder), (uploaded, StartAnalyses)] {
        let told_before = scene.events().len();
        let began = scene.now;
        while scene.m.error.is_none() {
            assert!(scene.now.since(began) <= LOGIN_REFUSED_MAX, "the match doesn't end");
            scene.hears(ask, refused());
        }
        assert_eq!(scene.events()[told_before..], ["attempt_failed", "failed"]);
        assert_eq!((scene.reason(), scene.error().retryable), ("OZ_LOGIN_REFUSED", true));
        assert_eq!(scene.now.since(began), LOGIN_REFUSED_MAX);
    }
}

#[test]
fn a_login_that_works_again_within_the_minute_ends_nothing() {
    let mut scene = Scene::new();
    scene.hears(ReadFolder, fails(FailureKind::LoginRefused));
    scene.hears(ReadFolder, fails(DOWN));
    assert_eq!(scene.volatile.login_refused_since, None, "the next refusal starts a new minute");
}

#[test]
fn only_matches_that_lack_credentials_try_new_ones_at_once() {
    for (kind, lacks) in
        [(FailureKind::LoginRefused, true), (FailureKind::SessionRefused, true), (DOWN, false)]
    {
        let mut scene = Scene { chance: 1.0, ..Scene::new() };
        for _ in 0..3 {
            scene.hears(ReadFolder, fails(kind));
        }
        assert_eq!(scene.volatile.lacks_credentials(), lacks, "{kind:?}");
        let soon = scene.now.after(POLICY.poll_interval);
        assert!(scene.volatile.not_before > soon, "{kind:?}");
        scene.volatile.try_by(soon);
        assert_eq!(scene.volatile.not_before, soon, "{kind:?}");
    }
}

#[test]
fn a_match_with_an_analysis_waits_out_a_refused_login() {
    let refused = || fails(FailureKind::LoginRefused);
    let mut polling = Scene::processing(LivenessPolicy::Report);
    for _ in 0..20 {
        polling.polls("b", refused());
    }
    polling.polls("b", told(decided("b", "SUCCESS"))).ends();
    assert_eq!(polling.events()[3..], ["attempt_failed", "finished"]);
}

// The QUALITY analysis that runs alongside.

/// Answers the next poll: BIOMETRY is pending, and QUALITY fails like this.
fn run_on(scene: &mut Scene, of_quality: FailureKind) {
    let ask = scene.next_ask().unwrap();
    let of_biometry = ask == Ask::ReadAnalysis { analysis_id: analysis_id("b") };
    let answer = if of_biometry { told(biometry("b")) } else { fails(of_quality) };
    scene.answer(&ask, answer);
}

#[test]
fn trouble_with_the_liveness_analysis_alone_is_reported_once() {
    let mut scene = Scene::processing(LivenessPolicy::Run);
    for _ in 0..40 {
        run_on(&mut scene, DOWN);
    }
    assert_eq!(scene.troubles(), 1);
}

#[test]
fn trouble_with_the_liveness_analysis_does_not_slow_the_verdict() {
    let mut scene = Scene::processing(LivenessPolicy::Run);
    scene.chance = 1.0;
    scene.polls("b", told(biometry("b"))).polls("q", fails(DOWN));
    scene.polls("b", told(biometry("b")));
    assert_eq!(scene.asked_ms(), 2000);
}

#[test]
fn an_outage_is_reported_once_for_both_analyses() {
    let mut scene = Scene::processing(LivenessPolicy::Run);
    for _ in 0..10 {
        scene.polls("b", fails(DOWN)).polls("q", fails(DOWN));
    }
    assert_eq!(scene.troubles(), 1);
}

#[test]
fn incomplete_answers_about_liveness_never_fail_the_match() {
    let silent = |kind, id, sources| told(analysis(kind, id, sources, [""; 3]));
    let mut scene = Scene::processing(LivenessPolicy::Run);
    for _ in 0..5 {
        scene.polls("b", told(biometry("b"))).polls("q", silent("QUALITY", "q", &["v"]));
    }
    scene.polls("b", silent("BIOMETRY", "b", &["v", "p"]));
    scene.polls("b", told(decided("b", "DECLINED"))).ends();
    assert_eq!(scene.result().resolution, Resolution::Declined);
    assert_eq!(scene.result().liveness.as_ref().unwrap().resolution, None);
}

#[test]
fn a_missing_or_forbidden_liveness_analysis_is_reported_as_unspecified() {
    for kind in [FailureKind::NotFound, FailureKind::Forbidden, FailureKind::Rejected] {
        let mut scene = Scene::processing(LivenessPolicy::Run);
        scene.polls("b", told(decided("b", "SUCCESS")));
        while scene.next_ask().is_some() {
            scene.polls("q", fails(kind));
        }
        let liveness = scene.result().liveness.as_ref().unwrap();
        assert_eq!((liveness.resolution, liveness.analysis_id.as_str()), (None, "q"));
        assert!(scene.now <= seconds(302), "{:?}", scene.now);
    }
}
