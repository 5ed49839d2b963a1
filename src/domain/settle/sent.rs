//! The two requests that change Oz: what follows when they were heard.

use std::time::Duration;

use crate::domain::{
    ask::{Analysis, Ask},
    drive::{Drive, Sending},
    event::{AnalysisStarted, Event, PhotoUploaded},
    id::MediaId,
    liveness::{BIOMETRY, QUALITY},
    request::LivenessPolicy,
    settle::{Settled, Settling, plain},
    state::Match,
    verdict,
};

/// The request that starts a match's analyses. None before UPLOADED.
pub fn start(m: &Match) -> Option<Ask> {
    let quality = match m.spec.liveness_policy {
        LivenessPolicy::Run => Some(m.liveness_media.clone()),
        LivenessPolicy::Report | LivenessPolicy::Require => None,
    };
    let biometry = m.source_media()?;
    Some(Ask::StartAnalyses { folder_id: m.spec.folder_id, biometry, quality })
}

impl Settling<'_> {
    pub(super) fn uploaded(&self, mut drive: Drive, photo: MediaId, adopted: bool) -> Settled {
        drive.upload = Sending::Clear;
        drive.start = Sending::Clear;
        drive.resend_at = self.moment.now;
        let Some(plan) = drive.plan.clone() else {
            // Nothing is uploaded before the folder was read.
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

    pub(super) fn started(&self, mut drive: Drive, ask: &Ask, analyses: &[Analysis]) -> Settled {
        let of = |kind: &str| -> Vec<&Analysis> {
            analyses.iter().filter(|a| a.kind.as_deref() == Some(kind) && a.id.is_some()).collect()
        };
        let (biometry, quality) = (of(BIOMETRY), of(QUALITY));
        match biometry.first() {
            Some(first) => {
                drive.worked(ask.kind());
                self.analyses_started(drive, first, partner_of(first, &quality), false)
            }
            None => self.incomplete(drive, ask, "no BIOMETRY analysis in the answer"),
        }
    }

    pub(super) fn analyses_started(
        &self,
        mut drive: Drive,
        biometry: &Analysis,
        quality: Option<&Analysis>,
        adopted: bool,
    ) -> Settled {
        let Some(analysis_id) = biometry.id.clone() else {
            return plain(drive);
        };
        let first_poll = self.next_poll();
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

/// The QUALITY analysis that was asked for in the same request: by their group, else the one
/// whose creation lies closest.
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
