//! Folders, media and analyses for assertions. The switches of the dialect don't change them.

use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::simulator::clock::Millis;
use crate::simulator::folders::Folder;

/// A folder at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FolderView {
    /// The folder's id at Oz.
    pub folder_id: Uuid,
    /// The metadata that callers gave to the folder.
    pub meta_data: Map<String, Value>,
    /// In the order of arrival.
    pub media: Vec<MediaView>,
    /// In the order of their start.
    pub analyses: Vec<AnalysisView>,
}

/// A medium of a folder.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MediaView {
    /// The medium's id at Oz.
    pub media_id: Uuid,
    /// `image`, `video` or `shot_set`.
    pub kind: &'static str,
    /// Oz's tags.
    pub tags: Vec<String>,
    /// The metadata that callers gave to the medium.
    pub meta_data: Map<String, Value>,
    /// The file name, as the client sent it.
    pub file_name: String,
    /// The MIME type, as the client sent it.
    pub content_type: String,
    /// The size in bytes.
    pub bytes: u64,
    /// BLAKE3 of the bytes, in hexadecimal.
    pub digest: String,
    /// Whether the simulator could decode it.
    pub decoded: bool,
    /// When it arrived, in milliseconds since 1970 by the simulator's clock.
    pub created_ms: u64,
}

/// An analysis at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AnalysisView {
    /// The analysis' id at Oz.
    pub analyse_id: Uuid,
    /// QUALITY, BIOMETRY, DOCUMENTS or COLLECTION.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The ids of the media that it compares or checks.
    pub source_media: Vec<Uuid>,
    /// PROCESSING until it ends.
    pub state: String,
    /// PROCESSING until it ends, or longer if a rule sets a `resolution_lag_ms`.
    pub resolution: String,
    /// The likeness of the least alike pair, once it has ended; `None` without a score.
    pub min_confidence: Option<f64>,
    /// Why it FAILED, once it has ended.
    pub error_message: Option<String>,
    /// What decided how it ends: `rule`, `folder`, `switch`, `pictures`, `undecoded_video`,
    /// `undecoded_photo` or `nothing`.
    pub settled_by: &'static str,
    /// When it ends, in milliseconds since 1970 by the simulator's clock; `None` means never.
    pub ends_ms: Option<u64>,
}

impl FolderView {
    /// The folder at the moment `now`.
    pub fn of(folder: &Folder, now: Millis) -> FolderView {
        let media = folder.media.iter().map(|medium| MediaView {
            media_id: medium.id,
            kind: medium.kind.word(),
            tags: medium.tags.clone(),
            meta_data: medium.meta_data.clone(),
            file_name: medium.file_name.clone(),
            content_type: medium.content_type.clone(),
            bytes: medium.contents.bytes,
            digest: medium.contents.digest.clone(),
            decoded: medium.fingerprints().is_ok(),
            created_ms: medium.created,
        });
        let analyses = folder.analyses.iter().map(|analysis| {
            let words = analysis.words(now);
            let ending = Some(&analysis.ending).filter(|_| analysis.has_ended(now));
            AnalysisView {
                analyse_id: analysis.id,
                kind: analysis.kind.word(),
                source_media: analysis.sources.iter().map(|source| source.id).collect(),
                state: words.state.to_owned(),
                resolution: words.resolution.to_owned(),
                min_confidence: ending.and_then(|it| it.scores.likeness).map(|(least, _)| least),
                error_message: ending.and_then(|it| it.error_message.clone()),
                settled_by: analysis.ending.basis.word(),
                ends_ms: analysis.ends,
            }
        });
        FolderView {
            folder_id: folder.id,
            meta_data: folder.meta_data.clone(),
            media: media.collect(),
            analyses: analyses.collect(),
        }
    }
}
