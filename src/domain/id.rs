//! Identifiers: one type for each kind, so that ids of different kinds can't be confused.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The longest id of a medium or an analysis that is accepted from Oz, in bytes. Oz's ids are UUIDs
/// today (36 bytes); anything much longer is not an id.
const OZ_ID_BYTES_MAX: usize = 128;

/// The longest id that a caller may give to a match, in characters (all ASCII).
pub const REQUEST_ID_CHARACTERS_MAX: usize = 128;

/// An invalid id. Holds the rule that the text breaks, for example `must be a UUID`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidId(pub &'static str);

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID that is known to be an id of this kind.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID itself.
            pub const fn as_uuid(&self) -> &Uuid {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse_uuid(text).map(Self).ok_or(InvalidId("must be a UUID"))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.as_hyphenated(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

uuid_id! {
    /// Our id of a match: a UUIDv7, so that ids sort by creation.
    MatchId
}
uuid_id! {
    /// Oz's id of a folder.
    FolderId
}
text_id! {
    /// Oz's id of a medium: a UUID in lower case, or up to 128 ASCII letters, digits, `-` and `_`.
    MediaId
}
text_id! {
    /// Oz's id of an analysis: a UUID in lower case, or up to 128 ASCII letters, digits, `-` and
    /// `_`.
    AnalysisId
}
text_id! {
    /// A caller's own id of a match: 1 to 128 printable ASCII characters.
    RequestId
}
text_id! {
    /// The name of a tenant, to whom matches belong. Callers act for one: without a callers file,
    /// for `default`.
    TenantId
}

impl FromStr for MediaId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        oz_id(text).map(Self)
    }
}

impl FromStr for AnalysisId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        oz_id(text).map(Self)
    }
}

impl FromStr for RequestId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let printable = text.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
        if text.is_empty() || text.len() > REQUEST_ID_CHARACTERS_MAX || !printable {
            return Err(InvalidId("must be 1 to 128 printable ASCII characters"));
        }
        Ok(Self(text.into()))
    }
}

impl TenantId {
    /// The tenant of callers without authentication, and of all matches from before callers were
    /// authenticated: `default`.
    pub fn default_tenant() -> Self {
        Self("default".into())
    }

    /// Wraps a tenant's name that was checked before: by the callers file, or before it was written to
    /// the journal.
    pub fn from_stored(text: &str) -> Self {
        Self(text.into())
    }
}

/// The number of an update within its match, dense from 1.
#[derive(
    Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Sequence(pub u64);

impl Sequence {
    /// Precedes the first update; no update has it.
    pub const ZERO: Self = Self(0);
    /// The first update's sequence.
    pub const FIRST: Self = Self::ZERO.next();

    /// The sequence of the update after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The position of an event in the whole journal. Positions grow in the order in which commits
/// become visible. Zero precedes the first event.
#[derive(
    Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Position(pub u64);

/// Parses only the hyphenated form of a UUID, which is the form that callers and Oz use.
fn parse_uuid(text: &str) -> Option<Uuid> {
    if text.len() != 36 {
        return None;
    }
    Uuid::try_parse(text).ok()
}

/// Accepts text that needs no escaping in a URL's path or in JSON. UUIDs are normalised to lower
/// case.
fn oz_id(text: &str) -> Result<Arc<str>, InvalidId> {
    if let Some(uuid) = parse_uuid(text) {
        return Ok(uuid.as_hyphenated().to_string().into());
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if text.is_empty() || text.len() > OZ_ID_BYTES_MAX || !text.bytes().all(plain) {
        return Err(InvalidId("is not an Oz id"));
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_id_is_a_uuid_and_nothing_else() {
        let id: FolderId = "7E782BA3-94FA-4B34-94A0-C1E2F8C3B5B1".parse().unwrap();
        assert_eq!(id.to_string(), "7e782ba3-94fa-4b34-94a0-c1e2f8c3b5b1");
        for wrong in ["", "..", "a/b", "%2f", "http://host/", "7e782ba394fa4b3494a0c1e2f8c3b5b1"] {
            assert!(wrong.parse::<FolderId>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn oz_ids_have_one_spelling_and_are_safe_in_a_path() {
        let upper: MediaId = "F35716ED-7ABF-4198-8146-229EB4F2AD25".parse().unwrap();
        let lower: MediaId = "f35716ed-7abf-4198-8146-229eb4f2ad25".parse().unwrap();
        assert_eq!(upper, lower);
        let (longest, too_long) = ("x".repeat(128), "x".repeat(129));
        for id in ["m-1", "m_1", &longest] {
            assert_eq!(id.parse::<AnalysisId>().unwrap().as_str(), id);
        }
        for wrong in ["", "..", "a/b", "a?b", "a b", "é", &too_long] {
            assert!(wrong.parse::<AnalysisId>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_request_id_is_printable_ascii() {
        assert!("order 17/a".parse::<RequestId>().is_ok());
        assert!("x".repeat(128).parse::<RequestId>().is_ok());
        let long = "x".repeat(129);
        for wrong in ["", "a\nb", "é", "\u{7f}", long.as_str()] {
            assert!(wrong.parse::<RequestId>().is_err(), "{wrong:?}");
        }
    }
}
