//! `facematch doctor`: tries an installation of Oz and the photo library step by step, and says what
//! holds, what differs from FaceMatch's assumptions, and what to do.
//!
//! Asking and judging are apart: `reading`, `rehearsal` and `library` ask, `judge` is pure. It
//! deliberately repairs nothing, deletes nothing, and knows neither matches nor the journal.

mod examiner;
mod finding;
mod judge;
mod library;
mod reading;
mod rehearsal;
mod report;
mod sample;
mod shape;

use std::time::Duration;

use bytes::Bytes;

pub use finding::{DoctorStep, Finding, FindingVerdict};
pub use library::LibraryPlan;
pub use report::Report;
pub use sample::media as sample_media;

use crate::{
    domain::{FolderId, Format},
    oz::{LivenessFile, OzProbe},
};
use examiner::Examiner;

/// What to try besides what needs no folder.
pub struct Plan {
    /// A folder to read.
    pub folder: Option<FolderId>,
    /// The media of a rehearsal, in a folder of its own.
    pub rehearsal: Option<RehearsalMedia>,
    /// The photo library, if the settings name one.
    pub library: Option<LibraryPlan>,
    /// The time between two polls.
    pub poll_interval: Duration,
    /// How long an analysis may take.
    pub patience: Duration,
}

/// The media of a rehearsal: a liveness video, and a photo of the same person.
pub struct RehearsalMedia {
    /// The video, or a shot set.
    pub video: LivenessFile,
    /// The photo.
    pub photo: RehearsalPhoto,
    /// Whether the operator gave them.
    pub is_own: bool,
}

/// A photo with its format.
#[derive(Clone)]
pub struct RehearsalPhoto {
    /// The file.
    pub bytes: Bytes,
    /// Its format.
    pub format: Format,
}

/// The outcome of an examination.
pub struct Examined {
    /// Whether any finding differs.
    pub differs: bool,
    /// The shapes of the answers.
    pub report: Report,
}

/// Examines an installation. Each finding is told as soon as it is known.
pub async fn examine(
    probe: &OzProbe,
    plan: &Plan,
    tell: &mut (dyn FnMut(&Finding) + Send),
) -> Examined {
    let mut examiner = Examiner::new(probe, tell);
    if let Some(token) = reading::session(&mut examiner).await {
        if let Some(folder) = plan.folder {
            reading::folder(&mut examiner, folder, &token).await;
        }
        match &plan.rehearsal {
            Some(media) => rehearsal::rehearse(&mut examiner, plan, media, &token).await,
            None => examiner.tell(untried()),
        }
    }
    library::library(&mut examiner, plan.library.as_ref()).await;
    examiner.end()
}

fn untried() -> Finding {
    Finding::not_tried(
        DoctorStep::Rehearsal,
        "uploads, starts of analyses, metadata, verdicts and source_media, since this only reads",
    )
    .advised("--rehearse tries them, in a folder of its own")
}
