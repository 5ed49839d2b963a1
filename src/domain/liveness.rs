//! Picks from a folder what matters to a match: the liveness media, the liveness results of these
//! media, and the match's own photos and analyses.

use std::collections::HashSet;

use crate::domain::{
    ask::{Analysis, Folder, Media},
    event::{LivenessResult, MatchError, Metadata},
    id::{AnalysisId, MatchId, MediaId},
    reason::Reason,
    request::{PhotoSource, Spec},
    verdict::{self, LivenessReading},
};

/// The type of an analysis that compares faces.
pub const BIOMETRY: &str = "BIOMETRY";
/// The type of an analysis that looks for attacks on liveness.
pub const QUALITY: &str = "QUALITY";

/// The liveness status, by the newest QUALITY analysis of some media.
#[derive(Clone, PartialEq, Debug)]
pub enum LivenessStatus {
    /// There is no such analysis.
    Absent,
    /// The analysis is still running, or the answer doesn't say enough.
    Pending,
    /// The analysis is over.
    Over(LivenessResult),
}

/// Checks that the folder holds the reference photo, if the request names one in the folder.
///
/// # Errors
/// `OZ_MEDIA_NOT_FOUND`: there is no such medium, or it is not an image.
pub fn find_photo(spec: &Spec, folder: &Folder) -> Result<(), MatchError> {
    let PhotoSource::FolderMedia(photo) = &spec.photo else {
        return Ok(());
    };
    let found = folder.media.iter().find(|media| media.id == *photo);
    if found.is_some_and(is_image) {
        return Ok(());
    }
    let message = match found {
        Some(_) => "the folder's medium that the request names is not an image",
        None => "the folder has no medium with the id that the request names",
    };
    let metadata = Metadata::from([("media_id".into(), photo.to_string())]);
    Err(MatchError::new(Reason::OzMediaNotFound, message).with(metadata))
}

/// The media to compare with: the named media, or the newest liveness medium of the folder. Never
/// the reference photo itself, which would match itself.
///
/// # Errors
/// `LIVENESS_MEDIA_NOT_FOUND`: the folder has no liveness media, or a named medium is missing.
pub fn select(spec: &Spec, folder: &Folder) -> Result<Vec<MediaId>, MatchError> {
    let others = folder.media.iter().filter(|media| !spec.photo.is(&media.id));
    if spec.liveness_media.is_empty() {
        let newest = newest_by(others.filter(|media| is_liveness(media)), |m| m.time_created);
        return newest.map(|media| vec![media.id.clone()]).ok_or_else(|| {
            MatchError::new(Reason::LivenessMediaNotFound, "the folder has no liveness media")
        });
    }
    let present: HashSet<&MediaId> = others.map(|media| &media.id).collect();
    match spec.liveness_media.iter().find(|id| !present.contains(id)) {
        None => Ok(spec.liveness_media.clone()),
        Some(missing) => {
            let message = "the folder lacks liveness media that the request names";
            let metadata = Metadata::from([("media_id".into(), missing.to_string())]);
            Err(MatchError::new(Reason::LivenessMediaNotFound, message).with(metadata))
        }
    }
}

/// Videos and shot sets are liveness media, and so is any medium with a tag for a selfie video.
pub fn is_liveness(media: &Media) -> bool {
    let by_type = media
        .media_type
        .as_deref()
        .is_some_and(|kind| kind.starts_with("VIDEO") || kind.starts_with("SHOT"));
    by_type || media.tags.iter().any(|tag| tag.starts_with("video_selfie"))
}

/// Whether Oz may accept the medium as a photo. A medium of unknown type gets the benefit of the
/// doubt.
fn is_image(media: &Media) -> bool {
    media.media_type.as_deref().is_none_or(|kind| kind.starts_with("IMAGE"))
}

/// The liveness status, by the newest QUALITY analysis that examines all of these media.
pub fn standing(folder: &Folder, liveness_media: &[MediaId]) -> LivenessStatus {
    let newest = newest_by(qualities(folder, liveness_media), |analysis| analysis.time_created);
    let Some((analysis, id)) = newest.and_then(|analysis| Some((analysis, analysis.id.as_ref()?)))
    else {
        return LivenessStatus::Absent;
    };
    match verdict::read_liveness(analysis, id) {
        LivenessReading::Pending | LivenessReading::Incomplete(_) => LivenessStatus::Pending,
        LivenessReading::Over(result) => LivenessStatus::Over(result),
    }
}

/// The result of the newest finished QUALITY analysis that examines all of these media.
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

/// The photos of this match that the folder holds, in Oz's order. They are found by the match id in
/// their metadata, or by their names if Oz doesn't return that metadata.
pub fn photos_of<'a>(folder: &'a Folder, match_id: &MatchId) -> Vec<&'a Media> {
    let id = match_id.to_string();
    let by_metadata = |media: &&Media| media.match_id.as_deref() == Some(id.as_str());
    let by_name = |media: &&Media| {
        media.match_id.is_none() && media.original_name.as_deref().is_some_and(|n| n.contains(&id))
    };
    folder.media.iter().filter(|media| by_metadata(media) || by_name(media)).collect()
}

/// The analyses of this type that have an id and examine exactly these media.
pub fn analyses_of<'a>(
    folder: &'a Folder,
    kind: &'static str,
    media: &[MediaId],
) -> Vec<&'a Analysis> {
    let typed = |analysis: &&Analysis| analysis.kind.as_deref() == Some(kind);
    let named = folder.analyses.iter().filter(typed).filter(|analysis| analysis.id.is_some());
    named.filter(|analysis| looks_at_exactly(analysis, media)).collect()
}

/// Whether an analysis examines these media and no others, in any order.
pub fn looks_at_exactly(analysis: &Analysis, media: &[MediaId]) -> bool {
    let sources: HashSet<&MediaId> = analysis.source_media.iter().flatten().collect();
    sources == media.iter().collect()
}

/// The ids of existing analyses that could be mistaken for those a match is about to start.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        PhotoSource,
        tests::{
            oz::{
                analysis, analysis_id, as_of, holding, image, judged, match_id, media_id, medium,
                our_photo, quality, seconds, video,
            },
            scene::spec,
        },
    };

    fn created(second: i64, media: Media) -> Media {
        Media { time_created: Some(seconds(second)), ..media }
    }

    fn tagged(tag: &str, media: Media) -> Media {
        Media { tags: vec![tag.into()], ..media }
    }

    fn ids(names: &[&str]) -> Vec<MediaId> {
        names.iter().map(|name| media_id(name)).collect()
    }

    /// Checks which media are selected if the request names none; `-` stands for none.
    #[track_caller]
    fn selects(media: Vec<Media>, expected: &str) {
        let selected = select(&spec(), &holding(media, vec![]));
        let selected = selected.map_or_else(
            |error| error.reason.as_str().replace("LIVENESS_MEDIA_NOT_FOUND", "-"),
            |ids| ids.iter().map(MediaId::as_str).collect::<Vec<_>>().join(" "),
        );
        assert_eq!(selected, expected);
    }

    #[test]
    fn the_newest_liveness_medium_is_selected() {
        selects(vec![created(2, video("new")), created(1, video("old"))], "new");
        selects(vec![created(1, video("old")), created(2, video("new"))], "new");
    }

    #[test]
    fn where_times_are_missing_or_equal_the_last_listed_is_selected() {
        selects(vec![video("first"), video("last")], "last");
        selects(vec![created(1, video("first")), created(1, video("last"))], "last");
        selects(vec![created(1, video("timed")), video("timeless")], "timed");
    }

    #[test]
    fn shot_sets_and_media_tagged_video_selfie_are_liveness_media() {
        selects(vec![medium("shots", "SHOTS_SET_FOLDER")], "shots");
        selects(vec![medium("shots", "SHOT_SET")], "shots");
        selects(vec![tagged("video_selfie_blank", image("frame"))], "frame");
        let untyped = Media { media_type: None, ..image("untyped") };
        selects(vec![tagged("video_selfie", untyped.clone())], "untyped");
        selects(vec![untyped], "-");
    }

    #[test]
    fn a_photo_is_never_selected() {
        let strangers = vec![
            created(9, image("a-stranger")),
            created(9, tagged("photo_selfie", image("a-selfie"))),
            created(9, tagged("photo_id_front", image("an-id"))),
            created(9, our_photo("p")),
        ];
        selects([strangers.clone(), vec![created(1, video("v"))]].concat(), "v");
        selects(strangers, "-");
    }

    #[test]
    fn named_media_are_selected_whatever_their_type() {
        let spec = Spec { liveness_media: ids(&["i", "v"]), ..spec() };
        let folder = holding(vec![video("w"), video("v"), image("i")], vec![]);
        assert_eq!(select(&spec, &folder), Ok(ids(&["i", "v"])));
    }

    #[test]
    fn a_named_medium_that_is_missing_is_named_in_the_refusal() {
        let spec = Spec { liveness_media: ids(&["v", "w"]), ..spec() };
        let error = select(&spec, &holding(vec![video("v")], vec![])).unwrap_err();
        assert_eq!(error.reason, Reason::LivenessMediaNotFound);
        assert_eq!(error.metadata["media_id"], "w");
    }

    #[test]
    fn the_reference_photo_is_never_compared_with_itself() {
        let photo = PhotoSource::FolderMedia(media_id("p"));
        let frame = created(9, tagged("video_selfie", image("p")));
        let folder = holding(vec![created(1, video("v")), frame], vec![]);
        let spec = Spec { photo, ..spec() };
        assert_eq!(select(&spec, &folder), Ok(ids(&["v"])));
        let named = Spec { liveness_media: ids(&["p"]), ..spec };
        assert_eq!(select(&named, &folder).unwrap_err().metadata["media_id"], "p");
    }

    // QUALITY analyses.

    const V: [&str; 1] = ["v"];

    fn newest_finished_id(analyses: Vec<Analysis>) -> Option<String> {
        let result = newest_finished(&holding(vec![], analyses), &ids(&V));
        result.map(|result| result.analysis_id.to_string())
    }

    #[test]
    fn the_newest_finished_analysis_is_reported_whatever_its_result() {
        let failed = analysis(QUALITY, "failed", &V, ["FAILED"; 3]);
        let analyses = vec![
            as_of(1, judged("old", "SUCCESS")),
            as_of(3, failed),
            as_of(2, judged("newer", "DECLINED")),
            as_of(4, quality("running")),
        ];
        assert_eq!(newest_finished_id(analyses).as_deref(), Some("failed"));
        assert_eq!(
            newest_finished_id(vec![judged("a", "SUCCESS"), judged("b", "SUCCESS")]).unwrap(),
            "b"
        );
        assert_eq!(newest_finished_id(vec![quality("running")]), None);
    }

    #[test]
    fn only_analyses_of_all_the_liveness_media_count() {
        let over = |sources: &[&str]| analysis(QUALITY, "q", sources, ["FINISHED"; 3]);
        let unsaid = Analysis { source_media: None, ..over(&["v"]) };
        let compared = Analysis { kind: Some(BIOMETRY.into()), ..over(&["v"]) };
        for (analysis, counts) in [
            (over(&["v"]), true),
            (over(&["w", "v", "x"]), true),
            (over(&["w"]), false),
            (over(&[]), false),
            (unsaid, false),
            (compared, false),
        ] {
            let folder = holding(vec![], vec![analysis]);
            assert_eq!(newest_finished(&folder, &ids(&V)).is_some(), counts);
            assert_eq!(standing(&folder, &ids(&V)) != LivenessStatus::Absent, counts);
        }
        let both = holding(vec![], vec![over(&["v"])]);
        assert_eq!(standing(&both, &ids(&["v", "w"])), LivenessStatus::Absent);
    }

    #[test]
    fn the_newest_analysis_decides_the_liveness_status() {
        let stands = |analyses| standing(&holding(vec![], analyses), &ids(&V));
        let running = as_of(2, quality("running"));
        assert_eq!(
            stands(vec![running.clone(), as_of(1, judged("q", "SUCCESS"))]),
            LivenessStatus::Pending
        );
        let LivenessStatus::Over(result) = stands(vec![as_of(3, judged("q", "DECLINED")), running])
        else {
            panic!()
        };
        assert_eq!(result.analysis_id, analysis_id("q"));
        let nameless = Analysis { id: None, ..as_of(9, judged("q", "SUCCESS")) };
        assert_eq!(
            stands(vec![as_of(1, judged("q0", "SUCCESS")), nameless]),
            LivenessStatus::Absent
        );
        let silent = analysis(QUALITY, "q", &V, [""; 3]);
        assert_eq!(stands(vec![silent]), LivenessStatus::Pending);
    }

    // The match's own photos and analyses.

    #[test]
    fn our_photos_are_found_by_metadata_or_else_by_name() {
        let id = match_id().to_string();
        let name = Some(format!("facematch-{id}.jpg"));
        let by_name = Media { original_name: name.clone(), ..image("by-name") };
        let of_another =
            Media { match_id: Some("another".into()), original_name: name, ..image("x") };
        let plain = Media { original_name: Some("selfie.jpg".into()), ..image("plain") };
        let media = vec![plain, by_name, of_another, our_photo("by-metadata")];
        let folder = holding(media, vec![]);
        let found: Vec<&str> =
            photos_of(&folder, &match_id()).into_iter().map(|media| media.id.as_str()).collect();
        assert_eq!(found, ["by-name", "by-metadata"]);
    }

    #[test]
    fn analyses_of_media_examine_exactly_these_media() {
        let of = |id: &str, sources: &[&str]| analysis(BIOMETRY, id, sources, ["PROCESSING"; 3]);
        let unsaid = Analysis { source_media: None, ..of("unsaid", &[]) };
        let nameless = Analysis { id: None, ..of("nameless", &["v", "p"]) };
        let analyses = vec![
            of("same", &["v", "p"]),
            of("turned", &["p", "v"]),
            of("repeated", &["p", "v", "p"]),
            of("fewer", &["v"]),
            of("more", &["v", "p", "x"]),
            analysis(QUALITY, "other", &["v", "p"], ["PROCESSING"; 3]),
            unsaid,
            nameless,
        ];
        let folder = holding(vec![], analyses);
        let found = analyses_of(&folder, BIOMETRY, &ids(&["v", "p"]));
        let found: Vec<String> =
            found.into_iter().filter_map(|a| Some(a.id.as_ref()?.to_string())).collect();
        assert_eq!(found, ["same", "turned", "repeated"]);
    }
}
