//! A caller's request in parsed form, and the rule for when two requests are the same.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IgnoredAny, MapAccess, Visitor},
};

use crate::domain::{
    id::{FolderId, MediaId, RequestId, TenantId},
    photo::{Format, PhotoKind},
    reference::ReferenceKey,
    trace::{self, CreatorTrace, Hex},
};

/// A keyed digest of a photo. It identifies equal photos within one store, and reveals nothing
/// elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(#[serde(with = "hex")] pub [u8; 32]);

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

/// A store's secret key of the digests of photos.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DigestKey(pub [u8; 32]);

impl DigestKey {
    /// The digest of a photo.
    pub fn digest(&self, photo: &[u8]) -> Digest {
        Digest(*blake3::keyed_hash(&self.0, photo).as_bytes())
    }
}

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey(…)")
    }
}

/// Where the reference photo comes from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PhotoSource {
    /// The caller sends the photo, and the service uploads it.
    Content {
        /// Shows whether a repeated call brings the same photo.
        digest: Digest,
        /// The format it is uploaded in.
        format: Format,
    },
    /// The folder holds it already; nothing is uploaded.
    FolderMedia(MediaId),
    /// The photo library of the tenant holds it; the service reads it there and uploads it.
    Library(ReferenceKey),
    /// A source from a later version.
    #[serde(skip_serializing)]
    Unknown,
}

impl PhotoSource {
    /// Whether the photo is this medium of the folder.
    pub fn is(&self, media_id: &MediaId) -> bool {
        match self {
            Self::FolderMedia(photo) => photo == media_id,
            Self::Content { .. } | Self::Library(_) | Self::Unknown => false,
        }
    }
}

/// As derived, except that sources from a later version become [`PhotoSource::Unknown`]:
/// `serde(other)` accepts only plain words.
impl<'de> Deserialize<'de> for PhotoSource {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Source;

        #[derive(Deserialize)]
        struct StoredPhoto {
            digest: Digest,
            format: Stored,
        }

        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Stored {
            Jpeg,
            Png,
            #[serde(other)]
            Unknown,
        }

        impl<'de> Visitor<'de> for Source {
            type Value = PhotoSource;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a source of photos")
            }

            fn visit_str<E: serde::de::Error>(self, _word: &str) -> Result<PhotoSource, E> {
                Ok(PhotoSource::Unknown)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PhotoSource, A::Error> {
                let mut source = PhotoSource::Unknown;
                while let Some(word) = map.next_key::<String>()? {
                    match word.as_str() {
                        "content" => {
                            let StoredPhoto { digest, format } = map.next_value()?;
                            source = match format {
                                Stored::Jpeg => {
                                    Self::Value::Content { digest, format: Format::Jpeg }
                                }
                                Stored::Png => Self::Value::Content { digest, format: Format::Png },
                                Stored::Unknown => PhotoSource::Unknown,
                            };
                        }
                        "folder_media" => source = PhotoSource::FolderMedia(map.next_value()?),
                        "library" => source = PhotoSource::Library(map.next_value()?),
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(source)
            }
        }

        input.deserialize_any(Source)
    }
}

/// How QUALITY analyses of the liveness media affect the match.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LivenessPolicy {
    /// Report the result of the newest finished one.
    #[default]
    Report,
    /// The newest one must say SUCCESS before the photo is sent.
    Require,
    /// Start one together with the BIOMETRY analysis.
    Run,
    /// A policy from a later version.
    #[serde(other, skip_serializing)]
    Unknown,
}

/// How long the match may take in all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Timeout {
    /// From acceptance to the end.
    #[serde(rename = "micros", with = "micros")]
    pub duration: Duration,
    /// Whether the caller named it; otherwise it is the server's default.
    pub named: bool,
}

/// The whole request of a match. This is what the caller's `request_id` stands for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// The tenant that owns the match. Stored under an older name.
    #[serde(rename = "caller")]
    pub tenant: TenantId,
    /// The caller's own id of the match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// The Oz folder.
    pub folder_id: FolderId,
    /// The reference photo.
    pub photo: PhotoSource,
    /// What the photo shows.
    pub kind: PhotoKind,
    /// How long it may take.
    pub timeout: Timeout,
    /// The media to compare with, sorted and without duplicates; if empty, the newest liveness
    /// medium.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub liveness_media: Vec<MediaId>,
    /// How liveness affects the match.
    pub liveness_policy: LivenessPolicy,
    /// The caller's labels, by which it can find the match.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The trace of the call that has created the match. A repeat may come from another trace.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "trace::stored")]
    pub trace: Option<CreatorTrace>,
}

impl Spec {
    /// The first field in which a repeated call differs from this one, as the contract names it;
    /// `None` if both ask for the same match.
    pub fn differing_field(&self, other: &Self) -> Option<&'static str> {
        let timeouts_agree = self.timeout.duration == other.timeout.duration
            // A changed server default doesn't change what the caller asked for.
            || (!self.timeout.named && !other.timeout.named);
        let fields = [
            ("folder_id", self.folder_id == other.folder_id),
            ("photo", self.photo == other.photo),
            ("photo.kind", self.kind == other.kind),
            ("timeout", timeouts_agree),
            ("liveness_media_ids", self.liveness_media == other.liveness_media),
            ("liveness_policy", self.liveness_policy == other.liveness_policy),
            ("labels", self.labels == other.labels),
        ];
        fields.into_iter().find(|(_, agree)| !agree).map(|(name, _)| name)
    }

    /// The id of the trace of the call that has created the match.
    pub fn trace_id(&self) -> Option<Hex<16>> {
        self.trace.as_ref().map(|trace| trace.context.shown_trace())
    }

    /// Whether this version knows every value in the request.
    pub fn is_known(&self) -> bool {
        self.photo != PhotoSource::Unknown
            && self.kind != PhotoKind::Unknown
            && self.liveness_policy != LivenessPolicy::Unknown
    }

    /// Whether the server has to hold the photo until Oz has it.
    pub fn needs_photo(&self) -> bool {
        matches!(self.photo, PhotoSource::Content { .. })
    }

    /// Whether the photo has to be uploaded.
    pub fn uploads_photo(&self) -> bool {
        matches!(self.photo, PhotoSource::Content { .. } | PhotoSource::Library(_))
    }
}

/// Whole microseconds, as the journal keeps durations.
pub(crate) mod micros {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(duration: &Duration, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_u64(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
        u64::deserialize(input).map(Duration::from_micros)
    }
}

/// Bytes as hexadecimal text, as the journal keeps digests.
mod hex {
    use std::fmt::Write;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(bytes: &[u8; 32], out: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(64);
        for byte in bytes {
            write!(text, "{byte:02x}").expect("writing to a string doesn't fail");
        }
        out.serialize_str(&text)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(input)?;
        parse(&text).ok_or_else(|| D::Error::custom("a digest is 64 hexadecimal digits"))
    }

    fn parse(text: &str) -> Option<[u8; 32]> {
        let mut bytes = [0; 32];
        // The number parser below would accept a leading sign.
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        TraceContext,
        tests::{oz::media_id, scene::spec},
    };

    /// Checks which field a repeat with this change differs in, in both orders.
    #[track_caller]
    fn differs(change: impl Fn(&mut Spec), field: Option<&str>) {
        let mut other = spec();
        change(&mut other);
        assert_eq!(spec().differing_field(&other), field);
        assert_eq!(other.differing_field(&spec()), field);
        assert_eq!(other.differing_field(&other), None);
    }

    #[test]
    fn a_repeat_names_the_first_field_in_which_it_differs() {
        let other_folder = "7e782ba3-94fa-4b34-94a0-c1e2f8c3b5b2".parse().unwrap();
        let other_photo = PhotoSource::Content { digest: Digest([8; 32]), format: Format::Jpeg };
        differs(|spec| spec.folder_id = other_folder, Some("folder_id"));
        differs(|spec| spec.photo = other_photo.clone(), Some("photo"));
        differs(|spec| spec.kind = PhotoKind::IdFront, Some("photo.kind"));
        differs(|spec| spec.liveness_media.push(media_id("v")), Some("liveness_media_ids"));
        differs(|spec| spec.liveness_policy = LivenessPolicy::Run, Some("liveness_policy"));
        let label = |spec: &mut Spec| drop(spec.labels.insert("branch".into(), "north".into()));
        differs(label, Some("labels"));
        let both =
            |spec: &mut Spec| (spec.kind, spec.folder_id) = (PhotoKind::IdFront, other_folder);
        differs(both, Some("folder_id"));
    }

    #[test]
    fn a_repeat_from_another_trace_differs_in_no_field() {
        let trace = TraceContext::new([1; 16], [2; 8], true);
        differs(|spec| spec.trace = Some(trace.into()), None);
    }

    #[test]
    fn a_repeat_under_another_request_id_differs_in_no_field() {
        differs(|spec| spec.request_id = Some("order-17".parse().unwrap()), None);
    }

    #[test]
    fn a_timeout_differs_unless_neither_was_named() {
        let timeout = |seconds, named| Timeout { duration: Duration::from_secs(seconds), named };
        let spec = |timeout| Spec { timeout, ..spec() };
        for (a, b, field) in [
            (timeout(10, true), timeout(10, true), None),
            (timeout(10, true), timeout(10, false), None),
            (timeout(10, false), timeout(20, false), None),
            (timeout(10, true), timeout(20, false), Some("timeout")),
            (timeout(10, true), timeout(20, true), Some("timeout")),
        ] {
            assert_eq!(spec(a).differing_field(&spec(b)), field, "{a:?} {b:?}");
            assert_eq!(spec(b).differing_field(&spec(a)), field, "{b:?} {a:?}");
        }
    }

    #[test]
    fn a_digest_is_not_shown() {
        assert_eq!(format!("{:?}", Digest([7; 32])), "Digest(…)");
    }
}
