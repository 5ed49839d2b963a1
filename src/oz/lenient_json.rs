//! Parses Oz's JSON, and repairs faults that real encoders put into it.
//!
//! Python's encoder, which Oz's framework uses, writes NaN and Infinity as bare words, and invalid
//! Unicode as lone surrogates; proxies prepend a byte order mark. Strict JSON is read as it is. It
//! deliberately repairs nothing that is cut off or out of order.

use std::borrow::Cow;

use serde_json::Value;

/// UTF-8 text may start with it.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Numbers in Python's JSON that strict JSON doesn't have.
const NOT_NUMBERS: [&str; 3] = ["NaN", "Infinity", "-Infinity"];

/// Parses a document. NaN and the infinities become strings, so that they are present but not
/// numbers; lone surrogates and bytes that aren't UTF-8 become U+FFFD.
///
/// # Errors
/// The first fault of a document that isn't JSON even when repaired.
pub fn read(body: &[u8]) -> serde_json::Result<Value> {
    serde_json::from_slice(body).or_else(|fault| match String::from_utf8_lossy(body) {
        Cow::Borrowed(text) => {
            repaired(text).map_or(Err(fault), |text| serde_json::from_str(&text))
        }
        Cow::Owned(text) => serde_json::from_str(&repaired(&text).unwrap_or(text)),
    })
}

/// The repaired text; `None` if there was nothing to repair.
fn repaired(text: &str) -> Option<String> {
    let body = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let mut repaired = String::with_capacity(body.len() + 16);
    let mut rest = body;
    let mut in_string = false;
    while let Some(next) = rest.chars().next() {
        let (read, written) = match next {
            '\\' if in_string => escape(rest),
            'N' | 'I' | '-' if !in_string => number(rest),
            _ => (next.len_utf8(), None),
        };
        in_string ^= next == '"';
        repaired.push_str(written.as_deref().unwrap_or(&rest[..read]));
        rest = &rest[read..];
    }
    (repaired != text).then_some(repaired)
}

/// The length of the escape sequence that the text starts with, and its replacement if it is a lone
/// surrogate.
fn escape(text: &str) -> (usize, Option<String>) {
    let unit = |at: usize| {
        let hex = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(hex, 16).ok()
    };
    match (unit(0), unit(6)) {
        (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => (12, None),
        (Some(0xD800..=0xDFFF), _) => (6, Some("\\ufffd".to_owned())),
        // An escaped quotation mark doesn't end its string.
        _ => (1 + text[1..].chars().next().map_or(0, char::len_utf8), None),
    }
}

/// The length and the replacement of the bare word that the text starts with, or just the first
/// character of anything else.
fn number(text: &str) -> (usize, Option<String>) {
    match NOT_NUMBERS.into_iter().find(|word| text.starts_with(word)) {
        Some(word) => (word.len(), Some(format!("\"{word}\""))),
        None => (1, None),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(body: impl AsRef<[u8]>) -> Option<Value> {
        read(body.as_ref()).ok()
    }

    #[test]
    fn strict_json_is_read_as_it_is() {
        for text in [r#"{"a":[1,-2.5,"NaN","\ud83d\ude00","\\","\""],"b":null}"#, "[]", "1", "-1"] {
            assert_eq!(value(text), serde_json::from_str(text).ok(), "{text}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_ignored() {
        assert_eq!(value("\u{feff}{\"a\":1}"), Some(json!({ "a": 1 })));
    }

    #[test]
    fn nan_and_infinities_are_read_as_strings() {
        let body = r#"{"a":NaN,"b":[Infinity,-Infinity,-1],"c":"NaN \" NaN"}"#;
        let read = json!({ "a": "NaN", "b": ["Infinity", "-Infinity", -1], "c": "NaN \" NaN" });
        assert_eq!(value(body), Some(read));
    }

    #[test]
    fn invalid_unicode_spoils_nothing_else() {
        let lone = r#"{"name":"a\ud83d.jpg","next":"\ude00\ud83d\ude00"}"#;
        let read = json!({ "name": "a\u{fffd}.jpg", "next": "\u{fffd}\u{1f600}" });
        assert_eq!(value(lone), Some(read));
        assert_eq!(value(b"{\"name\":\"a\xff\"}"), Some(json!({ "name": "a\u{fffd}" })));
        assert_eq!(
            value(b"\xef\xbb\xbf{\"name\":\"\xff\",\"n\":NaN}"),
            Some(json!({ "name": "\u{fffd}", "n": "NaN" }))
        );
    }

    #[test]
    fn json_that_is_cut_off_or_broken_stays_unreadable() {
        for text in [
            "",
            "{\"a\":NaN",
            "{\"a\":Nan}",
            "<html>",
            "{\"a\":\"\\",
            "\"\\ud8",
            "\u{feff}",
            "NaNNaN",
        ] {
            assert_eq!(value(text), None, "{text}");
        }
    }
}
