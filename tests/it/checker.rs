//! Checks the invariants of a match: in the updates that a watcher receives, and in the photos and
//! analyses that Oz holds.

use facematch::{
    pb::{Match, MatchUpdate, Resolution, match_update::Event},
    simulator::{AnalysisView, Simulator},
};

use crate::{
    invariants::{
        DurableUpdate, FollowerHistory, HeldAnalysis, ShownMatch, ShownVerdict, UpdateChecker,
        check_analyses, check_sent_photo,
    },
    support::event_name,
};

/// Checks the updates of one match as they arrive over the wire, durable and transient ones.
#[derive(Clone, Debug, Default)]
pub struct MatchChecker(UpdateChecker);

impl MatchChecker {
    /// The checker of a stream that resumes after a sequence.
    pub fn after(sequence: u64) -> Self {
        Self(UpdateChecker::after(sequence))
    }

    /// Checks the next update.
    pub fn check(&mut self, update: &MatchUpdate) {
        if is_transient(update) {
            self.0.check_transient(update.sequence);
            self.0.check_time(time_micros(update));
            return;
        }
        with_durable(update, |durable| self.0.check(durable));
    }

    /// The sequence of the last durable update.
    pub fn sequence(&self) -> u64 {
        self.0.sequence()
    }

    /// Whether the closing update was seen.
    pub fn has_closed(&self) -> bool {
        self.0.has_closed()
    }

    /// Checks that a read of the match is not behind the streams.
    pub fn check_read(&self, sequence: u64) {
        self.0.check_read(sequence);
    }

    /// Checks the regular end of a stream.
    pub fn check_end(&self) {
        self.0.check_end();
    }
}

/// Checks the next update that a follower of all matches receives. Returns whether it is durable.
pub fn follow(history: &mut FollowerHistory<String>, update: &MatchUpdate) -> bool {
    history.resume_after(update.resume_token.clone());
    if is_transient(update) {
        return false;
    }
    with_durable(update, |durable| history.see(update.match_id.clone(), durable));
    true
}

/// Hands over a durable update as the checkers take it, and checks what only the wire has.
fn with_durable(update: &MatchUpdate, take: impl FnOnce(&DurableUpdate<'_>)) {
    let m = update.r#match.as_ref().expect("a durable update has its match");
    assert_eq!((m.sequence, &m.match_id), (update.sequence, &update.match_id));
    assert!(!update.resume_token.is_empty());
    let state = m.state().as_str_name().replace("MATCH_STATE_", "").to_lowercase();
    take(&DurableUpdate {
        sequence: update.sequence,
        time_micros: time_micros(update),
        event: event_name(update),
        state: &state,
        has_result: m.result.is_some(),
        has_error: m.error.is_some(),
    });
}

fn time_micros(update: &MatchUpdate) -> i64 {
    let time = update.time.as_ref().expect("every update has a time");
    time.seconds * 1_000_000 + i64::from(time.nanos) / 1_000
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

    /// Checks what has been seen against a read of the match, or against the end of a stream.
    pub fn checker(&self) -> &MatchChecker {
        &self.checker
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
    checker.check_end();
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

/// Checks that Oz holds exactly one uploaded photo of a match, and one analysis, as
/// [`check_one_analysis`] does.
pub fn check_one_photo_and_one_analysis(oz: &Simulator, m: &Match) {
    let folder = oz.folder(&m.folder_id).expect("the folder exists");
    let is_ours = |meta_data: &serde_json::Map<_, _>| {
        meta_data.get("facematch_match_id").is_some_and(|id| *id == m.match_id)
    };
    let ours = folder.media.iter().filter(|media| is_ours(&media.meta_data));
    let ours: Vec<_> = ours.map(|media| media.media_id.to_string()).collect();
    check_sent_photo(Some(&m.photo_media_id), &ours).unwrap_or_else(|what| panic!("{what}: {m:?}"));
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
/// the liveness medium with the photo and nothing else, and whose verdict the match shows.
pub fn check_one_analysis(oz: &Simulator, m: &Match) {
    let folder = oz.folder(&m.folder_id).expect("the folder exists");
    let of_photo = folder.analyses.iter().map(held_analysis);
    let of_photo: Vec<_> = of_photo.filter(|it| it.media.contains(&m.photo_media_id)).collect();
    let liveness_medium = folder.media[0].media_id.to_string();
    let shown = ShownMatch {
        analysis: Some(m.analysis_id.clone()),
        media: vec![liveness_medium, m.photo_media_id.clone()],
        verdict: m.result.as_ref().map(|result| ShownVerdict {
            resolution: word(result.resolution()),
            min_confidence: result.min_confidence,
        }),
    };
    check_analyses(&shown, &of_photo, 1).unwrap_or_else(|what| panic!("{what}: {m:?}"));
}

/// Checks that a match has a verdict, and that its liveness, if it is reported, is that of an
/// analysis of the liveness medium alone.
pub fn check_verdict(oz: &Simulator, m: &Match) {
    let folder = oz.folder(&m.folder_id).expect("the folder exists");
    let result = m.result.as_ref().expect("a verdict");
    let Some(liveness) = &result.liveness else { return };
    let mut analyses = folder.analyses.iter();
    let quality = analyses.find(|it| it.analyse_id.to_string() == liveness.analysis_id);
    let quality = quality.expect("Oz has the analysis");
    let medium = folder.media[0].media_id;
    assert_eq!((quality.kind, &*quality.source_media), ("QUALITY", &[medium][..]));
    assert_eq!(word(liveness.resolution()), quality.resolution);
}

fn held_analysis(analysis: &AnalysisView) -> HeldAnalysis {
    HeldAnalysis {
        id: analysis.analyse_id.to_string(),
        media: analysis.source_media.iter().map(ToString::to_string).collect(),
        verdict: ShownVerdict {
            resolution: analysis.resolution.clone(),
            min_confidence: analysis.min_confidence,
        },
    }
}

/// Oz's word for a resolution.
fn word(resolution: Resolution) -> String {
    resolution.as_str_name().replace("RESOLUTION_", "")
}

/// The causes of the failed attempts, in order.
pub fn causes(updates: &[MatchUpdate]) -> Vec<&str> {
    let cause = |update: &'_ MatchUpdate| match update.event.as_ref() {
        Some(Event::AttemptFailed(failed)) => Some(failed.cause.as_str().to_owned()),
        _ => None,
    };
    updates.iter().filter_map(cause).map(|cause| &*cause.leak()).collect()
}
