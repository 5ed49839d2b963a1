//! Settles the answers to the two requests that change Oz: the upload and the start of analyses.

use std::time::Duration;

use crate::domain::{
    ask::{Analysis, Ask},
    event::{AnalysisStarted, Event, PhotoUploaded},
    id::{AnalysisId, MediaId},
    liveness::{self, BIOMETRY, QUALITY},
    request::LivenessPolicy,
    settle::Settling,
    state::Match,
    verdict,
    volatile::{MatchPlan, Sending},
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
    pub(super) fn sent(&mut self, ask: &Ask, photo: MediaId) -> Option<Event> {
        let is_liveness = |plan: &MatchPlan| plan.liveness_media.contains(&photo);
        if self.volatile.plan.as_ref().is_some_and(is_liveness) {
            return self.incomplete(ask, "a liveness medium for the photo");
        }
        self.uploaded(photo, false)
    }

    pub(super) fn uploaded(&mut self, photo: MediaId, adopted: bool) -> Option<Event> {
        self.volatile.health.trouble = None;
        self.volatile.upload = Sending::Clear;
        self.volatile.start = Sending::Clear;
        self.volatile.resend_at = self.moment.now;
        self.volatile.reference = None;
        // There is a plan: no upload is sent before the folder was read.
        let plan = self.volatile.plan.clone()?;
        Some(Event::PhotoUploaded(PhotoUploaded {
            photo_media_id: photo,
            liveness_media: plan.liveness_media,
            liveness: plan.liveness,
            earlier_analyses: plan.earlier_analyses,
            adopted,
        }))
    }

    pub(super) fn started(&mut self, ask: &Ask, analyses: &[Analysis]) -> Option<Event> {
        let is_new = |a: &&Analysis| a.id.as_ref().is_some_and(|id| !self.was_there(id));
        let of = |kind: &str| -> Vec<&Analysis> {
            analyses.iter().filter(|a| a.kind.as_deref() == Some(kind)).filter(is_new).collect()
        };
        let (biometry, quality) = (of(BIOMETRY), of(QUALITY));
        // The answer may list more analyses than were started, and may omit what they examine. An
        // analysis that is listed with other media is never ours.
        let exact = biometry.iter().find(|analysis| self.is_about_ours(analysis));
        match exact.or(biometry.iter().find(|analysis| analysis.source_media.is_none())) {
            Some(ours) => self.analyses_started(ours, partner_of(ours, &quality), false),
            None => self.incomplete(ask, "no BIOMETRY analysis of these media"),
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
        &mut self,
        biometry: &Analysis,
        quality: Option<&Analysis>,
        adopted: bool,
    ) -> Option<Event> {
        let analysis_id = biometry.id.clone()?;
        let first_poll = self.next_poll();
        self.volatile.health.trouble = None;
        self.volatile.start = Sending::Clear;
        self.volatile.biometry.due = first_poll;
        self.volatile.quality.due = first_poll;
        self.volatile.oz = Some(verdict::status(biometry, self.volatile.polls, None));
        let wanted = self.m.spec.liveness_policy == LivenessPolicy::Run;
        // One id for both would make each poll of the one a poll of the other.
        let apart = |id: &AnalysisId| *id != analysis_id;
        let quality = quality.filter(|_| wanted).and_then(|a| a.id.clone()).filter(apart);
        Some(Event::AnalysisStarted(AnalysisStarted {
            liveness_analysis_id: quality,
            analysis_id,
            adopted,
            oz: self.volatile.oz.clone(),
        }))
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
