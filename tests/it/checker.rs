//! Checks the invariants of a match: in the updates that a watcher receives, and in the photos and
//! analyses that Oz holds.

use facematch::{
    pb::{Match, MatchState, MatchUpdate, Resolution, match_update::Event},
    simulator::Simulator,
};

use crate::support::event_name;

/// Checks the updates of one match: dense and in order, one closing update at the end, and times
/// that never go back.
#[derive(Clone, Debug, Default)]
pub struct MatchChecker {
    sequence: u64,
    time: (i64, i32),
    has_closed: bool,
}

impl MatchChecker {
    /// The checker of a stream that resumes after a sequence.
    pub fn after(sequence: u64) -> Self {
        Self { sequence, ..Self::default() }
    }

    /// Checks the next update.
    pub fn check(&mut self, update: &MatchUpdate) {
        assert!(!self.has_closed, "{} comes after the closing update", event_name(update));
        let time = update.time.as_ref().expect("every update has a time");
        let time = (time.seconds, time.nanos);
        assert!(time >= self.time, "time goes back: {time:?} after {:?}", self.time);
        let m = update.r#match.as_ref();
        if is_transient(update) {
            assert_eq!(update.sequence, self.sequence, "the last durable sequence");
            return;
        }
        let m = m.expect("a durable update has its match");
        assert_eq!(update.sequence, self.sequence + 1, "dense and in order");
        assert_eq!((m.sequence, &m.match_id), (update.sequence, &update.match_id));
        assert!(!update.resume_token.is_empty());
        self.time = time;
        self.sequence = update.sequence;
        self.has_closed = is_closing(update);
        let ended = [MatchState::Finished, MatchState::Failed, MatchState::Cancelled];
        assert_eq!(ended.contains(&m.state()), self.has_closed);
        assert_eq!(m.result.is_some(), m.state() == MatchState::Finished);
        assert_eq!(m.error.is_some(), m.state() == MatchState::Failed);
    }

    /// The sequence of the last update.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Whether the closing update was seen.
    pub fn has_closed(&self) -> bool {
        self.has_closed
    }
}

/// The updates of one match that one watcher has received, over all the streams that it opened.
/// Checks that repeated updates are unchanged, and that new ones continue where the last stream
/// broke.
#[derive(Debug, Default)]
pub struct WatcherHistory {
    checker: MatchChecker,
    seen: Vec<MatchUpdate>,
    next_index: usize,
}

impl WatcherHistory {
    /// Begins a new stream after a sequence.
    pub fn resume_after(&mut self, sequence: u64) {
        self.next_index = usize::try_from(sequence).expect("few updates");
    }

    /// Checks the next update of the stream.
    pub fn see(&mut self, update: &MatchUpdate) {
        if let Some(known) = self.seen.get(self.next_index) {
            if !is_transient(update) {
                assert_eq!(untokened(update), untokened(known), "a repeated update differs");
                self.next_index += 1;
            }
            return;
        }
        self.checker.check(update);
        assert!(self.seen.first().is_none_or(|first| first.match_id == update.match_id));
        if !is_transient(update) {
            self.seen.push(update.clone());
            self.next_index += 1;
        }
    }

    /// The last new update.
    pub fn last(&self) -> Option<&MatchUpdate> {
        self.seen.last()
    }

    /// Whether the closing update was seen.
    pub fn has_closed(&self) -> bool {
        self.checker.has_closed()
    }
}

/// The update without its resume token, which differs from stream to stream.
fn untokened(update: &MatchUpdate) -> MatchUpdate {
    MatchUpdate { resume_token: String::new(), ..update.clone() }
}

/// Checks all updates of a match from its first to its closing one.
pub fn check_all_updates(updates: &[MatchUpdate]) {
    check_updates_after(0, updates);
}

/// Checks all updates of a match from the one after a sequence to its closing one.
pub fn check_updates_after(after: u64, updates: &[MatchUpdate]) {
    let mut checker = MatchChecker::after(after);
    updates.iter().for_each(|update| checker.check(update));
    assert!(checker.has_closed(), "the stream ends before the closing update");
}

/// Whether an update is transient: progress or a heartbeat, which are not stored.
pub fn is_transient(update: &MatchUpdate) -> bool {
    match update.event.as_ref().expect("every update has an event") {
        Event::Progress(_) | Event::Heartbeat(_) => true,
        Event::Accepted(_)
        | Event::PhotoUploaded(_)
        | Event::AnalysisStarted(_)
        | Event::AttemptFailed(_)
        | Event::Finished(_)
        | Event::Failed(_)
        | Event::Cancelled(_) => false,
    }
}

fn is_closing(update: &MatchUpdate) -> bool {
    matches!(update.event, Some(Event::Finished(_) | Event::Failed(_) | Event::Cancelled(_)))
}

/// Checks that Oz holds exactly one uploaded photo of a match, and one analysis, which compares
/// the liveness medium with that photo and nothing else.
pub fn check_one_photo_and_one_analysis(oz: &Simulator, m: &Match) {
    let folder = oz.folder(&m.folder_id).expect("the folder exists");
    let is_ours = |meta_data: &serde_json::Map<_, _>| {
        meta_data.get("facematch_match_id").is_some_and(|id| *id == m.match_id)
    };
    let ours: Vec<_> = folder.media.iter().filter(|media| is_ours(&media.meta_data)).collect();
    let [photo] = ours.as_slice() else { panic!("{} photos, not one", ours.len()) };
    assert_eq!(photo.media_id.to_string(), m.photo_media_id);
    check_one_analysis(oz, m);
}

/// Checks that no photo was uploaded to a match's folder before the folder's liveness analysis had
/// ended as SUCCESS.
pub fn check_liveness_first(oz: &Simulator, m: &Match) {
    let folder = oz.folder(&m.folder_id).expect("the folder exists");
    let quality = folder.analyses.iter().find(|analysis| analysis.kind == "QUALITY");
    let quality = quality.expect("the folder has a liveness analysis");
    let passed_ms = quality.ends_ms.filter(|_| quality.resolution == "SUCCESS");
    for photo in &folder.media[1..] {
        let passed_ms = passed_ms.expect("a photo is sent only if liveness has passed");
        assert!(photo.created_ms >= passed_ms, "{} before {passed_ms}", photo.created_ms);
    }
}

/// Checks that Oz holds exactly one analysis of a match's photo, uploaded or not, which compares
/// the liveness medium with the photo and nothing else.
pub fn check_one_analysis(oz: &Simulator, m: &Match) {
    let folder = oz.folder(&m.folder_id).expect("the folder exists");
    let photo: uuid::Uuid = m.photo_media_id.parse().expect("the photo's id");
    let of_photo = |sources: &[uuid::Uuid]| sources.contains(&photo);
    let analyses: Vec<_> = folder.analyses.iter().filter(|a| of_photo(&a.source_media)).collect();
    let [analysis] = analyses.as_slice() else { panic!("{} analyses, not one", analyses.len()) };
    assert_eq!(analysis.analyse_id.to_string(), m.analysis_id);
    assert_eq!(analysis.source_media, [folder.media[0].media_id, photo]);
}

/// Checks that the verdict of a match is Oz's: the same resolution, the same score, and, if
/// liveness is reported, the resolution of an analysis of the liveness medium alone.
pub fn check_verdict(oz: &Simulator, m: &Match) {
    let folder = oz.folder(&m.folder_id).expect("the folder exists");
    let of = |id: &str| {
        let mut analyses = folder.analyses.iter();
        analyses.find(|a| a.analyse_id.to_string() == id).expect("Oz has the analysis")
    };
    let spoken = |resolution: Resolution| resolution.as_str_name().replace("RESOLUTION_", "");
    let result = m.result.as_ref().expect("a verdict");
    let biometry = of(&m.analysis_id);
    assert_eq!(spoken(result.resolution()), biometry.resolution);
    assert_eq!(result.min_confidence, biometry.min_confidence);
    if let Some(liveness) = &result.liveness {
        let quality = of(&liveness.analysis_id);
        assert_eq!(
            (quality.kind, &*quality.source_media),
            ("QUALITY", &[folder.media[0].media_id][..])
        );
        assert_eq!(spoken(liveness.resolution()), quality.resolution);
    }
}

/// The causes of the failed attempts, in order.
pub fn causes(updates: &[MatchUpdate]) -> Vec<&str> {
    let cause = |update: &'_ MatchUpdate| match update.event.as_ref() {
        Some(Event::AttemptFailed(failed)) => Some(failed.cause.as_str().to_owned()),
        _ => None,
    };
    updates.iter().filter_map(cause).map(|cause| &*cause.leak()).collect()
}
