//! What the simulator holds, for assertions: its own words, whatever dialect it speaks.

use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::simulator::clock::Millis;
use crate::simulator::folders::Folder;

/// A folder.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FolderView {
    /// Its id.
    pub folder_id: Uuid,
    /// The caller's own words about it.
    pub meta_data: Map<String, Value>,
    /// In the order of their arrival.
    pub media: Vec<MediaView>,
    /// In the order of their start.
    pub analyses: Vec<AnalysisView>,
}

/// A medium.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MediaView {
    /// Its id.
    pub media_id: Uuid,
    /// `image`, `video` or `shot_set`.
    pub kind: &'static str,
    /// Oz's tags.
    pub tags: Vec<String>,
    /// The caller's own words about it.
    pub meta_data: Map<String, Value>,
    /// The client's file name.
    pub file_name: String,
    /// The client's MIME type.
    pub content_type: String,
    /// How many bytes it has.
    pub bytes: u64,
    /// BLAKE3 of them, in hexadecimal.
    pub digest: String,
    /// Whether the simulator could decode it.
    pub decoded: bool,
    /// When it came, in milliseconds since the simulator started.
    pub created_ms: u64,
}

/// An analysis.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AnalysisView {
    /// Its id.
    pub analyse_id: Uuid,
    /// QUALITY, BIOMETRY, DOCUMENTS or COLLECTION.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The media it looks at.
    pub source_media: Vec<Uuid>,
    /// By now.
    pub state: String,
    /// By now.
    pub resolution: String,
    /// Biometry's least likeness, once it has ended.
    pub min_confidence: Option<f64>,
    /// Why it FAILED, once it has.
    pub error_message: Option<String>,
    /// What decided how it ends: `rule`, `folder`, `switch`, `pictures`, `undecoded_video`,
    /// `undecoded_photo` or `nothing`.
    pub settled_by: &'static str,
    /// When it ends, in milliseconds since the simulator started; never, if unset.
    pub ends_ms: Option<u64>,
}

impl FolderView {
    /// A folder by now.
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
            decoded: medium.looks().is_ok(),
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
