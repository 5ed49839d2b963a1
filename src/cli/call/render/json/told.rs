//! Formats errors and notices as JSON, one object per line: an error has a `code`, a notice has a
//! `notice`.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::cli::call::render::{
    failure::{self, FailureDetails},
    json::line,
    notice::Notice,
};

/// Why a command failed, in one line.
pub fn failure(failure: &FailureDetails) -> String {
    line(&RefusalJson::from(failure))
}

/// A notice, in one line.
pub fn notice(notice: &Notice<'_>) -> String {
    line(&RemarkJson::from(notice))
}

/// The error of a call. Scripts rely on the names of these fields.
#[derive(Serialize)]
struct RefusalJson<'a> {
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    message: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    violations: Vec<ViolationJson<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_delay: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

#[derive(Serialize)]
struct ViolationJson<'a> {
    field: &'a str,
    description: &'a str,
}

impl<'a> From<&'a FailureDetails> for RefusalJson<'a> {
    fn from(of: &'a FailureDetails) -> Self {
        let violation =
            |(field, description): &'a (String, String)| ViolationJson { field, description };
        Self {
            code: failure::code_name(of.code),
            reason: of.reason.as_deref(),
            message: &of.message,
            violations: of.violations.iter().map(violation).collect(),
            metadata: of
                .metadata
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str()))
                .collect(),
            retry_delay: of.retry_delay.map(seconds),
            hint: of.hint.as_deref(),
        }
    }
}

/// A notice and its variable parts. Scripts rely on the names of these fields.
#[derive(Serialize)]
struct RemarkJson<'a> {
    notice: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<RefusalJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_in: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resume_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<&'a str>,
}

impl<'a> From<&'a Notice<'a>> for RemarkJson<'a> {
    fn from(of: &'a Notice<'a>) -> Self {
        let mut remark = Self {
            notice: of.sentence(),
            cause: None,
            retry_in: None,
            request_id: None,
            resume_token: None,
            next_page_token: None,
        };
        match of {
            Notice::Reconnecting { failure, pause, .. } => {
                remark.cause = Some(RefusalJson::from(*failure));
                remark.retry_in = Some(seconds(*pause));
            }
            Notice::MatchLeft { request_id, .. } => remark.request_id = Some(request_id),
            Notice::ResumeFrom(token) => remark.resume_token = Some(token),
            Notice::ListGoesOn(token) => remark.next_page_token = Some(token),
            Notice::ReadingPhoto | Notice::UnknownVerdict | Notice::UpdatesMissed => {}
        }
        remark
    }
}

/// A duration as protobuf's JSON mapping writes it, such as `0.200s`.
fn seconds(duration: Duration) -> String {
    prost_types::Duration::try_from(duration)
        .map_or_else(|_| String::new(), |whole| whole.to_string())
}
