//! Formats messages as lines for people.
//!
//! The lines may change from version to version: programs should read JSON.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use prost_types::Timestamp;

use crate::cli::call::{
    pb::{
        AttemptFailed, DeleteMatchResponse, LivenessPolicy, LivenessResult, Match, MatchError,
        MatchResult, MatchState, MatchUpdate, PhotoKind, PhotoUploaded, Progress, Resolution,
        Trouble, delete_match_request::Id, match_update::Event,
    },
    unary::Erased,
};

/// An update, in one line.
pub fn update(update: &MatchUpdate) -> String {
    let state = update.r#match.as_ref().map_or("", |snapshot| state_word(snapshot.state()));
    let what =
        update.event.as_ref().map_or_else(|| "an unknown event".to_owned(), |e| what(update, e));
    plain(&format!("{}  {state:<10}  {what}", time(update.time.as_ref())))
}

/// An update in a stream of all matches, in one line. A heartbeat has no match.
pub fn update_of_many(update: &MatchUpdate) -> String {
    if update.match_id.is_empty() {
        return format!("{}  nothing new", time(update.time.as_ref()));
    }
    plain(&update.match_id) + "  " + &self::update(update)
}

/// A match in a list, in one line.
pub fn row(of: &Match) -> String {
    let created = time(of.create_time.as_ref());
    let line = format!(
        "{}  {:<10}  {created}  {}  {}",
        of.match_id,
        state_word(of.state()),
        of.folder_id,
        row_ending(of)
    );
    plain(line.trim_end())
}

fn row_ending(of: &Match) -> String {
    match &of.trouble {
        Some(trouble) => format!("trouble at Oz, {}", trouble.cause),
        None => ending(of, reason),
    }
}

/// A match with all its known fields, a line for each.
pub fn snapshot(of: &Match) -> String {
    let trouble = of.trouble.as_ref();
    let optional = |at: &Option<Timestamp>| at.as_ref().map_or(String::new(), Timestamp::to_string);
    let facts = [
        ("match", of.match_id.clone()),
        ("request id", of.request_id.clone()),
        ("folder", of.folder_id.clone()),
        ("state", format!("{}, update {}", state_word(of.state()), of.sequence)),
        ("ending", ending(of, failure)),
        ("trouble", trouble.map_or(String::new(), standing_trouble)),
        ("since", trouble.map_or(String::new(), |trouble| optional(&trouble.since))),
        ("next try", trouble.map_or(String::new(), next_try)),
        ("photo", photo(of)),
        ("compared", of.liveness_media_ids.join(", ")),
        ("analysis", of.analysis_id.clone()),
        ("liveness", liveness_asked(of)),
        ("labels", labels(of)),
        ("created", optional(&of.create_time)),
        ("updated", optional(&of.update_time)),
        ("until", optional(&of.deadline)),
        ("ended", optional(&of.end_time)),
        ("erased at", optional(&of.expire_time)),
        ("Oz says", oz(of)),
    ];
    let known = facts.iter().filter(|(_, value)| !value.is_empty());
    let lines = known.map(|(name, value)| plain(&format!("{name:<10}  {value}")));
    lines.collect::<Vec<_>>().join("\n")
}

/// A deletion, in one line.
pub fn erased(of: &Erased) -> String {
    match of {
        Erased::Confirmed(answer) => confirmed(answer),
        Erased::Unconfirmed(id) => {
            let which = match id {
                Some(Id::MatchId(id)) => format!("match {id}"),
                Some(Id::RequestId(id)) => format!("the match with the request id {id}"),
                None => "the match".to_owned(),
            };
            plain(&format!("{which} is erased; the answer that named its photo at Oz was lost"))
        }
    }
}

fn confirmed(of: &DeleteMatchResponse) -> String {
    let photo = match of.photo_media_id.as_str() {
        "" => "it had no photo at Oz".to_owned(),
        id => format!("its photo stays at Oz: {id}"),
    };
    plain(&format!("{}  match {} is erased; {photo}", time(of.delete_time.as_ref()), of.match_id))
}

/// The state and progress of a match, for the live line.
pub fn live(update: &MatchUpdate) -> String {
    let state = update.r#match.as_ref().map_or("", |snapshot| state_word(snapshot.state()));
    match &update.event {
        Some(Event::Progress(of)) => plain(&format!("{state}  {}", steps(of).join(", "))),
        Some(_) | None => state.to_owned(),
    }
}

/// How long ago the match was accepted, if the update says so.
pub fn age(update: &MatchUpdate) -> Option<Duration> {
    match &update.event {
        Some(Event::Progress(of)) => of.elapsed.and_then(|elapsed| elapsed.try_into().ok()),
        Some(_) | None => None,
    }
}

/// Text without control characters, so that a server can't send escape sequences to a terminal.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn what(update: &MatchUpdate, event: &Event) -> String {
    match event {
        Event::Accepted(of) => {
            format!("match {}, until {} at most", update.match_id, time(of.deadline.as_ref()))
        }
        Event::PhotoUploaded(of) => uploaded(of),
        Event::AnalysisStarted(of) if of.liveness_analysis_id.is_empty() => {
            format!("analysis {}", of.analysis_id)
        }
        Event::AnalysisStarted(of) => {
            format!("analysis {}, liveness analysis {}", of.analysis_id, of.liveness_analysis_id)
        }
        Event::AttemptFailed(of) => trouble(of),
        Event::Finished(of) => of.result.as_ref().map_or("without a result".to_owned(), verdict),
        Event::Failed(of) => of.error.as_ref().map_or("without a reason".to_owned(), failure),
        Event::Cancelled(_) => "no verdict; nothing more is sent to Oz".to_owned(),
        Event::Progress(of) => progress(of),
        Event::Heartbeat(_) => "nothing new".to_owned(),
    }
}

fn uploaded(of: &PhotoUploaded) -> String {
    format!("photo {}, compared with {}", of.photo_media_id, of.liveness_media_ids.join(", "))
}

fn trouble(of: &AttemptFailed) -> String {
    let next = of.next_attempt_time.as_ref();
    let next = next.map_or(String::new(), |at| format!("; next try at {at}"));
    format!("trouble at Oz, {}{next}", cause(&of.cause, &of.message, &of.metadata))
}

/// The time of the next try. That try may have failed already: further failures with the same cause
/// are no updates.
fn next_try(of: &Trouble) -> String {
    of.next_attempt_time.as_ref().map_or(String::new(), |at| format!("at {at} or later"))
}

fn standing_trouble(of: &Trouble) -> String {
    cause(&of.cause, &of.message, &of.metadata)
}

fn cause(cause: &str, message: &str, metadata: &HashMap<String, String>) -> String {
    format!("{cause}: {message}{}", details(metadata, message))
}

/// The photo's id at Oz, and its kind if it isn't a selfie.
fn photo(of: &Match) -> String {
    match of.photo_kind() {
        PhotoKind::IdFront if of.photo_media_id.is_empty() => "ID_FRONT".to_owned(),
        PhotoKind::IdFront => format!("{}, ID_FRONT", of.photo_media_id),
        PhotoKind::Unspecified | PhotoKind::Selfie => of.photo_media_id.clone(),
    }
}

fn liveness_asked(of: &Match) -> String {
    let policy = match of.liveness_policy() {
        LivenessPolicy::Unspecified => return of.liveness_analysis_id.clone(),
        policy => policy.as_str_name(),
    };
    let policy = policy.strip_prefix("LIVENESS_POLICY_").unwrap_or(policy);
    match of.liveness_analysis_id.as_str() {
        "" if of.liveness_policy() == LivenessPolicy::Report => String::new(),
        "" => policy.to_owned(),
        id => format!("{policy}, analysis {id}"),
    }
}

fn verdict(of: &MatchResult) -> String {
    let resolution = resolution_word(of.resolution());
    let liveness = of.liveness.as_ref().map_or(String::new(), liveness);
    match (of.min_confidence, of.max_confidence) {
        (Some(least), Some(most)) if least < most => {
            format!("{resolution}, similarity {least} to {most}{liveness}")
        }
        (Some(one), _) => format!("{resolution}, similarity {one}{liveness}"),
        (None, _) => format!("{resolution}{liveness}"),
    }
}

fn liveness(of: &LivenessResult) -> String {
    let spoofing = of.confidence_spoofing;
    let spoofing = spoofing.map_or(String::new(), |score| format!(", spoofing {score}"));
    format!("; liveness {}{spoofing}", resolution_word(of.resolution()))
}

fn failure(of: &MatchError) -> String {
    reason(of) + &details(&of.metadata, &of.message)
}

/// The longest value of an error's variable parts that is shown uncut, in characters.
const DETAIL_CHARACTERS_MAX: usize = 160;

/// The variable parts of an error that its message doesn't hold, sorted by name.
fn details(of: &HashMap<String, String>, message: &str) -> String {
    let cut = |value: &str| match value.char_indices().nth(DETAIL_CHARACTERS_MAX) {
        Some((at, _)) => format!("{}…", &value[..at]),
        None => value.to_owned(),
    };
    let news = of.iter().filter(|(_, value)| !message.contains(*value));
    let sorted: BTreeMap<_, _> = news.collect();
    let parts = sorted.into_iter().map(|(key, value)| format!("{key}: {}", cut(value)));
    let parts = parts.collect::<Vec<_>>().join(", ");
    if parts.is_empty() { parts } else { format!(" [{parts}]") }
}

fn reason(of: &MatchError) -> String {
    let again = if of.retryable { "; a new match may succeed" } else { "" };
    format!("{}: {}{again}", of.reason, of.message)
}

fn progress(of: &Progress) -> String {
    let elapsed = of.elapsed.as_ref().map(|elapsed| format!("{} s", elapsed.seconds));
    steps(of).into_iter().chain(elapsed).collect::<Vec<_>>().join(", ")
}

fn steps(of: &Progress) -> Vec<String> {
    let mut parts = Vec::new();
    if of.bytes_total > 0 && of.polls == 0 {
        parts.push(format!("{} of {} bytes sent", of.bytes_sent, of.bytes_total));
    }
    parts.push(counted(of.polls, "poll", "polls"));
    if of.failed_attempts > 0 {
        parts.push(counted(of.failed_attempts, "failed try", "failed tries"));
    }
    parts
}

fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn ending(of: &Match, failure: fn(&MatchError) -> String) -> String {
    match (&of.result, &of.error) {
        (Some(result), _) => verdict(result),
        (None, Some(error)) => failure(error),
        (None, None) => String::new(),
    }
}

fn labels(of: &Match) -> String {
    let mut labels: Vec<String> = of.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    labels.sort_unstable();
    labels.join(", ")
}

fn oz(of: &Match) -> String {
    let Some(oz) = &of.oz else { return String::new() };
    let words = [
        ("state", &oz.state),
        ("resolution", &oz.resolution),
        ("resolution_status", &oz.resolution_status),
    ];
    let said = words.into_iter().filter(|(_, word)| !word.is_empty());
    let said = said.map(|(name, word)| format!("{name} {word}"));
    said.chain([counted(oz.polls, "poll", "polls")]).collect::<Vec<_>>().join(", ")
}

fn time(at: Option<&Timestamp>) -> String {
    at.map_or("-".to_owned(), Timestamp::to_string)
}

fn state_word(state: MatchState) -> &'static str {
    let name = state.as_str_name();
    name.strip_prefix("MATCH_STATE_").unwrap_or(name)
}

fn resolution_word(resolution: Resolution) -> &'static str {
    let name = resolution.as_str_name();
    name.strip_prefix("RESOLUTION_").unwrap_or(name)
}
