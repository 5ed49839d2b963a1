//! Oz's version, from an answer whose shape no document shows.

use serde_json::Value;

use crate::{
    doctor::{DoctorStep, Finding, judge::told},
    oz::ProbeOutcome,
};

/// The oldest version whose answers FaceMatch is written for: before it, liveness needed packed
/// images and a quality analysis could succeed without a score (Oz's changelog).
const OLDEST_MAJOR: u64 = 5;

/// The newest major version whose documents FaceMatch's authors have read.
const NEWEST_MAJOR: u64 = 6;

/// How deep a version is looked for.
const DEPTH_MAX: usize = 4;

/// Judges the answer of `GET /api/version`.
pub fn version(outcome: &ProbeOutcome) -> Finding {
    let answer = match outcome {
        Ok(answer) if answer.failure.is_none() => answer,
        other => {
            let why = format!("Oz does not tell its version ({})", told(other));
            return Finding::not_tried(DoctorStep::Version, why);
        }
    };
    match answer.json.as_ref().and_then(|json| find(json, false, 0)) {
        None => Finding::not_tried(DoctorStep::Version, "the answer names no version"),
        Some(text) => judge(&text),
    }
}

fn judge(text: &str) -> Finding {
    match numbers(text).and_then(|numbers| numbers.first().copied()) {
        Some(major) if major < OLDEST_MAJOR => Finding::differs(
            DoctorStep::Version,
            format!("{text} is older than 5.0.0, the oldest that FaceMatch is written for"),
            "have Oz upgraded; until then, --rehearse shows what fails",
        ),
        Some(major) if major > NEWEST_MAJOR => Finding::holds(
            DoctorStep::Version,
            format!("{text}, newer than the documents of Oz that FaceMatch is written from"),
        ),
        _ => Finding::holds(DoctorStep::Version, text),
    }
}

/// The first text that is a version: the value of a member that is called so, or the whole answer.
fn find(value: &Value, named: bool, depth: usize) -> Option<String> {
    match value {
        Value::String(text) if named || depth == 0 => {
            let text = text.trim();
            numbers(text).map(|_| text.chars().take(40).collect())
        }
        Value::Number(number) if named => numbers(&number.to_string()).map(|_| number.to_string()),
        Value::Object(members) if depth < DEPTH_MAX => {
            let is_named = |key: &str| named || key.to_ascii_lowercase().contains("version");
            // Members with the name come before those that only hold such members.
            let mut by_name: Vec<_> = members.iter().collect();
            by_name.sort_by_key(|(key, _)| !is_named(key));
            by_name.into_iter().find_map(|(key, value)| find(value, is_named(key), depth + 1))
        }
        Value::Array(items) if depth < DEPTH_MAX => {
            items.iter().find_map(|item| find(item, named, depth + 1))
        }
        _ => None,
    }
}

/// The numbers at the beginning of a version such as `v6.0.1-rc2`; `None` unless there are two.
fn numbers(text: &str) -> Option<Vec<u64>> {
    let digits = text.trim_start_matches(['v', 'V']);
    let end = digits.find(|it: char| !it.is_ascii_digit() && it != '.').unwrap_or(digits.len());
    let numbers: Vec<u64> = digits[..end]
        .trim_end_matches('.')
        .split('.')
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    (numbers.len() >= 2).then_some(numbers)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::FindingVerdict;

    #[test]
    fn a_version_is_found_in_answers_of_any_shape() {
        for (answer, version) in [
            (json!({ "version": "6.0.1" }), Some("6.0.1")),
            (json!("5.2.0"), Some("5.2.0")),
            (json!({ "build": "9.9.9", "api_version": "v6.1.0-rc2" }), Some("v6.1.0-rc2")),
            (json!({ "core": { "name": "x" }, "versions": { "api": "5.1.1" } }), Some("5.1.1")),
            (json!([{ "component": "api", "Version": "4.0.8" }]), Some("4.0.8")),
            (json!({ "version": 6.0 }), Some("6.0")),
            (json!({ "version": "latest" }), None),
            (json!({ "version": 6 }), None),
            (json!({ "build": "9.9.9" }), None),
            (json!(null), None),
        ] {
            assert_eq!(find(&answer, false, 0).as_deref(), version, "{answer}");
        }
    }

    #[test]
    fn only_old_versions_differ() {
        for (text, verdict) in [
            ("4.0.8", FindingVerdict::Differs),
            ("4.99", FindingVerdict::Differs),
            ("5.0", FindingVerdict::Holds),
            ("5.0.0", FindingVerdict::Holds),
            ("5.2.0", FindingVerdict::Holds),
            ("6.0.1", FindingVerdict::Holds),
            ("v7.1.0", FindingVerdict::Holds),
        ] {
            assert_eq!(judge(text).verdict, verdict, "{text}");
        }
    }
}
