//! Settles a folder read: before the photo is at Oz, and whenever an answer was lost.

use crate::domain::{
    ask::{Analysis, Folder},
    event::{LivenessResult, MatchError, Metadata, Resolution},
    id::{AnalysisId, MediaId},
    liveness::{self, BIOMETRY, LivenessStatus, QUALITY},
    reason::Reason,
    request::{LivenessPolicy, PhotoSource},
    settle::{Settled, Settling, plain, sent},
    state::{Match, State},
    time::Timestamp,
    volatile::{MatchPlan, Sending, VolatileState},
};

/// The analyses in a folder that this match may have started. Analyses that other matches own may
/// still be among them; the caller of this function has to take them out.
pub fn candidates(m: &Match, folder: &Folder) -> Vec<AnalysisId> {
    let Some(source_media) = m.source_media() else {
        return Vec::new();
    };
    let biometry = liveness::analyses_of(folder, BIOMETRY, &source_media);
    let quality = liveness::analyses_of(folder, QUALITY, &m.liveness_media);
    let ids = biometry.into_iter().chain(quality).filter_map(|analysis| analysis.id.clone());
    ids.filter(|id| !m.earlier_analyses.contains(id)).collect()
}

impl Settling<'_> {
    pub(super) fn folder(&self, drive: VolatileState, folder: &Folder) -> Settled {
        match self.m.state {
            State::Accepted => self.folder_accepted(drive, folder),
            State::Uploaded => self.folder_uploaded(drive, folder),
            State::Processing
            | State::Finished
            | State::Failed
            | State::Cancelled
            | State::Unknown => plain(drive),
        }
    }

    fn folder_accepted(&self, mut drive: VolatileState, folder: &Folder) -> Settled {
        // The photo is checked first. `select` leaves it out, so a named photo that is not an image
        // would otherwise be reported as missing liveness media.
        let selected = liveness::find_photo(&self.m.spec, folder)
            .and_then(|()| liveness::select(&self.m.spec, folder));
        let liveness_media = match selected {
            Ok(media) => media,
            Err(error) => return self.fail(drive, error),
        };
        if self.m.spec.liveness_policy == LivenessPolicy::Require {
            match liveness::standing(folder, &liveness_media) {
                LivenessStatus::Pending => return self.await_liveness(drive, folder),
                LivenessStatus::Absent => return self.fail(drive, not_passed(None)),
                LivenessStatus::Over(result) if result.resolution == Some(Resolution::Success) => {}
                LivenessStatus::Over(result) => return self.fail(drive, not_passed(Some(&result))),
            }
        }
        drive.plan = Some(MatchPlan {
            liveness: liveness::newest_finished(folder, &liveness_media),
            earlier_analyses: Vec::new(),
            media_count: folder.media.len(),
            liveness_media,
        });
        match &self.m.spec.photo {
            PhotoSource::Content { .. } => self.look_for_photo(drive, folder),
            PhotoSource::Unknown => plain(drive),
            PhotoSource::FolderMedia(photo) => {
                drive.plan = drive.plan.map(|plan| plan.knowing_earlier(folder, photo));
                self.uploaded(drive, photo.clone(), false)
            }
        }
    }

    /// Waits for the liveness analysis. The photo isn't sent meanwhile, but if the folder lacks it,
    /// its grace period already runs.
    fn await_liveness(&self, mut drive: VolatileState, folder: &Folder) -> Settled {
        if liveness::photos_of(folder, &self.m.id).is_empty() {
            drive.photo_missed.get_or_insert(self.moment.now);
            (drive.upload, _) = self.looked(drive.upload);
        } else {
            drive.photo_missed = None;
        }
        drive.plan = None;
        drive.not_before = self.next_poll();
        plain(drive)
    }

    /// Looks for a photo that the caller sent: it may be at Oz already, if an answer was lost.
    fn look_for_photo(&self, mut drive: VolatileState, folder: &Folder) -> Settled {
        let ours = liveness::photos_of(folder, &self.m.id);
        if let Some((first, doubles)) = ours.split_first() {
            drive.plan = drive.plan.map(|plan| plan.knowing_earlier(folder, &first.id));
            let settled = self.uploaded(drive, first.id.clone(), true);
            return Settled { doubles: doubles.len(), ..settled };
        }
        drive.photo_missed.get_or_insert(self.moment.now);
        let (upload, look_again) = self.looked(drive.upload);
        drive.upload = upload;
        drive.not_before = look_again;
        let plan = drive.plan.take();
        // The photo isn't at Oz, so only QUALITY analyses of the liveness media can exist already.
        drive.plan = plan.map(|plan| plan.knowing_earlier_qualities(folder));
        plain(drive)
    }

    /// Looks for analyses that this match may have started although the answer was lost.
    fn folder_uploaded(&self, mut drive: VolatileState, folder: &Folder) -> Settled {
        let ours = candidates(self.m, folder);
        let of = |kind: &str| -> Vec<&Analysis> {
            let mine = |a: &&Analysis| a.id.as_ref().is_some_and(|id| ours.contains(id));
            let typed = folder.analyses.iter().filter(|a| a.kind.as_deref() == Some(kind));
            typed.filter(mine).collect()
        };
        let (biometry, quality) = (of(BIOMETRY), of(QUALITY));
        let Some((first, doubles)) = biometry.split_first() else {
            let (start, look_again) = self.looked(drive.start);
            drive.start = start;
            drive.not_before = look_again;
            return plain(drive);
        };
        let partner = sent::partner_of(first, &quality);
        let settled = self.analyses_started(drive, first, partner, true);
        Settled { doubles: doubles.len(), ..settled }
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
    fn knowing_earlier(mut self, folder: &Folder, photo: &MediaId) -> Self {
        self.earlier_analyses = liveness::earlier(folder, &self.liveness_media, photo);
        self
    }

    fn knowing_earlier_qualities(mut self, folder: &Folder) -> Self {
        let earlier = liveness::analyses_of(folder, QUALITY, &self.liveness_media);
        self.earlier_analyses = earlier.into_iter().filter_map(|a| a.id.clone()).collect();
        self
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
