//! One match, driven: asks the core what to do, does it, writes the fact, until the match ends.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::{
    domain::{
        Ask, Drive, Event, Failure, FailureKind, Match, MatchId, Moment, Outcome, Progress,
        Recorded, Reply, Settled, Step, Timestamp, drive::LAST_LOOK_MAX, next_step, settle,
        settle as settling, state,
    },
    journal::{self, Appended, Claim},
    worker::{Engine, shelf::Photo},
};

/// The pause before a fact is written again after the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// What others reach a driver by.
pub struct Handle {
    photo: Mutex<Slot>,
    poke: Notify,
    stop: CancellationToken,
}

/// Where the photo of a match is kept while it is wanted.
enum Slot {
    Wanted(Option<Photo>),
    Done,
}

impl Handle {
    /// For a driver that has its photo, or has none.
    fn new(photo: Option<Photo>, stop: CancellationToken) -> Self {
        Self { photo: Mutex::new(Slot::Wanted(photo)), poke: Notify::new(), stop }
    }

    /// Gives a photo to a driver that may miss it. One that has a photo, or needs none any more,
    /// drops it.
    pub fn offer(&self, photo: Photo) {
        let mut slot = self.slot();
        if let Slot::Wanted(empty @ None) = &mut *slot {
            *empty = Some(photo);
            self.poke.notify_one();
        }
    }

    /// Makes the driver stop wherever it is.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    fn photo(&self) -> Option<Photo> {
        match &*self.slot() {
            Slot::Wanted(photo) => photo.clone(),
            Slot::Done => None,
        }
    }

    fn drop_photo(&self) {
        *self.slot() = Slot::Done;
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        // Nothing that holds this lock can panic half-way, so a poisoned one is sound.
        self.photo.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among the drivers that others can reach. It is given up when dropped, and the photo
/// with it, also where a driver panics.
pub struct Seat {
    engine: Arc<Engine>,
    match_id: MatchId,
    handle: Arc<Handle>,
}

impl Seat {
    /// Takes the place of a match.
    pub fn take(engine: &Arc<Engine>, match_id: MatchId, photo: Option<Photo>) -> Self {
        let handle = Arc::new(Handle::new(photo, engine.stopping.child_token()));
        engine.drivers().insert(match_id, Arc::clone(&handle));
        Self { engine: Arc::clone(engine), match_id, handle }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.handle.drop_photo();
        self.engine.drivers().remove(&self.match_id);
    }
}

/// A match, the hold on it, and what is known beside its journal.
pub struct Driver {
    engine: Arc<Engine>,
    m: Match,
    claim: Claim,
    drive: Drive,
    handle: Arc<Handle>,
    _seat: Seat,
}

/// Whether the driver goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    On,
    Over,
}

impl Driver {
    /// A driver that has not begun.
    pub fn new(m: Match, claim: Claim, drive: Drive, seat: Seat) -> Self {
        let (engine, handle) = (Arc::clone(&seat.engine), Arc::clone(&seat.handle));
        Self { engine, m, claim, drive, handle, _seat: seat }
    }

    /// Drives the match until it ends, is taken over, or the server goes down.
    pub async fn run(mut self) {
        while self.turn().await == Turn::On {}
    }

    async fn turn(&mut self) -> Turn {
        if self.should_leave() {
            return Turn::Over;
        }
        let now = self.engine.with.clock.now();
        let photo_here = self.handle.photo().is_some();
        match next_step(&self.m, &self.drive, photo_here, now, &self.engine.config.policy) {
            Step::Rest => Turn::Over,
            Step::Wait(until) => self.wait(until).await,
            Step::Record(event) => self.record(event).await,
            Step::Ask(ask) => self.ask(ask, now).await,
        }
    }

    /// A draining server leaves a match once nothing that it alone holds is needed.
    fn should_leave(&self) -> bool {
        let draining = self.engine.draining.is_cancelled();
        self.handle.stop.is_cancelled()
            || (draining && (self.m.is_safe() || self.handle.photo().is_none()))
    }

    /// Waits for a time, a photo, or the end.
    async fn wait(&self, until: Timestamp) -> Turn {
        tokio::select! {
            () = self.engine.with.clock.sleep_until(until) => Turn::On,
            () = self.handle.poke.notified() => Turn::On,
            () = self.leaving() => Turn::Over,
        }
    }

    /// Resolves once the driver should leave although nothing has happened to its match.
    async fn leaving(&self) {
        let leave_when_draining = self.m.is_safe() || self.handle.photo().is_none();
        tokio::select! {
            () = self.handle.stop.cancelled() => {}
            () = self.engine.draining.cancelled(), if leave_when_draining => {}
        }
    }

    // Asking.

    async fn ask(&mut self, ask: Ask, asked: Timestamp) -> Turn {
        if ask.kind().changes_oz() && !self.engine.with.writer.may_act() {
            return Turn::Over;
        }
        let Some(outcome) = self.perform(&ask, asked).await else {
            return Turn::Over;
        };
        let outcome = match self.without_strangers(outcome).await {
            Ok(outcome) => outcome,
            Err(failure) => {
                warn!(match.id = %self.m.id, error = %failure, "the store can't be read");
                return self.wait(asked.after(STORE_PAUSE)).await;
            }
        };
        self.settle(&ask, outcome, asked).await
    }

    /// The outcome, or nothing if the driver has to leave meanwhile. A request that changes Oz is
    /// not cut short by a drain: its answer would be lost.
    async fn perform(&self, ask: &Ask, asked: Timestamp) -> Option<Outcome> {
        let photo = match ask {
            Ask::UploadPhoto { .. } => self.handle.photo().map(|photo| photo.bytes()),
            Ask::ReadFolder { .. } | Ask::StartAnalyses { .. } | Ask::ReadAnalysis { .. } => None,
        };
        let bytes_total = photo.as_ref().map_or(0, |photo| photo.len() as u64);
        let bytes_sent = AtomicU64::new(0);
        let sent = |bytes: u64| {
            bytes_sent.store(bytes, Ordering::Relaxed);
            self.tell(bytes, bytes_total);
        };
        let limit = match self.m.deadline() {
            deadline if asked < deadline => deadline,
            _ => asked.after(LAST_LOOK_MAX),
        };
        let changes_oz = ask.kind().changes_oz();
        let performed = self.engine.with.oz.perform(ask, photo, &sent);
        tokio::select! {
            biased;
            () = self.handle.stop.cancelled() => None,
            outcome = performed => Some(outcome),
            () = self.engine.with.clock.sleep_until(limit) => {
                let message = "the match's deadline passed before Oz answered";
                Some(Err(Failure::new(FailureKind::TimedOut, message)))
            }
            () = self.leaving(), if !changes_oz => None,
        }
    }

    /// Takes out of a folder the analyses that another match owns: they are not to be adopted.
    async fn without_strangers(&self, outcome: Outcome) -> Result<Outcome, journal::Error> {
        let Ok(Reply::Folder(mut folder)) = outcome else {
            return Ok(outcome);
        };
        let candidates = settling::candidates(&self.m, &folder);
        if !candidates.is_empty() {
            let writer = &self.engine.with.writer;
            let others = writer.owned_by_others(self.m.id, &candidates).await?;
            folder.analyses.retain(|a| a.id.as_ref().is_none_or(|id| !others.contains(id)));
        }
        Ok(Ok(Reply::Folder(folder)))
    }

    async fn settle(&mut self, ask: &Ask, outcome: Outcome, asked: Timestamp) -> Turn {
        let chance = (self.engine.with.chance)();
        let moment = Moment { asked, now: self.engine.with.clock.now(), chance };
        self.note(ask, &outcome, moment);
        let drive = self.drive.clone();
        let Settled { event, drive, doubles } =
            settle(&self.m, drive, ask, outcome, moment, &self.engine.config.policy);
        if doubles > 0 {
            warn!(match.id = %self.m.id, doubles, "Oz holds doubles; they don't count");
        }
        self.drive = drive;
        self.tell(0, 0);
        match event {
            Some(event) => self.record(event).await,
            None => Turn::On,
        }
    }

    fn tell(&self, bytes_sent: u64, bytes_total: u64) {
        let progress = Progress {
            bytes_sent,
            bytes_total,
            polls: self.drive.polls,
            failed_attempts: self.drive.failures().into(),
        };
        (self.engine.with.progress)(self.m.id, progress);
    }

    fn note(&self, ask: &Ask, outcome: &Outcome, moment: Moment) {
        let duration_ms = u64::try_from(moment.now.since(moment.asked).as_millis()).unwrap_or(0);
        match outcome {
            Ok(_) => debug!(match.id = %self.m.id, ask = ?ask.kind(), duration_ms, "Oz answered"),
            Err(failure) => debug!(
                match.id = %self.m.id,
                ask = ?ask.kind(),
                duration_ms,
                failure = ?failure.kind,
                oz.http_status = failure.http_status,
                "Oz failed"
            ),
        }
    }

    // Writing.

    /// Writes a fact, however long the store takes. The driver is over if the match is no longer
    /// its own, or has ended.
    async fn record(&mut self, event: Event) -> Turn {
        let mut unsure = false;
        loop {
            let appended =
                self.engine.with.writer.append(self.claim, self.m.sequence, event.clone()).await;
            match appended {
                Ok(Appended::Done(recorded)) => return self.apply(&recorded),
                // The write before, whose outcome nobody knows, may have been this one.
                Ok(Appended::Lost) if unsure => return self.find_out(&event).await,
                Ok(Appended::Lost) => return self.lost(),
                Err(failure) => {
                    unsure = true;
                    error!(match.id = %self.m.id, error = %failure, "a fact could not be written");
                }
            }
            if self.pause_for_the_store().await == Turn::Over {
                return Turn::Over;
            }
        }
    }

    /// A commit whose outcome is unknown is found out, never guessed, however long the store takes.
    async fn find_out(&mut self, event: &Event) -> Turn {
        let next = self.m.sequence.next();
        loop {
            match self.engine.with.reader.events(self.m.id).await {
                Ok(events) => {
                    return match events.into_iter().find(|recorded| recorded.sequence == next) {
                        Some(recorded) if recorded.event == *event => self.apply(&recorded),
                        Some(_) | None => self.lost(),
                    };
                }
                Err(failure) => {
                    error!(match.id = %self.m.id, error = %failure, "a fact could not be looked for");
                }
            }
            if self.pause_for_the_store().await == Turn::Over {
                return Turn::Over;
            }
        }
    }

    async fn pause_for_the_store(&self) -> Turn {
        tokio::select! {
            () = self.engine.with.clock.sleep(STORE_PAUSE) => Turn::On,
            () = self.handle.stop.cancelled() => Turn::Over,
        }
    }

    fn lost(&self) -> Turn {
        info!(match.id = %self.m.id, "the match is in other hands");
        Turn::Over
    }

    fn apply(&mut self, recorded: &Recorded) -> Turn {
        match state::apply(Some(self.m.clone()), recorded) {
            Ok(m) => self.m = m,
            Err(illegal) => {
                error!(match.id = %self.m.id, error = %illegal, "the journal contradicts the core");
                return Turn::Over;
            }
        }
        if self.m.is_safe() {
            self.handle.drop_photo();
        }
        self.log(&recorded.event);
        if self.m.state.has_ended() { Turn::Over } else { Turn::On }
    }

    fn log(&self, event: &Event) {
        let id = self.m.id;
        match event {
            Event::Accepted(_) | Event::Cancelled(_) => {}
            Event::PhotoUploaded(fact) => {
                info!(match.id = %id, oz.media_id = %fact.photo_media_id, adopted = fact.adopted, "photo uploaded");
            }
            Event::AnalysisStarted(fact) => {
                info!(match.id = %id, oz.analysis_id = %fact.analysis_id, adopted = fact.adopted, "analysis started");
            }
            Event::AttemptFailed(fact) => {
                warn!(match.id = %id, cause = fact.cause.as_str(), "trouble at Oz");
            }
            Event::Finished(fact) => {
                info!(match.id = %id, resolution = ?fact.result.resolution, "match finished");
            }
            Event::Failed(fact) => {
                info!(match.id = %id, reason = fact.error.reason.as_str(), "match failed");
            }
        }
    }
}
