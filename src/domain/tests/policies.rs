//! The liveness policies: REPORT, REQUIRE and RUN.

use crate::domain::{
    Analysis, FailureKind, LivenessPolicy, LivenessResult, Resolution,
    ask::AskKind::{ReadFolder, StartAnalyses, UploadPhoto},
    tests::{
        oz::{
            analysis, as_of, biometry, broken, decided, fails, folder, judged, photo, quality,
            started, told,
        },
        scene::Scene,
    },
};

#[track_caller]
fn check(liveness: Option<&LivenessResult>, resolution: Option<Resolution>, id: &str) {
    let liveness = liveness.unwrap();
    assert_eq!((liveness.resolution, liveness.analysis_id.as_str()), (resolution, id));
}

#[test]
fn report_yields_the_newest_finished_analysis() {
    let mut scene = Scene::with(LivenessPolicy::Report);
    let analyses = vec![
        as_of(3, quality("running")),
        as_of(2, judged("q2", "DECLINED")),
        as_of(1, judged("q1", "SUCCESS")),
    ];
    scene.hears(ReadFolder, folder(vec![], analyses)).hears(UploadPhoto, photo("p"));
    scene.hears(StartAnalyses, started(vec![biometry("b")]));
    scene.polls("b", told(decided("b", "SUCCESS"))).ends();
    check(scene.result().liveness.as_ref(), Some(Resolution::Declined), "q2");
}

#[test]
fn report_yields_no_liveness_if_there_is_none() {
    let mut scene = Scene::processing(LivenessPolicy::Report);
    scene.polls("b", told(decided("b", "SUCCESS"))).ends();
    assert_eq!(scene.result().liveness, None);
}

#[test]
fn require_waits_for_a_running_analysis_before_the_photo_is_sent() {
    let mut scene = Scene::with(LivenessPolicy::Require);
    for second in 0..10 {
        scene.hears(ReadFolder, folder(vec![], vec![quality("q")]));
        assert_eq!(scene.asked_ms(), second * 1000);
    }
    scene.hears(ReadFolder, folder(vec![], vec![judged("q", "SUCCESS")]));
    scene.hears(UploadPhoto, photo("p"));
    assert_eq!(scene.events(), ["accepted", "photo_uploaded"]);
    check(scene.m.liveness.as_ref(), Some(Resolution::Success), "q");
}

#[test]
fn require_needs_the_newest_analysis_to_say_success_with_a_score() {
    let scored = |score| Analysis { confidence_spoofing: score, ..judged("q", "SUCCESS") };
    let of_others = analysis("QUALITY", "q", &["w"], ["FINISHED", "SUCCESS", "SUCCESS"]);
    for analyses in [
        vec![],
        vec![judged("q", "DECLINED")],
        vec![judged("q", "OPERATOR_REQUIRED")],
        vec![judged("q", "A_NEW_WORD")],
        vec![scored(None)],
        vec![scored(Some(1.5))],
        vec![scored(Some(f64::NAN))],
        vec![analysis("QUALITY", "q", &["v"], ["FAILED"; 3])],
        vec![of_others],
        vec![as_of(2, judged("q", "DECLINED")), as_of(1, judged("q0", "SUCCESS"))],
    ] {
        let mut scene = Scene::with(LivenessPolicy::Require);
        scene.hears(ReadFolder, folder(vec![], analyses)).ends();
        assert_eq!((scene.reason(), scene.error().retryable), ("LIVENESS_NOT_PASSED", false));
        assert_eq!(scene.count(UploadPhoto), 0);
    }
}

#[test]
fn run_ends_only_when_both_analyses_are_over() {
    let mut scene = Scene::processing(LivenessPolicy::Run);
    scene.polls("b", told(decided("b", "SUCCESS"))).polls("q", told(quality("q")));
    scene.polls("q", told(judged("q", "DECLINED"))).ends();
    check(scene.result().liveness.as_ref(), Some(Resolution::Declined), "q");
    assert_eq!(scene.result().resolution, Resolution::Success);

    let mut scene = Scene::processing(LivenessPolicy::Run);
    scene.polls("b", told(biometry("b"))).polls("q", told(judged("q", "SUCCESS")));
    scene.polls("b", told(biometry("b"))).polls("b", told(decided("b", "DECLINED"))).ends();
    check(scene.result().liveness.as_ref(), Some(Resolution::Success), "q");
}

#[test]
fn a_failed_liveness_analysis_is_reported_as_unspecified_and_changes_no_verdict() {
    for words in [["FAILED"; 3], ["FINISHED", "FAILED", "FAILED"], ["A_NEW_WORD"; 3]] {
        let mut scene = Scene::processing(LivenessPolicy::Run);
        scene.polls("b", told(decided("b", "SUCCESS")));
        scene.polls("q", told(analysis("QUALITY", "q", &["v"], words))).ends();
        assert_eq!(scene.result().resolution, Resolution::Success);
        check(scene.result().liveness.as_ref(), None, "q");
    }
}

#[test]
fn a_failed_comparison_fails_the_match_when_liveness_is_over_too() {
    let mut scene = Scene::processing(LivenessPolicy::Run);
    scene.polls("b", told(broken("b"))).polls("q", told(judged("q", "SUCCESS"))).ends();
    assert_eq!((scene.reason(), scene.error().retryable), ("OZ_ANALYSIS_FAILED", true));
}

#[test]
fn run_never_reports_an_analysis_that_it_did_not_start() {
    let mut scene = Scene::with(LivenessPolicy::Run);
    scene.hears(ReadFolder, folder(vec![], vec![judged("q0", "SUCCESS")]));
    scene.hears(UploadPhoto, photo("p")).hears(StartAnalyses, started(vec![biometry("b")]));
    scene.polls("b", told(decided("b", "SUCCESS"))).ends();
    assert_eq!(scene.result().liveness, None);
}

/// Otherwise each poll of the one would be taken for a poll of the other, without a pause.
#[test]
fn run_takes_no_analysis_with_the_id_of_the_comparison_for_its_liveness_analysis() {
    let mut scene = Scene::uploaded(LivenessPolicy::Run);
    scene.hears(StartAnalyses, started(vec![biometry("b"), quality("b")]));
    assert_eq!(scene.m.liveness_analysis_id, None);
    scene.polls("b", told(decided("b", "SUCCESS"))).ends();
    assert_eq!(scene.result().liveness, None);
}

#[test]
fn only_run_polls_a_liveness_analysis() {
    for policy in [LivenessPolicy::Report, LivenessPolicy::Require] {
        let mut scene = Scene::processing(policy);
        assert_eq!(scene.m.liveness_analysis_id, None);
        scene.polls("b", told(decided("b", "SUCCESS"))).ends();
        scene.result();
    }
}

#[test]
fn trouble_with_liveness_until_the_deadline_costs_the_match_only_time() {
    let mut scene = Scene::processing(LivenessPolicy::Run);
    scene.polls("b", told(decided("b", "SUCCESS")));
    while scene.next_ask().is_some() {
        scene.polls("q", fails(FailureKind::Unreachable));
    }
    check(scene.result().liveness.as_ref(), None, "q");
    assert_eq!(scene.now, scene.m.deadline());
}
