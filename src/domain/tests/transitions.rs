//! Every cell of the transition table, and the other conditions for an event to follow.

use std::{sync::Arc, time::Duration};

use crate::domain::{
    Cause, Event, Match, MatchError, MatchId, MatchResult, OzStatus, Reason, Recorded, Resolution,
    Spec, State, apply,
    event::{
        AnalysisStarted, AttemptFailed, Cancelled, Failed, Finished, LivenessResult, Metadata,
        PhotoUploaded,
    },
    state::fold,
    tests::{
        oz::{analysis_id, media_id, seconds},
        scene::{Scene, recorded, spec},
    },
};

const KEEP: Duration = Duration::from_secs(100);

/// One of each kind of event, in the order of their declaration.
fn every_event() -> [Event; 7] {
    let result = MatchResult {
        resolution: Resolution::Success,
        min_confidence: 0.9,
        max_confidence: None,
        liveness: None,
    };
    [
        Event::Accepted(Arc::new(spec())),
        Event::PhotoUploaded(PhotoUploaded {
            photo_media_id: media_id("p"),
            liveness_media: vec![media_id("v")],
            liveness: None,
            earlier_analyses: vec![analysis_id("b0")],
            adopted: false,
        }),
        Event::AnalysisStarted(AnalysisStarted {
            analysis_id: analysis_id("b"),
            liveness_analysis_id: Some(analysis_id("q")),
            adopted: false,
            oz: Some(words("PROCESSING")),
        }),
        Event::AttemptFailed(AttemptFailed {
            cause: Cause::OzTimeout,
            message: "slow".into(),
            next_attempt: seconds(99),
            metadata: Metadata::new(),
            oz: None,
        }),
        Event::Finished(Finished { result, oz: Some(words("FINISHED")), keep: KEEP }),
        Event::Failed(Failed {
            error: MatchError::new(Reason::OzProtocol, "no"),
            oz: None,
            keep: KEEP,
        }),
        Event::Cancelled(Cancelled { keep: KEEP }),
    ]
}

fn words(state: &str) -> OzStatus {
    OzStatus { state: state.into(), ..OzStatus::default() }
}

/// The shortest journal that leads to a state, with one event a second.
fn journal(state: State) -> Vec<Recorded> {
    let [accepted, uploaded, started, _, finished, failed, cancelled] = every_event();
    let events = match state {
        State::Accepted => vec![accepted],
        State::Uploaded => vec![accepted, uploaded],
        State::Processing => vec![accepted, uploaded, started],
        State::Finished => vec![accepted, uploaded, started, finished],
        State::Failed => vec![accepted, failed],
        State::Cancelled => vec![accepted, cancelled],
        State::Unknown => unreachable!("no event of this version leads there"),
    };
    let numbered = (1..).zip((1..).zip(events));
    numbered.map(|(second, (n, event))| recorded(n, seconds(second), event)).collect()
}

fn at(state: State) -> Match {
    fold(&journal(state)).unwrap().unwrap()
}

/// The state that follows `state` by `event`.
fn after(state: State, event: Event) -> Option<State> {
    let m = at(state);
    let next = recorded(m.sequence.next().0, seconds(10), event);
    apply(Some(m), &next).ok().map(|m| m.state)
}

#[test]
fn each_event_follows_where_the_table_says_and_nowhere_else() {
    use State::{Accepted as A, Cancelled as C, Failed as X, Finished as F};
    use State::{Processing as P, Uploaded as U};
    // accepted, photo_uploaded, analysis_started, attempt_failed, finished, failed, cancelled
    let table = [
        (A, [None, Some(U), None, Some(A), None, Some(X), Some(C)]),
        (U, [None, None, Some(P), Some(U), None, Some(X), Some(C)]),
        (P, [None, None, None, Some(P), Some(F), Some(X), Some(C)]),
        (F, [None; 7]),
        (X, [None; 7]),
        (C, [None; 7]),
    ];
    assert_eq!(table.map(|(state, _)| state), State::ALL);
    for (state, row) in table {
        assert_eq!(every_event().map(|event| after(state, event)), row, "{state:?}");
    }
}

#[test]
fn a_match_begins_only_with_its_acceptance() {
    for event in every_event() {
        let begins = |sequence| apply(None, &recorded(sequence, seconds(1), event.clone())).is_ok();
        assert_eq!([0, 1, 2].map(begins), [false, event.name() == "accepted", false]);
    }
}

#[test]
fn an_illegal_event_names_itself_and_the_state() {
    let [.., finished, _, _] = every_event();
    let next = recorded(3, seconds(9), finished);
    let illegal = apply(Some(at(State::Uploaded)), &next).unwrap_err();
    assert_eq!(illegal.to_string(), "event 3 (finished) can't follow a match that is uploaded");
    let illegal = apply(None, &next).unwrap_err();
    assert_eq!(illegal.to_string(), "event 3 (finished) can't follow a match that is absent");
}

#[test]
fn a_gap_a_repeat_another_match_and_time_going_back_are_refused() {
    let other: MatchId = "01890a5d-ac96-774b-bcce-b302099a8058".parse().unwrap();
    let [_, uploaded, ..] = every_event();
    let next = recorded(2, seconds(5), uploaded.clone());
    let m = at(State::Accepted);
    let check = |recorded: &Recorded| apply(Some(m.clone()), recorded).is_ok();
    assert!(check(&next));
    assert!(check(&Recorded { time: m.update_time, ..next.clone() }));
    assert!(!check(&recorded(1, seconds(5), uploaded.clone())));
    assert!(!check(&recorded(3, seconds(5), uploaded)));
    assert!(!check(&Recorded { match_id: other, ..next.clone() }));
    assert!(!check(&Recorded { time: seconds(0), ..next }));
}

#[test]
fn an_event_changes_only_its_own_fields() {
    let [_, _, _, trouble, _, failed, _] = every_event();
    let m = at(State::Processing);
    assert_eq!(m.photo_media_id, Some(media_id("p")));
    assert_eq!(m.earlier_analyses, [analysis_id("b0")]);
    assert_eq!(m.analysis_id, Some(analysis_id("b")));
    assert_eq!(m.liveness_analysis_id, Some(analysis_id("q")));
    assert_eq!((m.create_time, m.update_time), (seconds(1), seconds(3)));
    assert_eq!((m.end_time, m.expire_time), (None, None));

    let troubled = apply(Some(m), &recorded(4, seconds(4), trouble)).unwrap();
    assert_eq!(troubled.trouble.as_ref().map(|told| told.cause), Some(Cause::OzTimeout));
    assert_eq!(troubled.troubles, 1);
    assert_eq!(troubled.oz, Some(words("PROCESSING")), "a known status is kept");

    let ended = apply(Some(troubled), &recorded(5, seconds(5), failed)).unwrap();
    assert_eq!((ended.trouble, ended.troubles), (None, 1));
    assert_eq!((ended.end_time, ended.expire_time), (Some(seconds(5)), Some(seconds(105))));
    assert_eq!(ended.result, None);
    assert_eq!(ended.error.map(|error| error.reason), Some(Reason::OzProtocol));
}

#[test]
fn trouble_dates_from_the_first_event_in_a_row() {
    let [_, uploaded, _, trouble, ..] = every_event();
    let Event::AttemptFailed(first) = trouble else { panic!("{trouble:?}") };
    let other =
        AttemptFailed { cause: Cause::OzServerError, next_attempt: seconds(9), ..first.clone() };
    let m = apply(
        Some(at(State::Accepted)),
        &recorded(2, seconds(5), Event::AttemptFailed(first.clone())),
    );
    let m = apply(Some(m.unwrap()), &recorded(3, seconds(7), Event::AttemptFailed(other.clone())));
    let told = m.clone().unwrap().trouble.unwrap();
    assert_eq!((told.cause, told.since), (Cause::OzServerError, seconds(5)));
    assert_eq!(
        (told.next_attempt, told.message, told.metadata),
        (seconds(9), other.message.clone(), other.metadata.clone())
    );

    let m = apply(Some(m.unwrap()), &recorded(4, seconds(8), uploaded)).unwrap();
    assert_eq!(m.trouble, None, "progress ends the trouble");
    let m = apply(Some(m), &recorded(5, seconds(9), Event::AttemptFailed(other))).unwrap();
    assert_eq!(m.trouble.map(|told| told.since), Some(seconds(9)), "a new trouble has begun");
}

#[test]
fn the_media_compared_with_come_from_the_request_or_the_folder() {
    let [accepted, uploaded, ..] = every_event();
    let Event::Accepted(spec) = &accepted else { panic!("{accepted:?}") };
    let unnamed = Spec { liveness_media: vec![], ..(**spec).clone() };
    let named = Spec { liveness_media: vec![media_id("v")], ..(**spec).clone() };
    for (spec, at_first) in [(unnamed, vec![]), (named, vec![media_id("v")])] {
        let m = apply(None, &recorded(1, seconds(1), Event::Accepted(Arc::new(spec)))).unwrap();
        assert_eq!(m.compared_with(), at_first);
        let m = apply(Some(m), &recorded(2, seconds(2), uploaded.clone())).unwrap();
        assert_eq!(m.compared_with(), m.liveness_media);
        assert!(!m.liveness_media.is_empty());
    }
}

#[test]
fn the_liveness_analysis_is_the_started_one_or_else_the_one_read() {
    let read = LivenessResult {
        resolution: None,
        confidence_spoofing: None,
        analysis_id: analysis_id("read"),
    };
    let m = Match { liveness: Some(read), ..at(State::Uploaded) };
    assert_eq!(m.quality_analysis(), Some(&analysis_id("read")));
    assert_eq!(at(State::Uploaded).quality_analysis(), None);
    assert_eq!(at(State::Processing).quality_analysis(), Some(&analysis_id("q")));
}

#[test]
fn a_verdict_is_kept_with_ozs_status() {
    let m = at(State::Finished);
    assert_eq!(m.result.map(|result| result.resolution), Some(Resolution::Success));
    assert_eq!((m.oz, m.error), (Some(words("FINISHED")), None));
}

#[test]
fn a_match_is_safe_once_only_oz_and_the_journal_are_needed() {
    let safe = State::ALL.map(|state| at(state).is_safe());
    assert_eq!(safe, [false, true, true, true, true, true]);
    assert!(Scene::naming_a_medium().m.is_safe(), "no photo was sent");
}

#[test]
fn a_match_has_ended_in_the_last_three_states() {
    let ended = State::ALL.map(State::has_ended);
    assert_eq!(ended, [false, false, false, true, true, true]);
}

#[test]
fn any_prefix_of_a_journal_replays_and_no_other_part() {
    for state in State::ALL {
        let journal = journal(state);
        for length in 1..=journal.len() {
            let m = fold(&journal[..length]).unwrap().unwrap();
            assert_eq!(m.sequence, journal[length - 1].sequence);
            assert!(length == journal.len() || fold(&journal[length..]).is_err());
        }
    }
    assert_eq!(fold(&[]), Ok(None));
}
