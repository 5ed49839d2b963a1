//! The client's next call, as a table, and its pauses.

use std::{collections::HashMap, io, sync::Arc};

use tonic_types::ErrorDetails;

use super::*;
use crate::cli::call::pb::{Accepted, Heartbeat};

fn refusal(code: Code, reason: &str, retry: Option<Duration>) -> Status {
    refusal_of("facematch", code, reason, retry)
}

fn refusal_of(domain: &str, code: Code, reason: &str, retry: Option<Duration>) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, domain, HashMap::new());
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
    assert_eq!(seen.take(&update(3)), News::New);
    assert_eq!(seen.take(&update(3)), News::Known);
}

#[test]
fn an_update_that_skips_others_is_a_gap_and_is_not_seen() {
    let update = |sequence| MatchUpdate { sequence, ..Default::default() };
    let mut seen = Seen::up_to(2);
    assert_eq!(seen.take(&update(4)), News::Gap(3));
    assert_eq!(seen.sequence, 2);
    assert_eq!(Seen::up_to(0).take(&update(2)), News::Gap(1));
}

#[test]
fn a_photo_is_sent_again_until_the_match_has_it_at_oz() {
    let after = |updates: &[(u64, &str)], from: u64| {
        let mut seen = Seen::up_to(from);
        for (sequence, photo) in updates {
            let found = Match { photo_media_id: (*photo).to_owned(), ..Default::default() };
            let update =
                MatchUpdate { sequence: *sequence, r#match: Some(found), ..Default::default() };
            assert_eq!(seen.take(&update), News::New);
        }
        seen
    };
    let watch = |after| ResumeCall::Watch { after };
    for (has_request, seen, expected) in [
        // No update arrived: the match may never have been accepted.
        (true, after(&[], 0), ResumeCall::Run),
        // The photo may have been lost with its server.
        (true, after(&[(1, "")], 0), ResumeCall::Run),
        (true, after(&[(1, ""), (2, "")], 0), ResumeCall::Run),
        // The photo is at Oz: it isn't sent again, whatever a later update says.
        (true, after(&[(1, ""), (2, "p")], 0), watch(2)),
        (true, after(&[(1, ""), (2, "p"), (3, "")], 0), watch(3)),
        // A watcher has no request to send.
        (false, after(&[], 4), watch(4)),
        (false, after(&[(1, "")], 0), watch(1)),
    ] {
        assert_eq!(next_call(has_request, &seen), expected, "{has_request} {seen:?}");
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
        (refusal(Code::NotFound, "MATCH_NOT_FOUND", None), CallOutcome::Refused),
        (refusal(Code::Unauthenticated, "CREDENTIAL_EXPIRED", None), CallOutcome::Refused),
        // A reason of a later version, and one of another service on the way.
        (refusal(Code::Unavailable, "MOON_FULL", None), CallOutcome::Broken),
        (refusal(Code::Internal, "MOON_FULL", None), CallOutcome::Refused),
        (refusal(Code::Aborted, "MOON_FULL", second), CallOutcome::Broken),
        (refusal_of("gateway.example", Code::Internal, "RESET", None), CallOutcome::Broken),
        (refusal_of("gateway.example", Code::NotFound, "NO_ROUTE", None), CallOutcome::Refused),
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
    let mut seen = Seen { photo_at_oz: true, ..Seen::up_to(0) };
    assert_eq!(seen.take(&update("a", 1, accepted.clone())), News::New);
    assert_eq!(seen.take(&update("a", 1, accepted.clone())), News::Known);
    assert_eq!(seen.take(&update("a", 1, Event::Heartbeat(Heartbeat::default()))), News::New);
    assert_eq!(seen.take(&update("a", 2, accepted.clone())), News::New);
    assert!(seen.photo_at_oz);
    assert_eq!(seen.take(&update("b", 1, accepted)), News::New, "another match: another count");
    assert!(!seen.photo_at_oz, "and another photo");
}

#[test]
fn pauses_are_drawn_from_a_growing_range() {
    let pace = Backoff::patient(None);
    let ms = Duration::from_millis;
    assert_eq!(pace.pause(0, 0.0, None), ms(0));
    assert_eq!(pace.pause(0, 1.0, None), ms(200));
    assert_eq!(pace.pause(3, 0.5, None), ms(800));
    assert_eq!(pace.pause(40, 1.0, None), ms(5_000));
    assert_eq!(pace.pause(0, 0.0, Some(ms(3_000))), ms(3_000), "the server's delay is kept");
    assert_eq!(pace.pause(9, 1.0, Some(ms(3_000))), ms(4_500), "and jitter is added to it");
    assert_eq!(pace.pause(0, 0.0, Some(ms(9_000_000))), ms(9_000_000), "however long it is");
    assert_eq!(pace.pause(0, 1.0, Some(Duration::MAX)), Duration::MAX);
    assert_eq!(pace.pause(0, 1.0, Some(ms(0))), ms(200), "no delay is none that was asked for");
}

#[test]
fn retries_stop_after_a_long_outage_and_restart_with_a_new_update() {
    let pace = Backoff::patient(Some(Duration::from_secs(60)));
    let at = Duration::from_secs;
    let mut outage = OngoingOutage::default();
    let attempt = |retry: Option<Retry>| retry.map(|retry| retry.attempt);
    assert_eq!(attempt(outage.retry(&pace, at(1_000), 0.5, None)), Some(1), "a quiet match");
    assert_eq!(attempt(outage.retry(&pace, at(1_059), 0.5, None)), Some(2));
    assert_eq!(attempt(outage.retry(&pace, at(1_061), 0.5, None)), None);
    outage.note_progress();
    assert_eq!(attempt(outage.retry(&pace, at(1_062), 0.5, None)), Some(1));
    let asked = Some(at(61));
    assert_eq!(attempt(outage.retry(&pace, at(1_062), 0.0, asked)), None, "it would be too late");

    let forever = Backoff::patient(None);
    let mut outage = OngoingOutage::default();
    let tries = (0..10_000).map(|n| outage.retry(&forever, at(n * 60), 0.5, None));
    assert!(tries.map(attempt).eq((1..=10_000).map(Some)));
    let few = Backoff { give_up_tries: Some(2), ..forever };
    let mut outage = OngoingOutage::default();
    let tries = [(); 3].map(|()| attempt(outage.retry(&few, at(0), 0.5, None)));
    assert_eq!(tries, [Some(1), Some(2), None]);
}

#[test]
fn a_stream_that_lasted_is_no_outage_and_one_without_news_is() {
    let pace = Backoff::patient(Some(Duration::from_secs(60)));
    let at = Duration::from_secs;
    let mut outage = OngoingOutage::default();
    // Each call has a message, which brings nothing new, and breaks some seconds after it.
    let mut breaks = |begun: u64, after: u64| {
        outage.note_call();
        outage.note_message(at(begun));
        outage.note_message(at(begun + after));
        outage.retry(&pace, at(begun + after), 1.0, None).map(|retry| retry.attempt)
    };
    let minutes: Vec<_> = (0..100).map(|n| breaks(n * 60, 59)).collect();
    assert!(minutes.iter().all(|attempt| *attempt == Some(1)), "{minutes:?}");
    // The last of them has begun an outage, at 5,999 s.
    let soon: Vec<_> = (0..7).map(|n| breaks(6_000 + n * 10, 4)).collect();
    assert_eq!(soon[..6], [2, 3, 4, 5, 6, 7].map(Some));
    assert_eq!(soon[6], None, "its time counts from the first break");
    // A call without a message doesn't inherit that of an earlier one.
    outage.note_call();
    assert_eq!(outage.retry(&pace, at(9_000), 1.0, None), None);
}

#[test]
fn a_stream_is_dead_after_some_missed_heartbeats() {
    let seconds = Duration::from_secs;
    let silence = Silence::DEFAULT;
    for (interval, longest) in
        [(None, 60), (Some(1), 15), (Some(20), 60), (Some(120), 360), (Some(u64::MAX), u64::MAX)]
    {
        let between = silence.between(interval.map(seconds));
        assert!(between >= seconds(longest), "{interval:?}");
        let watch = ResumeCall::Watch { after: 0 };
        assert_eq!(silence.before(watch, interval.map(seconds)), between, "{interval:?}");
    }
    assert_eq!(silence.between(Some(seconds(20))), seconds(60));
    // A photo may be on its way, for as long as a server waits for it and longer.
    assert_eq!(silence.before(ResumeCall::Run, Some(seconds(1))), seconds(90));
    assert_eq!(silence.before(ResumeCall::Run, Some(seconds(120))), seconds(360));
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
        (refusal(Code::ResourceExhausted, "QUOTA_EXCEEDED", Some(Duration::from_secs(1))), true),
        (refusal(Code::Unavailable, "AUDIT_UNAVAILABLE", Some(Duration::from_secs(1))), true),
        (refusal(Code::InvalidArgument, "FIELD_INVALID", None), true),
        (away, true),
        (met(413), true),
        (met(502), false),
        (refusal(Code::Unavailable, "STORE_UNAVAILABLE", None), false),
        (refusal(Code::DeadlineExceeded, "CALL_TIMED_OUT", None), false),
        (refusal(Code::Internal, "INTERNAL", None), false),
        (Status::unknown("h2 protocol error"), false),
    ] {
        assert_eq!(had_no_effect(&status), nothing, "{status:?}");
    }
}
