//! The client's next call, as a table, and its pauses.

use std::{collections::HashMap, io, sync::Arc};

use tonic_types::ErrorDetails;

use super::*;
use crate::cli::call::pb::{Accepted, Heartbeat};

fn seen(sequence: u64, state: MatchState) -> Seen {
    Seen { match_id: "m".to_owned(), sequence, state }
}

fn refusal(code: Code, reason: &str, retry: Option<Duration>) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, "facematch", HashMap::new());
    if retry.is_some() {
        details.set_retry_info(retry);
    }
    Status::with_error_details(code, "no", details)
}

fn met(status: u16) -> Status {
    let answer = http::Response::builder().status(status).header("retry-after", "3").body(());
    Foreign::of_answer(&answer.expect("a response")).expect("no gRPC").into_status()
}

fn pushed_back(text: &'static str) -> Status {
    let mut status = Status::unavailable("no");
    status.metadata_mut().insert(PUSHBACK, text.parse().expect("a value"));
    status
}

#[test]
fn a_server_can_ask_to_wait_in_three_ways() {
    let ms = Duration::from_millis;
    assert_eq!(
        requested_delay(&refusal(Code::Unavailable, "SERVER_DRAINING", Some(ms(5)))),
        Some(ms(5))
    );
    assert_eq!(requested_delay(&pushed_back("700")), Some(ms(700)));
    assert_eq!(requested_delay(&pushed_back("-1")), None);
    assert_eq!(requested_delay(&met(503)), Some(ms(3_000)));
}

#[test]
fn an_event_of_a_later_version_is_new_once() {
    let update = |sequence| MatchUpdate { sequence, ..Default::default() };
    let mut seen = Seen::up_to(2);
    assert!(seen.take(&update(3)));
    assert!(!seen.take(&update(3)));
}

#[test]
fn the_next_call_depends_on_the_last_update_and_the_error() {
    use CallOutcome::{Broken, MatchNotFound, Refused};
    use MatchState::{Accepted, Processing, Unspecified, Uploaded};
    use ResumeCall::{Run, Watch};
    let watch = |after| Watch { after };
    for (has_photo, call, (number, state), outcome, expected) in [
        // No update arrived: the match may never have been accepted.
        (true, Run, (0, Unspecified), Broken, NextMove::Call(Run)),
        // The photo may have been lost with its server.
        (true, Run, (1, Accepted), Broken, NextMove::Call(Run)),
        (true, Run, (2, Accepted), Broken, NextMove::Call(Run)),
        // The photo is at Oz: it isn't sent again.
        (true, Run, (2, Uploaded), Broken, NextMove::Call(watch(2))),
        (true, Run, (5, Processing), Broken, NextMove::Call(watch(5))),
        (true, watch(2), (3, Processing), Broken, NextMove::Call(watch(3))),
        // The server has lost the match, or it was erased.
        (true, watch(3), (3, Processing), MatchNotFound, NextMove::Call(Run)),
        (true, Run, (0, Unspecified), MatchNotFound, NextMove::Fail),
        (true, Run, (0, Unspecified), Refused, NextMove::Fail),
        (true, watch(3), (3, Processing), Refused, NextMove::Fail),
        // A watcher has no request to send.
        (false, watch(0), (0, Unspecified), Broken, NextMove::Call(watch(0))),
        (false, watch(0), (1, Accepted), Broken, NextMove::Call(watch(1))),
        (false, watch(4), (4, Processing), MatchNotFound, NextMove::Fail),
        (false, watch(4), (4, Processing), Refused, NextMove::Fail),
    ] {
        let next = next_call(has_photo, call, &seen(number, state), outcome);
        assert_eq!(next, expected, "{has_photo} {call:?} {number} {state:?} {outcome:?}");
    }
}

#[test]
fn an_error_is_an_outage_only_if_a_repeat_may_help() {
    let second = Some(Duration::from_secs(1));
    for (status, expected) in [
        (Status::unavailable("tcp connect error"), CallOutcome::Broken),
        (Status::unknown("transport error"), CallOutcome::Broken),
        (Status::internal("h2 protocol error"), CallOutcome::Broken),
        (Status::cancelled("operation was canceled"), CallOutcome::Broken),
        (Status::aborted("upstream reset"), CallOutcome::Broken),
        (Status::resource_exhausted("message too large"), CallOutcome::Refused),
        (Status::deadline_exceeded("too late"), CallOutcome::Refused),
        (met(404), CallOutcome::Refused),
        (met(413), CallOutcome::Refused),
        (met(503), CallOutcome::Broken),
        (Foreign::Tls.into_status(), CallOutcome::Refused),
        (pushed_back("700"), CallOutcome::Broken),
        (pushed_back("-1"), CallOutcome::Refused),
        (pushed_back("soon"), CallOutcome::Refused),
        (Status::unimplemented("no such service"), CallOutcome::Refused),
        (refusal(Code::Unavailable, "SERVER_DRAINING", second), CallOutcome::Broken),
        (refusal(Code::Unavailable, "STORE_UNAVAILABLE", None), CallOutcome::Broken),
        (refusal(Code::ResourceExhausted, "OVERLOADED", second), CallOutcome::Broken),
        (refusal(Code::ResourceExhausted, "OVERLOADED", None), CallOutcome::Refused),
        (refusal(Code::Internal, "INTERNAL", None), CallOutcome::Refused),
        (refusal(Code::InvalidArgument, "FIELD_INVALID", None), CallOutcome::Refused),
        (refusal(Code::AlreadyExists, "REQUEST_ID_REUSED", None), CallOutcome::Refused),
        (refusal(Code::OutOfRange, "WATCH_AHEAD", None), CallOutcome::Refused),
        (refusal(Code::NotFound, "MATCH_NOT_FOUND", None), CallOutcome::MatchNotFound),
    ] {
        assert_eq!(outcome_of(&status), expected, "{status:?}");
    }
}

#[test]
fn an_update_is_new_once() {
    let update = |match_id: &str, sequence, event| MatchUpdate {
        match_id: match_id.to_owned(),
        sequence,
        event: Some(event),
        ..Default::default()
    };
    let accepted = Event::Accepted(Accepted::default());
    let mut seen = Seen::up_to(0);
    assert!(seen.take(&update("a", 1, accepted.clone())));
    assert!(!seen.take(&update("a", 1, accepted.clone())));
    assert!(seen.take(&update("a", 1, Event::Heartbeat(Heartbeat::default()))));
    assert!(seen.take(&update("a", 2, accepted.clone())));
    assert!(seen.take(&update("b", 1, accepted)), "another match restarts the count");
}

#[test]
fn pauses_grow_to_a_limit_and_jitter_keeps_half() {
    let pace = Backoff::patient(Duration::from_secs(300));
    let ms = Duration::from_millis;
    assert_eq!(pace.pause(0, 0.0, None), ms(100));
    assert_eq!(pace.pause(0, 1.0, None), ms(200));
    assert_eq!(pace.pause(3, 0.5, None), ms(1_200));
    assert_eq!(pace.pause(40, 1.0, None), ms(10_000));
    assert_eq!(pace.pause(0, 0.0, Some(ms(3_000))), ms(3_000), "the server's delay is kept");
    assert_eq!(pace.pause(0, 1.0, Some(ms(3_000))), ms(4_500), "and jitter is added to it");
    assert_eq!(pace.pause(0, 0.0, Some(ms(9_000_000))), ASKED_MAX, "up to a limit");
}

#[test]
fn retries_stop_after_a_long_outage_and_restart_with_a_new_update() {
    let pace = Backoff::patient(Duration::from_secs(60));
    let at = Duration::from_secs;
    let mut outage = OngoingOutage::default();
    let first = |retry: Option<Retry>| retry.map(|retry| retry.first);
    assert_eq!(first(outage.retry(&pace, at(0), 0.5, None)), Some(true));
    assert_eq!(first(outage.retry(&pace, at(59), 0.5, None)), Some(false));
    assert_eq!(first(outage.retry(&pace, at(61), 0.5, None)), None);
    outage.note_progress();
    assert_eq!(first(outage.retry(&pace, at(62), 0.5, None)), Some(true));
}

#[test]
fn a_server_that_crashes_after_each_call_is_called_ever_less_often() {
    let pace = Backoff::patient(Duration::from_secs(60));
    let mut outage = OngoingOutage::default();
    let mut dies = |at: u64, after: u64| {
        outage.note_accepted(Duration::from_secs(at));
        outage.note_progress();
        outage.retry(&pace, Duration::from_secs(at + after), 1.0, None).expect("patience").pause
    };
    let pauses: Vec<_> = (0..8).map(|n| dies(n, 1).as_millis()).collect();
    assert_eq!(pauses, [200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
    assert_eq!(dies(100, 10).as_millis(), 200, "a call that lasted ends the outage");
}

#[test]
fn a_stream_is_dead_after_some_missed_heartbeats() {
    let seconds = Duration::from_secs;
    for (interval, silence) in
        [(None, 60), (Some(1), 15), (Some(20), 60), (Some(120), 360), (Some(u64::MAX), u64::MAX)]
    {
        assert!(silence_max(interval.map(seconds)) >= seconds(silence), "{interval:?}");
    }
    assert_eq!(silence_max(Some(seconds(20))), seconds(60));
    let interval = Some(prost_types::Duration { seconds: 7, nanos: 0 });
    let event = Some(Event::Heartbeat(Heartbeat { interval }));
    assert_eq!(heartbeat(&MatchUpdate { event, ..Default::default() }), Some(seconds(7)));
}

#[test]
fn a_few_errors_without_a_reason_end_the_retries() {
    let answer = || Status::unknown("Payload Too Large");
    let mut outage = OngoingOutage::default();
    assert_eq!((0..10).take_while(|_| outage.may_retry(&answer())).count(), 5);
    outage.note_progress();
    assert!(outage.may_retry(&answer()), "an update restarts the count");

    let mut broken = answer();
    broken.set_source(Arc::new(io::Error::other("reset")));
    let mut outage = OngoingOutage::default();
    assert!((0..10).all(|_| outage.may_retry(&broken)), "a broken connection isn't an answer");
    assert!((0..10).all(|_| outage.may_retry(&Status::unavailable("later"))));
}

#[test]
fn a_refused_call_has_no_effect_and_a_lost_answer_may_have() {
    let mut away = Status::unavailable("tcp connect error");
    away.set_source(Arc::new(ConnectError(io::Error::other("refused").into())));
    for (status, nothing) in [
        (refusal(Code::Unavailable, "SERVER_DRAINING", None), true),
        (refusal(Code::ResourceExhausted, "OVERLOADED", None), true),
        (refusal(Code::InvalidArgument, "FIELD_INVALID", None), true),
        (away, true),
        (met(413), true),
        (met(502), false),
        (refusal(Code::Unavailable, "STORE_UNAVAILABLE", None), false),
        (refusal(Code::Internal, "INTERNAL", None), false),
        (Status::unknown("h2 protocol error"), false),
    ] {
        assert_eq!(had_no_effect(&status), nothing, "{status:?}");
    }
}
