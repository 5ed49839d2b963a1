//! One rule of a script: the requests that it matches, and what happens to them.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::simulator::Endpoint;
use crate::simulator::analysis::AnalysisType;
use crate::simulator::script::Outcome;

/// A condition on requests, and the action on those that match.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The rule's name in the log, in the record and in `/sim/rules/NAME`. Unset, its place among
    /// the rules added so far, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The requests that the rule matches.
    #[serde(rename = "match", default)]
    pub when: RequestMatch,
    /// What happens to these requests.
    pub then: Action,
}

/// The requests that a rule matches: all conditions must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RequestMatch {
    /// The endpoint; unset, all of Oz's endpoints.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// The folder that the request is about, by id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Required keys and values in the metadata of the folder that the request is about or creates.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub meta_data: Map<String, Value>,
    /// Required keys and values in the metadata of a medium that the request uploads or is about.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub media_meta_data: Map<String, Value>,
    /// The BLAKE3 digest of a medium that the request uploads or is about, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_digest: Option<String>,
    /// The type of an analysis that the request starts or is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis_type: Option<AnalysisType>,
    /// Only the n-th request, from 1. Each rule counts the requests that match by their contents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nth: Option<u64>,
    /// From the n-th request on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// Up to and including the n-th request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// Every n-th request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,
    /// At most this number of requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// Only for this time after the first matching request, in milliseconds by the simulator's
    /// clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
    /// The probability that the rule applies to a request, 0 to 1, drawn from the seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
}

/// What happens to a request. Keys combine, in the order in which they are listed here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Action {
    /// The request's session expires before the request is acted on.
    pub expire_session: bool,
    /// The connection breaks, and the request is not acted on.
    pub drop_before_acting: bool,
    /// The connection breaks at once; the request is acted on this number of milliseconds later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act_after_drop_ms: Option<u64>,
    /// Milliseconds before the request is acted on. It is acted on even if the caller leaves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// This status instead of the real answer. The request is not acted on, unless `act` is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// With `status` or `html`: the request is acted on nevertheless.
    pub act: bool,
    /// A proxy's HTML page with this status instead of the real answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub html: Option<u16>,
    /// This body instead of the real one: a string as it is, any other value as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// This `Content-Type` instead of the real one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The value of `Retry-After`: seconds or a date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<String>,
    /// Further headers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The JSON of the answer is wrapped in an array.
    pub as_array: bool,
    /// The JSON of the answer is made invalid.
    pub invalid_json: bool,
    /// The request is acted on, then the connection breaks without an answer.
    pub drop_after_acting: bool,
    /// Milliseconds between acting on the request and answering it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_delay_ms: Option<u64>,
    /// The request is acted on, but never answered; the connection stays open.
    pub never_answer: bool,
    /// The connection breaks after this number of bytes of the answer's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncate_bytes: Option<usize>,
    /// The answer's body is sent in ten pieces over this number of milliseconds.
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
/// Longest name of a rule, in bytes: it appears in URLs, log lines and recorded requests.
const NAME_BYTES_MAX: usize = 200;
/// Digits of a BLAKE3 digest in hexadecimal.
const DIGEST_DIGITS: usize = 64;

impl Rule {
    /// A rule for one endpoint, without an action; the other methods narrow it.
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

    /// Only requests about folders whose metadata has this key and value.
    pub fn with_meta_data(mut self, key: impl Into<String>, value: impl Into<Value>) -> Rule {
        self.when.meta_data.insert(key.into(), value.into());
        self
    }

    /// Names the rule, for the log, the record and `/sim/rules/NAME`.
    pub fn named(mut self, name: impl Into<String>) -> Rule {
        self.name = Some(name.into());
        self
    }

    /// Only requests about analyses of this type.
    pub fn of_type(mut self, analysis_type: AnalysisType) -> Rule {
        self.when.analysis_type = Some(analysis_type);
        self
    }

    /// Only the n-th matching request, from 1.
    pub fn nth(mut self, nth: u64) -> Rule {
        self.when.nth = Some(nth);
        self
    }

    /// At most this number of matching requests.
    pub fn times(mut self, times: u64) -> Rule {
        self.when.times = Some(times);
        self
    }

    /// Sets the action on matching requests.
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
    /// Whether it matches by metadata or media, which have to be parsed or looked up first.
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
    /// Fills unset keys from another action.
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

    /// Whether it sets only how analyses end.
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
                return Err(format!("then.{key}: not a valid header value"));
            }
        }
        for (name, value) in &self.headers {
            if HeaderName::try_from(name).is_err() || HeaderValue::from_str(value).is_err() {
                return Err(format!("then.headers.{name}: not a valid header"));
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
