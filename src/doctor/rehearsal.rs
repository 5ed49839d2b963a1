//! A rehearsal: a whole match in a folder of its own, by the requests that the service sends.
//!
//! The same media are compared twice, before and after a third, unlike photo was added: that photo
//! must change nothing. It deliberately deletes nothing, since ordinary accounts may not.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    doctor::{
        DoctorStep, Finding, Plan, RehearsalMedia,
        examiner::Examiner,
        judge::{SEND_REPORT, clock, folder, rehearsal, rehearsal::AnalysisEnd, succeeded, told},
        reading::{ANALYSIS, FOLDER, single},
        sample,
    },
    domain::{Analysis, AnalysisId, FolderId, MatchId, MediaId, liveness},
    oz::{AccessToken, Carried, ProbeOutcome, read_analysis},
};

/// The tags that an SDK gives to a liveness video (media tags page).
const TAGS: [&str; 3] = ["video_selfie", "video_selfie_blank", "orientation_portrait"];

/// The analyses of a folder, in the spelling that the service uses.
const LIST: &str = "/api/folders/{id}/analyses/";

/// A rehearsal under way, in its folder.
struct Rehearsal<'r, 'e> {
    it: &'r mut Examiner<'e>,
    plan: &'r Plan,
    token: &'r AccessToken,
    folder: FolderId,
    media_held: usize,
    started: Vec<AnalysisId>,
    /// Analyses as Oz's JSON, for the judgement of their members.
    seen: Vec<Value>,
}

/// Runs a whole match, and says at the end what it leaves behind.
pub async fn rehearse(
    it: &mut Examiner<'_>,
    plan: &Plan,
    media: &RehearsalMedia,
    token: &AccessToken,
) {
    let meta_data = json!({ "made_by": "facematch doctor" });
    let made = it.make_folder(&media.video, &TAGS, &meta_data, Carried::Token(token)).await;
    let Some(folder) = made_folder(&made) else {
        it.tell(match succeeded(&made) {
            true => Finding::differs(
                DoctorStep::Uploading,
                "the answer to a new folder has no folder_id",
                SEND_REPORT,
            ),
            false => rehearsal::refused_upload("a new folder with a video", &made, 0),
        });
        it.tell(Finding::not_tried(DoctorStep::Rest, "all that needs a folder of the rehearsal"));
        return;
    };
    let (media_held, started, seen) = (1, vec![], vec![]);
    let mut run = Rehearsal { it, plan, token, folder, media_held, started, seen };
    if let Ok(answer) = &made {
        run.it.tell(clock::times(answer));
    }
    run.compare(media).await;
    let left = rehearsal::leftovers(folder, run.media_held, run.started.len());
    run.it.tell(left);
}

fn made_folder(outcome: &ProbeOutcome) -> Option<FolderId> {
    let answer = outcome.as_ref().ok().filter(|answer| answer.failure.is_none())?;
    answer.json.as_ref()?.get("folder_id")?.as_str()?.parse().ok()
}

impl Rehearsal<'_, '_> {
    /// Uploads, starts, polls and compares, as far as Oz goes along.
    async fn compare(&mut self, media: &RehearsalMedia) {
        let id = MatchId::from_uuid(Uuid::new_v4());
        let Some((video, photo)) = self.media(id, media).await else {
            let rest = "all that needs a video and a photo in the folder";
            return self.it.tell(Finding::not_tried(DoctorStep::Rest, rest));
        };
        self.meta_data(&photo, id).await;
        let named = [video.clone(), photo];
        let analyses = self.start(&named, &video).await;
        let first = self.end_of(liveness::BIOMETRY, &analyses).await;
        self.it.tell(rehearsal::verdict(&first, media.is_own));
        let quality = self.end_of(liveness::QUALITY, &analyses).await;
        self.it.tell(rehearsal::liveness(&quality, media.is_own));
        self.it.tell(folder::analyses(&self.seen));
        match first.analysis() {
            Some(analysis) if !rehearsal::is_failed(analysis) => {
                self.source_media(&first, &named).await;
            }
            Some(_) | None => {
                let why = "biometry came to no verdict that could change";
                self.it.tell(Finding::not_tried(DoctorStep::SourceMedia, why));
            }
        }
        if !self.started.is_empty() {
            let listed = self.get(LIST).await;
            self.it.tell(rehearsal::listed(&listed, &self.started));
        }
    }

    /// The video and the photo to compare, once both are in the folder.
    async fn media(&mut self, id: MatchId, media: &RehearsalMedia) -> Option<(MediaId, MediaId)> {
        let video = self.video().await?;
        let photo = self.photo(id, media).await?;
        Some((video, photo))
    }

    /// Reads the folder, and finds the video in it.
    async fn video(&mut self) -> Option<MediaId> {
        let outcome = self.get(FOLDER).await;
        let (finding, folder) = folder::read(self.folder, &outcome);
        self.it.tell(finding);
        let folder = folder?;
        self.it.tell(folder::liveness_media(&folder));
        let found = folder.media.into_iter().find(liveness::is_liveness);
        found.map(|medium| medium.id)
    }

    /// Adds the photo to compare.
    async fn photo(&mut self, id: MatchId, media: &RehearsalMedia) -> Option<MediaId> {
        let carried = Carried::Token(self.token);
        let added = self.it.add_photo(self.folder, id, &media.photo, carried).await;
        if !succeeded(&added) {
            self.it.tell(rehearsal::refused_upload("a photo", &added, self.media_held));
            return None;
        }
        self.media_held += 1;
        let answer = added.as_ref().ok()?;
        match answer.uploaded(id) {
            Ok(photo) => {
                let what = "the account may make folders and add photos";
                self.it.tell(Finding::holds(DoctorStep::Uploading, what));
                Some(photo)
            }
            Err(lacks) => {
                let what = format!("the answer to an upload is not understood: {lacks}");
                self.it.tell(Finding::differs(DoctorStep::Uploading, what, SEND_REPORT));
                None
            }
        }
    }

    /// Reads the folder again: is the photo recognised?
    async fn meta_data(&mut self, photo: &MediaId, id: MatchId) {
        let outcome = self.get(FOLDER).await;
        let Ok(answer) = &outcome else { return };
        if let Ok(folder) = answer.folder() {
            self.it.tell(folder::room(&folder));
            self.it.tell(folder::media(answer.json.as_ref().unwrap_or(&Value::Null)));
            self.it.tell(rehearsal::meta_data(&folder, photo, id));
        }
    }

    /// Starts biometry and quality together; each alone if that is refused.
    async fn start(&mut self, named: &[MediaId], video: &MediaId) -> Vec<Analysis> {
        let carried = Carried::Token(self.token);
        let only_video = std::slice::from_ref(video);
        let both = self.it.start(self.folder, named, Some(only_video), carried).await;
        if succeeded(&both) {
            rehearsal::starts(&both, None).into_iter().for_each(|finding| self.it.tell(finding));
            return self.note(&both);
        }
        let biometry = self.it.start(self.folder, named, None, carried).await;
        let quality = self.it.start_quality(self.folder, video, carried).await;
        let findings = rehearsal::starts(&both, Some((&biometry, &quality)));
        findings.into_iter().for_each(|finding| self.it.tell(finding));
        [self.note(&biometry), self.note(&quality)].concat()
    }

    /// Notes the analyses that an answer says were started.
    fn note(&mut self, outcome: &ProbeOutcome) -> Vec<Analysis> {
        let answer = outcome.as_ref().ok().filter(|answer| answer.failure.is_none());
        let started = answer.and_then(|answer| answer.started().ok()).unwrap_or_default();
        self.started.extend(started.iter().filter_map(|analysis| analysis.id.clone()));
        started
    }

    /// Polls the analysis of this type, among those that were started, until it is over.
    async fn end_of(&mut self, kind: &str, started: &[Analysis]) -> AnalysisEnd {
        let found = started.iter().find(|analysis| analysis.kind.as_deref() == Some(kind));
        match found.and_then(|analysis| analysis.id.clone()) {
            Some(id) => self.poll(&id).await,
            None => AnalysisEnd::NotStarted,
        }
    }

    async fn poll(&mut self, id: &AnalysisId) -> AnalysisEnd {
        let clock = self.it.probe.clock().clone();
        let until = clock.now().after(self.plan.patience);
        loop {
            let outcome = self.it.get(ANALYSIS, id.as_str(), Carried::Token(self.token)).await;
            let Some(answer) = outcome.as_ref().ok().filter(|it| it.failure.is_none()) else {
                return AnalysisEnd::Unread(told(&outcome));
            };
            let status = http::StatusCode::from_u16(answer.status).unwrap_or_default();
            match read_analysis(status, &answer.body, id) {
                Err(failure) => return AnalysisEnd::Unread(failure.message),
                Ok(analysis) if rehearsal::is_over(&analysis) => {
                    self.seen.extend(answer.json.as_ref().map(single));
                    let message = analysis.error_message.map(|text| self.it.probe.clean(&text));
                    return AnalysisEnd::Over(Box::new(Analysis {
                        error_message: message,
                        ..analysis
                    }));
                }
                Ok(_) if clock.now() >= until => return AnalysisEnd::StillRunning,
                Ok(_) => clock.sleep(self.plan.poll_interval).await,
            }
        }
    }

    /// Adds an unlike photo and compares the same media again.
    async fn source_media(&mut self, first: &AnalysisEnd, named: &[MediaId]) {
        let carried = Carried::Token(self.token);
        let id = MatchId::from_uuid(Uuid::new_v4());
        let added = self.it.add_photo(self.folder, id, &sample::stranger(), carried).await;
        if !succeeded(&added) {
            self.it.tell(rehearsal::refused_upload("another photo", &added, self.media_held));
            return;
        }
        self.media_held += 1;
        let again = self.it.start(self.folder, named, None, carried).await;
        let started = self.note(&again);
        let second = self.end_of(liveness::BIOMETRY, &started).await;
        self.it.tell(rehearsal::source_media(first, &second, named));
    }

    async fn get(&mut self, label: &str) -> ProbeOutcome {
        self.it.get(label, &self.folder.to_string(), Carried::Token(self.token)).await
    }
}
