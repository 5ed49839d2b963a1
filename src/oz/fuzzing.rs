//! Properties that hold for every answer from Oz, of any bytes.
//!
//! It compares the parsed values with the JSON as another reader sees it, so that nothing is made
//! up: no verdict without its words and its score, no id that wasn't sent.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::Value;

use super::{
    failure, lenient_json, scrub,
    wire::{self, UnusableAnswer},
};
use crate::domain::{
    Analysis, AnalysisId, Failure, MatchId, Media, MediaId, PhotoKind, Resolution, Timestamp,
    verdict::{self, LivenessReading, VerdictReading},
};

/// The analysis that is asked for, and the match whose photo is uploaded.
const ASKED: &str = "f35716ed-7abf-4198-8146-229eb4f2ad25";
const MATCH: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// The upper bound of Oz's times, in microseconds since 1970.
const TIME_MAX: i64 = 100_000_000_000_000_000;

/// The secrets that no message may reveal. One of them holds blanks, as the passwords of people do.
const SECRETS: [&str; 2] = ["correct-horse-battery", "open sesame 42"];

/// The longest body that is cleaned as a whole, as well as the texts in it. Cleaning longer bodies
/// would take too long.
const CLEANED_BYTES_MAX: usize = 64;

/// The messages that are not Oz's own words.
const OWN_MESSAGES: [&str; 8] = [
    "answered with a redirect",
    "answered with JSON that is not an Oz error",
    "answered without a body",
    "answered with HTML",
    "answered with JSON that is cut off or broken",
    "answered with something that is not JSON",
    "gave no reason",
    "what is missing",
];

/// Reads bytes as each kind of answer that Oz gives.
pub fn oz_answer(body: &[u8]) {
    let Ok(said) = lenient_json::read(body) else {
        assert_eq!(wire::tokens(body).err(), Some(UnusableAnswer::NotJson));
        assert_eq!(wire::folder(body).err(), Some(UnusableAnswer::NotJson));
        return;
    };
    check_tokens(body, &said);
    check_folder(body, &said);
    check_uploaded(body, &said);
    let asked: AnalysisId = ASKED.parse().expect("a UUID is an id");
    if let Ok(analysis) = wire::analysis(body, &asked) {
        assert!(
            analysis.id.as_ref().is_none_or(|id| *id == asked),
            "another analysis was asked for"
        );
        check_analysis(&analysis, &said);
    }
    if let Ok(started) = wire::started(body) {
        assert!(!started.is_empty(), "nothing was started");
        check_list(&started, &said);
    }
    if let Ok(analyses) = wire::analyses(body) {
        check_list(&analyses, &said);
    }
}

/// Reads bytes as the body of a refusal, and their first line as its Retry-After.
pub fn oz_error(body: &[u8]) {
    let now = Timestamp::from_micros(1_700_000_000_000_000);
    let mut headers = HeaderMap::new();
    let line = body.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if let Ok(value) = HeaderValue::from_bytes(line) {
        headers.insert(header::RETRY_AFTER, value);
    }
    let said = lenient_json::read(body).unwrap_or(Value::Null);
    for status in [StatusCode::FOUND, StatusCode::BAD_REQUEST] {
        check_failure(&failure::from_answer(status, &headers, body, now), &said);
    }
    check_failure(&UnusableAnswer::NotJson.into_failure(StatusCode::OK, body), &said);
    check_failure(
        &UnusableAnswer::Lacks("what is missing").into_failure(StatusCode::OK, body),
        &said,
    );
    if body.len() <= CLEANED_BYTES_MAX {
        check_clean(&String::from_utf8_lossy(body));
    }
}

fn check_tokens(body: &[u8], said: &Value) {
    let Ok(tokens) = wire::tokens(body) else { return };
    let access_token = secrecy::ExposeSecret::expose_secret(&tokens.access_token);
    assert!(!access_token.is_empty(), "an empty token");
    assert_eq!(said["access_token"].as_str(), Some(access_token));
    check_time(tokens.expire_date);
}

fn check_folder(body: &[u8], said: &Value) {
    let Ok((folder, with_analyses)) = wire::folder(body) else { return };
    let length = |name: &str| said[name].as_array().map_or(0, Vec::len);
    assert_eq!(folder.media.len(), length("media"), "media appear or vanish");
    assert_eq!(with_analyses, said.get("analyses").is_some_and(|list| !list.is_null()));
    folder.media.iter().for_each(check_medium);
    check_list(&folder.analyses, said);
}

fn check_medium(medium: &Media) {
    check_id(medium.id.as_str());
    let words = [&medium.media_type, &medium.match_id];
    words.into_iter().flatten().chain(&medium.tags).for_each(|word| check_word(word));
    assert!(medium.original_name.iter().all(|name| name.chars().count() <= 1024));
    check_time(medium.time_created);
}

/// The medium taken for the photo is marked as ours, or at least not marked as a video.
fn check_uploaded(body: &[u8], said: &Value) {
    let match_id: MatchId = MATCH.parse().expect("a UUID is an id");
    let Ok(id) = wire::uploaded(body, match_id, PhotoKind::Selfie) else { return };
    let mut media = Vec::new();
    visit(said, &mut |_, value| {
        if value["media_id"].as_str().and_then(|text| text.parse().ok()) == Some(id.clone()) {
            media.push(value.clone());
        }
    });
    assert!(media.iter().any(may_be_the_photo), "{id} is not our photo");
    assert_eq!(id.as_str().parse::<MediaId>(), Ok(id));
}

fn may_be_the_photo(medium: &Value) -> bool {
    let is = |text: &Value, begin: &str| {
        text.as_str().is_some_and(|text| text.trim().to_uppercase().starts_with(begin))
    };
    let tagged = medium["tags"].as_array().is_some_and(|tags| {
        tags.iter().any(|tag| tag.as_str().is_some_and(|tag| tag.trim().starts_with("video")))
    });
    let name = medium["original_name"].as_str().unwrap_or_default();
    let ours = medium["meta_data"]["facematch_match_id"].as_str().map(str::trim) == Some(MATCH)
        || name.contains(&format!("facematch-{MATCH}"));
    ours || !(is(&medium["media_type"], "VIDEO") || tagged)
}

fn check_list(analyses: &[Analysis], said: &Value) {
    for analysis in analyses {
        assert!(analysis.id.is_some(), "a listed analysis without an id");
        check_analysis(analysis, said);
    }
}

fn check_analysis(analysis: &Analysis, said: &Value) {
    let Analysis { kind, group_id, state, resolution, resolution_status, .. } = analysis;
    let words = [kind, group_id, state, resolution, resolution_status];
    words.into_iter().flatten().for_each(|word| check_word(word));
    analysis.id.iter().for_each(|id| check_id(id.as_str()));
    analysis.source_media.iter().flatten().for_each(|id| check_id(id.as_str()));
    let message = analysis.error_message.as_deref();
    assert!(message.is_none_or(|text| (1..=1024).contains(&text.chars().count())));
    check_time(analysis.time_created);
    check_verdict(analysis, said);
    check_liveness(analysis, said);
}

/// A verdict has a state that is over (or none: some answers leave it out), words that agree on
/// it, and a score from 0 to 1 that Oz sent.
fn check_verdict(analysis: &Analysis, said: &Value) {
    let VerdictReading::Verdict { resolution, min_confidence, max_confidence } =
        verdict::read(analysis)
    else {
        return;
    };
    let word = match resolution {
        Resolution::Success => "SUCCESS",
        Resolution::Declined => "DECLINED",
        Resolution::OperatorRequired => "OPERATOR_REQUIRED",
        Resolution::Unknown => panic!("a verdict with an unknown word"),
    };
    let is = |text: &Option<String>, word| {
        text.as_ref().is_some_and(|text| text.eq_ignore_ascii_case(word))
    };
    let over = |text: &Option<String>| text.is_none() || is(text, "FINISHED");
    let Analysis { state, resolution, resolution_status: status, .. } = analysis;
    assert!(over(state), "a verdict in the state {state:?}");
    assert!(is(resolution, word) || is(status, word), "Oz didn't say {word}");
    assert!([resolution, status].into_iter().all(|text| over(text) || is(text, word)));
    check_score(min_confidence, "min_confidence", said);
    max_confidence.into_iter().for_each(|score| check_score(score, "max_confidence", said));
}

/// A passed liveness check has a score.
fn check_liveness(analysis: &Analysis, said: &Value) {
    let id = ASKED.parse().expect("a UUID is an id");
    let LivenessReading::Over(result) = verdict::read_liveness(analysis, &id) else { return };
    let score = result.confidence_spoofing;
    score.into_iter().for_each(|score| check_score(score, "confidence_spoofing", said));
    let passed = result.resolution == Some(Resolution::Success);
    assert!(!passed || score.is_some(), "passed without a score");
}

fn check_score(score: f64, name: &str, said: &Value) {
    assert!((0.0..=1.0).contains(&score), "{name} is {score}");
    let mut was_said = false;
    visit(said, &mut |member, value| {
        let same = value.as_f64().map(f64::to_bits) == Some(score.to_bits());
        was_said |= member == name && same;
    });
    assert!(was_said, "Oz didn't send {name} {score}");
}

fn check_word(word: &str) {
    assert!((1..=64).contains(&word.chars().count()), "{word:?} is not a word");
}

fn check_id(id: &str) {
    let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    assert!(plain && (1..=128).contains(&id.len()), "{id:?} is not an id");
}

fn check_time(time: Option<Timestamp>) {
    let believable = |time: Timestamp| (0..=TIME_MAX).contains(&time.as_micros());
    assert!(time.is_none_or(believable), "{time:?} is not a time");
}

/// A message is one of ours, or a text that Oz sent as a message.
fn check_failure(failure: &Failure, said: &Value) {
    let message = failure.message.as_str();
    let texts = ["error_message", "details", "error_details"].map(|name| said[name].as_str());
    let known = OWN_MESSAGES.contains(&message) || texts.contains(&Some(message));
    assert!(known && !message.is_empty(), "Oz didn't send {message:?}");
    if !OWN_MESSAGES.contains(&message) {
        check_clean(message);
    }
}

/// A text that leaves the module is short, has one line, and reveals no secret.
fn check_clean(message: &str) {
    let clean = scrub::clean(message, &SECRETS.map(Into::into));
    assert!(clean.chars().count() <= 300, "{} characters", clean.chars().count());
    assert!(!clean.contains(char::is_control), "{clean:?} has control characters");
    assert!(!clean.contains("facematch-"), "{clean:?} names our file");
    let lower = clean.to_lowercase();
    for secret in SECRETS {
        let mut pieces = (8..=secret.len()).map(|end| &secret[end - 8..end]);
        assert!(
            !pieces.any(|piece| lower.contains(piece)),
            "{clean:?} reveals a piece of a secret"
        );
    }
}

/// Shows every value within a value, with the name of the member that holds it.
fn visit(value: &Value, look: &mut impl FnMut(&str, &Value)) {
    fn within(name: &str, value: &Value, look: &mut impl FnMut(&str, &Value)) {
        look(name, value);
        match value {
            Value::Array(items) => items.iter().for_each(|item| within("", item, look)),
            Value::Object(members) => {
                members.iter().for_each(|(name, member)| within(name, member, look));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    within("", value, look);
}
