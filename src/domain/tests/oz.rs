//! The vocabulary of a scripted Oz: short names for media, analyses, answers and failures.

use std::time::Duration;

use crate::domain::{
    Analysis, AnalysisId, Failure, FailureKind, Folder, FolderId, MatchId, Media, MediaId, Reply,
    Timestamp,
    liveness::{BIOMETRY, QUALITY},
    settle::OzResult,
};

pub fn media_id(text: &str) -> MediaId {
    text.parse().unwrap()
}

pub fn analysis_id(text: &str) -> AnalysisId {
    text.parse().unwrap()
}

pub fn match_id() -> MatchId {
    "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap()
}

pub fn folder_id() -> FolderId {
    "7e782ba3-94fa-4b34-94a0-c1e2f8c3b5b1".parse().unwrap()
}

pub fn seconds(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

pub fn medium(id: &str, media_type: &str) -> Media {
    Media {
        id: media_id(id),
        media_type: Some(media_type.into()),
        tags: Vec::new(),
        original_name: None,
        match_id: None,
        time_created: None,
    }
}

pub fn video(id: &str) -> Media {
    medium(id, "VIDEO_FOLDER")
}

pub fn image(id: &str) -> Media {
    medium(id, "IMAGE_FOLDER")
}

/// The photo that the match uploaded.
pub fn our_photo(id: &str) -> Media {
    Media { match_id: Some(match_id().to_string()), ..image(id) }
}

pub fn analysis(kind: &str, id: &str, sources: &[&str], words: [&str; 3]) -> Analysis {
    let said = |word: &str| Some(word.to_owned()).filter(|word| !word.is_empty());
    let [state, resolution, status] = words;
    Analysis {
        id: Some(analysis_id(id)),
        kind: Some(kind.into()),
        source_media: Some(sources.iter().map(|id| media_id(id)).collect()),
        state: said(state),
        resolution: said(resolution),
        resolution_status: said(status),
        ..Analysis::default()
    }
}

/// A BIOMETRY analysis of the video `v` and the photo `p`, still running.
pub fn biometry(id: &str) -> Analysis {
    analysis(BIOMETRY, id, &["v", "p"], ["PROCESSING"; 3])
}

/// A BIOMETRY analysis of `v` and `p` with a verdict.
pub fn decided(id: &str, resolution: &str) -> Analysis {
    let words = ["FINISHED", resolution, resolution];
    Analysis { min_confidence: Some(0.9), ..analysis(BIOMETRY, id, &["v", "p"], words) }
}

/// A BIOMETRY analysis of `v` and `p` that failed.
pub fn broken(id: &str) -> Analysis {
    analysis(BIOMETRY, id, &["v", "p"], ["FAILED"; 3])
}

/// A QUALITY analysis of the video `v`, still running.
pub fn quality(id: &str) -> Analysis {
    analysis(QUALITY, id, &["v"], ["PROCESSING"; 3])
}

/// A QUALITY analysis of the video `v` that is over.
pub fn judged(id: &str, resolution: &str) -> Analysis {
    let words = ["FINISHED", resolution, resolution];
    Analysis { confidence_spoofing: Some(0.1), ..analysis(QUALITY, id, &["v"], words) }
}

/// The analysis with a creation time, for lists.
pub fn as_of(second: i64, analysis: Analysis) -> Analysis {
    Analysis { time_created: Some(seconds(second)), ..analysis }
}

pub fn holding(media: Vec<Media>, analyses: Vec<Analysis>) -> Folder {
    Folder { media, analyses }
}

/// A folder with one video, `v`, and these media and analyses.
pub fn folder(more: Vec<Media>, analyses: Vec<Analysis>) -> OzResult {
    let media = [vec![video("v")], more].concat();
    Ok(Reply::Folder(holding(media, analyses)))
}

/// A folder with only the video.
pub fn bare() -> OzResult {
    folder(vec![], vec![])
}

/// A folder with the video, our photo `p`, and these analyses.
pub fn with_photo(analyses: Vec<Analysis>) -> OzResult {
    folder(vec![our_photo("p")], analyses)
}

pub fn photo(id: &str) -> OzResult {
    Ok(Reply::Photo(media_id(id)))
}

pub fn started(analyses: Vec<Analysis>) -> OzResult {
    Ok(Reply::Started(analyses))
}

pub fn told(analysis: Analysis) -> OzResult {
    Ok(Reply::Analysis(analysis))
}

pub fn fails(kind: FailureKind) -> OzResult {
    Err(Failure::new(kind, "trouble"))
}

pub fn fails_until(kind: FailureKind, retry_after: Duration) -> OzResult {
    Err(Failure { retry_after: Some(retry_after), ..Failure::new(kind, "trouble") })
}

/// The connection broke before the answer.
pub fn lost() -> OzResult {
    fails(FailureKind::Interrupted)
}
