//! Oz's JSON, in both directions. It is not visible outside this module.
//!
//! It reads leniently: unknown members are ignored, and a member of the wrong type counts as
//! absent, since versions of Oz differ and its documents contradict each other. It is deliberately
//! strict about two things: ids, on which everything depends, and scores. A score that is present
//! but not a number stays unusable, so that the verdict doesn't use another score instead.

use http::StatusCode;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::{
    domain::{
        Analysis, AnalysisId, Failure, Folder, Format, MatchId, Media, MediaId, PhotoKind,
        Timestamp,
    },
    oz::{failure, lenient_json, scrub::OUR_FILE_PREFIX},
};

/// The name of the form part that holds the photo; the payload refers to it.
pub const PHOTO_PART: &str = "photo1";

/// The member of a medium's metadata that says which match it belongs to.
const MATCH_ID_MEMBER: &str = "facematch_match_id";

/// How much of one of Oz's words is kept, in characters: they have a dozen or two.
const WORD_CHARACTERS_MAX: usize = 64;

/// How much of one of Oz's texts, such as a file name, is kept, in characters.
const TEXT_CHARACTERS_MAX: usize = 1024;

/// A time from here on is in milliseconds: as seconds it would be the year 5138.
const MILLISECONDS_MIN: f64 = 1e11;

/// Why a 2xx answer can't be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnusableAnswer {
    /// It isn't JSON, or it is cut off.
    NotJson,
    /// It lacks required data.
    Lacks(&'static str),
}

impl UnusableAnswer {
    /// The failure for this answer.
    pub fn into_failure(self, status: StatusCode, body: &[u8]) -> Failure {
        match self {
            Self::NotJson => failure::unreadable(status, body),
            Self::Lacks(what) => failure::incomplete(status, body, what),
        }
    }
}

/// The answer to a login or a refresh.
pub struct Tokens {
    pub access_token: SecretString,
    pub expire_token: Option<SecretString>,
    pub expire_date: Option<Timestamp>,
}

/// Reads a pair of tokens (authentication page).
pub fn tokens(body: &[u8]) -> Result<Tokens, UnusableAnswer> {
    let raw: RawTokens = object_of(json_of(body)?).unwrap_or_default();
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    let access_token = filled(raw.access_token).ok_or(UnusableAnswer::Lacks("no access_token"))?;
    Ok(Tokens {
        access_token: access_token.into(),
        expire_token: filled(raw.expire_token).map(Into::into),
        expire_date: raw.expire_date.and_then(timestamp),
    })
}

/// Reads a folder, and whether the answer lists its analyses (system objects page).
pub fn folder(body: &[u8]) -> Result<(Folder, bool), UnusableAnswer> {
    let Value::Object(mut folder) = json_of(body)? else {
        return Err(UnusableAnswer::Lacks("not a folder"));
    };
    let media = match folder.remove("media") {
        Some(Value::Null) => vec![],
        Some(Value::Array(items)) => items.into_iter().map(medium).collect::<Result<_, _>>()?,
        _ => return Err(UnusableAnswer::Lacks("a folder without media")),
    };
    match folder.remove("analyses") {
        None | Some(Value::Null) => Ok((Folder { media, analyses: vec![] }, false)),
        Some(list) => Ok((Folder { media, analyses: analysis_list(list)? }, true)),
    }
}

/// Reads a list of analyses: an array, or an object around one.
pub fn analyses(body: &[u8]) -> Result<Vec<Analysis>, UnusableAnswer> {
    analysis_list(json_of(body)?)
}

/// Reads the analyses that were started: a list, or a single one. Never empty.
pub fn started(body: &[u8]) -> Result<Vec<Analysis>, UnusableAnswer> {
    let value = json_of(body)?;
    let alone = value.get("analyse_id").is_some() || value.get("analysis_id").is_some();
    let list = if alone { Value::Array(vec![value]) } else { value };
    let started = analysis_list(list)?;
    if started.is_empty() {
        Err(UnusableAnswer::Lacks("no analysis was started"))
    } else {
        Ok(started)
    }
}

/// Reads the analysis that was asked for: an object, or (old versions) the last of an array.
pub fn analysis(body: &[u8], asked: &AnalysisId) -> Result<Analysis, UnusableAnswer> {
    let analysis = match object_at_once(body) {
        Some(raw) => analysis_of(raw)?,
        None => match json_of(body)? {
            Value::Array(mut items) => {
                one_analysis(items.pop().ok_or(UnusableAnswer::Lacks("no analysis"))?)?
            }
            other => one_analysis(other)?,
        },
    };
    let says_nothing = analysis.state.is_none()
        && analysis.resolution.is_none()
        && analysis.resolution_status.is_none();
    if says_nothing {
        return Err(UnusableAnswer::Lacks("an analysis without a state"));
    }
    match &analysis.id {
        Some(id) if id != asked => {
            Err(UnusableAnswer::Lacks("a different analysis than requested"))
        }
        Some(_) | None => Ok(analysis),
    }
}

/// Reads which medium the uploaded photo became. Oz answers with an array of the added media, or
/// (its uploading page) with the folder, which holds the liveness video as well. A medium that
/// can't be identified as ours is never taken, since a video compared with itself would be a match.
pub fn uploaded(
    body: &[u8],
    match_id: MatchId,
    kind: PhotoKind,
) -> Result<MediaId, UnusableAnswer> {
    let list = match json_of(body)? {
        Value::Array(items) => items,
        Value::Object(mut object) => match object.remove("media").or(object.remove("items")) {
            Some(Value::Array(items)) => items,
            Some(one @ Value::Object(_)) => vec![one],
            _ => vec![Value::Object(object)],
        },
        _ => vec![],
    };
    let media = list.into_iter().map(medium).collect::<Result<Vec<_>, _>>()?;
    let ours = media.iter().rev().find(|medium| is_ours(medium, match_id));
    let found = ours.or_else(|| only_candidate(&media, kind));
    found
        .map(|medium| medium.id.clone())
        .ok_or(UnusableAnswer::Lacks("the photo is not in the answer"))
}

/// The payload of an upload (uploading-media page).
pub fn upload_payload(match_id: MatchId, kind: PhotoKind) -> Value {
    json!({
        "media:tags": { PHOTO_PART: kind.tags() },
        "media:meta_data": { PHOTO_PART: { MATCH_ID_MEMBER: match_id.to_string() } },
    })
}

/// The name that a photo is uploaded under.
pub fn photo_name(match_id: MatchId, format: Format) -> String {
    format!("{OUR_FILE_PREFIX}{match_id}.{}", format.extension())
}

/// The body that starts analyses (biometry and liveness pages).
pub fn start_body(biometry: &[MediaId], quality: Option<&[MediaId]>) -> Value {
    let item = |kind: &str, media: &[MediaId]| {
        let ids: Vec<&str> = media.iter().map(MediaId::as_str).collect();
        json!({ "type": kind, "source_media": ids })
    };
    let quality = quality.map(|media| item("quality", media));
    let items: Vec<Value> = std::iter::once(item("biometry", biometry)).chain(quality).collect();
    json!({ "analyses": items })
}

fn is_ours(medium: &Media, match_id: MatchId) -> bool {
    let id = match_id.to_string();
    let named = |name: &str| name.contains(&format!("{OUR_FILE_PREFIX}{id}"));
    medium.match_id.as_deref() == Some(&id) || medium.original_name.as_deref().is_some_and(named)
}

/// The only medium that can be the photo, if no medium is identified as ours.
fn only_candidate(media: &[Media], kind: PhotoKind) -> Option<&Media> {
    let alone = media.len() == 1;
    let mut candidates = media.iter().filter(|medium| {
        let image = medium.media_type.as_deref().map(|kind| kind.starts_with("IMAGE"));
        let foreign =
            medium.match_id.is_some() || medium.tags.iter().any(|tag| tag.starts_with("video"));
        let tagged = medium.tags.iter().map(String::as_str).eq(kind.tags().iter().copied());
        !foreign && image.unwrap_or(alone) && (alone || tagged)
    });
    let first = candidates.next()?;
    if candidates.next().is_some() { None } else { Some(first) }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawTokens {
    #[serde(deserialize_with = "lenient")]
    access_token: Option<String>,
    #[serde(deserialize_with = "lenient")]
    expire_token: Option<String>,
    #[serde(deserialize_with = "lenient")]
    expire_date: Option<f64>,
}

/// A medium (system objects and uploading-media pages).
#[derive(Deserialize, Default)]
#[serde(default)]
struct RawMedia {
    #[serde(deserialize_with = "lenient")]
    media_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    media_type: Option<String>,
    #[serde(deserialize_with = "lenient")]
    tags: Option<Vec<Value>>,
    #[serde(deserialize_with = "lenient")]
    original_name: Option<String>,
    #[serde(deserialize_with = "lenient")]
    meta_data: Option<Map<String, Value>>,
    #[serde(deserialize_with = "lenient")]
    time_created: Option<f64>,
}

/// An analysis (system objects, statuses and quantitative-results pages).
#[derive(Deserialize, Default)]
#[serde(default)]
struct RawAnalysis {
    #[serde(deserialize_with = "lenient")]
    analyse_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    analysis_id: Option<String>,
    #[serde(rename = "type", deserialize_with = "lenient")]
    kind: Option<String>,
    #[serde(deserialize_with = "lenient")]
    group_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    source_media: Option<Vec<Value>>,
    #[serde(deserialize_with = "lenient")]
    state: Option<String>,
    #[serde(deserialize_with = "lenient")]
    resolution: Option<String>,
    #[serde(deserialize_with = "lenient")]
    resolution_status: Option<String>,
    #[serde(deserialize_with = "object")]
    results_data: Option<RawScores>,
    #[serde(deserialize_with = "lenient")]
    results_media: Option<Vec<Value>>,
    #[serde(deserialize_with = "lenient")]
    time_created: Option<f64>,
    error_code: Value,
    #[serde(deserialize_with = "lenient")]
    error_message: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawResult {
    #[serde(deserialize_with = "object")]
    results_data: Option<RawScores>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawScores {
    #[serde(deserialize_with = "score")]
    min_confidence: Option<f64>,
    #[serde(deserialize_with = "score")]
    max_confidence: Option<f64>,
    #[serde(deserialize_with = "score")]
    confidence_spoofing: Option<f64>,
}

/// The value if it is present and of the right type, else `None`.
fn lenient<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let value = Value::deserialize(deserializer)?;
    Ok(if value.is_null() { None } else { serde_json::from_value(value).ok() })
}

/// An object, else `None`: for our structs serde would also accept an array, member by member.
fn object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    Ok(object_of(Value::deserialize(deserializer)?))
}

fn object_of<T: DeserializeOwned>(value: Value) -> Option<T> {
    if value.is_object() { serde_json::from_value(value).ok() } else { None }
}

/// A score; NaN if anything but a number is there.
fn score<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Null => None,
        Value::Number(number) => number.as_f64().or(Some(f64::NAN)),
        Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => Some(f64::NAN),
    })
}

/// Like [`object_of`], without building a tree of members that aren't used: every poll is read this
/// way. `None` if it takes a tree to read the answer, for instance if a member is present twice.
fn object_at_once<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    let text = str::from_utf8(body).ok()?;
    let is_object = text.trim_ascii_start().starts_with('{');
    if is_object { serde_json::from_str(text).ok() } else { None }
}

fn json_of(body: &[u8]) -> Result<Value, UnusableAnswer> {
    lenient_json::read(body).map_err(|_| UnusableAnswer::NotJson)
}

fn analysis_list(list: Value) -> Result<Vec<Analysis>, UnusableAnswer> {
    let items = match list {
        Value::Array(items) => items,
        Value::Object(mut object) => match object.remove("items").or(object.remove("analyses")) {
            Some(Value::Array(items)) => items,
            _ => return Err(UnusableAnswer::Lacks("no list of analyses")),
        },
        _ => return Err(UnusableAnswer::Lacks("no list of analyses")),
    };
    items.into_iter().map(listed_analysis).collect()
}

/// An analysis in a list must have an id: one without is useless, and may hide ours.
fn listed_analysis(value: Value) -> Result<Analysis, UnusableAnswer> {
    let analysis = one_analysis(value)?;
    if analysis.id.is_none() {
        Err(UnusableAnswer::Lacks("an analysis without an id"))
    } else {
        Ok(analysis)
    }
}

fn one_analysis(value: Value) -> Result<Analysis, UnusableAnswer> {
    analysis_of(object_of(value).ok_or(UnusableAnswer::Lacks("not an analysis"))?)
}

fn analysis_of(raw: RawAnalysis) -> Result<Analysis, UnusableAnswer> {
    let id = raw.analyse_id.as_ref().or(raw.analysis_id.as_ref()).map(|text| text.parse());
    let id =
        id.transpose().map_err(|_| UnusableAnswer::Lacks("an analysis with an unusable id"))?;
    let scores = scores(raw.results_data, raw.results_media.unwrap_or_default());
    Ok(Analysis {
        id,
        kind: raw.kind.and_then(upper_word),
        group_id: raw.group_id.and_then(word),
        source_media: raw.source_media.and_then(source_media),
        state: raw.state.and_then(word),
        resolution: raw.resolution.and_then(word),
        resolution_status: raw.resolution_status.and_then(word),
        min_confidence: scores.min_confidence,
        max_confidence: scores.max_confidence,
        confidence_spoofing: scores.confidence_spoofing,
        time_created: raw.time_created.and_then(timestamp),
        error_code: failure::integer(&raw.error_code),
        error_message: raw.error_message.map(text).filter(|text| !text.is_empty()),
    })
}

/// The analysis's own similarity scores take precedence: those of its media are used only if it has
/// none. The likelihood of an attack is usually found with the media, so there their scores take
/// precedence.
fn scores(own: Option<RawScores>, media: Vec<Value>) -> RawScores {
    let own = own.unwrap_or_default();
    let results = media.into_iter().filter_map(object_of::<RawResult>);
    let media: Vec<RawScores> = results.filter_map(|result| result.results_data).collect();
    let all = |score: fn(&RawScores) -> Option<f64>| media.iter().filter_map(score);
    let lowest = worst(all(|scores| scores.min_confidence), f64::min);
    let highest = worst(all(|scores| scores.max_confidence), f64::max);
    let spoofing = worst(all(|scores| scores.confidence_spoofing), f64::max);
    RawScores {
        min_confidence: own.min_confidence.or(lowest),
        max_confidence: own.max_confidence.or(highest),
        confidence_spoofing: spoofing.or(own.confidence_spoofing),
    }
}

/// Folds scores into one. `f64::min` and `f64::max` skip NaN; here a single NaN makes the result
/// NaN.
fn worst(scores: impl Iterator<Item = f64>, fold: fn(f64, f64) -> f64) -> Option<f64> {
    scores.reduce(
        |one, other| if one.is_nan() || other.is_nan() { f64::NAN } else { fold(one, other) },
    )
}

/// Ids, bare or within media objects. `None` if any part of the list can't be read.
fn source_media(items: Vec<Value>) -> Option<Vec<MediaId>> {
    let id = |item: &Value| item.get("media_id").unwrap_or(item).as_str()?.parse().ok();
    items.iter().map(id).collect()
}

fn medium(value: Value) -> Result<Media, UnusableAnswer> {
    let raw: RawMedia = object_of(value).ok_or(UnusableAnswer::Lacks("not a medium"))?;
    let id = raw.media_id.ok_or(UnusableAnswer::Lacks("a medium without an id"))?;
    let match_id =
        raw.meta_data.as_ref().and_then(|members| members.get(MATCH_ID_MEMBER)?.as_str());
    Ok(Media {
        id: id.parse().map_err(|_| UnusableAnswer::Lacks("a medium with an unusable id"))?,
        media_type: raw.media_type.and_then(upper_word),
        tags: raw.tags.iter().flatten().filter_map(|tag| word(tag.as_str()?.to_owned())).collect(),
        match_id: match_id.and_then(|id| word(id.to_owned())),
        original_name: raw.original_name.map(text),
        time_created: raw.time_created.and_then(timestamp),
    })
}

/// A trimmed word, cut to the length that is kept. A blank word counts as absent: it stands for
/// "not yet".
fn word(text: String) -> Option<String> {
    let trimmed = text.trim();
    let word = match trimmed.char_indices().nth(WORD_CHARACTERS_MAX) {
        Some((end, _)) => &trimmed[..end],
        None => trimmed,
    };
    match word.len() {
        0 => None,
        // The usual case: no copy is needed.
        whole if whole == text.len() => Some(text),
        _ => Some(word.to_owned()),
    }
}

/// A word in upper case, which may be longer than the original: "ß" becomes two letters.
fn upper_word(text: String) -> Option<String> {
    let is_upper = text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_lowercase());
    word(if is_upper { text } else { text.to_uppercase() })
}

fn text(text: String) -> String {
    match text.char_indices().nth(TEXT_CHARACTERS_MAX) {
        Some((end, _)) => text[..end].to_owned(),
        None => text,
    }
}

/// Seconds since 1970, whole or with a fraction; milliseconds if the number is too large for
/// seconds.
fn timestamp(number: f64) -> Option<Timestamp> {
    let seconds = if number >= MILLISECONDS_MIN { number / 1e3 } else { number };
    let believable = seconds.is_finite() && (0.0..MILLISECONDS_MIN).contains(&seconds);
    // Within these bounds the microseconds fit.
    believable.then(|| Timestamp::from_micros((seconds * 1e6).round() as i64))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// JSON of every shape, with our members in all the wrong places.
    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "\\PC{0,80}".prop_map(Value::from),
            Just(Value::from("f35716ed-7abf-4198-8146-229eb4f2ad25")),
        ];
        let name = prop::sample::select(vec![
            "media",
            "analyses",
            "items",
            "media_id",
            "analyse_id",
            "analysis_id",
            "tags",
            "type",
            "state",
            "resolution",
            "results_data",
            "results_media",
            "source_media",
            "meta_data",
            "min_confidence",
            "time_created",
            "error_code",
            "error_message",
            "access_token",
            "expire_date",
            MATCH_ID_MEMBER,
        ]);
        leaf.prop_recursive(5, 64, 6, move |inner| {
            prop_oneof![
                vec(inner.clone(), 0..6).prop_map(Value::from),
                vec((name.clone(), inner), 0..6).prop_map(|members| {
                    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
                }),
            ]
        })
    }

    #[test]
    fn a_word_is_trimmed_cut_and_never_blank() {
        let long = "é".repeat(WORD_CHARACTERS_MAX);
        for (text, expected) in [
            ("", None),
            (" \t", None),
            ("FINISHED", Some("FINISHED")),
            (" FINISHED\n", Some("FINISHED")),
            (&long, Some(long.as_str())),
            (&format!("{long}e"), Some(long.as_str())),
            (&format!(" {long} e"), Some(long.as_str())),
        ] {
            assert_eq!(word(text.to_owned()).as_deref(), expected, "{text:?}");
        }
        assert_eq!(upper_word("Biometry".to_owned()).as_deref(), Some("BIOMETRY"));
        assert_eq!(upper_word("BIOMETRY".to_owned()).as_deref(), Some("BIOMETRY"));
    }

    #[test]
    fn a_word_that_grows_in_upper_case_is_still_cut() {
        let kind = "ß".repeat(WORD_CHARACTERS_MAX);
        let body = json!([{ "analyse_id": "a", "type": kind }]).to_string();
        let kind = analyses(body.as_bytes()).unwrap()[0].kind.clone().unwrap();
        assert_eq!(kind, "S".repeat(WORD_CHARACTERS_MAX));
    }

    #[test]
    fn the_last_of_two_members_of_one_name_counts() {
        let id = "f35716ed-7abf-4198-8146-229eb4f2ad25".parse().unwrap();
        let body = br#"{"state": "PROCESSING", "state": "FINISHED", "odd": [1, {"a": 2}]}"#;
        assert_eq!(analysis(body, &id).unwrap().state.as_deref(), Some("FINISHED"));
    }

    proptest! {
        #[test]
        fn any_json_is_read_or_refused(value in any_json()) {
            let body = value.to_string();
            let body = body.as_bytes();
            let id = "f35716ed-7abf-4198-8146-229eb4f2ad25";
            let match_id = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
            let _ = (tokens(body).is_ok(), folder(body), analyses(body), started(body));
            let _ = (analysis(body, &id.parse().unwrap()), uploaded(body, match_id, PhotoKind::Selfie));
            let failure = UnusableAnswer::Lacks("x").into_failure(StatusCode::OK, body);
            prop_assert_eq!(failure.kind, crate::domain::FailureKind::Incomplete);
        }

        #[test]
        fn an_object_reads_the_same_at_once_and_through_a_tree(value in any_json()) {
            let at_once = object_at_once::<RawAnalysis>(value.to_string().as_bytes());
            let by_tree = object_of::<RawAnalysis>(value);
            prop_assert_eq!(
                at_once.map(|raw| format!("{:?}", analysis_of(raw))),
                by_tree.map(|raw| format!("{:?}", analysis_of(raw)))
            );
        }
    }
}
