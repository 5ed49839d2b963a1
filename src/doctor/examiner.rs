//! Sends the requests of an examination, keeps the shapes of their answers, and passes findings on.
//!
//! It deliberately judges nothing.

use serde_json::Value;

use crate::{
    doctor::{Examined, Finding, FindingVerdict, RehearsalPhoto, Report},
    domain::{FolderId, MatchId, MediaId},
    oz::{Carried, LivenessFile, OzProbe, ProbeOutcome, ProbedSession},
};

/// An examination under way.
pub struct Examiner<'a> {
    pub probe: &'a OzProbe,
    tell: &'a mut (dyn FnMut(&Finding) + Send),
    report: Report,
    differs: bool,
}

impl<'a> Examiner<'a> {
    pub fn new(probe: &'a OzProbe, tell: &'a mut (dyn FnMut(&Finding) + Send)) -> Self {
        Self { probe, tell, report: Report::default(), differs: false }
    }

    /// Passes a finding on.
    pub fn tell(&mut self, finding: Finding) {
        self.differs |= finding.verdict == FindingVerdict::Differs;
        self.report.found(&finding);
        (self.tell)(&finding);
    }

    /// Ends the examination.
    pub fn end(self) -> Examined {
        Examined { differs: self.differs, report: self.report }
    }

    /// Sends a GET. `{id}` in the label stands for `id` in the path.
    pub async fn get(&mut self, label: &str, id: &str, carried: Carried<'_>) -> ProbeOutcome {
        let path = label.replace("{id}", id);
        let outcome = self.probe.get(&path, carried).await;
        self.noted(&format!("GET {label}"), outcome)
    }

    pub async fn log_in(&mut self) -> (ProbeOutcome, Option<ProbedSession>) {
        let (outcome, session) = self.probe.log_in().await;
        (self.noted("POST /api/authorize/auth/", outcome), session)
    }

    pub async fn refresh(
        &mut self,
        session: &ProbedSession,
    ) -> (ProbeOutcome, Option<ProbedSession>) {
        let (outcome, next) = self.probe.refresh(session).await;
        (self.noted("POST /api/authorize/refresh/", outcome), next)
    }

    pub async fn make_folder(
        &mut self,
        video: &LivenessFile,
        tags: &[&str],
        meta_data: &Value,
        carried: Carried<'_>,
    ) -> ProbeOutcome {
        let outcome = self.probe.make_folder(video, tags, meta_data, carried).await;
        self.noted("POST /api/folders/", outcome)
    }

    pub async fn add_photo(
        &mut self,
        folder: FolderId,
        id: MatchId,
        photo: &RehearsalPhoto,
        carried: Carried<'_>,
    ) -> ProbeOutcome {
        let photo = (photo.bytes.clone(), photo.format);
        let outcome = self.probe.add_photo(folder, id, &photo, carried).await;
        self.noted("POST /api/folders/{id}/media/", outcome)
    }

    pub async fn start(
        &mut self,
        folder: FolderId,
        biometry: &[MediaId],
        quality: Option<&[MediaId]>,
        carried: Carried<'_>,
    ) -> ProbeOutcome {
        let outcome = self.probe.start(folder, biometry, quality, carried).await;
        self.noted("POST /api/folders/{id}/analyses/", outcome)
    }

    /// Starts a quality analysis alone, as the service never does.
    pub async fn start_quality(
        &mut self,
        folder: FolderId,
        video: &MediaId,
        carried: Carried<'_>,
    ) -> ProbeOutcome {
        let body = serde_json::json!({
            "analyses": [{ "type": "quality", "source_media": [video.as_str()] }]
        });
        let path = format!("/api/folders/{folder}/analyses/");
        let outcome = self.probe.post(&path, &body, carried).await;
        self.noted("POST /api/folders/{id}/analyses/", outcome)
    }

    fn noted(&mut self, request: &str, outcome: ProbeOutcome) -> ProbeOutcome {
        self.report.answered(request, &outcome, &|text| self.probe.holds_secret(text));
        outcome
    }
}
