//! The stored form of events, to the letter: if it changed by accident, old journals could not be
//! read any more.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};

use crate::domain::{
    Cause, CreatorTrace, Digest, Event, KeyForm, LivenessPolicy, LivenessResult, MatchError,
    MatchResult, OzStatus, PhotoSource, Reason, ReferenceKey, Resolution, Spec, Timeout,
    TraceContext, TraceState,
    event::{AnalysisStarted, AttemptFailed, Cancelled, Failed, Finished, Metadata, PhotoUploaded},
    photo::{Format, PhotoKind},
    state::fold,
    tests::{
        oz::{analysis_id, media_id, seconds},
        scene::{recorded, spec},
    },
};

/// Checks that the value is stored as this JSON, and that this JSON is read as the value.
#[track_caller]
fn check<T: Serialize + DeserializeOwned + PartialEq + fmt::Debug>(value: &T, json: &str) {
    assert_eq!(serde_json::to_string(value).unwrap(), json);
    assert_eq!(&serde_json::from_str::<T>(json).unwrap(), value);
}

const DIGEST: &str = "0707070707070707070707070707070707070707070707070707070707070707";

fn liveness(resolution: Option<Resolution>) -> LivenessResult {
    LivenessResult { resolution, confidence_spoofing: Some(0.25), analysis_id: analysis_id("q") }
}

#[test]
fn a_plain_acceptance_is_stored_like_this() {
    let json = [
        r#"{"accepted":{"caller":"default","folder_id":"7e782ba3-94fa-4b34-94a0-c1e2f8c3b5b1","#,
        r#""photo":{"content":{"digest":""#,
        DIGEST,
        r#"","format":"jpeg"}},"kind":"selfie","timeout":{"micros":1200000000,"named":false},"#,
        r#""liveness_policy":"report"}}"#,
    ];
    check(&Event::Accepted(Arc::new(spec())), &json.concat());
}

#[test]
fn an_acceptance_with_all_fields_is_stored_like_this() {
    let spec = Spec {
        request_id: Some("order 17/a".parse().unwrap()),
        photo: PhotoSource::FolderMedia(media_id("p")),
        kind: PhotoKind::IdFront,
        timeout: Timeout { duration: Duration::from_micros(1_500_000), named: true },
        liveness_media: vec![media_id("v"), media_id("w")],
        liveness_policy: LivenessPolicy::Run,
        labels: BTreeMap::from([("branch".into(), "north".into())]),
        trace: Some(TraceContext::new([0x1a; 16], [0xb2; 8], true).into()),
        ..spec()
    };
    let json = [
        r#"{"accepted":{"caller":"default","request_id":"order 17/a","#,
        r#""folder_id":"7e782ba3-94fa-4b34-94a0-c1e2f8c3b5b1","photo":{"folder_media":"p"},"#,
        r#""kind":"id_front","timeout":{"micros":1500000,"named":true},"#,
        r#""liveness_media":["v","w"],"liveness_policy":"run","labels":{"branch":"north"},"#,
        r#""trace":"00-1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a-b2b2b2b2b2b2b2b2-01"}}"#,
    ];
    check(&Event::Accepted(Arc::new(spec)), &json.concat());
}

#[test]
fn an_acceptance_by_key_is_stored_like_this() {
    let key = ReferenceKey::parse("people/17.jpg", KeyForm::Path).unwrap();
    let spec = Spec { photo: PhotoSource::Library(key), ..spec() };
    let json = [
        r#"{"accepted":{"caller":"default","folder_id":"7e782ba3-94fa-4b34-94a0-c1e2f8c3b5b1","#,
        r#""photo":{"library":"people/17.jpg"},"kind":"selfie","#,
        r#""timeout":{"micros":1200000000,"named":false},"liveness_policy":"report"}}"#,
    ];
    check(&Event::Accepted(Arc::new(spec)), &json.concat());
}

#[test]
fn a_trace_is_stored_without_its_state_and_dropped_if_it_is_none() {
    let accepted = |trace: &str| {
        let event = Event::Accepted(Arc::new(spec()));
        let json = serde_json::to_string(&event).unwrap();
        let json = json.replace("}}", &format!(r#","trace":{trace}}}}}"#));
        let Event::Accepted(spec) = read(&json) else { panic!("{json}") };
        spec.trace.clone()
    };
    let text = "00-1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a-b2b2b2b2b2b2b2b2-01";
    let context = TraceContext::new([0x1a; 16], [0xb2; 8], true);
    assert_eq!(accepted(&format!("{text:?}")), Some(context.into()));
    for odd in ["null", "7", "{\"of\":1}", "[1]", "\"\"", "\"00-1a-b2-01\""] {
        assert_eq!(accepted(odd), None, "{odd}");
    }
    let trace = CreatorTrace { context, state: TraceState::parse("vendor=1") };
    assert_eq!(serde_json::to_string(&trace).unwrap(), format!("{text:?}"));
}

#[test]
fn an_uploaded_photo_is_stored_like_this() {
    let bare = PhotoUploaded {
        photo_media_id: media_id("p"),
        liveness_media: vec![media_id("v")],
        liveness: None,
        earlier_analyses: vec![],
        adopted: false,
    };
    let json = r#"{"photo_uploaded":{"photo_media_id":"p","liveness_media":["v"]}}"#;
    check(&Event::PhotoUploaded(bare.clone()), json);
    let full = PhotoUploaded {
        liveness: Some(liveness(Some(Resolution::Declined))),
        earlier_analyses: vec![analysis_id("b0")],
        adopted: true,
        ..bare
    };
    let json = [
        r#"{"photo_uploaded":{"photo_media_id":"p","liveness_media":["v"],"#,
        r#""liveness":{"resolution":"DECLINED","confidence_spoofing":0.25,"analysis_id":"q"},"#,
        r#""earlier_analyses":["b0"],"adopted":true}}"#,
    ];
    check(&Event::PhotoUploaded(full), &json.concat());
}

#[test]
fn a_started_analysis_is_stored_like_this() {
    let bare = AnalysisStarted {
        analysis_id: analysis_id("b"),
        liveness_analysis_id: None,
        adopted: false,
        oz: None,
    };
    check(&Event::AnalysisStarted(bare), r#"{"analysis_started":{"analysis_id":"b"}}"#);
    let full = AnalysisStarted {
        analysis_id: analysis_id("b"),
        liveness_analysis_id: Some(analysis_id("q")),
        adopted: true,
        oz: Some(OzStatus { state: "PROCESSING".into(), ..OzStatus::default() }),
    };
    let json = [
        r#"{"analysis_started":{"analysis_id":"b","liveness_analysis_id":"q","adopted":true,"#,
        r#""oz":{"state":"PROCESSING","resolution":"","resolution_status":"","polls":0}}}"#,
    ];
    check(&Event::AnalysisStarted(full), &json.concat());
}

#[test]
fn a_failed_attempt_is_stored_like_this() {
    let fact = AttemptFailed {
        cause: Cause::OzRateLimited,
        message: "slow down".into(),
        next_attempt: seconds(4),
        metadata: Metadata::from([("oz.http_status".into(), "429".into())]),
        oz: None,
    };
    let json = [
        r#"{"attempt_failed":{"cause":"OZ_RATE_LIMITED","message":"slow down","#,
        r#""next_attempt":4000000,"metadata":{"oz.http_status":"429"}}}"#,
    ];
    check(&Event::AttemptFailed(fact), &json.concat());
}

#[test]
fn a_verdict_is_stored_like_this() {
    let result = MatchResult {
        resolution: Resolution::OperatorRequired,
        min_confidence: 0.5,
        max_confidence: Some(0.75),
        liveness: Some(liveness(None)),
    };
    let words = OzStatus {
        state: "FINISHED".into(),
        resolution: "SUCCESS".into(),
        resolution_status: String::new(),
        polls: 3,
        last_poll: Some(seconds(9)),
    };
    let fact = Finished { result, oz: Some(words), keep: Duration::from_secs(1) };
    let json = [
        r#"{"finished":{"result":{"resolution":"OPERATOR_REQUIRED","min_confidence":0.5,"#,
        r#""max_confidence":0.75,"liveness":{"resolution":null,"confidence_spoofing":0.25,"#,
        r#""analysis_id":"q"}},"oz":{"state":"FINISHED","resolution":"SUCCESS","#,
        r#""resolution_status":"","polls":3,"last_poll":9000000},"keep_micros":1000000}}"#,
    ];
    check(&Event::Finished(fact), &json.concat());
}

#[test]
fn a_failure_is_stored_like_this() {
    let error = MatchError::new(Reason::PhotoLost, "gone");
    let fact = Failed { error, oz: None, keep: Duration::from_secs(1) };
    let json = [
        r#"{"failed":{"error":{"reason":"PHOTO_LOST","message":"gone","retryable":true},"#,
        r#""keep_micros":1000000}}"#,
    ];
    check(&Event::Failed(fact), &json.concat());
}

#[test]
fn a_cancellation_is_stored_like_this() {
    let fact = Cancelled { keep: Duration::from_secs(1) };
    check(&Event::Cancelled(fact), r#"{"cancelled":{"keep_micros":1000000}}"#);
}

#[test]
fn every_reason_and_cause_is_stored_as_callers_see_it() {
    for reason in [
        Reason::OzAnalysisFailed,
        Reason::OzInconclusive,
        Reason::OzUnknownStatus,
        Reason::OzFolderNotFound,
        Reason::OzForbidden,
        Reason::OzMediaNotFound,
        Reason::LivenessMediaNotFound,
        Reason::LivenessNotPassed,
        Reason::OzRejectedPhoto,
        Reason::OzFolderFull,
        Reason::OzProtocol,
        Reason::OzLoginRefused,
        Reason::MatchTimedOut,
        Reason::PhotoLost,
        Reason::ReferenceNotFound,
        Reason::ReferenceAmbiguous,
        Reason::ReferenceUnreadable,
        Reason::ReferenceTooLarge,
        Reason::LibraryForbidden,
        Reason::LibraryProtocol,
    ] {
        check(&reason, &format!("{:?}", reason.as_str()));
    }
    for cause in [
        Cause::OzUnreachable,
        Cause::OzTimeout,
        Cause::OzInterrupted,
        Cause::OzRateLimited,
        Cause::OzServerError,
        Cause::OzUnreadable,
        Cause::OzIncomplete,
        Cause::OzSessionRefused,
        Cause::OzLoginRefused,
        Cause::OzAnalysisMissing,
        Cause::LibraryUnreachable,
    ] {
        check(&cause, &format!("{:?}", cause.as_str()));
    }
}

#[test]
fn every_other_word_is_stored_like_this() {
    use LivenessPolicy::{Report, Require, Run};
    use Resolution::{Declined, OperatorRequired, Success};
    check(&[Format::Jpeg, Format::Png], r#"["jpeg","png"]"#);
    check(&[PhotoKind::Selfie, PhotoKind::IdFront], r#"["selfie","id_front"]"#);
    check(&[Report, Require, Run], r#"["report","require","run"]"#);
    check(&[Success, Declined, OperatorRequired], r#"["SUCCESS","DECLINED","OPERATOR_REQUIRED"]"#);
}

#[test]
fn fields_of_later_versions_are_ignored() {
    let json = r#"{"analysis_started":{"analysis_id":"b","a_later_field":[1]}}"#;
    let event: Event = serde_json::from_str(json).unwrap();
    assert_eq!(event.name(), "analysis_started");
}

#[test]
fn a_digest_is_64_hexadecimal_digits_and_nothing_else() {
    let read = |text: &str| serde_json::from_str::<Digest>(&format!("{text:?}"));
    assert_eq!(read(DIGEST).unwrap(), Digest([7; 32]));
    for wrong in ["", "zz", &DIGEST[2..], &DIGEST.replace('0', "+"), &DIGEST.replace("07", "é")] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_journal_of_an_earlier_version_yields_all_that_matches_show_now() {
    let journal = [
        r#"{"accepted":{"caller":"default","folder_id":"7e782ba3-94fa-4b34-94a0-c1e2f8c3b5b1","photo":{"folder_media":"p"},"kind":"id_front","timeout":{"micros":1200000000,"named":false},"liveness_policy":"require"}}"#,
        r#"{"photo_uploaded":{"photo_media_id":"p","liveness_media":["v"],"liveness":{"resolution":"SUCCESS","confidence_spoofing":0.25,"analysis_id":"q"}}}"#,
        r#"{"attempt_failed":{"cause":"OZ_TIMEOUT","message":"slow","next_attempt":9000000,"metadata":{"oz.http_status":"504"}}}"#,
    ];
    let recorded = (1..).zip(journal).map(|(n, json)| {
        let event = serde_json::from_str(json).unwrap();
        recorded(n, seconds(i64::try_from(n).unwrap()), event)
    });
    let recorded: Vec<_> = recorded.collect();
    let m = fold(&recorded).unwrap().unwrap();
    assert_eq!(m.deadline(), seconds(1_201));
    assert_eq!(
        (m.spec.kind, m.spec.liveness_policy),
        (PhotoKind::IdFront, LivenessPolicy::Require)
    );
    assert_eq!(m.compared_with(), [media_id("v")]);
    assert_eq!(m.quality_analysis(), Some(&analysis_id("q")));
    let trouble = m.trouble.unwrap();
    assert_eq!((trouble.cause, trouble.since), (Cause::OzTimeout, seconds(3)));
    assert_eq!((trouble.message.as_str(), trouble.next_attempt), ("slow", seconds(9)));
    assert_eq!(trouble.metadata["oz.http_status"], "504");
}

fn read(json: &str) -> Event {
    serde_json::from_str(json).unwrap()
}

#[test]
fn words_of_later_versions_are_read_as_unknown() {
    let accepted = |photo: &str, kind: &str, policy: &str| {
        read(&format!(
            r#"{{"accepted":{{"caller":"default","folder_id":"7e782ba3-94fa-4b34-94a0-c1e2f8c3b5b1",
            "photo":{photo},"kind":"{kind}","timeout":{{"micros":1,"named":false}},
            "liveness_policy":"{policy}","later":{{}}}}}}"#
        ))
    };
    let known = r#"{"folder_media":"p"}"#;
    let webp = format!(r#"{{"content":{{"digest":"{DIGEST}","format":"webp"}}}}"#);
    assert!(accepted(known, "selfie", "run").is_known());
    for odd in [
        accepted(r#"{"reference":{"key":"k"}}"#, "selfie", "run"),
        accepted(r#""camera""#, "selfie", "run"),
        accepted(&webp, "selfie", "run"),
        accepted(known, "passport", "run"),
        accepted(known, "selfie", "twice"),
    ] {
        assert!(!odd.is_known(), "{odd:?}");
        let Event::Accepted(spec) = &odd else { panic!("{odd:?}") };
        assert_eq!(spec.folder_id, super::scene::spec().folder_id);
        assert!(serde_json::to_string(&odd).is_err(), "it is never written back");
    }
    for odd in [
        r#"{"attempt_failed":{"cause":"OZ_ON_FIRE","message":"m","next_attempt":1}}"#,
        r#"{"failed":{"error":{"reason":"OZ_GONE","message":"m","retryable":true},"keep_micros":1}}"#,
        r#"{"finished":{"result":{"resolution":"PERHAPS","min_confidence":0.5},"keep_micros":1}}"#,
        r#"{"photo_uploaded":{"photo_media_id":"p","liveness_media":["v"],
            "liveness":{"resolution":"PERHAPS","analysis_id":"q"}}}"#,
    ] {
        let odd = read(odd);
        assert!(!odd.is_known(), "{odd:?}");
        assert!(serde_json::to_string(&odd).is_err(), "it is never written back");
    }
}
