//! The key by which a caller names a reference photo in the operator's library.
//!
//! The key may be the operator's word for a person: it is stored with the match and erased with it,
//! and never shown in a log or an error.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::domain::id::InvalidId;

/// The longest key in bytes. Keys of object stores may have twice as many, those of people don't.
pub const KEY_BYTES_MAX: usize = 512;

/// A key: 1 to 512 bytes of UTF-8 without control characters.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReferenceKey(Arc<str>);

/// What a library makes of a key, which decides the keys that it accepts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyForm {
    /// A path below a folder or a prefix: it must have no empty segment, and none that leads out.
    Path,
    /// One segment of an address, percent-encoded. A server that decodes it too early must not be
    /// led out of its folder.
    Segment,
    /// A parameter of a query, whatever it says.
    Parameter,
}

impl ReferenceKey {
    /// Parses a key for a library of this form. Keys are parsed and never changed: two spellings
    /// are two keys.
    ///
    /// # Errors
    /// The rule that the text breaks. The error doesn't show the text.
    pub fn parse(text: &str, form: KeyForm) -> Result<Self, InvalidId> {
        let is_sized = (1..=KEY_BYTES_MAX).contains(&text.len());
        if !is_sized || text.chars().any(char::is_control) {
            return Err(InvalidId("must be 1 to 512 bytes without control characters"));
        }
        if !form.accepts(text) {
            return Err(InvalidId(form.rule()));
        }
        Ok(Self(text.into()))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl KeyForm {
    fn accepts(self, text: &str) -> bool {
        let leads_out = |segment: &str| matches!(segment, "." | "..");
        match self {
            Self::Path => !text.split('/').any(|segment| segment.is_empty() || leads_out(segment)),
            Self::Segment => !text.split(['/', '\\']).any(leads_out),
            Self::Parameter => true,
        }
    }

    const fn rule(self) -> &'static str {
        match self {
            Self::Path => "must be a path without empty segments, . and .., and without / in front",
            Self::Segment => "must have no segments . and ..",
            Self::Parameter => "must be a parameter",
        }
    }
}

impl fmt::Debug for ReferenceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReferenceKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FORMS: [KeyForm; 3] = [KeyForm::Path, KeyForm::Segment, KeyForm::Parameter];

    fn accepted_by(text: &str) -> [bool; 3] {
        FORMS.map(|form| ReferenceKey::parse(text, form).is_ok())
    }

    #[test]
    fn a_key_has_1_to_512_bytes_without_control_characters() {
        let longest = "k".repeat(KEY_BYTES_MAX);
        for good in ["17", "o'neil", "a b", "Ā-17", "%2e%2e", "a..b", "...", &longest] {
            assert_eq!(accepted_by(good), [true; 3], "{good:?}");
        }
        for bad in ["", "\0", "a\nb", "a\u{7f}", "a\u{85}b", &"k".repeat(513), &"ā".repeat(257)] {
            assert_eq!(accepted_by(bad), [false; 3], "{bad:?}");
        }
    }

    #[test]
    fn a_path_leads_nowhere_else() {
        for (text, accepted) in [
            ("a/b.jpg", [true, true, true]),
            ("/a", [false, true, true]),
            ("a/", [false, true, true]),
            ("a//b", [false, true, true]),
            (".", [false, false, true]),
            ("..", [false, false, true]),
            ("a/../b", [false, false, true]),
            ("./a", [false, false, true]),
            ("a\\..\\b", [true, false, true]),
        ] {
            assert_eq!(accepted_by(text), accepted, "{text}");
        }
    }

    #[test]
    fn a_key_is_not_shown() {
        let key = ReferenceKey::parse("customer-17", KeyForm::Path).unwrap();
        assert!(!format!("{key:?}").contains("customer"));
        let refused = ReferenceKey::parse("../customer-17", KeyForm::Path).unwrap_err();
        assert!(!refused.to_string().contains("customer"));
    }

    proptest! {
        #[test]
        fn a_path_stays_below_its_folder(text in "[ab./\\\\%2e]{1,12}") {
            if let Ok(key) = ReferenceKey::parse(&text, KeyForm::Path) {
                use std::path::{Component, Path};
                let path = Path::new(key.as_str());
                prop_assert!(path.components().all(|part| matches!(part, Component::Normal(_))));
                // Nothing was normalised away, so that no other key names the same file.
                let count = path.components().count();
                prop_assert_eq!(count, key.as_str().split('/').count());
            }
        }
    }
}
