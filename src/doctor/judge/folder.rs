//! Whether a folder can be read, and holds what a match needs.

use serde_json::Value;

use crate::{
    doctor::{
        DoctorStep, Finding,
        judge::{SEND_REPORT, told},
    },
    domain::{FailureKind, Folder, FolderId, liveness},
    oz::ProbeOutcome,
};

/// How many media a folder takes unless Oz is configured otherwise (its configuration page).
const MEDIA_MAX: usize = 10;

/// The words that FaceMatch knows for the state of an analysis, and for its resolution.
const STATES: [&str; 4] = ["INITIAL", "PROCESSING", "FINISHED", "FAILED"];
const RESOLUTIONS: [&str; 6] =
    ["INITIAL", "PROCESSING", "FAILED", "SUCCESS", "DECLINED", "OPERATOR_REQUIRED"];

/// Judges the answer of a folder, and returns the folder as FaceMatch reads it.
pub fn read(id: FolderId, outcome: &ProbeOutcome) -> (Finding, Option<Folder>) {
    let differs =
        |what: String, advice: &str| (Finding::differs(DoctorStep::Folder, what, advice), None);
    let kind = outcome.as_ref().ok().and_then(|answer| answer.failure.as_ref()).map(|it| it.kind);
    match (outcome, kind) {
        (Ok(answer), None) => match answer.folder() {
            Ok(folder) => {
                let (media, analyses) = (folder.media.len(), folder.analyses.len());
                let what =
                    format!("folder {id} can be read, with {media} media and {analyses} analyses");
                (Finding::holds(DoctorStep::Folder, what), Some(folder))
            }
            Err(lacks) => differs(
                format!("the answer for folder {id} is not understood: {lacks}"),
                SEND_REPORT,
            ),
        },
        (_, Some(FailureKind::NotFound)) => differs(
            format!("Oz has no folder {id} ({})", told(outcome)),
            "check the id; the folder may belong to another company than the account",
        ),
        (_, Some(FailureKind::Forbidden)) => differs(
            format!("the account may not read folder {id} ({})", told(outcome)),
            "have the vendor give the account the right to read the folders of its company",
        ),
        _ => differs(format!("folder {id} can't be read ({})", told(outcome)), SEND_REPORT),
    }
}

/// Judges whether a match finds liveness media in the folder.
pub fn liveness_media(folder: &Folder) -> Finding {
    match folder.media.iter().filter(|medium| liveness::is_liveness(medium)).count() {
        0 => Finding::differs(
            DoctorStep::LivenessMedia,
            "the folder has no video, no shot set and no medium tagged video_selfie…",
            "name a folder in which the SDK left a liveness video; matches in this one end with \
             LIVENESS_MEDIA_NOT_FOUND",
        ),
        1 => Finding::holds(DoctorStep::LivenessMedia, "the folder has one"),
        count => {
            let what =
                format!("the folder has {count}; a match takes the newest unless told otherwise");
            Finding::holds(DoctorStep::LivenessMedia, what)
        }
    }
}

/// Judges whether the folder has room for the photo of a match.
pub fn room(folder: &Folder) -> Finding {
    let held = folder.media.len();
    if held >= MEDIA_MAX {
        return Finding::differs(
            DoctorStep::Room,
            format!(
                "the folder is full: it has {held} media, and Oz takes {MEDIA_MAX} unless \
                 configured otherwise"
            ),
            "match in a new folder, delete media in Oz's web console, or have the vendor raise \
             OZ_ATTACHMENT_MAX_COUNT; else matches end with OZ_FOLDER_FULL",
        );
    }
    let what = format!("the folder has {held} of the {MEDIA_MAX} media that Oz takes by default");
    Finding::holds(DoctorStep::Room, what)
}

/// Judges the members of media.
pub fn media(folder: &Value) -> Finding {
    let media = folder.get("media").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if media.is_empty() {
        return Finding::not_tried(DoctorStep::Media, "the folder has no media");
    }
    let lack = |name: &str| media.iter().any(|medium| medium.get(name).is_none_or(Value::is_null));
    let missing = missing(&["media_id", "media_type", "tags", "original_name", "meta_data"], lack);
    match missing[..] {
        [] => Finding::holds(DoctorStep::Media, "they have all members that FaceMatch reads"),
        _ if lack("media_id") => {
            Finding::differs(DoctorStep::Media, "a medium has no media_id", SEND_REPORT)
        }
        _ if lack("meta_data") && lack("original_name") => Finding::differs(
            DoctorStep::Media,
            "media have neither meta_data nor original_name",
            "ask the vendor for a version that has them: without them FaceMatch does not \
             recognise a photo whose upload was not answered, and may upload it twice",
        ),
        _ => Finding::differs(
            DoctorStep::Media,
            format!("media lack {}", missing.join(", ")),
            "nothing: FaceMatch gets by without, but Oz may be an old version",
        ),
    }
}

/// Judges the members of analyses, as those of a list or a single one.
pub fn analyses(analyses: &[Value]) -> Finding {
    if analyses.is_empty() {
        return Finding::not_tried(DoctorStep::Analyses, "the folder has none");
    }
    let lack = |name: &str| analyses.iter().any(|it| it.get(name).is_none_or(Value::is_null));
    if lack("analyse_id") && lack("analysis_id") {
        let what = "an analysis has neither analyse_id nor analysis_id";
        return Finding::differs(DoctorStep::Analyses, what, SEND_REPORT);
    }
    if let Some((name, word)) = unknown_word(analyses) {
        return Finding::differs(
            DoctorStep::Analyses,
            format!("the {name} of an analysis is a word that FaceMatch does not know: {word}"),
            SEND_REPORT,
        );
    }
    let id = if lack("analyse_id") { "analysis_id" } else { "analyse_id" };
    match missing(&["type", "state", "resolution", "resolution_status", "source_media"], lack)[..] {
        [] => Finding::holds(
            DoctorStep::Analyses,
            format!("they have all members that FaceMatch reads; their id is {id}"),
        ),
        [.., "source_media"] | ["type", ..] => Finding::differs(
            DoctorStep::Analyses,
            "analyses lack type or source_media",
            "ask the vendor for a newer version: FaceMatch can't tell which media an analysis \
             is about, so it reports no liveness and may start an analysis twice",
        ),
        ["state", ..] => Finding::differs(
            DoctorStep::Analyses,
            "analyses lack state, as in old versions of Oz",
            "ask the vendor for a newer version; until then FaceMatch goes by the resolution",
        ),
        ref missing => Finding::differs(
            DoctorStep::Analyses,
            format!("analyses lack {}", missing.join(", ")),
            "nothing: FaceMatch gets by without, but Oz may be an old version",
        ),
    }
}

fn missing<'a>(names: &[&'a str], lack: impl Fn(&str) -> bool) -> Vec<&'a str> {
    names.iter().copied().filter(|name| lack(name)).collect()
}

/// Whether FaceMatch knows the word. Only such words of analyses are shown: Oz, or what stands in its
/// place, may answer with a secret.
pub fn is_known_word(word: &str) -> bool {
    STATES.contains(&word) || RESOLUTIONS.contains(&word)
}

/// The first word that FaceMatch doesn't know, with the name of its member. A text that isn't a
/// word isn't shown: it could be a secret.
fn unknown_word(analyses: &[Value]) -> Option<(&'static str, String)> {
    let members =
        [("state", &STATES[..]), ("resolution", &RESOLUTIONS), ("resolution_status", &RESOLUTIONS)];
    let of_member = |(name, known): (&'static str, &[&str])| {
        let texts = analyses.iter().filter_map(|it| it.get(name)?.as_str());
        let unknown = texts
            .map(|text| text.trim().to_uppercase())
            .find(|text| !text.is_empty() && !known.contains(&text.as_str()))?;
        let is_word =
            unknown.len() <= 40 && unknown.bytes().all(|it| it.is_ascii_uppercase() || it == b'_');
        Some((name, if is_word { unknown } else { "no plain word".to_owned() }))
    };
    members.into_iter().find_map(of_member)
}
