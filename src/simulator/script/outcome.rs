//! The ending that a script gives to an analysis.

use serde::{Deserialize, Serialize};

use crate::simulator::script::rule::check_wait;

/// How an analysis ends. Words are not checked: a test may use words that Oz does not know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Outcome {
    /// `resolution`; unset, it follows from the scores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolution: Option<String>,
    /// `resolution_status`; unset, equal to `resolution`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolution_status: Option<String>,
    /// `state`; unset, FINISHED.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The likeness of the least alike pair; any number, also outside 0 and 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_confidence: Option<f64>,
    /// The likeness of the most alike pair; unset, equal to `min_confidence`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_confidence: Option<f64>,
    /// The score of a liveness check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence_spoofing: Option<f64>,
    /// Whether the analysis has no score at all.
    pub no_score: bool,
    /// How long the analysis takes, in milliseconds; unset, as the switch `processing_ms` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processing_ms: Option<u64>,
    /// How long the resolutions stay PROCESSING after `state` has ended, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolution_lag_ms: Option<u64>,
    /// `error_message` of an analysis that FAILED.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
}

impl Outcome {
    /// An outcome with this resolution and this score.
    pub fn scored(resolution: impl Into<String>, confidence: f64) -> Outcome {
        Outcome {
            resolution: Some(resolution.into()),
            min_confidence: Some(confidence),
            ..Outcome::default()
        }
    }

    pub(in crate::simulator) fn check(&self, key: &str) -> Result<(), String> {
        check_wait(&format!("{key}.processing_ms"), self.processing_ms)?;
        check_wait(&format!("{key}.resolution_lag_ms"), self.resolution_lag_ms)
    }
}
