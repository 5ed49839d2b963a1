//! The judgement of answers, without a server.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode, header};
use serde_json::{Value, json};

use super::*;
use crate::{
    doctor::{DoctorStep, Finding, FindingVerdict},
    domain::{Analysis, Folder, MatchId, Media, MediaId, Timestamp},
    oz::{CertificateFault, LinkFault, NoAnswer, OzRoute},
};

/// 2023-11-14 22:13:20.
const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
const FOLDER: &str = "7e782ba3-94fa-4b34-94a0-c1e2f8c3b5b1";

fn answered(status: u16, headers: &[(HeaderName, &str)], body: impl Into<Bytes>) -> WholeAnswer {
    let headers: HeaderMap =
        headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
    let times = (NOW, NOW.after(Duration::from_millis(200)));
    let status = StatusCode::from_u16(status).unwrap();
    WholeAnswer::of(status, &headers, body.into(), times, "https://oz.example")
}

fn json_answer(status: u16, body: &Value) -> ProbeOutcome {
    Ok(answered(status, &[], body.to_string()))
}

fn refusal(status: u16, code: i64) -> ProbeOutcome {
    json_answer(status, &json!({ "error_code": code, "error_message": "no", "details": null }))
}

fn html(status: u16) -> ProbeOutcome {
    Ok(answered(status, &[], "<html></html>"))
}

fn fault(fault: LinkFault) -> ProbeOutcome {
    Err(NoAnswer { fault, causes: "causes".to_owned() })
}

fn way() -> OzRoute {
    OzRoute {
        url: "https://oz.example".to_owned(),
        path: String::new(),
        is_https: true,
        has_ca_file: false,
        proxy: None,
    }
}

#[track_caller]
fn assert_differs(finding: &Finding, step: DoctorStep, told: &str) {
    assert_eq!((finding.verdict, finding.step), (FindingVerdict::Differs, step), "{finding}");
    assert!(finding.to_string().contains(told), "{finding} lacks {told}");
}

#[track_caller]
fn assert_holds(finding: &Finding, step: DoctorStep) {
    assert_eq!((finding.verdict, finding.step), (FindingVerdict::Holds, step), "{finding}");
}

#[test]
fn a_broken_link_is_one_finding_after_those_that_hold() {
    use DoctorStep::{Connection, Name, Tls};
    for (broken, stages, told) in [
        (LinkFault::NameUnknown, &[Name][..], "name servers"),
        (LinkFault::Refused, &[Name, Connection], "port"),
        (LinkFault::ConnectTimedOut, &[Name, Connection], "firewall"),
        (LinkFault::Unconnected, &[Name, Connection], "causes"),
        (LinkFault::ProxyLogin, &[Name, Connection], "USER:PASSWORD"),
        (LinkFault::ProxyRefuses, &[Name, Connection], "allow connections"),
        (LinkFault::NotTls, &[Name, Connection, Tls], "http://"),
        (LinkFault::Handshake, &[Name, Connection, Tls], "TLS 1.2"),
        (LinkFault::Certificate(CertificateFault::Expired), &[Name, Connection, Tls], "renew"),
        (LinkFault::Certificate(CertificateFault::NotValidYet), &[Name, Connection, Tls], "clock"),
        (LinkFault::Certificate(CertificateFault::Other), &[Name, Connection, Tls], "causes"),
    ] {
        let findings = reach::link(&way(), &fault(broken));
        let steps: Vec<_> = findings.iter().map(|finding| finding.step).collect();
        assert_eq!(steps, stages);
        let (last, before) = findings.split_last().unwrap();
        assert_differs(last, *stages.last().unwrap(), told);
        assert!(before.iter().all(|finding| finding.verdict == FindingVerdict::Holds));
    }
    for fine in [html(502), fault(LinkFault::AnswerTimedOut), fault(LinkFault::NotHttp)] {
        let findings = reach::link(&way(), &fine);
        assert!(findings.iter().all(|finding| finding.verdict == FindingVerdict::Holds));
        assert_eq!(findings.len(), 3);
    }
}

#[test]
fn a_certificate_is_judged_by_the_settings() {
    let unknown = fault(LinkFault::Certificate(CertificateFault::UnknownIssuer));
    let last = |way: &OzRoute, outcome: &ProbeOutcome| reach::link(way, outcome).pop().unwrap();
    assert_differs(&last(&way(), &unknown), DoctorStep::Tls, "set --oz-ca-file");
    let with_file = OzRoute { has_ca_file: true, ..way() };
    assert_differs(&last(&with_file, &unknown), DoctorStep::Tls, "into the file");
    let names = CertificateFault::WrongName(vec!["a.example".to_owned(), "b.example".to_owned()]);
    let wrong = fault(LinkFault::Certificate(names));
    assert_differs(&last(&way(), &wrong), DoctorStep::Tls, "for a.example, b.example, not");
    let plain = OzRoute { is_https: false, ..way() };
    assert_eq!(last(&plain, &html(404)).verdict, FindingVerdict::NotTried);
}

#[test]
fn behind_a_proxy_the_proxy_is_at_fault() {
    let way = OzRoute { proxy: Some("proxy:3128".to_owned()), ..way() };
    let findings = reach::link(&way, &fault(LinkFault::Refused));
    assert_eq!(findings[0].verdict, FindingVerdict::NotTried, "it looks the name up");
    assert_differs(&findings[1], DoctorStep::Connection, "the proxy proxy:3128 refuses");
    let unknown = reach::link(&way, &fault(LinkFault::NameUnknown));
    assert_differs(&unknown[1], DoctorStep::Connection, "--oz-proxy");
}

#[test]
fn only_oz_passes_for_oz() {
    for door in [refusal(401, 6), refusal(403, 9), refusal(503, 0), json_answer(200, &json!([]))] {
        assert_holds(&reach::oz(&way(), &door), DoctorStep::Oz);
    }
    let elsewhere = [(header::LOCATION, "/login?token=secret")];
    let redirect = Ok(answered(302, &elsewhere, ""));
    for (door, told) in [
        (html(404), "check --oz-url with the vendor"),
        (html(200), "check --oz-url with the vendor"),
        (html(503), "what stands in front"),
        (html(407), "USER:PASSWORD"),
        (json_answer(403, &json!({ "detail": "no" })), "check --oz-url with the vendor"),
        (redirect, "redirects to https://oz.example."),
        (fault(LinkFault::AnswerTimedOut), "ask the operator"),
        (fault(LinkFault::NotHttp), "https://"),
        (fault(LinkFault::Interrupted), "https://"),
        (fault(LinkFault::TooLong), "with the vendor"),
    ] {
        let finding = reach::oz(&way(), &door);
        assert_differs(&finding, DoctorStep::Oz, told);
        assert!(!finding.to_string().contains("secret"), "{finding}");
    }
    let deep = OzRoute { path: "/oz/api/v1".to_owned(), ..way() };
    assert_differs(&reach::oz(&deep, &html(404)), DoctorStep::Oz, "leave /api");
}

#[test]
fn a_proxy_or_cache_on_the_way_is_named() {
    let cached = Ok(answered(200, &[(header::VIA, "1.1 squid")], "{}"));
    let finding = reach::oz(&way(), &cached);
    assert_holds(&finding, DoctorStep::Oz);
    assert!(finding.what.contains("header via"), "{finding}");
}

#[test]
fn clocks_may_differ_by_half_a_minute() {
    for (date, verdict, told) in [
        ("Tue, 14 Nov 2023 22:13:20 GMT", FindingVerdict::Holds, "agrees"),
        ("Tue, 14 Nov 2023 22:13:48 GMT", FindingVerdict::Holds, "27s ahead of"),
        ("Tue, 14 Nov 2023 22:12:52 GMT", FindingVerdict::Holds, "27s behind"),
        ("Tue, 14 Nov 2023 22:13:52 GMT", FindingVerdict::Differs, "31s ahead of"),
        ("Tue, 14 Nov 2023 22:12:48 GMT", FindingVerdict::Differs, "31s behind"),
        ("Tue, 14 Nov 2023 23:13:20 GMT", FindingVerdict::Differs, "59m 59s ahead of"),
    ] {
        let finding = clock::clock(&answered(200, &[(header::DATE, date)], "{}"));
        assert_eq!(finding.verdict, verdict, "{finding}");
        assert!(finding.what.contains(told), "{finding}");
    }
    assert_eq!(clock::clock(&answered(200, &[], "{}")).verdict, FindingVerdict::NotTried);
}

#[test]
fn times_are_seconds_or_milliseconds_by_oz_s_clock() {
    for (created, verdict) in [
        (json!(1_700_000_000), FindingVerdict::Holds),
        (json!(1_700_000_000.15), FindingVerdict::Holds),
        (json!(1_700_000_000_150_i64), FindingVerdict::Holds),
        (json!(1_700_003_600), FindingVerdict::Differs),
        (json!("2023-11-14"), FindingVerdict::Differs),
        (json!(null), FindingVerdict::Differs),
    ] {
        let folder = json!({ "time_created": created });
        let finding = clock::times(&answered(201, &[], folder.to_string()));
        assert_eq!((finding.step, finding.verdict), (DoctorStep::Times, verdict), "{finding}");
    }
}

#[test]
fn a_version_that_is_not_told_is_no_fault() {
    let told = version::version(&json_answer(200, &json!({ "version": "6.0.1" })));
    assert_holds(&told, DoctorStep::Version);
    for outcome in [refusal(404, 10), html(404), json_answer(200, &json!({})), refusal(401, 6)] {
        assert_eq!(version::version(&outcome).verdict, FindingVerdict::NotTried);
    }
}

#[test]
fn a_refused_login_says_why() {
    for (outcome, told) in [
        (refusal(401, 15), "web console"),
        (refusal(401, 7), "web console"),
        (refusal(403, 9), "web console"),
        (refusal(404, 10), "Instant API"),
        (refusal(400, 3), "too old"),
        (json_answer(200, &json!({})), "no access_token"),
        (html(404), "a gateway in front"),
        (html(503), "a gateway in front"),
        (fault(LinkFault::AnswerTimedOut), "a gateway in front"),
    ] {
        assert_differs(&session::log_in(&outcome, None), DoctorStep::SignIn, told);
    }
}

#[test]
fn a_token_is_judged_by_its_first_use() {
    assert_holds(&session::token(&json_answer(200, &json!([]))), DoctorStep::SignIn);
    assert_holds(&session::token(&refusal(403, 9)), DoctorStep::SignIn);
    assert_differs(&session::token(&refusal(401, 8)), DoctorStep::SignIn, "expired");
    assert_differs(&session::token(&refusal(401, 7)), DoctorStep::SignIn, "Bearer");
    assert_differs(&session::token(&html(502)), DoctorStep::SignIn, "a gateway in front");
}

#[test]
fn the_header_of_the_token_is_the_singular() {
    let (list, refused) = (json_answer(200, &json!([])), refusal(401, 6));
    assert_holds(&session::header(&list, None), DoctorStep::TokenHeader);
    assert_holds(&session::header(&refusal(403, 9), None), DoctorStep::TokenHeader);
    let plural = session::header(&refused, Some(&list));
    assert_differs(&plural, DoctorStep::TokenHeader, "the plural");
    let neither = session::header(&refused, Some(&refused));
    assert_differs(&neither, DoctorStep::TokenHeader, "pass the header");
    assert_eq!(session::header(&html(502), None).verdict, FindingVerdict::NotTried);
}

#[test]
fn refusals_must_be_oz_s_own() {
    let unknown = refusal(404, 10);
    for code in [6, 7, 8] {
        let finding = session::refusals(&refusal(401, code), Some(&unknown));
        assert_holds(&finding, DoctorStep::Refusals);
    }
    assert_holds(&session::refusals(&refusal(401, 6), None), DoctorStep::Refusals);
    for (without, folder, told) in [
        (json_answer(200, &json!([])), &unknown, "token of its own"),
        (html(401), &unknown, "codes 6, 7 and 8"),
        (refusal(401, 1), &unknown, "codes 6, 7 and 8"),
        (refusal(401, 6), &html(404), "end late"),
        (refusal(401, 6), &json_answer(200, &json!({})), "end late"),
    ] {
        let finding = session::refusals(&without, Some(folder));
        assert_differs(&finding, DoctorStep::Refusals, told);
    }
}

#[test]
fn the_list_of_folders_shows_rights_and_paths() {
    let (list, missing, forbidden) =
        (json_answer(200, &json!([])), refusal(404, 10), refusal(403, 9));
    assert_holds(&session::reading(&list, &list), DoctorStep::Reading);
    assert_holds(&session::reading(&missing, &list), DoctorStep::Reading);
    let no_right = session::reading(&forbidden, &forbidden);
    assert_differs(&no_right, DoctorStep::Reading, "give the account the right");
    assert_differs(&session::reading(&html(500), &html(500)), DoctorStep::Reading, "--report");
    assert_holds(&session::paths(&list, &list), DoctorStep::Paths);
    assert_differs(&session::paths(&list, &missing), DoctorStep::Paths, "need a slash");
    assert_differs(&session::paths(&missing, &list), DoctorStep::Paths, "must not end");
    let untried = session::paths(&forbidden, &forbidden);
    assert_eq!(untried.verdict, FindingVerdict::NotTried);
}

#[test]
fn a_refresh_keeps_the_old_token_for_a_while() {
    let (fine, ended) = (json_answer(200, &json!({})), refusal(401, 7));
    let judge = |outcome: &ProbeOutcome, old_before: &ProbeOutcome, new: Option<&ProbeOutcome>| {
        session::refresh(&session::Refreshed { outcome, old_before, new })
    };
    assert_holds(&judge(&fine, &fine, Some(&fine)), DoctorStep::Refresh);
    assert_differs(&judge(&fine, &ended, Some(&fine)), DoctorStep::Refresh, "old token ends");
    assert_differs(&judge(&fine, &fine, Some(&ended)), DoctorStep::Refresh, "is refused");
    assert_differs(&judge(&ended, &fine, None), DoctorStep::Refresh, "logs in again");
    assert_holds(&session::sessions(&fine), DoctorStep::Sessions);
    assert_differs(&session::sessions(&ended), DoctorStep::Sessions, "service token");
    assert_eq!(session::sessions(&html(502)).verdict, FindingVerdict::NotTried);
}

fn medium(id: &str, media_type: &str) -> Media {
    Media {
        id: id.parse().unwrap(),
        media_type: Some(media_type.to_owned()),
        tags: vec![],
        match_id: None,
        original_name: None,
        time_created: None,
    }
}

#[test]
fn a_folder_is_read_as_the_service_reads_it() {
    let id = FOLDER.parse().unwrap();
    let body = json!({ "folder_id": FOLDER, "media": [{ "media_id": "a" }], "analyses": [] });
    let (finding, folder) = folder::read(id, &json_answer(200, &body));
    assert_holds(&finding, DoctorStep::Folder);
    assert_eq!(folder.unwrap().media.len(), 1);
    for (outcome, told) in [
        (refusal(404, 10), "another company"),
        (refusal(403, 9), "give the account the right"),
        (json_answer(200, &json!({ "folder_id": FOLDER })), "a folder without media"),
        (html(404), "--report"),
    ] {
        let (finding, folder) = folder::read(id, &outcome);
        assert_differs(&finding, DoctorStep::Folder, told);
        assert!(folder.is_none());
    }
}

#[test]
fn a_match_needs_a_video_and_room() {
    let folder = |media: Vec<Media>| Folder { media, analyses: vec![] };
    let photos = |count: usize| (0..count).map(|n| medium(&format!("p{n}"), "IMAGE_FOLDER"));
    let finding = folder::liveness_media(&folder(photos(2).collect()));
    assert_differs(&finding, DoctorStep::LivenessMedia, "LIVENESS_MEDIA_NOT_FOUND");
    let videos = ["v", "w"].map(|id| medium(id, "VIDEO_FOLDER"));
    for count in [1, 2] {
        let finding = folder::liveness_media(&folder(videos[..count].to_vec()));
        assert_holds(&finding, DoctorStep::LivenessMedia);
    }
    assert_holds(&folder::room(&folder(photos(9).collect())), DoctorStep::Room);
    let full = folder::room(&folder(photos(10).collect()));
    assert_differs(&full, DoctorStep::Room, "OZ_FOLDER_FULL");
}

#[test]
fn media_are_judged_by_their_members() {
    let whole = json!({
        "media_id": "a", "media_type": "IMAGE_FOLDER", "tags": [], "original_name": "a.jpg",
        "meta_data": {},
    });
    let without = |names: &[&str]| {
        let mut medium = whole.clone();
        names.iter().for_each(|name| _ = medium.as_object_mut().unwrap().remove(*name));
        folder::media(&json!({ "media": [whole, medium] }))
    };
    assert_holds(&without(&[]), DoctorStep::Media);
    assert_differs(&without(&["media_id"]), DoctorStep::Media, "--report");
    assert_differs(&without(&["meta_data"]), DoctorStep::Media, "lack meta_data");
    assert_differs(&without(&["tags", "media_type"]), DoctorStep::Media, "lack media_type, tags");
    let neither = without(&["meta_data", "original_name"]);
    assert_differs(&neither, DoctorStep::Media, "upload it twice");
    assert_eq!(folder::media(&json!({ "media": [] })).verdict, FindingVerdict::NotTried);
}

#[test]
fn analyses_are_judged_by_their_members_and_words() {
    let whole = json!({
        "analyse_id": "a", "type": "BIOMETRY", "state": "finished", "resolution": "SUCCESS",
        "resolution_status": "SUCCESS", "source_media": [],
    });
    let with = |change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
        let mut analysis = whole.clone();
        change(analysis.as_object_mut().unwrap());
        folder::analyses(&[whole.clone(), analysis])
    };
    assert_holds(&with(&|_| {}), DoctorStep::Analyses);
    let renamed = with(&|it| {
        it.remove("analyse_id");
        it.insert("analysis_id".to_owned(), "a".into());
    });
    assert_differs(&renamed, DoctorStep::Analyses, "neither");
    let only_new = json!([{ "analysis_id": "a", "type": "QUALITY", "state": "PROCESSING",
        "resolution": "INITIAL", "resolution_status": "INITIAL", "source_media": [] }]);
    let finding = folder::analyses(only_new.as_array().unwrap());
    assert_holds(&finding, DoctorStep::Analyses);
    assert!(finding.what.ends_with("analysis_id"), "{finding}");
    for (name, told) in [
        ("analyse_id", "neither"),
        ("state", "old versions"),
        ("source_media", "no liveness"),
        ("type", "no liveness"),
        ("resolution_status", "lack resolution_status"),
    ] {
        let finding = with(&|it| _ = it.remove(name));
        assert_differs(&finding, DoctorStep::Analyses, told);
    }
    let odd = with(&|it| _ = it.insert("resolution".to_owned(), "MAYBE".into()));
    assert_differs(&odd, DoctorStep::Analyses, "MAYBE");
    let secret = with(&|it| _ = it.insert("state".to_owned(), "token 0af1".into()));
    assert_differs(&secret, DoctorStep::Analyses, "no plain word");
    assert!(!secret.to_string().contains("0AF1"));
    assert_eq!(folder::analyses(&[]).verdict, FindingVerdict::NotTried);
}

#[test]
fn a_refused_upload_says_why() {
    let judge = |outcome: &ProbeOutcome, held| rehearsal::refused_upload("a photo", outcome, held);
    assert_differs(&judge(&refusal(403, 9), 0), DoctorStep::Uploading, "the right to make folders");
    assert_differs(&judge(&refusal(400, 4), 1), DoctorStep::Room, "OZ_ATTACHMENT_MAX_COUNT");
    assert_differs(&judge(&refusal(400, 4), 0), DoctorStep::Uploading, "check the message");
    assert_differs(&judge(&refusal(400, 3), 1), DoctorStep::Uploading, "check the message");
    assert_differs(&judge(&html(413), 1), DoctorStep::Uploading, "11 MiB");
    let broken = judge(&fault(LinkFault::Interrupted), 0);
    assert_differs(&broken, DoctorStep::Uploading, "causes");
}

#[test]
fn a_photo_is_recognised_by_its_metadata_or_its_name() {
    let id: MatchId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
    let photo: MediaId = "p".parse().unwrap();
    let judge = |match_id: Option<String>, original_name: Option<String>| {
        let medium = Media { match_id, original_name, ..medium("p", "IMAGE_FOLDER") };
        let folder = Folder { media: vec![medium], analyses: vec![] };
        rehearsal::meta_data(&folder, &photo, id)
    };
    let name = format!("facematch-{id}.jpg");
    assert_holds(&judge(Some(id.to_string()), None), DoctorStep::MetaData);
    let by_name = judge(None, Some(name.clone()));
    assert_differs(&by_name, DoctorStep::MetaData, "by their names");
    assert_differs(&judge(None, None), DoctorStep::MetaData, "upload it twice");
    let other = judge(Some("another".to_owned()), Some("a.jpg".to_owned()));
    assert_differs(&other, DoctorStep::MetaData, "upload it twice");
}

#[test]
fn each_right_to_start_is_told_apart() {
    let (fine, forbidden) = (json_answer(201, &json!([])), refusal(403, 9));
    let [biometry, quality] = rehearsal::starts(&fine, None);
    assert_holds(&biometry, DoctorStep::Biometry);
    assert_holds(&quality, DoctorStep::Quality);
    let [biometry, quality] = rehearsal::starts(&forbidden, Some((&forbidden, &fine)));
    assert_differs(&biometry, DoctorStep::Biometry, "can_start_analysis_biometry");
    assert_holds(&quality, DoctorStep::Quality);
    let [biometry, quality] = rehearsal::starts(&forbidden, Some((&fine, &forbidden)));
    assert_holds(&biometry, DoctorStep::Biometry);
    assert_differs(&quality, DoctorStep::Quality, "can_start_analysis_quality");
    let [biometry, quality] = rehearsal::starts(&forbidden, Some((&fine, &fine)));
    assert_holds(&biometry, DoctorStep::Biometry);
    assert_differs(&quality, DoctorStep::Quality, "not with biometry");
    let error = json!({ "error_code": 9, "error_message": "Licence expired", "details": null });
    let unlicensed = json_answer(403, &error);
    let [biometry, _] = rehearsal::starts(&unlicensed, Some((&unlicensed, &fine)));
    assert_differs(&biometry, DoctorStep::Biometry, "have the vendor license it");
}

fn analysis(resolution: &str, min_confidence: Option<f64>) -> Analysis {
    let state = if resolution == "FAILED" { "FAILED" } else { "FINISHED" };
    Analysis {
        id: Some("a".parse().unwrap()),
        kind: Some("BIOMETRY".to_owned()),
        state: Some(state.to_owned()),
        resolution: Some(resolution.to_owned()),
        min_confidence,
        ..Analysis::default()
    }
}

fn over(resolution: &str, min_confidence: Option<f64>) -> rehearsal::AnalysisEnd {
    rehearsal::AnalysisEnd::Over(Box::new(analysis(resolution, min_confidence)))
}

#[test]
fn a_verdict_is_read_or_its_lack_explained() {
    use rehearsal::AnalysisEnd;
    for resolution in ["SUCCESS", "declined", "OPERATOR_REQUIRED"] {
        let finding = rehearsal::verdict(&over(resolution, Some(0.9)), false);
        assert_holds(&finding, DoctorStep::Verdict);
    }
    for score in [None, Some(1.5), Some(f64::NAN)] {
        let finding = rehearsal::verdict(&over("SUCCESS", score), false);
        assert_differs(&finding, DoctorStep::Verdict, "OZ_INCONCLUSIVE");
    }
    let odd = rehearsal::verdict(&over("MAYBE", Some(0.5)), false);
    assert_differs(&odd, DoctorStep::Verdict, "OZ_UNKNOWN_STATUS");
    for is_own in [false, true] {
        let echo = rehearsal::verdict(&over("canary-of-a-token", None), is_own);
        assert!(!echo.to_string().to_lowercase().contains("canary"), "{echo}");
    }
    let (one, other) = (over("canary-of-a-token", None), over("SUCCESS", None));
    let echo = rehearsal::source_media(&one, &other, &[]);
    assert_differs(&echo, DoctorStep::SourceMedia, "changed the verdict");
    assert!(!echo.to_string().to_lowercase().contains("canary"), "{echo}");
    let echo = rehearsal::liveness(&one, true).to_string();
    assert!(!echo.to_lowercase().contains("canary"), "{echo}");
    let failed = over("FAILED", None);
    let sample = rehearsal::verdict(&failed, false);
    assert_eq!(sample.verdict, FindingVerdict::NotTried);
    assert!(sample.advice.unwrap().contains("--video"));
    let own = rehearsal::verdict(&failed, true);
    assert_differs(&own, DoctorStep::Verdict, "one face each");
    let message = Some("License does not allow biometry".to_owned());
    let unlicensed = Analysis { error_message: message, ..analysis("FAILED", None) };
    let finding = rehearsal::verdict(&AnalysisEnd::Over(Box::new(unlicensed)), false);
    assert_differs(&finding, DoctorStep::Verdict, "license face matching");
    let slow = rehearsal::verdict(&AnalysisEnd::StillRunning, true);
    assert_differs(&slow, DoctorStep::Verdict, "MATCH_TIMED_OUT");
    let unread = rehearsal::verdict(&AnalysisEnd::Unread("x".to_owned()), true);
    assert_differs(&unread, DoctorStep::Verdict, "can't be read: x");
    let none = rehearsal::verdict(&AnalysisEnd::NotStarted, true);
    assert_eq!(none.verdict, FindingVerdict::NotTried);
}

#[test]
fn a_liveness_check_is_read_or_its_lack_explained() {
    let over = |resolution: &str, confidence_spoofing: Option<f64>| {
        let analysis = Analysis { confidence_spoofing, ..analysis(resolution, None) };
        rehearsal::AnalysisEnd::Over(Box::new(analysis))
    };
    let judge = |end: &_, is_own| rehearsal::liveness(end, is_own);
    assert_holds(&judge(&over("SUCCESS", Some(0.02)), true), DoctorStep::Liveness);
    assert_holds(&judge(&over("DECLINED", Some(0.9)), false), DoctorStep::Liveness);
    let old = judge(&over("SUCCESS", None), true);
    assert_differs(&old, DoctorStep::Liveness, "without a score");
    let failed = over("FAILED", None);
    assert_eq!(judge(&failed, false).verdict, FindingVerdict::NotTried);
    assert_differs(&judge(&failed, true), DoctorStep::Liveness, "one face");
    let message = Some("no License".to_owned());
    let unlicensed = Analysis { error_message: message, ..analysis("FAILED", None) };
    let unlicensed = rehearsal::AnalysisEnd::Over(Box::new(unlicensed));
    assert_differs(&judge(&unlicensed, false), DoctorStep::Liveness, "license liveness");
    let slow = judge(&rehearsal::AnalysisEnd::StillRunning, true);
    assert_differs(&slow, DoctorStep::Liveness, "--match-timeout");
    let unread = judge(&rehearsal::AnalysisEnd::Unread("x".to_owned()), true);
    assert_differs(&unread, DoctorStep::Liveness, "can't be read: x");
    let none = judge(&rehearsal::AnalysisEnd::NotStarted, true);
    assert_eq!(none.verdict, FindingVerdict::NotTried);
}

#[test]
fn a_photo_that_is_not_named_must_not_change_the_verdict() {
    let named: [MediaId; 2] = ["v", "p"].map(|id| id.parse().unwrap());
    let judge = |before: &_, after: &_| rehearsal::source_media(before, after, &named);
    let success = over("SUCCESS", Some(0.97));
    assert_holds(&judge(&success, &over("SUCCESS", Some(0.969))), DoctorStep::SourceMedia);
    for after in [over("DECLINED", Some(0.1)), over("SUCCESS", Some(0.9)), over("FAILED", None)] {
        assert_differs(&judge(&success, &after), DoctorStep::SourceMedia, "changed the verdict");
    }
    let sources = Some(["v", "p", "x"].map(|id| id.parse().unwrap()).to_vec());
    let wider = Analysis { source_media: sources, ..analysis("SUCCESS", Some(0.97)) };
    let wider = rehearsal::AnalysisEnd::Over(Box::new(wider));
    assert_differs(&judge(&success, &wider), DoctorStep::SourceMedia, "lists media");
    let untried = judge(&success, &rehearsal::AnalysisEnd::StillRunning);
    assert_eq!(untried.verdict, FindingVerdict::NotTried);
}

#[test]
fn started_analyses_must_be_listed() {
    let started = ["a", "b"].map(|id| id.parse().unwrap());
    let list = |ids: &[&str]| {
        let items: Vec<Value> = ids.iter().map(|id| json!({ "analyse_id": id })).collect();
        json_answer(200, &items.into())
    };
    let judge = |outcome: &ProbeOutcome| rehearsal::listed(outcome, &started);
    assert_holds(&judge(&list(&["x", "b", "a"])), DoctorStep::StartedAnalyses);
    assert_differs(&judge(&list(&["a"])), DoctorStep::StartedAnalyses, "twice");
    let odd = judge(&json_answer(200, &json!({})));
    assert_differs(&odd, DoctorStep::StartedAnalyses, "not understood");
    assert_differs(&judge(&refusal(403, 9)), DoctorStep::StartedAnalyses, "can't be listed");
}

#[test]
fn an_analysis_runs_as_long_as_any_of_its_words_says_so() {
    let mut running = analysis("PROCESSING", None);
    assert!(!rehearsal::is_over(&running));
    running.resolution = Some("SUCCESS".to_owned());
    assert!(rehearsal::is_over(&running));
    running.resolution_status = Some("Initial".to_owned());
    assert!(!rehearsal::is_over(&running));
}
