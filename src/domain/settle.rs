//! What an answer of Oz's makes of a match: the right half of a step, pure.
//!
//! It says which fact the answer is, if it is one, and what the drive knows from now on.

use crate::domain::{
    ask::{Analysis, Ask, AskKind, Failure, FailureKind, Folder, Reply},
    drive::{
        BACKOFF_MAX, Drive, FOLDER_MEDIA_MAX, INCOMPLETE_MAX, MISSING_MAX, Plan, Policy, Poll,
        Sending, TROUBLES_MAX,
    },
    event::{
        AnalysisStarted, AttemptFailed, Event, Failed, Finished, LivenessResult, MatchError,
        MatchResult, Metadata, PhotoUploaded, Resolution,
    },
    id::{AnalysisId, MediaId},
    liveness::{self, BIOMETRY, QUALITY, Standing},
    reason::Reason,
    request::{LivenessPolicy, PhotoSource},
    retry::{self, Treatment},
    state::{Match, State},
    time::Timestamp,
    verdict::{self, LivenessReading, Reading},
};

/// What came of asking.
pub type Outcome = Result<Reply, Failure>;

/// When it was asked and answered, and the chance that jitters a next try.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Moment {
    /// When the request was begun.
    pub asked: Timestamp,
    /// When its outcome was known.
    pub now: Timestamp,
    /// 0..1, drawn by whoever drives.
    pub chance: f64,
}

/// What follows from an answer.
#[derive(Clone, PartialEq, Debug)]
pub struct Settled {
    /// The fact to write, if the answer is one.
    pub event: Option<Event>,
    /// What the drive knows once that is written.
    pub drive: Drive,
    /// How many things of ours Oz holds beyond the one that counts.
    pub doubles: usize,
}

/// Everything that a settling looks at.
struct Settling<'a> {
    m: &'a Match,
    moment: Moment,
    policy: &'a Policy,
}

/// What an outcome makes of a match that asked.
pub fn settle(
    m: &Match,
    mut drive: Drive,
    ask: &Ask,
    outcome: Outcome,
    moment: Moment,
    policy: &Policy,
) -> Settled {
    let settling = Settling { m, moment, policy };
    drive.last_look |= moment.asked >= m.deadline();
    match outcome {
        Ok(reply) => settling.reply(drive, ask, reply),
        Err(failure) => settling.failure(drive, ask, &failure),
    }
}

/// The request that starts a match's analyses. None before UPLOADED.
pub fn start(m: &Match) -> Option<Ask> {
    let quality = match m.spec.liveness_policy {
        LivenessPolicy::Run => Some(m.liveness_media.clone()),
        LivenessPolicy::Report | LivenessPolicy::Require => None,
    };
    let biometry = m.source_media()?;
    Some(Ask::StartAnalyses { folder_id: m.spec.folder_id, biometry, quality })
}

/// The analyses in a folder that could be ones this match started: those that another match owns
/// have yet to be taken out.
pub fn candidates(m: &Match, folder: &Folder) -> Vec<AnalysisId> {
    let Some(source_media) = m.source_media() else {
        return Vec::new();
    };
    let biometry = liveness::analyses_of(folder, BIOMETRY, &source_media);
    let quality = liveness::analyses_of(folder, QUALITY, &m.liveness_media);
    let ids = biometry.into_iter().chain(quality).filter_map(|analysis| analysis.id.clone());
    ids.filter(|id| !m.earlier_analyses.contains(id)).collect()
}

/// The end of a match whose deadline has passed: a verdict that is known already counts.
pub fn timed_out(m: &Match, drive: &Drive, policy: &Policy) -> Event {
    if let Some(Reading::Verdict { .. }) = drive.biometry.over
        && let Some(event) = conclude(m, drive, policy)
    {
        return event;
    }
    let mut error = MatchError::new(Reason::MatchTimedOut, "the match's deadline has passed");
    if let Some((cause, metadata)) = &drive.last_trouble {
        error.metadata.insert("cause".into(), cause.as_str().into());
        error.metadata.extend(metadata.clone());
    }
    Event::Failed(Failed { error, oz: drive.oz.clone(), keep: policy.retention })
}

impl Settling<'_> {
    fn reply(&self, mut drive: Drive, ask: &Ask, reply: Reply) -> Settled {
        let kind = ask.kind();
        match (ask, reply) {
            (Ask::ReadFolder { .. }, Reply::Folder(folder)) => {
                drive.worked(kind);
                self.folder(drive, &folder)
            }
            (Ask::UploadPhoto { .. }, Reply::Photo(photo)) => {
                drive.worked(kind);
                self.uploaded(drive, photo, false)
            }
            (Ask::StartAnalyses { .. }, Reply::Started(analyses)) => {
                self.started(drive, ask, &analyses)
            }
            (Ask::ReadAnalysis { analysis_id }, Reply::Analysis(analysis)) => {
                self.analysis(drive, ask, analysis_id, &analysis)
            }
            (
                Ask::ReadFolder { .. }
                | Ask::UploadPhoto { .. }
                | Ask::StartAnalyses { .. }
                | Ask::ReadAnalysis { .. },
                Reply::Folder(_) | Reply::Photo(_) | Reply::Started(_) | Reply::Analysis(_),
            ) => self.incomplete(drive, ask, "an answer to another question"),
        }
    }

    // The folder: before the photo is at Oz, and whenever an answer was lost.

    fn folder(&self, drive: Drive, folder: &Folder) -> Settled {
        match self.m.state {
            State::Accepted => self.folder_accepted(drive, folder),
            State::Uploaded => self.folder_uploaded(drive, folder),
            State::Processing | State::Finished | State::Failed | State::Cancelled => plain(drive),
        }
    }

    fn folder_accepted(&self, mut drive: Drive, folder: &Folder) -> Settled {
        let liveness_media = match liveness::select(&self.m.spec, folder) {
            Ok(media) => media,
            Err(error) => return self.fail(drive, error),
        };
        if self.m.spec.liveness_policy == LivenessPolicy::Require {
            match liveness::standing(folder, &liveness_media) {
                Standing::Pending => {
                    drive.plan = None;
                    drive.not_before = self.next_poll();
                    return plain(drive);
                }
                Standing::Absent => return self.fail(drive, not_passed(None)),
                Standing::Over(result) if result.resolution == Some(Resolution::Success) => {}
                Standing::Over(result) => return self.fail(drive, not_passed(Some(&result))),
            }
        }
        drive.plan = Some(Plan {
            liveness: liveness::newest_finished(folder, &liveness_media),
            earlier_analyses: Vec::new(),
            media_count: folder.media.len(),
            liveness_media,
        });
        match &self.m.spec.photo {
            PhotoSource::Content { .. } => self.look_for_photo(drive, folder),
            PhotoSource::FolderMedia(photo) => self.find_photo(drive, folder, photo),
        }
    }

    /// A photo of the caller's own: it may be at Oz already, its answer lost.
    fn look_for_photo(&self, mut drive: Drive, folder: &Folder) -> Settled {
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
        // QUALITY analyses of the liveness media are there already; of the photo there is none.
        drive.plan = plan.map(|plan| plan.knowing_earlier_qualities(folder));
        plain(drive)
    }

    /// A photo that the folder is said to hold.
    fn find_photo(&self, mut drive: Drive, folder: &Folder, photo: &MediaId) -> Settled {
        let found = folder.media.iter().find(|media| media.id == *photo);
        if !found.is_some_and(liveness::is_image) {
            let message = match found {
                Some(_) => "the folder's medium that the request names is no image",
                None => "the folder has no medium of the id that the request names",
            };
            let metadata = Metadata::from([("media_id".into(), photo.to_string())]);
            return self
                .fail(drive, MatchError::new(Reason::OzMediaNotFound, message).with(metadata));
        }
        drive.plan = drive.plan.map(|plan| plan.knowing_earlier(folder, photo));
        self.uploaded(drive, photo.clone(), false)
    }

    /// A start of analyses may have been heard, its answer lost.
    fn folder_uploaded(&self, mut drive: Drive, folder: &Folder) -> Settled {
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
        let partner = partner_of(first, &quality);
        let settled = self.analyses_started(drive, first, partner, true);
        Settled { doubles: doubles.len(), ..settled }
    }

    /// After a look that found nothing: whether it may be sent again, and when to look again.
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

    // The two requests that change Oz.

    fn uploaded(&self, mut drive: Drive, photo: MediaId, adopted: bool) -> Settled {
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

    fn started(&self, mut drive: Drive, ask: &Ask, analyses: &[Analysis]) -> Settled {
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

    fn analyses_started(
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

    // Polls.

    fn analysis(&self, mut drive: Drive, ask: &Ask, id: &AnalysisId, answer: &Analysis) -> Settled {
        let is_biometry = self.m.analysis_id.as_ref() == Some(id);
        let kind = if is_biometry { BIOMETRY } else { QUALITY };
        if answer.id.as_ref().is_some_and(|answered| answered != id) {
            return self.incomplete(drive, ask, "an answer about another analysis");
        }
        if answer.kind.as_deref().is_some_and(|answered| answered != kind) {
            return self.incomplete(drive, ask, "an answer about another type of analysis");
        }
        if is_biometry {
            return self.biometry(drive, ask, answer);
        }
        drive.worked(ask.kind());
        match verdict::read_liveness(answer, id) {
            LivenessReading::Pending => drive.quality = Poll::next(self.next_poll()),
            LivenessReading::Over(result) => drive.quality.over = Some(Some(result)),
        }
        self.concluded(drive)
    }

    fn biometry(&self, mut drive: Drive, ask: &Ask, answer: &Analysis) -> Settled {
        drive.polls += 1;
        drive.oz = Some(verdict::status(answer, drive.polls, Some(self.moment.now)));
        match verdict::read(answer) {
            Reading::Incomplete(what) => return self.incomplete(drive, ask, what),
            Reading::Pending => drive.biometry = Poll::next(self.next_poll()),
            over @ (Reading::Verdict { .. } | Reading::Failed(_)) => {
                drive.biometry.over = Some(over);
            }
        }
        drive.worked(ask.kind());
        self.concluded(drive)
    }

    fn concluded(&self, drive: Drive) -> Settled {
        let waits = self.m.liveness_analysis_id.is_some() && drive.quality.over.is_none();
        let event = if waits { None } else { conclude(self.m, &drive, self.policy) };
        Settled { event, drive, doubles: 0 }
    }

    /// Polls start an interval apart and never overlap.
    fn next_poll(&self) -> Timestamp {
        self.moment.asked.after(self.policy.poll_interval).max(self.moment.now)
    }

    // Trouble.

    fn incomplete(&self, drive: Drive, ask: &Ask, what: &str) -> Settled {
        let message = format!("Oz answered with {what}");
        self.failure(drive, ask, &Failure::new(FailureKind::Incomplete, message))
    }

    fn failure(&self, mut drive: Drive, ask: &Ask, failure: &Failure) -> Settled {
        let processing = self.m.state == State::Processing;
        let treatment = retry::treat(failure.kind, ask.kind(), processing);
        match treatment {
            Treatment::Wait => self.wait(drive, ask, failure),
            Treatment::WaitCounted => {
                drive.incomplete += 1;
                match drive.incomplete >= INCOMPLETE_MAX {
                    true => self.give_up(drive, ask, Reason::OzProtocol, failure),
                    false => self.wait(drive, ask, failure),
                }
            }
            Treatment::WaitMissing => {
                let since = drive.missing_since(self.m, ask, self.moment.now);
                match self.moment.now.since(since) >= MISSING_MAX {
                    true => self.give_up(drive, ask, Reason::OzProtocol, failure),
                    false => self.wait(drive, ask, failure),
                }
            }
            Treatment::End(reason) => {
                let reason = self.full_or(reason, &drive);
                self.give_up(drive, ask, reason, failure)
            }
        }
    }

    /// A photo refused by a folder that is as full as Oz lets folders be: that is why.
    fn full_or(&self, reason: Reason, drive: &Drive) -> Reason {
        let full = drive.plan.as_ref().is_some_and(|plan| plan.media_count >= FOLDER_MEDIA_MAX);
        if reason == Reason::OzRejectedPhoto && full { Reason::OzFolderFull } else { reason }
    }

    /// Nothing helps any more. For the QUALITY analysis that is no end of the match.
    fn give_up(&self, mut drive: Drive, ask: &Ask, reason: Reason, failure: &Failure) -> Settled {
        if self.is_quality(ask) {
            drive.quality.over = Some(None);
            return self.concluded(drive);
        }
        let mut error = MatchError::new(reason, retry::message(reason)).with(failure.metadata());
        if ask.kind() == AskKind::StartAnalyses && failure.kind != FailureKind::Incomplete {
            // Oz says that the request is wrong: the same request stays wrong.
            error.retryable &= reason != Reason::OzAnalysisFailed;
        }
        self.fail(drive, error)
    }

    fn wait(&self, mut drive: Drive, ask: &Ask, failure: &Failure) -> Settled {
        let Moment { now, chance, .. } = self.moment;
        let tell = drive.failed(ask.kind(), failure);
        let base = self.policy.poll_interval;
        let delay = retry::delay(drive.failures(), base, BACKOFF_MAX, chance, failure);
        let next_try = now.after(delay);
        let lost = ask.kind().changes_oz() && failure.kind.may_have_acted();
        match ask.kind() {
            AskKind::UploadPhoto if lost => drive.upload = Sending::Unsure(now),
            AskKind::StartAnalyses if lost => drive.start = Sending::Unsure(now),
            AskKind::UploadPhoto
            | AskKind::StartAnalyses
            | AskKind::ReadFolder
            | AskKind::ReadAnalysis => {}
        }
        // A lost answer is looked for at once; what changes Oz waits.
        drive.not_before = if lost { now } else { next_try };
        if ask.kind().changes_oz() {
            drive.resend_at = next_try;
        }
        let told = tell && self.m.troubles < TROUBLES_MAX && now < self.m.deadline();
        let event = told.then(|| attempt_failed(&drive, failure, next_try));
        Settled { event, drive, doubles: 0 }
    }

    fn is_quality(&self, ask: &Ask) -> bool {
        match ask {
            Ask::ReadAnalysis { analysis_id } => {
                self.m.liveness_analysis_id.as_ref() == Some(analysis_id)
            }
            Ask::ReadFolder { .. } | Ask::UploadPhoto { .. } | Ask::StartAnalyses { .. } => false,
        }
    }

    fn fail(&self, drive: Drive, error: MatchError) -> Settled {
        let oz = drive.oz.clone();
        let event = Event::Failed(Failed { error, oz, keep: self.policy.retention });
        Settled { event: Some(event), drive, doubles: 0 }
    }
}

impl Plan {
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

impl<T> Poll<T> {
    const fn next(due: Timestamp) -> Self {
        Self { due, over: None, missing_since: None }
    }
}

impl Drive {
    fn missing_since(&mut self, m: &Match, ask: &Ask, now: Timestamp) -> Timestamp {
        let is_biometry = match ask {
            Ask::ReadAnalysis { analysis_id } => m.analysis_id.as_ref() == Some(analysis_id),
            Ask::ReadFolder { .. } | Ask::UploadPhoto { .. } | Ask::StartAnalyses { .. } => false,
        };
        let since = match is_biometry {
            true => &mut self.biometry.missing_since,
            false => &mut self.quality.missing_since,
        };
        *since.get_or_insert(now)
    }
}

/// The end of a match whose BIOMETRY analysis is over.
fn conclude(m: &Match, drive: &Drive, policy: &Policy) -> Option<Event> {
    let (oz, keep) = (drive.oz.clone(), policy.retention);
    match drive.biometry.over.clone()? {
        Reading::Verdict { resolution, min_confidence, max_confidence } => {
            let liveness = reported_liveness(m, drive);
            let result = MatchResult { resolution, min_confidence, max_confidence, liveness };
            Some(Event::Finished(Finished { result, oz, keep }))
        }
        Reading::Failed(error) => Some(Event::Failed(Failed { error, oz, keep })),
        Reading::Pending | Reading::Incomplete(_) => None,
    }
}

/// What is told of liveness: of the analysis that was started with it, else of what was found.
fn reported_liveness(m: &Match, drive: &Drive) -> Option<LivenessResult> {
    let Some(analysis_id) = m.liveness_analysis_id.clone() else {
        return m.liveness.clone();
    };
    let unknown = LivenessResult { resolution: None, confidence_spoofing: None, analysis_id };
    Some(drive.quality.over.clone().flatten().unwrap_or(unknown))
}

fn attempt_failed(drive: &Drive, failure: &Failure, next_attempt: Timestamp) -> Event {
    Event::AttemptFailed(AttemptFailed {
        cause: failure.kind.cause(),
        message: failure.message.clone(),
        next_attempt,
        metadata: failure.metadata(),
        oz: drive.oz.clone(),
    })
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

/// The QUALITY analysis that was asked for in the same request: by their group, else the one
/// whose creation lies closest.
fn partner_of<'a>(biometry: &Analysis, qualities: &[&'a Analysis]) -> Option<&'a Analysis> {
    let grouped = qualities
        .iter()
        .find(|quality| biometry.group_id.is_some() && quality.group_id == biometry.group_id);
    let distance = |quality: &&&Analysis| match (quality.time_created, biometry.time_created) {
        (Some(a), Some(b)) => a.since(b).max(b.since(a)),
        (Some(_), None) | (None, Some(_)) | (None, None) => std::time::Duration::MAX,
    };
    grouped.or_else(|| qualities.iter().min_by_key(distance)).copied()
}

const fn plain(drive: Drive) -> Settled {
    Settled { event: None, drive, doubles: 0 }
}
