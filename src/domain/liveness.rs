//! Picks from a folder what matters to a match: the liveness media, what liveness says of them,
//! and what of ours is there already.

use std::collections::HashSet;

use crate::domain::{
    ask::{Analysis, Folder, Media},
    event::{LivenessResult, MatchError, Metadata},
    id::{AnalysisId, MatchId, MediaId},
    reason::Reason,
    request::Spec,
    verdict::{self, LivenessReading},
};

/// The type of an analysis that compares faces.
pub const BIOMETRY: &str = "BIOMETRY";
/// The type of an analysis that looks for attacks on liveness.
pub const QUALITY: &str = "QUALITY";

/// What the newest QUALITY analysis of some media says.
#[derive(Clone, PartialEq, Debug)]
pub enum Standing {
    /// There is none.
    Absent,
    /// Oz is still at it.
    Pending,
    /// It is over.
    Over(LivenessResult),
}

/// The media to compare with: the named ones, or the newest liveness media of the folder.
///
/// # Errors
/// `LIVENESS_MEDIA_NOT_FOUND`: there is none, or a named one is missing.
pub fn select(spec: &Spec, folder: &Folder) -> Result<Vec<MediaId>, MatchError> {
    if spec.liveness_media.is_empty() {
        let newest = newest_by(folder.media.iter().filter(|m| is_liveness(m)), |m| m.time_created);
        return newest.map(|media| vec![media.id.clone()]).ok_or_else(|| {
            MatchError::new(Reason::LivenessMediaNotFound, "the folder has no liveness media")
        });
    }
    let present: HashSet<&MediaId> = folder.media.iter().map(|media| &media.id).collect();
    match spec.liveness_media.iter().find(|id| !present.contains(id)) {
        None => Ok(spec.liveness_media.clone()),
        Some(missing) => {
            let message = "the folder lacks liveness media that the request names";
            let metadata = Metadata::from([("media_id".into(), missing.to_string())]);
            Err(MatchError::new(Reason::LivenessMediaNotFound, message).with(metadata))
        }
    }
}

/// Videos and shot sets are liveness media, and so is whatever is tagged as one.
fn is_liveness(media: &Media) -> bool {
    let by_type = media
        .media_type
        .as_deref()
        .is_some_and(|kind| kind.starts_with("VIDEO") || kind.starts_with("SHOT"));
    by_type || media.tags.iter().any(|tag| tag.starts_with("video_selfie"))
}

/// Whether Oz may take the medium for a photo. One of unknown type gets the benefit of the doubt.
pub fn is_image(media: &Media) -> bool {
    media.media_type.as_deref().is_none_or(|kind| kind.starts_with("IMAGE"))
}

/// What the newest QUALITY analysis that looked at all of these media says.
pub fn standing(folder: &Folder, liveness_media: &[MediaId]) -> Standing {
    let newest = newest_by(qualities(folder, liveness_media), |analysis| analysis.time_created);
    let Some((analysis, id)) = newest.and_then(|analysis| Some((analysis, analysis.id.as_ref()?)))
    else {
        return Standing::Absent;
    };
    match verdict::read_liveness(analysis, id) {
        LivenessReading::Pending | LivenessReading::Incomplete(_) => Standing::Pending,
        LivenessReading::Over(result) => Standing::Over(result),
    }
}

/// What the newest finished QUALITY analysis of these media says.
pub fn newest_finished(folder: &Folder, liveness_media: &[MediaId]) -> Option<LivenessResult> {
    let read = |analysis: &Analysis| over(verdict::read_liveness(analysis, analysis.id.as_ref()?));
    let finished = qualities(folder, liveness_media).filter(|analysis| read(analysis).is_some());
    newest_by(finished, |analysis| analysis.time_created).and_then(read)
}

fn over(reading: LivenessReading) -> Option<LivenessResult> {
    match reading {
        LivenessReading::Over(result) => Some(result),
        LivenessReading::Pending | LivenessReading::Incomplete(_) => None,
    }
}

fn qualities<'a>(
    folder: &'a Folder,
    liveness_media: &'a [MediaId],
) -> impl Iterator<Item = &'a Analysis> {
    folder.analyses.iter().filter(move |analysis| {
        let sources = analysis.source_media.as_deref().unwrap_or(&[]);
        analysis.kind.as_deref() == Some(QUALITY)
            && liveness_media.iter().all(|media| sources.contains(media))
    })
}

/// The photos of this match that the folder holds, oldest first: by what we wrote into their
/// metadata, or, where Oz doesn't give that back, by their names.
pub fn photos_of<'a>(folder: &'a Folder, match_id: &MatchId) -> Vec<&'a Media> {
    let id = match_id.to_string();
    let by_metadata = |media: &&Media| media.match_id.as_deref() == Some(id.as_str());
    let by_name = |media: &&Media| {
        media.match_id.is_none() && media.original_name.as_deref().is_some_and(|n| n.contains(&id))
    };
    folder.media.iter().filter(|media| by_metadata(media) || by_name(media)).collect()
}

/// The analyses of this type that look at exactly these media.
pub fn analyses_of<'a>(
    folder: &'a Folder,
    kind: &'static str,
    media: &[MediaId],
) -> Vec<&'a Analysis> {
    let typed = |analysis: &&Analysis| analysis.kind.as_deref() == Some(kind);
    let named = folder.analyses.iter().filter(typed).filter(|analysis| analysis.id.is_some());
    named.filter(|analysis| looks_at_exactly(analysis, media)).collect()
}

/// Whether an analysis looks at these media and no others, in whatever order.
pub fn looks_at_exactly(analysis: &Analysis, media: &[MediaId]) -> bool {
    let sources: HashSet<&MediaId> = analysis.source_media.iter().flatten().collect();
    sources == media.iter().collect()
}

/// The ids of analyses that could be mistaken for the ones a match is about to ask for.
pub fn earlier(folder: &Folder, liveness_media: &[MediaId], photo: &MediaId) -> Vec<AnalysisId> {
    let compared: Vec<MediaId> = liveness_media.iter().chain([photo]).cloned().collect();
    let biometry = analyses_of(folder, BIOMETRY, &compared);
    let quality = analyses_of(folder, QUALITY, liveness_media);
    biometry.into_iter().chain(quality).filter_map(|analysis| analysis.id.clone()).collect()
}

/// The newest by time; the last listed where times are missing or equal.
fn newest_by<'a, T, K: Ord>(
    items: impl Iterator<Item = &'a T>,
    time: impl Fn(&T) -> K,
) -> Option<&'a T> {
    items.max_by_key(|item| time(item))
}
