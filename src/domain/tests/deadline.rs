//! The deadline never leads to a DECLINED, and never loses a verdict that was paid for.

use std::time::Duration;

use crate::domain::{
    FailureKind, LivenessPolicy, Resolution, Step,
    ask::AskKind::{ReadFolder, UploadPhoto},
    tests::{
        oz::{bare, biometry, broken, decided, fails, fails_until, folder, quality, seconds, told},
        scene::{POLICY, Scene},
    },
};

const NEVER: Duration = Duration::from_secs(1_000_000);

/// A match with an analysis, at its deadline.
fn overdue(policy: LivenessPolicy) -> Scene {
    let mut scene = Scene::processing(policy);
    scene.waits(1200);
    scene
}

#[test]
fn a_match_with_an_analysis_gets_a_last_look() {
    let mut scene = overdue(LivenessPolicy::Report);
    scene.polls("b", told(decided("b", "DECLINED"))).ends();
    assert_eq!(scene.result().resolution, Resolution::Declined);
}

#[test]
fn a_last_look_that_finds_no_verdict_is_not_repeated() {
    for answer in [told(biometry("b")), fails(FailureKind::TimedOut)] {
        let mut scene = overdue(LivenessPolicy::Report);
        scene.polls("b", answer).ends();
        assert_eq!((scene.reason(), scene.error().retryable), ("MATCH_TIMED_OUT", true));
    }
}

#[test]
fn a_last_look_that_finds_a_failed_analysis_reports_it() {
    let mut scene = overdue(LivenessPolicy::Report);
    scene.polls("b", told(broken("b"))).ends();
    assert_eq!(scene.reason(), "OZ_ANALYSIS_FAILED");
}

#[test]
fn a_poll_cut_short_by_the_deadline_is_not_the_last_look() {
    let mut scene = Scene::processing(LivenessPolicy::Report);
    scene.waits(1195).latency = Duration::from_secs(5);
    scene.polls("b", fails(FailureKind::TimedOut));
    scene.polls("b", told(decided("b", "SUCCESS"))).ends();
    scene.result();
}

#[test]
fn a_poll_that_is_answered_after_the_deadline_is_the_last_look() {
    let mut scene = Scene::processing(LivenessPolicy::Report);
    scene.waits(1198).latency = Duration::from_secs(5);
    scene.polls("b", told(biometry("b"))).ends();
    assert_eq!(scene.reason(), "MATCH_TIMED_OUT");
}

#[test]
fn a_request_cut_short_by_the_deadline_is_the_cause_only_if_slower_than_a_poll_interval() {
    for (unanswered_ms, cause) in [(500, None), (1000, None), (1001, Some("OZ_TIMEOUT"))] {
        let mut scene = Scene::new();
        scene.waits(1200).volatile.cut_short(Duration::from_millis(unanswered_ms), &POLICY);
        scene.ends();
        let told = scene.error().metadata.get("cause").map(String::as_str);
        assert_eq!(told, cause, "{unanswered_ms} ms");
    }
}

#[test]
fn no_wait_goes_past_the_deadline() {
    let mut scene = Scene::processing(LivenessPolicy::Report);
    scene.polls("b", fails_until(FailureKind::RateLimited, NEVER));
    assert_eq!(scene.step(), Step::Wait(scene.m.deadline()));
    scene.polls("b", told(biometry("b"))).ends();
    assert_eq!(scene.error().metadata["cause"], "OZ_RATE_LIMITED");
    assert_eq!(scene.now, scene.m.deadline());
}

#[test]
fn a_match_without_an_analysis_times_out_with_its_last_cause() {
    let mut scene = Scene::new();
    scene.hears(ReadFolder, bare()).hears(UploadPhoto, fails(FailureKind::SessionRefused));
    scene.hears(UploadPhoto, fails_until(FailureKind::Unreachable, NEVER)).ends();
    assert_eq!(scene.reason(), "MATCH_TIMED_OUT");
    assert_eq!(scene.error().metadata["cause"], "OZ_UNREACHABLE");
    assert_eq!(scene.error().metadata["oz.error_message"], "trouble");
    assert_eq!(scene.now, scene.m.deadline());
}

#[test]
fn a_match_that_is_revived_after_its_deadline_still_knows_the_cause() {
    let mut scene = Scene::new();
    scene.hears(ReadFolder, fails(FailureKind::Unreachable));
    scene.waits(5000).revive().ends();
    assert_eq!(scene.error().metadata["cause"], "OZ_UNREACHABLE");
}

#[test]
fn a_match_that_is_revived_after_its_deadline_still_gets_a_last_look() {
    let mut scene = overdue(LivenessPolicy::Report);
    scene.revive().polls("b", told(decided("b", "SUCCESS"))).ends();
    scene.result();
}

#[test]
fn a_verdict_that_is_known_at_the_deadline_wins() {
    let mut scene = Scene::processing(LivenessPolicy::Run);
    scene.polls("b", told(decided("b", "SUCCESS"))).waits(2000).ends();
    assert_eq!(scene.result().resolution, Resolution::Success);
    let mut scene = overdue(LivenessPolicy::Run);
    scene.polls("b", told(decided("b", "SUCCESS"))).ends();
    assert_eq!(scene.result().liveness.as_ref().unwrap().resolution, None);
}

#[test]
fn a_failure_that_is_known_at_the_deadline_is_reported_instead_of_a_timeout() {
    let mut scene = Scene::processing(LivenessPolicy::Run);
    scene.polls("b", told(broken("b"))).polls("q", told(quality("q"))).waits(2000).ends();
    assert_eq!(scene.reason(), "OZ_ANALYSIS_FAILED");
}

#[test]
fn trouble_past_the_deadline_is_not_reported() {
    let mut scene = overdue(LivenessPolicy::Report);
    scene.polls("b", fails(FailureKind::ServerError)).ends();
    assert_eq!(scene.troubles(), 0);
    assert_eq!(scene.error().metadata["cause"], "OZ_SERVER_ERROR");
}

#[test]
fn a_required_liveness_analysis_that_never_ends_times_out() {
    let mut scene = Scene::with(LivenessPolicy::Require);
    while scene.next_ask().is_some() {
        scene.hears(ReadFolder, folder(vec![], vec![quality("q")]));
    }
    assert_eq!(scene.reason(), "MATCH_TIMED_OUT");
    assert_eq!(scene.now, seconds(1200));
}
