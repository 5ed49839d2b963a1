//! The shape of a JSON answer: its keys, its types and Oz's words, without any value.
//!
//! Pure. It deliberately drops what could name a person or open a session: values, keys within
//! metadata, and keys that look like values.

use serde_json::{Map, Value};

/// Members whose values are words of Oz, which every installation has.
const WORDS: [&str; 6] =
    ["type", "state", "resolution", "resolution_status", "system_resolution", "media_type"];

/// Members whose keys are the callers', not Oz's.
const FOREIGN: [&str; 2] = ["meta_data", "technical_meta_data"];

/// The beginnings of Oz's tags; other tags are not shown.
const TAG_BEGINNINGS: [&str; 3] = ["video_", "photo_", "orientation_"];

/// The longest word and the longest key that are shown, in bytes.
const WORD_BYTES_MAX: usize = 40;

/// Different shapes of the items of one list that are shown.
const ITEM_SHAPES_MAX: usize = 8;

/// How deep a shape goes.
const DEPTH_MAX: usize = 12;

/// Replaces a key that could be a value.
const OTHER_KEY: &str = "(another key)";

/// The shape of a value.
pub fn shape(value: &Value) -> Value {
    shape_of("", value, 0)
}

fn shape_of(key: &str, value: &Value, depth: usize) -> Value {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) => "bool".into(),
        Value::Number(number) if number.is_f64() => "number".into(),
        Value::Number(_) => "integer".into(),
        Value::String(text) => text_shape(key, text).into(),
        Value::Array(_) | Value::Object(_) if depth >= DEPTH_MAX => "deeper".into(),
        Value::Array(items) => {
            let mut shapes: Vec<Value> = Vec::new();
            for item in items {
                let shape = shape_of(key, item, depth + 1);
                if shapes.len() < ITEM_SHAPES_MAX && !shapes.contains(&shape) {
                    shapes.push(shape);
                }
            }
            Value::Array(shapes)
        }
        Value::Object(_) if FOREIGN.contains(&key) => "object".into(),
        Value::Object(members) => Value::Object(
            members
                .iter()
                .map(|(key, value)| (shown_key(key), shape_of(key, value, depth + 1)))
                .collect::<Map<_, _>>(),
        ),
    }
}

fn text_shape(key: &str, text: &str) -> String {
    let is_tag = key == "tags" && TAG_BEGINNINGS.iter().any(|begin| text.starts_with(begin));
    match () {
        () if text.is_empty() => "empty text".to_owned(),
        () if (WORDS.contains(&key) || is_tag) && is_word(text) => format!("word {text}"),
        () if key == "version" && is_version(text) => format!("version {text}"),
        () if uuid::Uuid::try_parse(text).is_ok() => "UUID".to_owned(),
        () if text.starts_with("http://") || text.starts_with("https://") => "URL".to_owned(),
        () if text.parse::<f64>().is_ok() => "number as text".to_owned(),
        () if text.len() >= 32 && text.bytes().all(|it| it.is_ascii_hexdigit()) => {
            "hexadecimal text".to_owned()
        }
        () => "text".to_owned(),
    }
}

fn is_word(text: &str) -> bool {
    text.len() <= WORD_BYTES_MAX && text.bytes().all(|it| it.is_ascii_alphabetic() || it == b'_')
}

fn is_version(text: &str) -> bool {
    text.len() <= WORD_BYTES_MAX && text.bytes().all(|it| it.is_ascii_digit() || it == b'.')
}

/// The key, if it is a name: letters, with few digits.
fn shown_key(key: &str) -> String {
    let is_name = |it: u8| it.is_ascii_alphanumeric() || b"_-:.".contains(&it);
    let digits = key.bytes().filter(u8::is_ascii_digit).count();
    let named = !key.is_empty() && key.len() <= WORD_BYTES_MAX && key.bytes().all(is_name);
    if named && digits <= 2 { key.to_owned() } else { OTHER_KEY.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_shape_has_keys_types_and_words() {
        let answer = json!({
            "folder_id": "7e782ba3-94fa-4b34-94a0-c1e2f8c3b5b1", "time_created": 1714600000.5,
            "limit": 100, "is_archive": false, "comment": null, "note": "", "name": "Jane Doe",
            "original_url": "https://oz.example/a.jpg", "expire_date": "1714600000.5",
            "media": [{ "tags": ["photo_selfie", "of Jane"] }, { "tags": ["photo_selfie", "x"] }],
            "state": "FINISHED", "resolution": "in progress", "version": "6.0.1",
        });
        let expected = json!({
            "folder_id": "UUID", "time_created": "number", "limit": "integer", "is_archive": "bool",
            "comment": "null", "note": "empty text", "name": "text", "original_url": "URL",
            "expire_date": "number as text",
            "media": [{ "tags": ["word photo_selfie", "text"] }],
            "state": "word FINISHED", "resolution": "text", "version": "version 6.0.1",
        });
        assert_eq!(shape(&answer), expected);
    }

    #[test]
    fn nothing_of_a_caller_and_no_secret_is_in_a_shape() {
        let token = "0123456789abcdef".repeat(8);
        let answer = json!({
            "access_token": token, "state": token, "version": "Jane 1.0",
            "meta_data": { "iin": "900101300123", "Jane": 1 },
            "7e782ba3-94fa-4b34-94a0-c1e2f8c3b5b1": 1, "900101300123": 2, "Jane Doe": 3,
        });
        let shape = shape(&answer).to_string();
        for secret in [&token[..8], "Jane", "900101", "7e782ba3"] {
            assert!(!shape.contains(secret), "{secret} is in {shape}");
        }
        assert!(shape.contains(r#""meta_data":"object""#) && shape.contains(OTHER_KEY), "{shape}");
    }

    #[test]
    fn a_deep_answer_has_a_bounded_shape() {
        let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
        assert!(shape(&deep).to_string().contains("deeper"));
        let many: Vec<Value> =
            (0..100).map(|n| json!({ format!("k{}", "x".repeat(n)): n })).collect();
        assert!(shape(&many.into()).as_array().unwrap().len() <= ITEM_SHAPES_MAX);
    }
}
