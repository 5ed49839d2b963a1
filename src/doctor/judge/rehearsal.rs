//! What a rehearsal shows: rights to change, what Oz keeps of a photo, and how analyses end.

use crate::{
    doctor::{
        DoctorStep, Finding,
        judge::{SEND_REPORT, folder::is_known_word, succeeded, told},
    },
    domain::{Analysis, AnalysisId, Folder, FolderId, MatchId, MediaId},
    oz::ProbeOutcome,
};

/// How far the scores of one comparison may differ if it is repeated.
const SCORE_TOLERANCE: f64 = 0.02;

/// The resolutions that are verdicts.
const VERDICTS: [&str; 3] = ["SUCCESS", "DECLINED", "OPERATOR_REQUIRED"];

/// How an analysis of the rehearsal ended.
#[derive(Clone, PartialEq, Debug)]
pub enum AnalysisEnd {
    /// It was not started.
    NotStarted,
    /// It was still running when the rehearsal gave up.
    StillRunning,
    /// Reading it failed, for this reason.
    Unread(String),
    /// It is over.
    Over(Box<Analysis>),
}

impl AnalysisEnd {
    /// The analysis, if it is over.
    pub fn analysis(&self) -> Option<&Analysis> {
        match self {
            Self::Over(analysis) => Some(analysis),
            Self::NotStarted | Self::StillRunning | Self::Unread(_) => None,
        }
    }
}

/// Judges an upload that Oz refused: of the video with the new folder, or of a photo.
pub fn refused_upload(what: &str, outcome: &ProbeOutcome, held: usize) -> Finding {
    let told = told(outcome);
    let failure = outcome.as_ref().ok().and_then(|answer| answer.failure.as_ref());
    match failure.and_then(|failure| failure.http_status) {
        Some(403) => Finding::differs(
            DoctorStep::Uploading,
            format!("Oz refuses {what} ({told})"),
            "have the vendor give the account the right to make folders and to add media",
        ),
        // Oz's refusal of one medium too many is not documented; its framework's code for a value
        // out of range is.
        Some(400) if held > 0 && failure.is_some_and(|it| it.error_code == Some(4)) => {
            Finding::differs(
                DoctorStep::Room,
                format!("Oz refuses {what} to a folder with {held} media ({told})"),
                "have the vendor raise OZ_ATTACHMENT_MAX_COUNT: a match needs room for the \
                 liveness video and one photo at least",
            )
        }
        Some(413) => Finding::differs(
            DoctorStep::Uploading,
            format!("a gateway in front of Oz refuses {what} for its size ({told})"),
            "have the gateway pass bodies of 11 MiB, or more for longer videos",
        ),
        _ => Finding::differs(
            DoctorStep::Uploading,
            format!("{what} fails ({told})"),
            format!("check the message; else {SEND_REPORT}"),
        ),
    }
}

/// Judges whether the service recognises its photo in the folder, as it must after a lost answer.
pub fn meta_data(folder: &Folder, photo: &MediaId, id: MatchId) -> Finding {
    let medium = folder.media.iter().find(|medium| medium.id == *photo);
    let id = id.to_string();
    let by_meta_data = medium.is_some_and(|it| it.match_id.as_deref() == Some(id.as_str()));
    let named = |name: &String| name.contains(&id);
    let by_name = medium.is_some_and(|it| it.original_name.as_ref().is_some_and(named));
    match (by_meta_data, by_name) {
        (true, _) => {
            Finding::holds(DoctorStep::MetaData, "Oz returns what was sent with the photo")
        }
        (false, true) => Finding::differs(
            DoctorStep::MetaData,
            "Oz does not return the metadata of the photo, but its file name",
            "nothing: FaceMatch recognises its photos by their names instead",
        ),
        (false, false) => Finding::differs(
            DoctorStep::MetaData,
            "Oz returns neither the metadata of the photo nor its file name",
            "ask the vendor to keep one of them: without them FaceMatch does not recognise a \
             photo whose upload was not answered, and may upload it twice",
        ),
    }
}

/// Judges the requests that start analyses: both at once, and each alone if that was refused.
pub fn starts(both: &ProbeOutcome, alone: Option<(&ProbeOutcome, &ProbeOutcome)>) -> [Finding; 2] {
    match alone {
        None if succeeded(both) => [
            Finding::holds(DoctorStep::Biometry, "the account may start it"),
            Finding::holds(DoctorStep::Quality, "the account may start it, together with biometry"),
        ],
        None => [start(DoctorStep::Biometry, both), start(DoctorStep::Quality, both)],
        Some((biometry, quality)) if succeeded(biometry) && succeeded(quality) => [
            Finding::holds(DoctorStep::Biometry, "the account may start it"),
            Finding::differs(
                DoctorStep::Quality,
                format!("the account may start it alone, but not with biometry ({})", told(both)),
                "leave LIVENESS_POLICY_RUN alone: FaceMatch starts both in one request",
            ),
        ],
        Some((biometry, quality)) => {
            [start(DoctorStep::Biometry, biometry), start(DoctorStep::Quality, quality)]
        }
    }
}

fn start(step: DoctorStep, outcome: &ProbeOutcome) -> Finding {
    if succeeded(outcome) {
        return Finding::holds(step, "the account may start it");
    }
    let told = told(outcome);
    let failure = outcome.as_ref().ok().and_then(|answer| answer.failure.as_ref());
    let is_biometry = step == DoctorStep::Biometry;
    if failure.is_some_and(|failure| is_about_licence(&failure.message)) {
        return Finding::differs(
            step,
            format!("Oz has no licence for it ({told})"),
            "have the vendor license it",
        );
    }
    match failure.and_then(|failure| failure.http_status) {
        Some(403) if is_biometry => Finding::differs(
            step,
            format!("the account may not start it ({told})"),
            "have the vendor set can_start_analysis_biometry for the account, and check that \
             face matching is licensed",
        ),
        Some(403) => Finding::differs(
            step,
            format!("the account may not start it ({told})"),
            "have the vendor set can_start_analysis_quality for the account; without it leave \
             LIVENESS_POLICY_RUN alone",
        ),
        _ => Finding::differs(step, format!("it can't be started ({told})"), SEND_REPORT),
    }
}

/// Whether a message of Oz is about a licence, in either spelling.
fn is_about_licence(message: &str) -> bool {
    let message = message.to_lowercase();
    message.contains("licens") || message.contains("licenc")
}

/// Judges how the liveness check ended. Matches don't fail by it unless their callers ask for that.
pub fn liveness(ended: &AnalysisEnd, is_own: bool) -> Finding {
    let analysis = match ended {
        AnalysisEnd::NotStarted => {
            return Finding::not_tried(DoctorStep::Liveness, "quality could not be started");
        }
        AnalysisEnd::StillRunning => {
            return Finding::differs(
                DoctorStep::Liveness,
                "quality did not end within --match-timeout",
                "ask the operator of Oz whether its analyses run",
            );
        }
        AnalysisEnd::Unread(why) => {
            let what = format!("the analysis can't be read: {why}");
            return Finding::differs(DoctorStep::Liveness, what, SEND_REPORT);
        }
        AnalysisEnd::Over(analysis) => analysis,
    };
    let word = shown_word(analysis);
    let message = analysis.error_message.as_deref().unwrap_or("it does not say why");
    let score = analysis.confidence_spoofing.filter(|score| (0.0..=1.0).contains(score));
    match (is_failed(analysis), score) {
        (false, Some(score)) => Finding::holds(
            DoctorStep::Liveness,
            format!("quality ended as {word}, likelihood of an attack {score}"),
        ),
        (true, _) if is_about_licence(message) => Finding::differs(
            DoctorStep::Liveness,
            format!("Oz has no licence for quality ({message})"),
            "have the vendor license liveness, or leave the policies REQUIRE and RUN alone",
        ),
        (true, _) if !is_own => Finding::not_tried(
            DoctorStep::Liveness,
            format!(
                "quality ended as {word} ({message}), as may be for the sample, which is no \
                 real video"
            ),
        )
        .advised("repeat it with --video FILE and --photo FILE of one person"),
        (true, _) => Finding::differs(
            DoctorStep::Liveness,
            format!("quality ended as {word}: {message}"),
            "check that the video shows one face; else ask the operator of Oz",
        ),
        (false, None) => Finding::differs(
            DoctorStep::Liveness,
            format!("quality ended as {word} without a score from 0 to 1"),
            "FaceMatch trusts no liveness without one: ask the vendor for a newer version",
        ),
    }
}

/// Judges how the first biometry ended. `is_own` means that the operator gave the media, which show
/// one person.
pub fn verdict(ended: &AnalysisEnd, is_own: bool) -> Finding {
    let analysis = match ended {
        AnalysisEnd::NotStarted => {
            return Finding::not_tried(DoctorStep::Verdict, "biometry could not be started");
        }
        AnalysisEnd::StillRunning => {
            return Finding::differs(
                DoctorStep::Verdict,
                "biometry did not end within --match-timeout",
                "ask the operator of Oz whether its analyses run; FaceMatch would end the match \
                 with MATCH_TIMED_OUT",
            );
        }
        AnalysisEnd::Unread(why) => {
            let what = format!("the analysis can't be read: {why}");
            return Finding::differs(DoctorStep::Verdict, what, SEND_REPORT);
        }
        AnalysisEnd::Over(analysis) => analysis,
    };
    let word = shown_word(analysis);
    let message = analysis.error_message.as_deref().unwrap_or("it does not say why");
    if is_failed(analysis) && is_about_licence(message) {
        return Finding::differs(
            DoctorStep::Verdict,
            format!("Oz has no licence for biometry ({message})"),
            "have the vendor license face matching",
        );
    }
    match (is_failed(analysis), score(analysis)) {
        (false, Some(score)) if VERDICTS.contains(&word.as_str()) => Finding::holds(
            DoctorStep::Verdict,
            format!("biometry ended as {word}, similarity {score}"),
        ),
        (false, Some(_)) => Finding::differs(
            DoctorStep::Verdict,
            "biometry ended with a word that FaceMatch does not know",
            format!("matches end with OZ_UNKNOWN_STATUS: {SEND_REPORT}"),
        ),
        (false, None) if word == "SUCCESS" => Finding::differs(
            DoctorStep::Verdict,
            "biometry ended as SUCCESS without a score from 0 to 1",
            "FaceMatch accepts no verdict without one, and ends such matches with \
             OZ_INCONCLUSIVE: ask the vendor for a newer version",
        ),
        _ if is_own => Finding::differs(
            DoctorStep::Verdict,
            format!("biometry ended as {word}: {message}"),
            "check that video and photo show one face each; else ask the operator of Oz",
        ),
        _ => Finding::not_tried(
            DoctorStep::Verdict,
            format!(
                "biometry ended as {word} ({message}), as may be for the sample, which is no \
                 real video"
            ),
        )
        .advised("repeat it with --video FILE and --photo FILE of one person"),
    }
}

/// Compares the verdicts on the same media before and after a third, unlike photo was added.
pub fn source_media(before: &AnalysisEnd, after: &AnalysisEnd, named: &[MediaId]) -> Finding {
    let (Some(before), Some(after)) = (before.analysis(), after.analysis()) else {
        return Finding::not_tried(
            DoctorStep::SourceMedia,
            "there are not two verdicts to compare",
        );
    };
    let others = |analysis: &&Analysis| {
        let sources = analysis.source_media.as_deref().unwrap_or(named);
        sources.iter().any(|id| !named.contains(id))
    };
    let ignored = |what: String| {
        Finding::differs(
            DoctorStep::SourceMedia,
            what,
            "have the vendor make Oz compare the media of source_media alone: until then every \
             other photo in a folder decides as well, and a match may be wrongly DECLINED",
        )
    };
    if [before, after].iter().any(others) {
        return ignored("an analysis lists media that were not named".to_owned());
    }
    let (first, second) = (resolution(before), resolution(after));
    let changed = first != second || moved(score(before), score(after));
    if changed {
        return ignored(format!(
            "a third photo in the folder, which was not named, changed the verdict: {} before, {} \
             after",
            shown(before),
            shown(after)
        ));
    }
    Finding::holds(
        DoctorStep::SourceMedia,
        "a third photo in the folder, which was not named, changed nothing",
    )
}

fn moved(before: Option<f64>, after: Option<f64>) -> bool {
    match (before, after) {
        (Some(before), Some(after)) => (before - after).abs() > SCORE_TOLERANCE,
        (before, after) => before.is_some() != after.is_some(),
    }
}

fn shown(analysis: &Analysis) -> String {
    let word = shown_word(analysis);
    score(analysis).map_or(word.clone(), |score| format!("{word}, similarity {score}"))
}

/// Judges whether the list of a folder's analyses has those that were started.
pub fn listed(outcome: &ProbeOutcome, started: &[AnalysisId]) -> Finding {
    let listed = match outcome {
        Ok(answer) if answer.failure.is_none() => match answer.analyses() {
            Ok(listed) => listed,
            Err(lacks) => {
                let what = format!("the list of a folder's analyses is not understood: {lacks}");
                return Finding::differs(DoctorStep::StartedAnalyses, what, SEND_REPORT);
            }
        },
        other => {
            let what = format!("the analyses of a folder can't be listed ({})", told(other));
            return Finding::differs(DoctorStep::StartedAnalyses, what, SEND_REPORT);
        }
    };
    let is_listed = |id: &AnalysisId| listed.iter().any(|it| it.id.as_ref() == Some(id));
    match started.iter().all(is_listed) {
        true => Finding::holds(
            DoctorStep::StartedAnalyses,
            "the folder lists them, so that a start without an answer is found",
        ),
        false => Finding::differs(
            DoctorStep::StartedAnalyses,
            "the folder does not list all analyses that were started in it",
            "ask the vendor: FaceMatch may start an analysis twice if an answer is lost",
        ),
    }
}

/// Says what a rehearsal leaves behind.
pub fn leftovers(folder: FolderId, media: usize, analyses: usize) -> Finding {
    Finding::holds(
        DoctorStep::Leftovers,
        format!(
            "folder {folder} with {media} media and {analyses} analyses, which FaceMatch does \
             not delete"
        ),
    )
}

fn resolution(analysis: &Analysis) -> Option<String> {
    let words = [&analysis.resolution, &analysis.resolution_status, &analysis.state];
    words.into_iter().flatten().next().map(|word| word.to_uppercase())
}

fn shown_word(analysis: &Analysis) -> String {
    match resolution(analysis) {
        None => "nothing".to_owned(),
        Some(word) if is_known_word(&word) => word,
        Some(_) => "a word that FaceMatch does not know".to_owned(),
    }
}

/// Whether an analysis ended without a resolution.
pub fn is_failed(analysis: &Analysis) -> bool {
    let words = [&analysis.state, &analysis.resolution, &analysis.resolution_status];
    words.into_iter().flatten().any(|word| word.eq_ignore_ascii_case("FAILED"))
}

/// The score that decides, if it is one.
fn score(analysis: &Analysis) -> Option<f64> {
    analysis.min_confidence.filter(|score| (0.0..=1.0).contains(score))
}

/// Whether an analysis is over, as far as its words say.
pub fn is_over(analysis: &Analysis) -> bool {
    let runs = |word: &Option<String>| {
        word.as_ref().is_some_and(|word| {
            word.eq_ignore_ascii_case("PROCESSING") || word.eq_ignore_ascii_case("INITIAL")
        })
    };
    ![&analysis.state, &analysis.resolution, &analysis.resolution_status].into_iter().any(runs)
}
