//! An analysis: what it compares, when it ends, and how.
//!
//! No task runs in the background: the ending is settled when the analysis starts, and the clock
//! decides when it shows.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::simulator::answer::UNLICENSED;
use crate::simulator::clock::Millis;
use crate::simulator::media::{MediaKind, Medium, SourceMedium};
use crate::simulator::script::{Outcome, Switches, Unlicensed};
use crate::simulator::verdict::{self, Scores};

/// What an analysis checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnalysisType {
    /// Liveness.
    Quality,
    /// Face matching.
    Biometry,
    /// Text of identity documents.
    Documents,
    /// Search in a list of persons.
    Collection,
}

impl AnalysisType {
    /// Parses Oz's name of a type, in upper or lower case; `None` for an unknown name.
    pub fn read(word: &str) -> Option<AnalysisType> {
        match word.to_ascii_lowercase().as_str() {
            "quality" => Some(AnalysisType::Quality),
            "biometry" => Some(AnalysisType::Biometry),
            "documents" => Some(AnalysisType::Documents),
            "collection" => Some(AnalysisType::Collection),
            _ => None,
        }
    }

    /// Oz's name of the type, in upper case.
    pub fn word(self) -> &'static str {
        match self {
            AnalysisType::Quality => "QUALITY",
            AnalysisType::Biometry => "BIOMETRY",
            AnalysisType::Documents => "DOCUMENTS",
            AnalysisType::Collection => "COLLECTION",
        }
    }
}

/// One analysis of a folder.
#[derive(Clone, Debug)]
pub struct Analysis {
    pub id: Uuid,
    /// Shared by the analyses that one request started.
    pub group: Uuid,
    pub kind: AnalysisType,
    /// The media that it compares or checks.
    pub sources: Vec<SourceMedium>,
    /// The `params` of the request.
    pub params: Value,
    /// Stored for the caller; the simulator doesn't interpret it.
    pub meta_data: Map<String, Value>,
    pub created: Millis,
    /// When it ends; `None` means never.
    pub ends: Option<Millis>,
    /// Settled at the start; it shows only once `ends` has passed.
    pub ending: Ending,
}

/// How an analysis ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Ending {
    /// FINISHED or FAILED, or a rule's word.
    pub state: String,
    /// SUCCESS, DECLINED, OPERATOR_REQUIRED or FAILED, or a rule's word.
    pub resolution: String,
    /// Equal to `resolution`, unless a rule sets it.
    pub resolution_status: String,
    /// How long the resolutions stay PROCESSING after `state` has ended, in milliseconds.
    pub resolution_lag_ms: u64,
    /// Empty if the analysis FAILED.
    pub scores: Scores,
    /// Why it FAILED, or the message that a rule sets.
    pub error_message: Option<String>,
    pub basis: Basis,
}

/// What decided how an analysis ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// A rule's `outcome`.
    Rule,
    /// The outcome that the folder was made with.
    Folder,
    /// A switch: `undecodable`, `confidence_spoofing`, `too_few_media`, `biometry_unlicensed`.
    Switch,
    /// The pictures were compared.
    Pictures,
    /// A video or a shot set could not be decoded: SUCCESS, although nothing was compared.
    UndecodedVideo,
    /// A photo could not be decoded: FAILED.
    UndecodedPhoto,
    /// No medium was looked at: every analysis of this type is a SUCCESS.
    Nothing,
}

impl Basis {
    /// The name in the log and in `/sim/folders`.
    pub fn word(self) -> &'static str {
        match self {
            Basis::Rule => "rule",
            Basis::Folder => "folder",
            Basis::Switch => "switch",
            Basis::Pictures => "pictures",
            Basis::UndecodedVideo => "undecoded_video",
            Basis::UndecodedPhoto => "undecoded_photo",
            Basis::Nothing => "nothing",
        }
    }
}

/// The words that an analysis shows at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnalysisWords<'a> {
    /// PROCESSING until the analysis ends.
    pub state: &'a str,
    /// The verdict; PROCESSING until `resolution_lag_ms` after the end.
    pub resolution: &'a str,
    /// The verdict again, unless a rule makes the two differ.
    pub resolution_status: &'a str,
}

const PROCESSING: &str = "PROCESSING";
const SUCCESS: &str = "SUCCESS";
const FAILED: &str = "FAILED";

impl Analysis {
    /// Whether the analysis has ended at this moment.
    pub fn has_ended(&self, now: Millis) -> bool {
        self.ends.is_some_and(|ends| ends <= now)
    }

    /// The words that it shows at this moment.
    pub fn words(&self, now: Millis) -> AnalysisWords<'_> {
        let ended = self.has_ended(now);
        let lag_ms = self.ending.resolution_lag_ms;
        let resolved = self.ends.is_some_and(|ends| ends.saturating_add(lag_ms) <= now);
        AnalysisWords {
            state: if ended { &self.ending.state } else { PROCESSING },
            resolution: if resolved { &self.ending.resolution } else { PROCESSING },
            resolution_status: if resolved { &self.ending.resolution_status } else { PROCESSING },
        }
    }
}

impl Ending {
    /// Decides how an analysis of these media ends. A scripted outcome comes first.
    pub fn settle(
        kind: AnalysisType,
        media: &[&Medium],
        params: &Value,
        outcome: Option<(&Outcome, Basis)>,
        on: &Switches,
    ) -> Ending {
        if let Some((outcome, basis)) = outcome {
            return Ending { basis, ..Ending::scripted(kind, media, params, outcome, on) };
        }
        match kind {
            AnalysisType::Biometry => Ending::biometry(media, params, on),
            AnalysisType::Quality => {
                let scores = Scores::spoofing(media, on.confidence_spoofing);
                let resolution = spoofing_resolution(on.confidence_spoofing, params);
                Ending::finished(resolution, scores, Basis::Switch)
            }
            AnalysisType::Documents | AnalysisType::Collection => {
                Ending::finished("SUCCESS", Scores::default(), Basis::Nothing)
            }
        }
    }

    fn failed(message: impl Into<String>, basis: Basis) -> Ending {
        Ending {
            state: FAILED.to_owned(),
            error_message: Some(message.into()),
            ..Ending::finished(FAILED, Scores::default(), basis)
        }
    }

    fn finished(resolution: &str, scores: Scores, basis: Basis) -> Ending {
        Ending {
            state: "FINISHED".to_owned(),
            resolution: resolution.to_owned(),
            resolution_status: resolution.to_owned(),
            resolution_lag_ms: 0,
            scores,
            error_message: None,
            basis,
        }
    }

    fn biometry(media: &[&Medium], params: &Value, on: &Switches) -> Ending {
        if on.biometry_unlicensed == Unlicensed::Failed {
            return Ending::failed(UNLICENSED, Basis::Switch);
        }
        if media.len() < 2 {
            return Ending::failed("biometry needs at least two media", Basis::Switch);
        }
        let unreadable = match verdict::compare(media) {
            Ok(scores) => {
                return Ending::finished(scores.resolution(params, on), scores, Basis::Pictures);
            }
            Err(unreadable) => unreadable,
        };
        let scripted =
            |outcome| Ending::scripted(AnalysisType::Biometry, media, params, outcome, on);
        match &on.undecodable {
            Some(outcome) => Ending { basis: Basis::Switch, ..scripted(outcome) },
            None if has_undecoded_liveness_media(media) => {
                let success =
                    Outcome { resolution: Some(SUCCESS.to_owned()), ..Outcome::default() };
                Ending { basis: Basis::UndecodedVideo, ..scripted(&success) }
            }
            None => Ending::failed(
                format!("{unreadable}: script an `outcome`, see docs/simulator.md"),
                Basis::UndecodedPhoto,
            ),
        }
    }

    fn scripted(
        kind: AnalysisType,
        media: &[&Medium],
        params: &Value,
        outcome: &Outcome,
        on: &Switches,
    ) -> Ending {
        let scores = scripted_scores(kind, media, outcome, on);
        let state = outcome.state.clone().unwrap_or_else(|| "FINISHED".to_owned());
        let failed = state.eq_ignore_ascii_case(FAILED);
        let resolution = match &outcome.resolution {
            Some(resolution) => resolution.clone(),
            None if failed => FAILED.to_owned(),
            None if kind == AnalysisType::Quality => {
                let spoofing = scores.spoofing.unwrap_or(on.confidence_spoofing);
                spoofing_resolution(spoofing, params).to_owned()
            }
            None => scores.resolution(params, on).to_owned(),
        };
        let scripted = "the analysis failed because a script says so";
        Ending {
            resolution_status: outcome.resolution_status.clone().unwrap_or(resolution.clone()),
            resolution_lag_ms: outcome.resolution_lag_ms.unwrap_or(0),
            scores: if failed { Scores::default() } else { scores },
            error_message: match &outcome.error_message {
                Some(message) => Some(message.clone()),
                None => failed.then(|| scripted.to_owned()),
            },
            state,
            resolution,
            basis: Basis::Rule,
        }
    }
}

/// Whether a video or a shot set could not be decoded: real SDKs send formats that the simulator
/// has no decoder for.
fn has_undecoded_liveness_media(media: &[&Medium]) -> bool {
    media.iter().any(|medium| medium.kind != MediaKind::Image && medium.fingerprints().is_err())
}

fn scripted_scores(
    kind: AnalysisType,
    media: &[&Medium],
    outcome: &Outcome,
    on: &Switches,
) -> Scores {
    if outcome.no_score {
        return Scores::default();
    }
    match kind {
        AnalysisType::Biometry => {
            let least = outcome.min_confidence.unwrap_or(match outcome.resolution.as_deref() {
                Some("DECLINED") => 0.21,
                Some("OPERATOR_REQUIRED") => 0.8,
                Some(_) | None => 0.97,
            });
            Scores::likeness(media, least, outcome.max_confidence.unwrap_or(least))
        }
        AnalysisType::Quality => {
            let spoofing = outcome.confidence_spoofing.unwrap_or(match &outcome.resolution {
                Some(resolution) if resolution == "DECLINED" => 0.9,
                Some(_) | None => on.confidence_spoofing,
            });
            Scores::spoofing(media, spoofing)
        }
        AnalysisType::Documents | AnalysisType::Collection => Scores::default(),
    }
}

/// Spoofing score from which liveness is declined, unless `params` has a `threshold_spoofing`.
const THRESHOLD_SPOOFING: f64 = 0.5;

fn spoofing_resolution(spoofing: f64, params: &Value) -> &'static str {
    let threshold = params["threshold_spoofing"].as_f64().unwrap_or(THRESHOLD_SPOOFING);
    if spoofing >= threshold { "DECLINED" } else { "SUCCESS" }
}
