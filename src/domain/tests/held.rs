//! Requests that are held back: nothing is sent and nothing has failed, but watchers are told and
//! deadlines hold.

use std::time::Duration;

use crate::domain::{
    Deferred, Event, Failure, FailureKind, LivenessPolicy,
    ask::AskKind::{ReadAnalysis, ReadFolder, StartAnalyses, UploadPhoto},
    request_traits,
    tests::{
        oz::{bare, biometry, decided, fails, lost, photo, seconds, started, told},
        scene::Scene,
    },
    volatile::{Sending, TROUBLES_MAX},
};

const OUT: FailureKind = FailureKind::Unreachable;

/// A hold until this second because Oz is down.
fn out(kind: FailureKind, second: i64) -> Deferred {
    Deferred { until: seconds(second), why: Some(Failure::new(kind, "trouble")), look_first: false }
}

/// A hold until this second because the retry budget is spent.
fn spent(second: i64) -> Deferred {
    Deferred { until: seconds(second), why: None, look_first: false }
}

#[test]
fn a_held_request_is_sent_later_and_counts_as_no_failure() {
    let mut scene = Scene::new();
    scene.held(ReadFolder, &out(OUT, 7)).hears(ReadFolder, bare());
    assert_eq!(scene.asked_ms(), 7000);
    scene.held(UploadPhoto, &out(OUT, 9)).hears(UploadPhoto, photo("p"));
    scene.held(StartAnalyses, &out(OUT, 12));
    assert_eq!(scene.volatile.failures(), 0);
    scene.hears(StartAnalyses, started(vec![biometry("b")]));
    scene.held(ReadAnalysis, &out(OUT, 20)).polls("b", told(decided("b", "SUCCESS"))).ends();
    assert_eq!(scene.now, seconds(20));
    scene.result();
}

#[test]
fn a_held_request_neither_makes_a_sending_unsure_nor_clears_it() {
    let mut scene = Scene::new();
    scene.hears(ReadFolder, bare()).held(UploadPhoto, &out(OUT, 5));
    assert_eq!(scene.volatile.upload, Sending::Clear);
    scene.hears(UploadPhoto, lost());
    let unsure = scene.volatile.upload;
    assert_eq!(unsure, Sending::Unsure(seconds(5)));
    scene.held(ReadFolder, &out(OUT, 30));
    assert_eq!(scene.volatile.upload, unsure);
    scene.hears(ReadFolder, bare());
    assert_eq!(scene.asked_ms(), 30_000);
}

#[test]
fn a_request_that_cannot_be_the_probe_is_sent_after_a_folder_read() {
    let probe = Deferred { look_first: true, ..out(OUT, 5) };
    let mut scene = Scene::new();
    scene.hears(ReadFolder, bare()).held(UploadPhoto, &probe);
    scene.held(ReadFolder, &out(OUT, 9)).hears(ReadFolder, bare());
    assert_eq!(scene.asked_ms(), 9_000);
    scene.hears(UploadPhoto, photo("p")).held(StartAnalyses, &probe).hears(ReadFolder, bare());
    scene.hears(StartAnalyses, started(vec![biometry("b")]));
    scene.polls("b", told(decided("b", "SUCCESS"))).ends();
    scene.result();
}

#[test]
fn watchers_are_told_once_for_each_cause() {
    let mut scene = Scene::processing(LivenessPolicy::Report);
    for second in 2..10 {
        scene.held(ReadAnalysis, &out(OUT, second));
    }
    assert_eq!(scene.troubles(), 1);
    let Event::AttemptFailed(fact) = scene.last_event() else { panic!() };
    assert_eq!((fact.cause.as_str(), fact.next_attempt), ("OZ_UNREACHABLE", seconds(2)));
    scene.held(ReadAnalysis, &out(FailureKind::ServerError, 11));
    scene.held(ReadAnalysis, &out(FailureKind::ServerError, 12));
    assert_eq!(scene.troubles(), 2);
}

#[test]
fn a_trouble_that_the_match_has_already_met_is_not_reported() {
    let mut scene = Scene::processing(LivenessPolicy::Run);
    scene.polls("b", fails(OUT)).held(ReadAnalysis, &out(OUT, 5));
    scene.held(ReadAnalysis, &out(FailureKind::TimedOut, 6)).polls("q", fails(OUT));
    assert_eq!((scene.troubles(), scene.volatile.failures()), (1, 1));
}

#[test]
fn holds_by_a_flapping_oz_do_not_fill_the_journal() {
    let mut scene = Scene::processing(LivenessPolicy::Report);
    for second in 1..=i64::from(TROUBLES_MAX) {
        scene.held(ReadAnalysis, &out(OUT, 4 * second)).polls("b", told(biometry("b")));
        scene.held(ReadAnalysis, &out(FailureKind::ServerError, 4 * second + 2));
    }
    assert_eq!(scene.m.troubles, TROUBLES_MAX);
}

#[test]
fn a_hold_by_a_spent_budget_is_not_reported() {
    let mut scene = Scene::processing(LivenessPolicy::Run);
    scene.polls("b", fails(OUT)).polls("q", told(biometry("q")));
    let troubles = scene.troubles();
    scene.held(ReadAnalysis, &spent(60));
    assert_eq!(scene.troubles(), troubles);
}

#[test]
fn only_a_request_that_repeats_a_failed_one_is_charged() {
    let mut scene = Scene::processing(LivenessPolicy::Run);
    let charged = |scene: &mut Scene| {
        let ask = scene.next_ask().unwrap();
        request_traits(&scene.m, &scene.volatile, &ask, scene.now).retries
    };
    assert!(!charged(&mut scene));
    scene.held(ReadAnalysis, &out(OUT, 4));
    scene.polls("q", fails(OUT));
    assert!(charged(&mut scene), "the same poll again");
    scene.polls("q", fails(OUT));
    scene.waits(2);
    scene.volatile.quality.due = seconds(60);
    assert!(!charged(&mut scene), "polls of the other analysis don't fail");
}

#[test]
fn a_deadline_holds_for_a_held_request() {
    let mut scene = Scene::new();
    scene.held(ReadFolder, &out(OUT, 1_000_000)).ends();
    assert_eq!((scene.reason(), scene.now), ("MATCH_TIMED_OUT", scene.m.deadline()));
    assert_eq!(scene.error().metadata["cause"], "OZ_UNREACHABLE");
}

#[test]
fn a_last_look_is_free_and_is_not_repeated_when_held_back() {
    let mut scene = Scene::processing(LivenessPolicy::Report);
    scene.polls("b", fails(OUT)).waits(2_000);
    let ask = scene.next_ask().unwrap();
    assert!(!request_traits(&scene.m, &scene.volatile, &ask, scene.now).retries);
    let troubles = scene.troubles();
    scene.held(ReadAnalysis, &out(OUT, 3_000)).ends();
    assert_eq!((scene.reason(), scene.now), ("MATCH_TIMED_OUT", seconds(2_001)));
    assert_eq!(scene.troubles(), troubles, "the timeout is reported instead");
}

#[test]
fn a_retry_is_charged_before_the_deadline_and_free_at_the_deadline() {
    let mut scene = Scene::processing(LivenessPolicy::Report);
    scene.polls("b", fails(OUT));
    let ask = scene.next_ask().unwrap();
    let charged = |now| request_traits(&scene.m, &scene.volatile, &ask, now).retries;
    let deadline = scene.m.deadline();
    let just_before = deadline.before(Duration::from_micros(1));
    assert_eq!([just_before, deadline].map(charged), [true, false]);
}

#[test]
fn a_charge_for_one_analysis_does_not_slow_the_other() {
    let mut scene = Scene::processing(LivenessPolicy::Run);
    scene.polls("b", told(biometry("b"))).polls("q", fails(OUT));
    scene.polls("b", told(biometry("b"))).held(ReadAnalysis, &spent(60));
    scene.polls("b", told(biometry("b")));
    assert_eq!(scene.now.since(seconds(0)), Duration::from_secs(3));
}

#[test]
fn only_a_request_without_a_session_counts_as_withheld() {
    let pause = Duration::from_secs(7);
    assert_eq!(Failure::without_session(pause).withheld(), Some(pause));
    let refused = Failure { http_status: Some(401), ..Failure::without_session(pause) };
    let limited = Failure { kind: FailureKind::RateLimited, ..Failure::without_session(pause) };
    let unsaid = Failure::new(FailureKind::SessionRefused, "refused");
    for failure in [refused, limited, unsaid] {
        assert_eq!(failure.withheld(), None, "{failure:?}");
    }
}
