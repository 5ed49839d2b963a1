//! Settles the answers to the two requests that change Oz: the upload and the start of analyses.

use std::time::Duration;

use crate::domain::{
    ask::{Analysis, Ask},
    event::{AnalysisStarted, Event, PhotoUploaded},
    id::{AnalysisId, MediaId},
    liveness::{self, BIOMETRY, QUALITY},
    request::LivenessPolicy,
    settle::{Settled, Settling, plain},
    state::Match,
    verdict,
    volatile::{MatchPlan, Sending, VolatileState},
};

/// The request that starts a match's analyses. `None` before UPLOADED.
pub fn start(m: &Match) -> Option<Ask> {
    let quality = match m.spec.liveness_policy {
        LivenessPolicy::Run => Some(m.liveness_media.clone()),
        LivenessPolicy::Report | LivenessPolicy::Require | LivenessPolicy::Unknown => None,
    };
    let biometry = m.source_media()?;
    Some(Ask::StartAnalyses { folder_id: m.spec.folder_id, biometry, quality })
}

impl Settling<'_> {
    /// Settles the answer to an upload. An answer that lists the whole folder may have been
    /// misread, and a liveness medium compared with itself would be a match.
    pub(super) fn sent(&self, drive: VolatileState, ask: &Ask, photo: MediaId) -> Settled {
        let is_liveness = |plan: &MatchPlan| plan.liveness_media.contains(&photo);
        if drive.plan.as_ref().is_some_and(is_liveness) {
            return self.incomplete(drive, ask, "a liveness medium for the photo");
        }
        self.uploaded(drive, photo, false)
    }

    pub(super) fn uploaded(
        &self,
        mut drive: VolatileState,
        photo: MediaId,
        adopted: bool,
    ) -> Settled {
        drive.health.trouble = None;
        drive.upload = Sending::Clear;
        drive.start = Sending::Clear;
        drive.resend_at = self.moment.now;
        let Some(plan) = drive.plan.clone() else {
            // No upload is sent before the folder was read.
            return plain(drive);
        };
        let event = Event::PhotoUploaded(PhotoUploaded {
            photo_media_id: photo,
            liveness_media: plan.liveness_media,
            liveness: plan.liveness,
            earlier_analyses: plan.earlier_analyses,
            adopted,
        });
        Settled { event: Some(event), drive, doubles: 0 }
    }

    pub(super) fn started(
        &self,
        drive: VolatileState,
        ask: &Ask,
        analyses: &[Analysis],
    ) -> Settled {
        let is_new = |a: &&Analysis| a.id.as_ref().is_some_and(|id| !self.was_there(id));
        let of = |kind: &str| -> Vec<&Analysis> {
            analyses.iter().filter(|a| a.kind.as_deref() == Some(kind)).filter(is_new).collect()
        };
        let (biometry, quality) = (of(BIOMETRY), of(QUALITY));
        // The answer may list more analyses than were started, and may omit what they examine. An
        // analysis that is listed with other media is never ours.
        let exact = biometry.iter().find(|analysis| self.is_about_ours(analysis));
        match exact.or(biometry.iter().find(|analysis| analysis.source_media.is_none())) {
            Some(ours) => self.analyses_started(drive, ours, partner_of(ours, &quality), false),
            None => self.incomplete(drive, ask, "no BIOMETRY analysis of these media"),
        }
    }

    fn was_there(&self, id: &AnalysisId) -> bool {
        self.m.earlier_analyses.contains(id)
    }

    fn is_about_ours(&self, biometry: &Analysis) -> bool {
        let asked = self.m.source_media();
        asked.is_some_and(|media| liveness::looks_at_exactly(biometry, &media))
    }

    pub(super) fn analyses_started(
        &self,
        mut drive: VolatileState,
        biometry: &Analysis,
        quality: Option<&Analysis>,
        adopted: bool,
    ) -> Settled {
        let Some(analysis_id) = biometry.id.clone() else {
            return plain(drive);
        };
        let first_poll = self.next_poll();
        drive.health.trouble = None;
        drive.start = Sending::Clear;
        drive.biometry.due = first_poll;
        drive.quality.due = first_poll;
        drive.oz = Some(verdict::status(biometry, drive.polls, None));
        let wanted = self.m.spec.liveness_policy == LivenessPolicy::Run;
        let event = Event::AnalysisStarted(AnalysisStarted {
            analysis_id,
            liveness_analysis_id: quality.filter(|_| wanted).and_then(|a| a.id.clone()),
            adopted,
            oz: drive.oz.clone(),
        });
        Settled { event: Some(event), drive, doubles: 0 }
    }
}

/// The QUALITY analysis that the same request started: the one in the same group, else the one
/// created closest in time.
pub(super) fn partner_of<'a>(
    biometry: &Analysis,
    qualities: &[&'a Analysis],
) -> Option<&'a Analysis> {
    let grouped = qualities
        .iter()
        .find(|quality| biometry.group_id.is_some() && quality.group_id == biometry.group_id);
    let distance = |quality: &&&Analysis| match (quality.time_created, biometry.time_created) {
        (Some(a), Some(b)) => a.since(b).max(b.since(a)),
        (Some(_), None) | (None, Some(_)) | (None, None) => Duration::MAX,
    };
    grouped.or_else(|| qualities.iter().min_by_key(distance)).copied()
}
