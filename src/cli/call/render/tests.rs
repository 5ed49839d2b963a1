//! The exact text and JSON of each kind of update.

use prost_types::{Duration, Timestamp};

use super::{json, text};
use crate::cli::call::{
    pb::{
        Accepted, AnalysisStarted, AttemptFailed, Cancelled, DeleteMatchResponse, Failed, Finished,
        Heartbeat, LivenessPolicy, LivenessResult, Match, MatchError, MatchResult, MatchState,
        MatchUpdate, OzStatus, PhotoKind, PhotoUploaded, Progress, Resolution, Trouble,
        delete_match_request::Id, match_update::Event,
    },
    unary::Erased,
};

fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds: 1_800_000_000 + seconds, nanos: 250_000_000 })
}

fn update(state: MatchState, event: Event) -> MatchUpdate {
    MatchUpdate {
        match_id: "m".to_owned(),
        sequence: 3,
        time: at(0),
        r#match: Some(Match {
            match_id: "m".to_owned(),
            folder_id: "f".to_owned(),
            state: state.into(),
            sequence: 3,
            ..Default::default()
        }),
        resume_token: "t".to_owned(),
        event: Some(event),
    }
}

#[track_caller]
fn check(update: &MatchUpdate, line: &str, event: &str) {
    let state = update.r#match.as_ref().expect("a snapshot").state();
    let word = state.as_str_name().trim_start_matches("MATCH_STATE_");
    assert_eq!(text::update(update), format!("2027-01-15T08:00:00.250Z  {word:<10}  {line}"));
    let snapshot =
        format!(r#"{{"match_id":"m","folder_id":"f","state":"MATCH_STATE_{word}","sequence":3}}"#);
    let expected = format!(
        r#"{{"match_id":"m","sequence":3,"time":"2027-01-15T08:00:00.250Z","match":{snapshot},"resume_token":"t",{event}}}"#
    );
    assert_eq!(json::update(update), expected);
}

fn result() -> MatchResult {
    MatchResult {
        resolution: Resolution::Success.into(),
        min_confidence: Some(0.875),
        max_confidence: Some(1.0),
        liveness: Some(LivenessResult {
            resolution: Resolution::Success.into(),
            confidence_spoofing: Some(0.0),
            analysis_id: "q".to_owned(),
        }),
    }
}

fn error() -> MatchError {
    MatchError {
        code: 4,
        reason: "MATCH_TIMED_OUT".to_owned(),
        message: "the deadline passed".to_owned(),
        retryable: true,
        metadata: [("oz.http_status".to_owned(), "503".to_owned())].into(),
    }
}

#[test]
fn the_updates_before_the_verdict() {
    check(
        &update(MatchState::Accepted, Event::Accepted(Accepted { deadline: at(1_200) })),
        "match m, until 2027-01-15T08:20:00.250Z at most",
        r#""accepted":{"deadline":"2027-01-15T08:20:00.250Z"}"#,
    );
    let liveness_media_ids = vec!["v".to_owned(), "w".to_owned()];
    let event = PhotoUploaded { photo_media_id: "p".to_owned(), liveness_media_ids };
    check(
        &update(MatchState::Uploaded, Event::PhotoUploaded(event)),
        "photo p, compared with v, w",
        r#""photo_uploaded":{"photo_media_id":"p","liveness_media_ids":["v","w"]}"#,
    );
    let event = AnalysisStarted { analysis_id: "a".to_owned(), ..Default::default() };
    check(
        &update(MatchState::Processing, Event::AnalysisStarted(event)),
        "analysis a",
        r#""analysis_started":{"analysis_id":"a"}"#,
    );
}

#[test]
fn trouble_progress_and_heartbeats() {
    let event = AttemptFailed {
        cause: "OZ_UNREACHABLE".to_owned(),
        message: "connection refused".to_owned(),
        next_attempt_time: at(2),
        metadata: [("oz.http_status".to_owned(), "502".to_owned())].into(),
    };
    check(
        &update(MatchState::Processing, Event::AttemptFailed(event)),
        "trouble at Oz, OZ_UNREACHABLE: connection refused [oz.http_status: 502]; next try at \
         2027-01-15T08:00:02.250Z",
        r#""attempt_failed":{"cause":"OZ_UNREACHABLE","message":"connection refused","next_attempt_time":"2027-01-15T08:00:02.250Z","metadata":{"oz.http_status":"502"}}"#,
    );
    let elapsed = Some(Duration { seconds: 12, nanos: 500_000_000 });
    let event = Progress { bytes_sent: 5, bytes_total: 9, polls: 0, failed_attempts: 2, elapsed };
    check(
        &update(MatchState::Accepted, Event::Progress(event)),
        "5 of 9 bytes sent, 0 polls, 2 failed tries, 12 s",
        r#""progress":{"bytes_sent":5,"bytes_total":9,"polls":0,"failed_attempts":2,"elapsed":"12.500s"}"#,
    );
    check(
        &update(MatchState::Processing, Event::Heartbeat(heartbeat())),
        "nothing new",
        r#""heartbeat":{"interval":"20s"}"#,
    );
}

#[test]
fn one_poll_is_singular_and_the_live_line_shows_no_elapsed_time() {
    let elapsed = Some(Duration { seconds: 3, nanos: 0 });
    let event = Progress { polls: 1, failed_attempts: 1, elapsed, ..Default::default() };
    let update = update(MatchState::Processing, Event::Progress(event));
    assert!(text::update(&update).ends_with("  1 poll, 1 failed try, 3 s"));
    assert_eq!(text::live(&update), "PROCESSING  1 poll, 1 failed try");
    assert_eq!(text::age(&update), Some(std::time::Duration::from_secs(3)));
}

#[test]
fn the_variable_parts_of_an_error_are_sorted_and_cut() {
    let mut failed = whole();
    let metadata = [
        ("oz.error_message", "é".repeat(200)),
        ("cause", "OZ_TIMEOUT".to_owned()),
        ("said", "the deadline passed".to_owned()),
    ];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value)).into();
    (failed.result, failed.error) = (None, Some(MatchError { metadata, ..error() }));
    let ending = format!(
        "MATCH_TIMED_OUT: the deadline passed; a new match may succeed [cause: OZ_TIMEOUT, \
         oz.error_message: {}…]\n",
        "é".repeat(160)
    );
    assert!(text::snapshot(&failed).contains(&ending), "{}", text::snapshot(&failed));
    assert!(text::row(&failed).ends_with("a new match may succeed"), "a row is short");
}

#[test]
fn the_last_updates_of_a_match() {
    check(
        &update(MatchState::Finished, Event::Finished(Finished { result: Some(result()) })),
        "SUCCESS, similarity 0.875 to 1; liveness SUCCESS, spoofing 0",
        r#""finished":{"result":{"resolution":"RESOLUTION_SUCCESS","min_confidence":0.875,"max_confidence":1.0,"liveness":{"resolution":"RESOLUTION_SUCCESS","confidence_spoofing":0.0,"analysis_id":"q"}}}"#,
    );
    check(
        &update(MatchState::Failed, Event::Failed(Failed { error: Some(error()) })),
        "MATCH_TIMED_OUT: the deadline passed; a new match may succeed [oz.http_status: 503]",
        r#""failed":{"error":{"code":4,"reason":"MATCH_TIMED_OUT","message":"the deadline passed","retryable":true,"metadata":{"oz.http_status":"503"}}}"#,
    );
    check(
        &update(MatchState::Cancelled, Event::Cancelled(Cancelled {})),
        "no verdict; nothing more is sent to Oz",
        r#""cancelled":{}"#,
    );
}

#[test]
fn a_heartbeat_of_all_matches_has_no_match() {
    let heartbeat = MatchUpdate {
        time: at(0),
        resume_token: "t".to_owned(),
        event: Some(Event::Heartbeat(heartbeat())),
        ..Default::default()
    };
    assert_eq!(
        json::update(&heartbeat),
        r#"{"sequence":0,"time":"2027-01-15T08:00:00.250Z","resume_token":"t","heartbeat":{"interval":"20s"}}"#
    );
    assert_eq!(text::update_of_many(&heartbeat), "2027-01-15T08:00:00.250Z  nothing new");
}

fn heartbeat() -> Heartbeat {
    Heartbeat { interval: Some(Duration { seconds: 20, nanos: 0 }) }
}

fn whole() -> Match {
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    Match {
        match_id: "m".to_owned(),
        request_id: "r".to_owned(),
        folder_id: "f".to_owned(),
        state: MatchState::Finished.into(),
        sequence: 4,
        photo_media_id: "p".to_owned(),
        analysis_id: "a".to_owned(),
        result: Some(result()),
        error: None,
        labels: [label("b", "2"), label("a", "1")].into(),
        create_time: at(0),
        update_time: at(4),
        end_time: at(4),
        expire_time: at(86_404),
        oz: Some(OzStatus {
            state: "FINISHED".to_owned(),
            resolution: "SUCCESS".to_owned(),
            resolution_status: String::new(),
            polls: 3,
            last_poll_time: at(4),
        }),
        deadline: None,
        trouble: None,
        liveness_policy: LivenessPolicy::Require.into(),
        photo_kind: PhotoKind::IdFront.into(),
        liveness_media_ids: vec!["v".to_owned(), "w".to_owned()],
        liveness_analysis_id: "q".to_owned(),
    }
}

fn troubled() -> Match {
    Match {
        state: MatchState::Uploaded.into(),
        deadline: at(1_200),
        trouble: Some(Trouble {
            cause: "OZ_SERVER_ERROR".to_owned(),
            message: "Oz has a fault".to_owned(),
            since: at(2),
            next_attempt_time: at(3),
            metadata: [("oz.http_status".to_owned(), "502".to_owned())].into(),
        }),
        result: None,
        end_time: None,
        expire_time: None,
        oz: None,
        ..whole()
    }
}

#[test]
fn a_match_with_all_its_fields() {
    assert_eq!(
        text::snapshot(&whole()),
        "\
match       m
request id  r
folder      f
state       FINISHED, update 4
ending      SUCCESS, similarity 0.875 to 1; liveness SUCCESS, spoofing 0
photo       p, ID_FRONT
compared    v, w
analysis    a
liveness    REQUIRE, analysis q
labels      a=1, b=2
created     2027-01-15T08:00:00.250Z
updated     2027-01-15T08:00:04.250Z
ended       2027-01-15T08:00:04.250Z
erased at   2027-01-16T08:00:04.250Z
Oz says     state FINISHED, resolution SUCCESS, 3 polls"
    );
    assert_eq!(
        text::row(&whole()),
        "m  FINISHED    2027-01-15T08:00:00.250Z  f  SUCCESS, similarity 0.875 to 1; liveness \
         SUCCESS, spoofing 0"
    );
    let json: serde_json::Value = serde_json::from_str(&json::snapshot(&whole())).expect("JSON");
    assert_eq!(json["labels"], serde_json::json!({"a": "1", "b": "2"}));
    assert_eq!(json["expire_time"], "2027-01-16T08:00:04.250Z");
    assert_eq!(json["oz"]["polls"], 3);
    assert_eq!(json["liveness_policy"], "LIVENESS_POLICY_REQUIRE");
    assert_eq!(json["photo_kind"], "PHOTO_KIND_ID_FRONT");
    assert_eq!(json["liveness_media_ids"], serde_json::json!(["v", "w"]));
    assert_eq!(json["liveness_analysis_id"], "q");
}

#[test]
fn a_match_in_trouble_shows_it_and_its_deadline() {
    let text = text::snapshot(&troubled());
    let trouble = "\
trouble     OZ_SERVER_ERROR: Oz has a fault [oz.http_status: 502]
since       2027-01-15T08:00:02.250Z
next try    at 2027-01-15T08:00:03.250Z or later
";
    assert!(text.contains(trouble), "{text}");
    let row = text::row(&troubled());
    assert!(row.ends_with("  trouble at Oz, OZ_SERVER_ERROR"), "{row}");
    assert!(text.contains("\nuntil       2027-01-15T08:20:00.250Z"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&json::snapshot(&troubled())).expect("JSON");
    assert_eq!(json["deadline"], "2027-01-15T08:20:00.250Z");
    assert_eq!(
        json["trouble"],
        serde_json::json!({
            "cause": "OZ_SERVER_ERROR",
            "message": "Oz has a fault",
            "since": "2027-01-15T08:00:02.250Z",
            "next_attempt_time": "2027-01-15T08:00:03.250Z",
            "metadata": {"oz.http_status": "502"},
        })
    );
}

#[test]
fn a_deletion_shows_the_photo_that_stays_at_oz() {
    let erased = |photo: &str| {
        Erased::Confirmed(DeleteMatchResponse {
            match_id: "m".to_owned(),
            delete_time: at(0),
            photo_media_id: photo.to_owned(),
        })
    };
    assert_eq!(
        text::erased(&erased("p")),
        "2027-01-15T08:00:00.250Z  match m is erased; its photo stays at Oz: p"
    );
    assert_eq!(
        text::erased(&erased("")),
        "2027-01-15T08:00:00.250Z  match m is erased; it had no photo at Oz"
    );
    assert_eq!(
        json::erased(&erased("p")),
        r#"{"match_id":"m","delete_time":"2027-01-15T08:00:00.250Z","photo_media_id":"p"}"#
    );
}

#[test]
fn a_deletion_whose_answer_was_lost_names_the_match_and_no_photo() {
    let by_match = Erased::Unconfirmed(Some(Id::MatchId("m".to_owned())));
    let by_request = Erased::Unconfirmed(Some(Id::RequestId("r".to_owned())));
    let lost = "is erased; the answer that named its photo at Oz was lost";
    assert_eq!(text::erased(&by_match), format!("match m {lost}"));
    assert_eq!(text::erased(&by_request), format!("the match with the request id r {lost}"));
    assert_eq!(json::erased(&by_match), r#"{"match_id":"m","already_gone":true}"#);
    assert_eq!(json::erased(&by_request), r#"{"request_id":"r","already_gone":true}"#);
}

#[test]
fn an_unknown_enum_value_is_shown_as_its_number_and_never_as_success() {
    let mut later = whole();
    later.state = 77;
    later.result = Some(MatchResult { resolution: 88, ..Default::default() });
    let json: serde_json::Value = serde_json::from_str(&json::snapshot(&later)).expect("JSON");
    assert_eq!((&json["state"], &json["result"]["resolution"]), (&"77".into(), &"88".into()));
    assert!(text::snapshot(&later).contains("ending      UNSPECIFIED\n"));
}

#[test]
fn a_server_cannot_send_escape_sequences_to_the_terminal() {
    let mut whole = whole();
    whole.request_id = "\u{1b}]0;x\u{7}".to_owned();
    assert!(text::snapshot(&whole).contains("request id  \u{fffd}]0;x\u{fffd}\n"));
}
