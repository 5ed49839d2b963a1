//! The switches: each is one way in which an installation of Oz may differ from another.
//!
//! The defaults are the documented behaviour of a current Oz.

use serde::{Deserialize, Serialize};

use crate::simulator::analysis::AnalysisType;
use crate::simulator::script::{Gateway, Outcome};

/// All switches. In a script, a key that is left out has its default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Switches {
    /// Lifetime of an ordinary session, in seconds.
    pub session_ttl_seconds: u64,
    /// Lifetime of the service account's session, in seconds.
    pub service_ttl_seconds: u64,
    /// Each use of a session prolongs it.
    pub session_sliding: bool,
    /// A login ends all earlier sessions of the same user.
    pub login_ends_earlier_sessions: bool,
    /// Every login is refused, even with the right password.
    pub login_refused: bool,
    /// Which `error_code` a refused login carries: 15 (`newer`) or 7 (`older`).
    pub login_code: LoginCode,
    /// Types of analyses that the user may not start: 403, code 9.
    pub analyses_forbidden: Vec<AnalysisType>,
    /// The user may not delete folders, media or analyses: 403, code 9, as for a CLIENT.
    pub deletion_forbidden: bool,
    /// The user may not read folders, media or analyses: 403, code 9.
    pub reading_forbidden: bool,
    /// The user may not create folders or add media: 403, code 9.
    pub uploading_forbidden: bool,
    /// How an Oz without a licence for face matching answers.
    pub biometry_unlicensed: Unlicensed,
    /// The token is read from `X-Forensics-Access-Token` alone, as one of Oz's documents has it.
    pub token_header_plural: bool,

    /// The `version` that `GET /api/version` answers.
    pub api_version: String,
    /// `GET /api/version` does not exist.
    pub version_missing: bool,
    /// How many seconds Oz's clock is ahead of the simulator's, or behind it if negative: shown in
    /// `Date` headers and in all times of answers.
    pub clock_offset_seconds: i64,
    /// Which spelling of a path exists.
    pub trailing_slash: TrailingSlash,

    /// Media that a folder may hold.
    pub folder_files_max: usize,
    /// Bytes that one file may have.
    pub file_bytes_max: u64,
    /// Bytes that one request may have; beyond that a proxy answers 413 with HTML.
    pub request_bytes_max: usize,
    /// An upload without `payload` is refused.
    pub payload_required: bool,
    /// Adding media or analyses moves the folder's `time_updated`.
    pub folder_touched_by_additions: bool,
    /// The folder list can be filtered by `folder_id`; if not, the key is ignored.
    pub folder_id_filter: bool,
    /// Filters on times are rounded to whole days.
    pub time_filters_by_day: bool,
    /// `GET /api/analyses/` exists; Oz does not document it.
    pub analyses_list: bool,

    /// How long an analysis takes, in milliseconds.
    pub processing_ms: u64,
    /// Upper bound of the random time that is added to it, in milliseconds, drawn from the seed.
    pub processing_jitter_ms: u64,
    /// Likeness from which biometry ends as SUCCESS.
    pub threshold_max: f64,
    /// Likeness below which biometry ends as DECLINED; between the two, OPERATOR_REQUIRED.
    pub threshold_min: f64,
    /// `confidence_spoofing` of a liveness check.
    pub confidence_spoofing: f64,
    /// Liveness also reports `confidence_replay` and `confidence_liveness`.
    pub confidence_triple: bool,
    /// Biometry with fewer than two media: 400, or an analysis that FAILED.
    pub too_few_media: TooFewMedia,
    /// Biometry compares all media of the folder, whatever `source_media` names. Answers show the
    /// named media.
    pub source_media_ignored: bool,
    /// Biometry over all media of a folder leaves out `photo_id_back`.
    pub photo_id_back_ignored: bool,
    /// How biometry ends if a medium can't be decoded; unset, SUCCESS for a video or a shot set,
    /// since SDKs send videos, and FAILED for a photo.
    pub undecodable: Option<Outcome>,

    /// A gateway in front of Oz that answers instead of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Gateway>,

    /// Requests that create an object are answered with 200, not 201.
    pub created_is_200: bool,
    /// A single analysis is answered as an array of one.
    pub analysis_as_array: bool,
    /// The folder list is a bare array, not `{offset, limit, total_count, items}`.
    pub folder_list_bare: bool,
    /// Lists of media and analyses are `{items}`, not bare arrays.
    pub lists_as_items: bool,
    /// An upload of media is answered by the folder with `media`, not by an array.
    pub media_answer_as_object: bool,
    /// Errors call their third member `error_details`, not `details`.
    pub error_details: bool,
    /// Times are whole seconds.
    pub timestamps_as_integers: bool,
    /// Every object has members that no document names.
    pub extra_fields: bool,
    /// Members that Oz does not promise are missing.
    pub optional_fields_missing: bool,
    /// Media answers lack `meta_data`.
    pub media_meta_data_missing: bool,
    /// Media answers have an empty `meta_data`.
    pub media_meta_data_dropped: bool,
    /// Media answers lack `original_name`.
    pub original_name_missing: bool,
    /// Enumerated words are in lower case.
    pub lower_case_words: bool,
    /// The member that holds an analysis' id.
    pub analysis_id_name: AnalysisIdName,
    /// Scores are only in `results_media`, not in `results_data`.
    pub scores_only_in_results_media: bool,
    /// Analyses lack `state`.
    pub state_missing: bool,
    /// A failed analysis has neither `error_code` nor `error_message`.
    pub failure_reason_missing: bool,
    /// A folder's `resolution_status` is the verdict, as in older versions.
    pub folder_verdict_in_resolution_status: bool,
    /// The `media_type` of a shot set.
    pub shot_set_type: String,
}

/// The `error_code` of a refused login.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginCode {
    /// 7, AUTH INVALID.
    Older,
    /// 15, invalid credentials.
    #[default]
    Newer,
}

/// The answer of an Oz that has no licence for face matching.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unlicensed {
    /// It has the licence.
    #[default]
    No,
    /// A request for biometry is refused: 403, code 9.
    Refused,
    /// An analysis that ends as FAILED.
    Failed,
}

/// Which spelling of a path exists; the other one is answered with 404, code 10.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrailingSlash {
    /// Both.
    #[default]
    Either,
    /// Only paths that end in a slash.
    Required,
    /// Only paths that end without a slash.
    Refused,
}

impl TrailingSlash {
    /// Whether the path exists in this spelling.
    pub(in crate::simulator) fn fits(self, path: &str) -> bool {
        match self {
            TrailingSlash::Either => true,
            TrailingSlash::Required => path.ends_with('/'),
            TrailingSlash::Refused => !path.ends_with('/'),
        }
    }
}

/// The answer to a request for biometry with fewer than two media.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TooFewMedia {
    /// 400 with code 3.
    #[default]
    InvalidStructure,
    /// 400 with code 4.
    InvalidValue,
    /// An analysis that ends as FAILED.
    Failed,
}

/// The member that holds an analysis' id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnalysisIdName {
    /// `analyse_id`, as clients and the examples of today's documents have it.
    #[default]
    AnalyseId,
    /// `analysis_id`, as in the text of today's documents.
    AnalysisId,
    /// Both, with the same value.
    Both,
}

impl Default for Switches {
    fn default() -> Switches {
        Switches {
            session_ttl_seconds: 900,
            service_ttl_seconds: 5 * 365 * 24 * 3_600,
            session_sliding: true,
            login_ends_earlier_sessions: false,
            login_refused: false,
            login_code: LoginCode::default(),
            analyses_forbidden: Vec::new(),
            deletion_forbidden: true,
            reading_forbidden: false,
            uploading_forbidden: false,
            biometry_unlicensed: Unlicensed::default(),
            token_header_plural: false,
            api_version: "6.0.1".to_owned(),
            version_missing: false,
            clock_offset_seconds: 0,
            trailing_slash: TrailingSlash::default(),
            folder_files_max: 10,
            file_bytes_max: 10 * 1024 * 1024,
            request_bytes_max: 50 * 1024 * 1024,
            payload_required: true,
            folder_touched_by_additions: true,
            folder_id_filter: true,
            time_filters_by_day: false,
            analyses_list: false,
            processing_ms: 500,
            processing_jitter_ms: 0,
            threshold_max: 0.85,
            threshold_min: 0.85,
            confidence_spoofing: 0.02,
            confidence_triple: false,
            too_few_media: TooFewMedia::default(),
            source_media_ignored: false,
            photo_id_back_ignored: false,
            undecodable: None,
            gateway: None,
            created_is_200: false,
            analysis_as_array: false,
            folder_list_bare: false,
            lists_as_items: false,
            media_answer_as_object: false,
            error_details: false,
            timestamps_as_integers: false,
            extra_fields: false,
            optional_fields_missing: false,
            media_meta_data_missing: false,
            media_meta_data_dropped: false,
            original_name_missing: false,
            lower_case_words: false,
            analysis_id_name: AnalysisIdName::default(),
            scores_only_in_results_media: false,
            state_missing: false,
            failure_reason_missing: false,
            folder_verdict_in_resolution_status: false,
            shot_set_type: "SHOTS_SET_FOLDER".to_owned(),
        }
    }
}

/// Longest life and longest delay that a script may set, in seconds: a hundred years.
const SECONDS_MAX: u64 = 100 * 365 * 24 * 3_600;
/// Upper bounds of the two switches: media of a folder and bytes of a request are held in memory.
const FOLDER_FILES_CEILING: usize = 1_000;
const REQUEST_BYTES_CEILING: usize = 1024 * 1024 * 1024;
/// Longest version, in bytes.
const VERSION_BYTES_MAX: usize = 200;

impl Switches {
    /// Checks the ranges; the error names the key.
    pub(super) fn check(&self) -> Result<(), String> {
        for (key, seconds) in [
            ("session_ttl_seconds", self.session_ttl_seconds),
            ("service_ttl_seconds", self.service_ttl_seconds),
            ("processing_ms", self.processing_ms / 1_000),
            ("processing_jitter_ms", self.processing_jitter_ms / 1_000),
            ("clock_offset_seconds", self.clock_offset_seconds.unsigned_abs()),
        ] {
            if seconds > SECONDS_MAX {
                return Err(format!("switches.{key}: longer than a hundred years"));
            }
        }
        for (key, share) in [
            ("threshold_min", self.threshold_min),
            ("threshold_max", self.threshold_max),
            ("confidence_spoofing", self.confidence_spoofing),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return Err(format!("switches.{key}: {share} is not within 0 and 1"));
            }
        }
        if self.api_version.len() > VERSION_BYTES_MAX {
            return Err(format!("switches.api_version: over {VERSION_BYTES_MAX} bytes"));
        }
        if self.folder_files_max > FOLDER_FILES_CEILING {
            return Err(format!("switches.folder_files_max: more than {FOLDER_FILES_CEILING}"));
        }
        if self.request_bytes_max > REQUEST_BYTES_CEILING {
            return Err(format!("switches.request_bytes_max: more than {REQUEST_BYTES_CEILING}"));
        }
        if let Some(gateway) = &self.gateway {
            gateway.check("switches.gateway")?;
        }
        match &self.undecodable {
            Some(outcome) => outcome.check("switches.undecodable"),
            None => Ok(()),
        }
    }
}
