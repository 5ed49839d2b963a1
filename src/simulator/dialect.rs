//! Turns the documented JSON into the JSON that another installation would send.
//!
//! It works on finished documents, so that handlers need not know how members are named or shaped.

use serde_json::{Map, Number, Value, json};

use crate::simulator::script::{AnalysisIdName, Switches};

/// Members with enumerated words as values.
const WORDS: [&str; 6] =
    ["type", "state", "resolution", "resolution_status", "system_resolution", "media_type"];
/// Members that none of Oz's documents promises.
const OPTIONAL: [&str; 19] = [
    "company_id",
    "user_id",
    "session_id",
    "group_id",
    "technical_meta_data",
    "system_resolution",
    "resolution_comment",
    "is_archive",
    "image_id",
    "video_id",
    "thumb_url",
    "video_url",
    "error_code",
    "error_message",
    "output_images",
    "time_updated",
    "total_count",
    "offset",
    "limit",
];
/// The member that holds the caller's metadata: it is never changed.
const FOREIGN: &str = "meta_data";

/// Changes a document as the switches say.
pub fn translate(document: Value, on: &Switches) -> Value {
    if is_plain(on) { document } else { translated(document, on) }
}

fn is_plain(on: &Switches) -> bool {
    !(on.error_details
        || on.timestamps_as_integers
        || on.extra_fields
        || on.optional_fields_missing
        || on.media_meta_data_missing
        || on.media_meta_data_dropped
        || on.clock_offset_seconds != 0
        || on.original_name_missing
        || on.lower_case_words
        || on.state_missing
        || on.failure_reason_missing
        || on.analysis_id_name != AnalysisIdName::AnalyseId)
}

fn translated(value: Value, on: &Switches) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(|item| translated(item, on)).collect(),
        Value::Object(members) => Value::Object(translated_object(members, on)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

fn translated_object(members: Map<String, Value>, on: &Switches) -> Map<String, Value> {
    let is_error = members.contains_key("error_code") && members.contains_key("details");
    let is_medium = members.contains_key("media_id");
    let mut dressed = Map::new();
    for (key, value) in members {
        if is_error {
            let key = if on.error_details && key == "details" { "error_details" } else { &key };
            dressed.insert(key.to_owned(), value);
        } else if on.media_meta_data_dropped && is_medium && key == FOREIGN {
            dressed.insert(key, json!({}));
        } else if !is_missing(&key, is_medium, on) {
            insert(&mut dressed, key, value, on);
        }
    }
    if on.extra_fields {
        dressed.insert("x_unknown".to_owned(), json!({ "since": "7.0", "values": [1, null] }));
    }
    dressed
}

fn is_missing(key: &str, is_medium: bool, on: &Switches) -> bool {
    on.optional_fields_missing && OPTIONAL.contains(&key)
        || on.media_meta_data_missing && is_medium && key == FOREIGN
        || on.original_name_missing && key == "original_name"
        || on.state_missing && key == "state"
        || on.failure_reason_missing && ["error_code", "error_message"].contains(&key)
}

fn insert(members: &mut Map<String, Value>, key: String, value: Value, on: &Switches) {
    let value = match value {
        value if key == FOREIGN => value,
        Value::Number(number) if is_time(&key) => Value::Number(time(number, on)),
        Value::String(word) if on.lower_case_words && WORDS.contains(&key.as_str()) => {
            Value::String(word.to_lowercase())
        }
        value => translated(value, on),
    };
    match (key.as_str(), on.analysis_id_name) {
        ("analyse_id", AnalysisIdName::AnalysisId) => {
            members.insert("analysis_id".to_owned(), value);
        }
        ("analyse_id", AnalysisIdName::Both) => {
            members.insert("analysis_id".to_owned(), value.clone());
            members.insert(key, value);
        }
        _ => {
            members.insert(key, value);
        }
    }
}

fn is_time(key: &str) -> bool {
    key.starts_with("time_") || key == "expire_date"
}

/// A time by Oz's clock, in the form that the switches set.
fn time(number: Number, on: &Switches) -> Number {
    let offset = on.clock_offset_seconds;
    let shifted = number.as_f64().and_then(|seconds| Number::from_f64(seconds + offset as f64));
    let time = if offset == 0 { number } else { shifted.unwrap_or(number) };
    if on.timestamps_as_integers { whole(&time) } else { time }
}

fn whole(number: &Number) -> Number {
    number.as_f64().map_or_else(|| number.clone(), |seconds| Number::from(seconds as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn analysis() -> Value {
        json!({"analyse_id": "a", "state": "FINISHED", "time_created": 1.5, "group_id": "g",
               "meta_data": {"state": "MINE", "time_x": 1.5}})
    }

    #[test]
    fn the_documented_dialect_changes_nothing() {
        assert_eq!(translate(analysis(), &Switches::default()), analysis());
    }

    #[test]
    fn each_switch_changes_its_own_members_only() {
        let on = Switches {
            timestamps_as_integers: true,
            lower_case_words: true,
            optional_fields_missing: true,
            analysis_id_name: AnalysisIdName::AnalysisId,
            ..Switches::default()
        };
        let expected = json!({"analysis_id": "a", "state": "finished", "time_created": 1,
                              "meta_data": {"state": "MINE", "time_x": 1.5}});
        assert_eq!(translate(analysis(), &on), expected);
    }

    #[test]
    fn all_times_are_by_oz_s_clock() {
        let on = Switches { clock_offset_seconds: -600, ..Switches::default() };
        let session = json!({"expire_date": 1_000.5, "session_id": "s", "time_updated": null});
        let expected = json!({"expire_date": 400.5, "session_id": "s", "time_updated": null});
        assert_eq!(translate(session, &on), expected);
        let on = Switches { timestamps_as_integers: true, ..on };
        let expected = json!({"analyse_id": "a", "time_created": 400});
        assert_eq!(translate(json!({"analyse_id": "a", "time_created": 1_000.5}), &on), expected);
    }

    #[test]
    fn errors_keep_their_code_and_rename_their_details() {
        let on =
            Switches { error_details: true, optional_fields_missing: true, ..Switches::default() };
        let error = json!({"error_code": 4, "error_message": "no", "details": null});
        let expected = json!({"error_code": 4, "error_message": "no", "error_details": null});
        assert_eq!(translate(error, &on), expected);
    }
}
