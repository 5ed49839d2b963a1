//! Settles a folder read: before the photo is at Oz, and whenever an answer was lost.

use crate::domain::{
    ask::{Analysis, Folder},
    event::{Event, LivenessResult, MatchError, Metadata, Resolution},
    id::{AnalysisId, MediaId},
    liveness::{self, BIOMETRY, LivenessStatus, QUALITY},
    reason::Reason,
    request::{LivenessPolicy, PhotoSource},
    settle::{Settling, sent},
    state::{Match, State},
    time::Timestamp,
    volatile::{MatchPlan, Sending},
};

/// The analyses in a folder that this match may have started. Analyses that other matches own may
/// still be among them; the caller of this function has to take them out.
pub fn adoptable_analyses(m: &Match, folder: &Folder) -> Vec<AnalysisId> {
    let Some(source_media) = m.source_media() else {
        return Vec::new();
    };
    let biometry = liveness::analyses_of(folder, BIOMETRY, &source_media);
    let quality = liveness::analyses_of(folder, QUALITY, &m.liveness_media);
    let ids = biometry.into_iter().chain(quality).filter_map(|analysis| analysis.id.clone());
    ids.filter(|id| !m.earlier_analyses.contains(id)).collect()
}

impl Settling<'_> {
    pub(super) fn folder(&mut self, folder: &Folder) -> Option<Event> {
        match self.m.state {
            State::Accepted => self.folder_accepted(folder),
            State::Uploaded => self.folder_uploaded(folder),
            State::Processing
            | State::Finished
            | State::Failed
            | State::Cancelled
            | State::Unknown => None,
        }
    }

    fn folder_accepted(&mut self, folder: &Folder) -> Option<Event> {
        // The photo is checked first. `select` leaves it out, so a named photo that is not an image
        // would otherwise be reported as missing liveness media.
        let selected = liveness::find_photo(&self.m.spec, folder)
            .and_then(|()| liveness::select(&self.m.spec, folder));
        let liveness_media = match selected {
            Ok(media) => media,
            Err(error) => return self.fail(error),
        };
        if self.m.spec.liveness_policy == LivenessPolicy::Require {
            match liveness::standing(folder, &liveness_media) {
                LivenessStatus::Pending => return self.await_liveness(folder),
                LivenessStatus::Absent => return self.fail(not_passed(None)),
                LivenessStatus::Over(result) if result.resolution == Some(Resolution::Success) => {}
                LivenessStatus::Over(result) => return self.fail(not_passed(Some(&result))),
            }
        }
        self.volatile.plan = Some(MatchPlan {
            liveness: liveness::newest_finished(folder, &liveness_media),
            earlier_analyses: Vec::new(),
            media_count: folder.media.len(),
            liveness_media,
        });
        match &self.m.spec.photo {
            PhotoSource::Content { .. } | PhotoSource::Library(_) => self.look_for_photo(folder),
            PhotoSource::Unknown => None,
            PhotoSource::FolderMedia(photo) => {
                self.note_earlier(folder, photo);
                self.uploaded(photo.clone(), false)
            }
        }
    }

    /// Waits for the liveness analysis. The photo isn't sent meanwhile, but if the folder lacks it,
    /// its grace period already runs.
    fn await_liveness(&mut self, folder: &Folder) -> Option<Event> {
        if liveness::photos_of(folder, &self.m.id).is_empty() {
            self.volatile.photo_missed.get_or_insert(self.moment.now);
            (self.volatile.upload, _) = self.looked(self.volatile.upload);
        } else {
            self.volatile.photo_missed = None;
        }
        self.volatile.plan = None;
        self.volatile.not_before = self.next_poll();
        None
    }

    /// Looks for a photo that the service uploads: it may be at Oz already, if an answer was lost.
    fn look_for_photo(&mut self, folder: &Folder) -> Option<Event> {
        let ours = liveness::photos_of(folder, &self.m.id);
        if let Some((first, duplicates)) = ours.split_first() {
            self.note_earlier(folder, &first.id);
            self.duplicates = duplicates.len();
            return self.uploaded(first.id.clone(), true);
        }
        self.volatile.photo_missed.get_or_insert(self.moment.now);
        (self.volatile.upload, self.volatile.not_before) = self.looked(self.volatile.upload);
        // The photo isn't at Oz, so only QUALITY analyses of the liveness media can exist already.
        if let Some(plan) = &mut self.volatile.plan {
            plan.note_earlier_qualities(folder);
        }
        None
    }

    /// Notes the analyses of the match's media that exist before the match starts its own.
    fn note_earlier(&mut self, folder: &Folder, photo: &MediaId) {
        if let Some(plan) = &mut self.volatile.plan {
            plan.note_earlier(folder, photo);
        }
    }

    /// Looks for analyses that this match may have started although the answer was lost.
    fn folder_uploaded(&mut self, folder: &Folder) -> Option<Event> {
        let ours = adoptable_analyses(self.m, folder);
        let of = |kind: &str| -> Vec<&Analysis> {
            let mine = |a: &&Analysis| a.id.as_ref().is_some_and(|id| ours.contains(id));
            let typed = folder.analyses.iter().filter(|a| a.kind.as_deref() == Some(kind));
            typed.filter(mine).collect()
        };
        let (biometry, quality) = (of(BIOMETRY), of(QUALITY));
        let Some((first, duplicates)) = biometry.split_first() else {
            (self.volatile.start, self.volatile.not_before) = self.looked(self.volatile.start);
            return None;
        };
        let partner = sent::partner_of(first, &quality);
        self.duplicates = duplicates.len();
        self.analyses_started(first, partner, true)
    }

    /// After a folder read that found nothing: whether the request may be sent again, and when to
    /// read the folder again.
    fn looked(&self, sending: Sending) -> (Sending, Timestamp) {
        match sending {
            Sending::Clear => (Sending::Clear, self.moment.now),
            Sending::Unsure(since) => {
                let settled = since.after(self.policy.oz_settle);
                match self.moment.asked >= settled {
                    true => (Sending::Clear, self.moment.now),
                    false => (sending, settled),
                }
            }
        }
    }
}

impl MatchPlan {
    fn note_earlier(&mut self, folder: &Folder, photo: &MediaId) {
        self.earlier_analyses = liveness::earlier(folder, &self.liveness_media, photo);
    }

    fn note_earlier_qualities(&mut self, folder: &Folder) {
        let earlier = liveness::analyses_of(folder, QUALITY, &self.liveness_media);
        self.earlier_analyses = earlier.into_iter().filter_map(|a| a.id.clone()).collect();
    }
}

fn not_passed(result: Option<&LivenessResult>) -> MatchError {
    let message = match result {
        None => "the liveness media have no liveness analysis",
        Some(_) => "the newest liveness analysis doesn't say SUCCESS with a score",
    };
    let error = MatchError::new(Reason::LivenessNotPassed, message);
    match result {
        None => error,
        Some(result) => {
            let id = ("liveness_analysis_id".into(), result.analysis_id.to_string());
            error.with(Metadata::from([id]))
        }
    }
}
