//! A model of Oz as a value: it holds folders, answers requests, and fails as it is told.
//!
//! It implements the `Oz` trait without HTTP, so that ten thousand histories take minutes. What the
//! wire may do to an answer is tested with the simulator.

mod faults;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{
    clock::Clock,
    domain::{
        Analysis, AnalysisId, Ask, Failure, FailureKind, Folder, FolderId, MatchId, Media, MediaId,
        Reply, Timestamp,
    },
    journal::memory::Memory,
    oz::{Oz, Sent},
    oz_faults::Acts,
    simulation::fault_injection::{FaultInjector, Point},
    sync::lock,
    trace::AskTrace,
};

use self::faults::LATER;
pub use self::faults::{FAULTS, Fault, OUTAGES, Outage};

/// The least time of every answer.
const LATENCY: Duration = Duration::from_millis(30);

/// Longer than any request is in flight, unless its sender is paused.
const STANDSTILL: Duration = Duration::from_secs(1);

/// The model. It survives every crash of the service.
pub struct Model {
    clock: Clock,
    state: Mutex<State>,
}

/// The connection of a process to the model.
pub struct Wire {
    pub oz: Arc<Model>,
    pub injector: Arc<FaultInjector>,
    /// Tells whether the process may send a request; `None`: it may send any.
    pub journal: Option<Memory>,
}

struct State {
    random: StdRng,
    folders: BTreeMap<FolderId, Held>,
    later: Vec<Due>,
    /// Outcomes of requests that their senders have yet to read.
    acted: BTreeMap<usize, Result<Reply, Failure>>,
    /// Whether a request in flight takes effect although its sender is paused.
    acts_alone: bool,
    /// Photos and analyses made by requests whose senders were paused, so that the requests left
    /// much later than they were begun.
    strays: BTreeSet<String>,
    /// Requests that a process sent without the claim that they take.
    unentitled: Vec<String>,
    /// Faults by the number of their operation.
    scripted: BTreeMap<usize, Fault>,
    /// How many of these faults there were.
    faults: usize,
    /// The probability of a fault of every other request.
    fault_chance: f64,
    /// The outage, if there is one.
    outage: Option<Outage>,
    /// Whether Oz returns media with the metadata that was written.
    echoes_metadata: bool,
    /// When all analyses end; `None`: each within 5 seconds.
    analyses_end: Option<Timestamp>,
    /// All requests, with their times.
    pub record: Vec<(Timestamp, Ask)>,
    /// The photo of each upload, whether or not it took effect.
    uploads: Vec<(MatchId, Bytes)>,
    ids: u32,
}

/// A request that takes effect at a time, even if its sender is gone.
struct Due {
    time: Timestamp,
    ask: Ask,
    /// The operation whose sender gets the outcome, if it waits.
    n: Option<usize>,
    is_stray: bool,
}

/// The contents of a folder. Each analysis has the time of its end.
#[derive(Default)]
struct Held {
    media: Vec<Media>,
    analyses: Vec<(Timestamp, Analysis)>,
}

impl Model {
    /// An empty Oz.
    pub fn new(clock: Clock, seed: u64) -> Self {
        let state = State {
            random: StdRng::seed_from_u64(seed),
            folders: BTreeMap::new(),
            later: Vec::new(),
            acted: BTreeMap::new(),
            acts_alone: false,
            strays: BTreeSet::new(),
            unentitled: Vec::new(),
            scripted: BTreeMap::new(),
            faults: 0,
            fault_chance: 0.0,
            outage: None,
            echoes_metadata: true,
            analyses_end: None,
            record: Vec::new(),
            uploads: Vec::new(),
            ids: 0,
        };
        Self { clock, state: Mutex::new(state) }
    }

    /// Makes the n-th operation of the history fail, if it is a request to Oz.
    pub fn fail_at(&self, n: usize, fault: Fault) {
        self.lock().scripted.insert(n, fault);
    }

    /// How many requests have failed by [`Self::fail_at`].
    pub fn faults(&self) -> usize {
        self.lock().faults
    }

    /// Makes every request fail with this probability.
    pub fn fail_often(&self, chance: f64) {
        self.lock().fault_chance = chance;
    }

    /// Whether requests fail at random.
    pub fn fails_often(&self) -> bool {
        self.lock().fault_chance > 0.0
    }

    /// Whether requests fail often enough to be held back.
    pub fn is_in_trouble(&self) -> bool {
        self.fails_often() || self.lock().outage.is_some()
    }

    /// Starts and ends an outage, at its times.
    pub fn go_out(&self, outage: Outage) {
        self.lock().outage = Some(outage);
    }

    /// Lets requests in flight take effect although their senders are paused, or not.
    pub fn act_without_senders(&self, alone: bool) {
        self.lock().acts_alone = alone;
    }

    /// Requests that a process sent without the claim that they take.
    pub fn unentitled(&self) -> Vec<String> {
        self.lock().unentitled.clone()
    }

    /// How many photos and analyses were made by requests whose senders were paused.
    pub fn strays(&self) -> usize {
        self.lock().strays.len()
    }

    /// Whether this was made by a request whose sender was paused: a double that the service can't
    /// prevent.
    pub fn is_stray(&self, id: &str) -> bool {
        self.lock().strays.contains(id)
    }

    /// Has all analyses end at this time.
    pub fn end_analyses_at(&self, time: Timestamp) {
        self.lock().analyses_end = Some(time);
    }

    /// Has Oz return media without the metadata that was written.
    pub fn forget_metadata(&self) {
        self.lock().echoes_metadata = false;
    }

    /// Adds a folder with an image, and with a liveness video that was judged to be genuine.
    pub fn add_folder(&self, n: u32) -> FolderId {
        let id = FolderId::from_uuid(uuid::Uuid::from_u128(u128::from(n) + 1));
        let now = self.clock.now();
        let mut state = self.lock();
        let video = medium(&format!("video-{n}"), "VIDEO_FOLDER", now);
        let image = medium(&format!("image-{n}"), "IMAGE_FOLDER", now);
        let quality = Analysis {
            confidence_spoofing: Some(0.02),
            ..ended("QUALITY", &format!("liveness-{n}"), vec![video.id.clone()], "SUCCESS", now)
        };
        let held = Held { media: vec![video, image], analyses: vec![(now, quality)] };
        state.folders.insert(id, held);
        id
    }

    /// All requests so far, with their times.
    pub fn record(&self) -> Vec<(Timestamp, Ask)> {
        self.lock().record.clone()
    }

    /// The photos of all uploads of a match, whether or not they took effect.
    pub fn uploads_of(&self, id: MatchId) -> Vec<Bytes> {
        let state = self.lock();
        let theirs = state.uploads.iter().filter(|(of, _)| *of == id);
        theirs.map(|(_, photo)| photo.clone()).collect()
    }

    /// The photos of a match at Oz.
    pub fn photos_of(&self, id: MatchId) -> Vec<MediaId> {
        let (name, state) = (id.to_string(), self.lock());
        let all = state.folders.values().flat_map(|held| &held.media);
        let ours = |m: &&Media| m.original_name.as_deref().is_some_and(|it| it.contains(&name));
        all.filter(ours).map(|media| media.id.clone()).collect()
    }

    /// The analyses of this type that include a medium, as they will have ended.
    pub fn analyses_of(&self, kind: &str, media: &MediaId) -> Vec<Analysis> {
        let state = self.lock();
        let all = state.folders.values().flat_map(|held| &held.analyses).map(|(_, it)| it);
        let looks = |a: &&Analysis| a.source_media.iter().flatten().any(|it| it == media);
        all.filter(|a| a.kind.as_deref() == Some(kind)).filter(looks).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    async fn answer(
        &self,
        injector: &FaultInjector,
        n: usize,
        ask: &Ask,
        begun: Timestamp,
    ) -> Result<Reply, Failure> {
        let left = self.clock.now();
        let known = self.lock().send_off(n, ask, begun, left);
        self.clock.sleep(LATENCY).await;
        let arrived = self.clock.now();
        let begun = if known.is_some() { (begun, left) } else { (begun, arrived) };
        let (fault, reply) = self.lock().arrive(n, ask, known, begun, arrived);
        injector.pass(n, Point::Acted).await;
        self.clock.sleep(fault.map_or(Duration::ZERO, |fault| fault.delay)).await;
        match fault.and_then(|fault| Some((fault.failure?, fault.retry_after))) {
            Some((kind, retry_after)) => Err(Failure { retry_after, ..Failure::new(kind, "") }),
            None => reply.expect("a request that is answered has taken effect"),
        }
    }

    fn note(&self, ask: &Ask, photo: Option<Bytes>, is_entitled: bool) {
        let (now, mut state) = (self.clock.now(), self.lock());
        if let Ask::UploadPhoto { match_id, .. } = ask {
            state.uploads.push((*match_id, photo.unwrap_or_default()));
        }
        state.record.push((now, ask.clone()));
        if !is_entitled {
            state.unentitled.push(format!("{ask:?} at {now:?}"));
        }
    }
}

#[async_trait]
impl Oz for Wire {
    async fn perform(
        &self,
        ask: &Ask,
        photo: Option<Bytes>,
        _: Sent<'_>,
        _: AskTrace<'_>,
    ) -> Result<Reply, Failure> {
        // The process may be paused between this check and the request: the service can't prevent
        // that.
        let (begun, is_entitled) = (self.oz.clock.now(), self.is_entitled(ask));
        let n = self.injector.begin(Point::Before).await;
        self.oz.note(ask, photo, is_entitled);
        let answer = self.oz.answer(&self.injector, n, ask, begun).await;
        self.injector.pass(n, Point::After).await;
        answer
    }
}

impl Wire {
    /// Whether the process may act, and holds the claim that the request takes: requests that
    /// change Oz take that of their match.
    fn is_entitled(&self, ask: &Ask) -> bool {
        let Some(journal) = &self.journal else { return true };
        let held = journal.held();
        let holds = match ask {
            Ask::UploadPhoto { match_id, .. } => held.iter().any(|m| m.id == *match_id),
            Ask::StartAnalyses { biometry, .. } => {
                held.iter().any(|m| m.source_media().as_ref() == Some(biometry))
            }
            Ask::ReadFolder { .. } | Ask::ReadAnalysis { .. } | Ask::ReadReference { .. } => true,
        };
        holds && journal.may_act()
    }
}

impl State {
    fn fault(&mut self, n: usize, ask: &Ask, now: Timestamp) -> Option<Fault> {
        if let Some(fault) = self.scripted.get(&n) {
            self.faults += 1;
            return Some(*fault);
        }
        let is_out = |outage: &Outage| {
            outage.from <= now && now < outage.to && outage.of.is_none_or(|kind| kind == ask.kind())
        };
        if let Some(outage) = self.outage.filter(is_out) {
            return Some(outage.fault);
        }
        let due = self.fault_chance > 0.0 && self.random.random_bool(self.fault_chance);
        due.then(|| FAULTS[self.random.random_range(0..FAULTS.len())])
    }

    /// Draws the fault of a request that leaves now, and schedules its effect. `None` unless
    /// requests take effect without their senders.
    fn send_off(
        &mut self,
        n: usize,
        ask: &Ask,
        begun: Timestamp,
        now: Timestamp,
    ) -> Option<Option<Fault>> {
        if !self.acts_alone {
            return None;
        }
        let fault = self.fault(n, ask, now);
        if fault.is_none_or(|fault| fault.acts == Acts::AtOnce) {
            let is_stray = now.since(begun) > STANDSTILL;
            let time = now.after(LATENCY);
            self.later.push(Due { time, ask: ask.clone(), n: Some(n), is_stray });
        }
        Some(fault)
    }

    /// A request arrives, with the fault that was drawn as it left, or that is drawn now. Returns
    /// the fault and the outcome. The request was begun at one time, and takes effect as of
    /// another.
    fn arrive(
        &mut self,
        n: usize,
        ask: &Ask,
        known: Option<Option<Fault>>,
        (begun, since): (Timestamp, Timestamp),
        now: Timestamp,
    ) -> (Option<Fault>, Option<Result<Reply, Failure>>) {
        self.catch_up(now);
        let is_stray = since.since(begun) > STANDSTILL;
        let fault = known.unwrap_or_else(|| self.fault(n, ask, now));
        let reply = match fault.map_or(Acts::AtOnce, |fault| fault.acts) {
            Acts::AtOnce if known.is_some() => self.acted.remove(&n),
            Acts::AtOnce => Some(self.make(ask, now, is_stray)),
            Acts::Later => {
                let time = since.after(LATER);
                self.later.push(Due { time, ask: ask.clone(), n: None, is_stray });
                None
            }
            Acts::Never => None,
        };
        (fault, reply)
    }

    /// Carries out the requests that are due and whose senders are gone or paused.
    fn catch_up(&mut self, now: Timestamp) {
        let (mut due, later): (Vec<_>, _) =
            self.later.drain(..).partition(|due: &Due| due.time <= now);
        self.later = later;
        due.sort_by_key(|due| due.time);
        for Due { time, ask, n, is_stray } in due {
            let acted = self.make(&ask, time, is_stray);
            if let Some(n) = n {
                self.acted.insert(n, acted);
            }
        }
    }

    fn make(&mut self, ask: &Ask, now: Timestamp, is_stray: bool) -> Result<Reply, Failure> {
        let reply = self.act(ask, now);
        if is_stray && let Ok(reply) = &reply {
            self.strays.extend(made(reply));
        }
        reply
    }

    fn act(&mut self, ask: &Ask, now: Timestamp) -> Result<Reply, Failure> {
        let missing = || Failure::new(FailureKind::NotFound, "");
        match ask {
            Ask::ReadFolder { folder_id } => {
                let held = self.folders.get(folder_id).ok_or_else(missing)?;
                let media = held.media.iter().map(|media| self.told(media)).collect();
                let analyses = held.analyses.iter().map(|(end, it)| as_of(it, *end, now));
                Ok(Reply::Folder(Folder { media, analyses: analyses.collect() }))
            }
            Ask::UploadPhoto { folder_id, match_id, .. } => {
                let id = format!("photo-{}", self.next_id());
                let photo = Media {
                    match_id: Some(match_id.to_string()),
                    original_name: Some(format!("{match_id}.jpg")),
                    ..medium(&id, "IMAGE_FOLDER", now)
                };
                let held = self.folders.get_mut(folder_id).ok_or_else(missing)?;
                held.media.push(photo.clone());
                Ok(Reply::Photo(photo.id))
            }
            Ask::StartAnalyses { folder_id, biometry, quality } => {
                self.start(*folder_id, biometry, quality.as_ref(), now)
            }
            Ask::ReadAnalysis { analysis_id } => {
                let all = self.folders.values().flat_map(|held| &held.analyses);
                let is_it = |(_, a): &&(Timestamp, Analysis)| a.id.as_ref() == Some(analysis_id);
                let (end, analysis) = all.into_iter().find(is_it).ok_or_else(missing)?;
                Ok(Reply::Analysis(as_of(analysis, *end, now)))
            }
            Ask::ReadReference { .. } => panic!("Oz has no library"),
        }
    }

    fn start(
        &mut self,
        folder_id: FolderId,
        biometry: &[MediaId],
        quality: Option<&Vec<MediaId>>,
        now: Timestamp,
    ) -> Result<Reply, Failure> {
        let group = self.next_id();
        let mut started = vec![self.compared(biometry, now)];
        if let Some(media) = quality {
            let id = format!("quality-{}", self.next_id());
            let score = Some(0.1);
            let analysis = ended("QUALITY", &id, media.clone(), "SUCCESS", now);
            started.push(Analysis { confidence_spoofing: score, ..analysis });
        }
        let mut told = Vec::new();
        for mut analysis in started {
            analysis.group_id = Some(group.to_string());
            let soon = now.after(Duration::from_millis(self.random.random_range(0..5_000)));
            let end = self.analyses_end.unwrap_or(soon);
            told.push(as_of(&analysis, end.max(now.after(Duration::from_micros(1))), now));
            let held = self.folders.get_mut(&folder_id);
            held.ok_or_else(|| Failure::new(FailureKind::NotFound, ""))?
                .analyses
                .push((end, analysis));
        }
        Ok(Reply::Started(told))
    }

    fn compared(&mut self, media: &[MediaId], now: Timestamp) -> Analysis {
        let id = format!("biometry-{}", self.next_id());
        let score = self.random.random_range(0.0..=1.0);
        let word = if score >= 0.85 { "SUCCESS" } else { "DECLINED" };
        let scores = (Some(score), Some(1.0_f64.min(score + 0.001)));
        let analysis = ended("BIOMETRY", &id, media.to_vec(), word, now);
        Analysis { min_confidence: scores.0, max_confidence: scores.1, ..analysis }
    }

    fn told(&self, media: &Media) -> Media {
        let match_id = media.match_id.clone().filter(|_| self.echoes_metadata);
        Media { match_id, ..media.clone() }
    }

    fn next_id(&mut self) -> u32 {
        self.ids += 1;
        self.ids
    }
}

/// The ids of the photos and analyses that a request has made.
fn made(reply: &Reply) -> Vec<String> {
    match reply {
        Reply::Photo(id) => vec![id.to_string()],
        Reply::Started(analyses) => {
            analyses.iter().filter_map(|a| a.id.as_ref()).map(ToString::to_string).collect()
        }
        Reply::Folder(_) | Reply::Analysis(_) | Reply::Reference(_) => Vec::new(),
    }
}

fn medium(id: &str, media_type: &str, now: Timestamp) -> Media {
    Media {
        id: id.parse().expect("an id"),
        media_type: Some(media_type.into()),
        tags: Vec::new(),
        original_name: None,
        match_id: None,
        time_created: Some(now),
    }
}

fn ended(kind: &str, id: &str, media: Vec<MediaId>, word: &str, now: Timestamp) -> Analysis {
    Analysis {
        id: Some(id.parse::<AnalysisId>().expect("an id")),
        kind: Some(kind.into()),
        source_media: Some(media),
        state: Some("FINISHED".into()),
        resolution: Some(word.into()),
        resolution_status: Some(word.into()),
        time_created: Some(now),
        ..Analysis::default()
    }
}

/// An analysis as Oz shows it at a time: before its end it has neither decision nor score.
fn as_of(analysis: &Analysis, end: Timestamp, now: Timestamp) -> Analysis {
    if now >= end {
        return analysis.clone();
    }
    let pending = || Some("PROCESSING".to_owned());
    Analysis {
        state: pending(),
        resolution: pending(),
        resolution_status: pending(),
        min_confidence: None,
        max_confidence: None,
        confidence_spoofing: None,
        ..analysis.clone()
    }
}
