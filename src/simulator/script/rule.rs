//! One rule of a script: which requests it means, and what happens to them.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::simulator::Endpoint;
use crate::simulator::analysis::AnalysisType;
use crate::simulator::script::Outcome;

/// Which requests, and what then.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Shown in the log and in the record beside each request that it changed; names the rule in
    /// `/sim/rules/NAME`. Unset, its place among the rules added so far, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Which requests.
    #[serde(rename = "match", default)]
    pub when: RequestMatch,
    /// What happens to them.
    pub then: Action,
}

/// Which requests a rule means: all conditions must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RequestMatch {
    /// The endpoint; unset, any of Oz's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// The folder that the request is about, by id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// The folder that the request is about, or creates, has all of these in its metadata.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub meta_data: Map<String, Value>,
    /// A medium that the request brings or is about has all of these in its metadata.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub media_meta_data: Map<String, Value>,
    /// A medium that the request brings or is about has this BLAKE3 digest, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_digest: Option<String>,
    /// The type of an analysis that the request starts or is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis_type: Option<AnalysisType>,
    /// Only the n-th request, from 1, counted by this rule over what fits the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nth: Option<u64>,
    /// From the n-th request on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// Up to the n-th request, that one included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// Every n-th request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,
    /// At most so many requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// Only for so many milliseconds by the simulator's clock, from the first request that fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
    /// Each request with this probability, drawn from the seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
}

/// What happens to a request. Keys combine, in the order in which they stand here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Action {
    /// The session that the request carries expires before it is looked at.
    pub expire_session: bool,
    /// The connection breaks, and nothing happens.
    pub drop_before_acting: bool,
    /// The connection breaks at once, and so many milliseconds later the request is acted on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act_after_drop_ms: Option<u64>,
    /// Milliseconds before the request is acted on. It is acted on even if the caller leaves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// This status instead of the real answer. The request is not acted on, but see `act`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// With `status` or `html`: the request is acted on all the same.
    pub act: bool,
    /// A proxy's HTML page with this status instead of the real answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub html: Option<u16>,
    /// This body instead of the real one: a string as it is, anything else as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// This `Content-Type`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// `Retry-After`, as it is to stand in the header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<String>,
    /// Further headers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The real answer's JSON wrapped in an array.
    pub as_array: bool,
    /// The real answer, made invalid JSON.
    pub invalid_json: bool,
    /// The request is acted on, then the connection breaks without an answer.
    pub drop_after_acting: bool,
    /// Milliseconds between acting and answering.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_delay_ms: Option<u64>,
    /// Acted on, but never answered; the connection stays open.
    pub never_answer: bool,
    /// The answer breaks off after so many bytes of its body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncate_bytes: Option<usize>,
    /// The body of the answer takes so many milliseconds, in ten pieces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow_body_ms: Option<u64>,
    /// Analyses that this request starts stay PROCESSING for ever.
    pub never_finish: bool,
    /// How the analyses that this request starts end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// Longest scripted wait, in milliseconds: a day.
const WAIT_MS_MAX: u64 = 24 * 3_600 * 1_000;
/// Longest name of a rule, in bytes: it stands in URLs, log lines and recorded requests.
const NAME_BYTES_MAX: usize = 200;
/// Digits of a BLAKE3 digest in hexadecimal.
const DIGEST_DIGITS: usize = 64;

impl Rule {
    /// A rule for one endpoint; see the other methods for what narrows it.
    pub fn on(endpoint: Endpoint) -> Rule {
        Rule {
            when: RequestMatch { endpoint: Some(endpoint), ..RequestMatch::default() },
            ..Rule::default()
        }
    }

    /// Only requests about this folder.
    pub fn in_folder(mut self, folder: impl Into<String>) -> Rule {
        self.when.folder = Some(folder.into());
        self
    }

    /// Only requests about folders that have this in their metadata.
    pub fn with_meta_data(mut self, key: impl Into<String>, value: impl Into<Value>) -> Rule {
        self.when.meta_data.insert(key.into(), value.into());
        self
    }

    /// Called so in the log, in the record and in `/sim/rules/NAME`.
    pub fn named(mut self, name: impl Into<String>) -> Rule {
        self.name = Some(name.into());
        self
    }

    /// Only requests about analyses of this type.
    pub fn of_type(mut self, analysis_type: AnalysisType) -> Rule {
        self.when.analysis_type = Some(analysis_type);
        self
    }

    /// Only the n-th of the requests that fit, from 1.
    pub fn nth(mut self, nth: u64) -> Rule {
        self.when.nth = Some(nth);
        self
    }

    /// At most so many of the requests that fit.
    pub fn times(mut self, times: u64) -> Rule {
        self.when.times = Some(times);
        self
    }

    /// What happens to them.
    pub fn then(mut self, action: Action) -> Rule {
        self.then = action;
        self
    }

    /// Checks the ranges; the error names the key.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.name.as_ref().is_some_and(|name| name.is_empty() || name.len() > NAME_BYTES_MAX) {
            return Err(format!("name: must have 1 to {NAME_BYTES_MAX} bytes"));
        }
        self.when.check()?;
        self.then.check()
    }
}

impl RequestMatch {
    /// Whether it asks for what callers say of their folders and media, or bring.
    pub(in crate::simulator) fn is_about_contents(&self) -> bool {
        let words = !self.meta_data.is_empty() || !self.media_meta_data.is_empty();
        words || self.media_digest.is_some()
    }

    fn check(&self) -> Result<(), String> {
        for (key, number) in [("nth", self.nth), ("from", self.from), ("to", self.to)] {
            if number == Some(0) {
                return Err(format!("match.{key}: counting starts at 1"));
            }
        }
        if self.every == Some(0) {
            return Err("match.every: must be 1 or more".to_owned());
        }
        let is_digest = |text: &String| {
            text.len() == DIGEST_DIGITS && text.chars().all(|digit| digit.is_ascii_hexdigit())
        };
        if self.media_digest.as_ref().is_some_and(|text| !is_digest(text)) {
            return Err(format!("match.media_digest: not {DIGEST_DIGITS} hexadecimal digits"));
        }
        check_wait("match.for_ms", self.for_ms)?;
        match self.probability {
            Some(share) if !(0.0..=1.0).contains(&share) => {
                Err(format!("match.probability: {share} is not within 0 and 1"))
            }
            _ => Ok(()),
        }
    }
}

impl Action {
    /// Fills the keys that are unset here from another action.
    pub(in crate::simulator) fn or(self, other: &Action) -> Action {
        let mut headers = other.headers.clone();
        headers.extend(self.headers);
        Action {
            expire_session: self.expire_session || other.expire_session,
            delay_ms: self.delay_ms.or(other.delay_ms),
            drop_before_acting: self.drop_before_acting || other.drop_before_acting,
            act_after_drop_ms: self.act_after_drop_ms.or(other.act_after_drop_ms),
            drop_after_acting: self.drop_after_acting || other.drop_after_acting,
            status: self.status.or(other.status),
            act: self.act || other.act,
            html: self.html.or(other.html),
            body: self.body.or_else(|| other.body.clone()),
            content_type: self.content_type.or_else(|| other.content_type.clone()),
            retry_after: self.retry_after.or_else(|| other.retry_after.clone()),
            headers,
            as_array: self.as_array || other.as_array,
            invalid_json: self.invalid_json || other.invalid_json,
            answer_delay_ms: self.answer_delay_ms.or(other.answer_delay_ms),
            never_answer: self.never_answer || other.never_answer,
            truncate_bytes: self.truncate_bytes.or(other.truncate_bytes),
            slow_body_ms: self.slow_body_ms.or(other.slow_body_ms),
            never_finish: self.never_finish || other.never_finish,
            outcome: self.outcome.or_else(|| other.outcome.clone()),
        }
    }

    /// Whether nothing is set but how analyses end.
    pub(in crate::simulator) fn is_only_about_endings(&self) -> bool {
        let Action { never_finish, outcome, .. } = self;
        let rest = Action { never_finish: false, outcome: None, ..self.clone() };
        (*never_finish || outcome.is_some()) && rest == Action::default()
    }

    fn check(&self) -> Result<(), String> {
        for (key, status) in [("status", self.status), ("html", self.html)] {
            if status.is_some_and(|status| !(200..=599).contains(&status)) {
                return Err(format!("then.{key}: not a status from 200 to 599"));
            }
        }
        for (key, wait) in [
            ("delay_ms", self.delay_ms),
            ("act_after_drop_ms", self.act_after_drop_ms),
            ("answer_delay_ms", self.answer_delay_ms),
            ("slow_body_ms", self.slow_body_ms),
        ] {
            check_wait(&format!("then.{key}"), wait)?;
        }
        self.check_headers()?;
        match &self.outcome {
            Some(outcome) => outcome.check("then.outcome"),
            None => Ok(()),
        }
    }

    fn check_headers(&self) -> Result<(), String> {
        let own = [("retry_after", &self.retry_after), ("content_type", &self.content_type)];
        for (key, value) in own {
            if value.as_ref().is_some_and(|value| HeaderValue::from_str(value).is_err()) {
                return Err(format!("then.{key}: no valid header value"));
            }
        }
        for (name, value) in &self.headers {
            if HeaderName::try_from(name).is_err() || HeaderValue::from_str(value).is_err() {
                return Err(format!("then.headers.{name}: no valid header"));
            }
        }
        Ok(())
    }
}

pub(super) fn check_wait(key: &str, wait_ms: Option<u64>) -> Result<(), String> {
    match wait_ms {
        Some(wait_ms) if wait_ms > WAIT_MS_MAX => Err(format!("{key}: longer than a day")),
        _ => Ok(()),
    }
}
