//! Reads Oz's words: what an answer about an analysis means.
//!
//! It fails closed: a verdict needs a state that is over, a resolution that this version knows, and
//! a score. `tests/verdicts.rs` has the table; the words are from Oz's statuses page.

use crate::domain::{
    ask::Analysis,
    event::{LivenessResult, MatchError, Metadata, OzStatus, Resolution},
    id::AnalysisId,
    reason::Reason,
    time::Timestamp,
};

/// What an answer about a BIOMETRY analysis means.
#[derive(Clone, PartialEq, Debug)]
pub enum VerdictReading {
    /// The analysis is still running.
    Pending,
    /// The verdict.
    Verdict {
        /// What Oz decided.
        resolution: Resolution,
        /// The deciding score, 0..=1.
        min_confidence: f64,
        /// The best score, 0..=1.
        max_confidence: Option<f64>,
    },
    /// There will be no verdict.
    Failed(MatchError),
    /// The answer lacks required data: the text says which.
    Incomplete(&'static str),
}

/// What an answer about a QUALITY analysis means.
#[derive(Clone, PartialEq, Debug)]
pub enum LivenessReading {
    /// The analysis is still running.
    Pending,
    /// The analysis is over, with or without a decision that can be trusted.
    Over(LivenessResult),
    /// The answer lacks required data: the text says which.
    Incomplete(&'static str),
}

/// The words of Oz's three status fields, including words that only some of the fields use.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Pending,
    Finished,
    Failed,
    Decided(Resolution),
    Unknown,
}

/// Reads a BIOMETRY analysis.
pub fn read(analysis: &Analysis) -> VerdictReading {
    let state = word(analysis.state.as_deref());
    let resolution = word(analysis.resolution.as_deref());
    let status = word(analysis.resolution_status.as_deref());
    match (state, resolution, status) {
        (Some(Word::Pending), _, _) => VerdictReading::Pending,
        (Some(Word::Failed), _, _) => VerdictReading::Failed(analysis_failed(analysis)),
        (Some(Word::Unknown | Word::Decided(_)), _, _) => VerdictReading::Failed(unknown(analysis)),
        (Some(Word::Finished), None, None) => {
            VerdictReading::Incomplete("a finished analysis without a resolution")
        }
        (None, None, None) => VerdictReading::Incomplete("an analysis without a state"),
        (Some(Word::Finished) | None, _, _) => read_resolution(analysis, resolution, status),
    }
}

/// Reads a QUALITY analysis. Nothing that it says can fail a match by itself.
pub fn read_liveness(analysis: &Analysis, id: &AnalysisId) -> LivenessReading {
    let state = word(analysis.state.as_deref());
    let resolution = word(analysis.resolution.as_deref());
    let status = word(analysis.resolution_status.as_deref());
    if (state, resolution, status) == (None, None, None) {
        return LivenessReading::Incomplete("an analysis without a state");
    }
    let over = match state {
        Some(Word::Failed) => true,
        Some(Word::Pending) => false,
        // An analysis without a `state` is over once neither resolution field is pending.
        Some(Word::Finished | Word::Decided(_) | Word::Unknown) | None => {
            ![resolution, status].contains(&Some(Word::Pending))
        }
    };
    if !over {
        return LivenessReading::Pending;
    }
    let finished = matches!(state, Some(Word::Finished) | None);
    LivenessReading::Over(liveness(analysis, id, agreed(resolution, status).filter(|_| finished)))
}

/// A SUCCESS without a score is not trusted: old versions of Oz said it without having examined
/// anything.
fn liveness(analysis: &Analysis, id: &AnalysisId, decided: Option<Word>) -> LivenessResult {
    let confidence_spoofing = analysis.confidence_spoofing.filter(is_score);
    let resolution = match decided {
        Some(Word::Decided(Resolution::Success)) if confidence_spoofing.is_some() => {
            Some(Resolution::Success)
        }
        Some(Word::Decided(Resolution::Declined)) => Some(Resolution::Declined),
        Some(Word::Decided(
            Resolution::Success | Resolution::OperatorRequired | Resolution::Unknown,
        ))
        | Some(Word::Pending | Word::Finished | Word::Failed | Word::Unknown)
        | None => None,
    };
    LivenessResult { resolution, confidence_spoofing, analysis_id: id.clone() }
}

fn read_resolution(
    analysis: &Analysis,
    resolution: Option<Word>,
    status: Option<Word>,
) -> VerdictReading {
    if [resolution, status].contains(&Some(Word::Pending)) {
        return VerdictReading::Pending;
    }
    match agreed(resolution, status) {
        Some(Word::Failed) => VerdictReading::Failed(analysis_failed(analysis)),
        Some(Word::Decided(resolution)) => scored(analysis, resolution),
        Some(Word::Unknown | Word::Finished | Word::Pending) => {
            VerdictReading::Failed(unknown(analysis))
        }
        None => VerdictReading::Failed(inconclusive(analysis, "its resolution fields disagree")),
    }
}

/// Merges the two resolution fields, either of which may be missing. `None` if they contradict each
/// other. An unknown word beside a known one yields unknown: it may be the deciding one.
fn agreed(resolution: Option<Word>, status: Option<Word>) -> Option<Word> {
    match (resolution, status) {
        (Some(Word::Unknown), _) | (_, Some(Word::Unknown)) => Some(Word::Unknown),
        (Some(Word::Failed), _) | (_, Some(Word::Failed)) => Some(Word::Failed),
        // Some answers repeat the state in `resolution_status`.
        (Some(word), Some(Word::Finished) | None) | (Some(Word::Finished) | None, Some(word)) => {
            Some(word)
        }
        (Some(a), Some(b)) => (a == b).then_some(a),
        (None, None) => None,
    }
}

fn scored(analysis: &Analysis, resolution: Resolution) -> VerdictReading {
    match analysis.min_confidence.filter(is_score) {
        Some(min_confidence) => VerdictReading::Verdict {
            resolution,
            min_confidence,
            max_confidence: analysis.max_confidence.filter(is_score),
        },
        None => VerdictReading::Failed(inconclusive(analysis, "it has no score from 0 to 1")),
    }
}

fn is_score(score: &f64) -> bool {
    (0.0..=1.0).contains(score)
}

/// Parses one of Oz's words, in any case. An empty field counts as absent.
fn word(text: Option<&str>) -> Option<Word> {
    let text = text.map(str::trim).filter(|text| !text.is_empty())?;
    Some(match text.to_ascii_uppercase().as_str() {
        "PROCESSING" | "INITIAL" => Word::Pending,
        "FINISHED" => Word::Finished,
        "FAILED" => Word::Failed,
        "SUCCESS" => Word::Decided(Resolution::Success),
        "DECLINED" => Word::Decided(Resolution::Declined),
        "OPERATOR_REQUIRED" => Word::Decided(Resolution::OperatorRequired),
        _ => Word::Unknown,
    })
}

fn analysis_failed(analysis: &Analysis) -> MatchError {
    let message = "Oz's analysis failed";
    MatchError::new(Reason::OzAnalysisFailed, message).with(raw_words(analysis))
}

fn unknown(analysis: &Analysis) -> MatchError {
    let message = "Oz's analysis ended with a word that is not known";
    MatchError::new(Reason::OzUnknownStatus, message).with(raw_words(analysis))
}

fn inconclusive(analysis: &Analysis, why: &str) -> MatchError {
    let message = format!("Oz's analysis can't be relied on: {why}");
    MatchError::new(Reason::OzInconclusive, message).with(raw_words(analysis))
}

fn raw_words(analysis: &Analysis) -> Metadata {
    let entries = [
        ("oz.state", analysis.state.clone()),
        ("oz.resolution", analysis.resolution.clone()),
        ("oz.resolution_status", analysis.resolution_status.clone()),
        ("oz.error_code", analysis.error_code.map(|code| code.to_string())),
        ("oz.error_message", analysis.error_message.clone()),
    ];
    entries.into_iter().filter_map(|(key, value)| Some((key.into(), value?))).collect()
}

/// The raw status of an analysis, as a match shows it.
pub fn status(analysis: &Analysis, polls: u64, last_poll: Option<Timestamp>) -> OzStatus {
    let raw = |text: &Option<String>| text.clone().unwrap_or_default();
    OzStatus {
        state: raw(&analysis.state),
        resolution: raw(&analysis.resolution),
        resolution_status: raw(&analysis.resolution_status),
        polls,
        last_poll,
    }
}
