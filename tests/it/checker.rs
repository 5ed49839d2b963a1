//! What every watcher checks, and what Oz must hold of a match: the invariants, in one place.

use facematch::{
    pb::{Match, MatchState, MatchUpdate, match_update::Event},
    simulator::Simulator,
};

use crate::support::name;

/// Follows the updates of one match: dense, in order, one closing update, time never going back.
#[derive(Debug, Default)]
pub struct Checker {
    sequence: u64,
    time: (i64, i32),
    has_closed: bool,
}

impl Checker {
    /// For a stream that resumes after a sequence.
    pub fn after(sequence: u64) -> Self {
        Self { sequence, ..Self::default() }
    }

    /// Checks the next update.
    pub fn see(&mut self, update: &MatchUpdate) {
        assert!(!self.has_closed, "{} comes after the closing update", name(update));
        let time = update.time.as_ref().expect("every update has a time");
        let time = (time.seconds, time.nanos);
        assert!(time >= self.time, "time goes back: {time:?} after {:?}", self.time);
        let m = update.r#match.as_ref();
        if is_passing(update) {
            assert_eq!(update.sequence, self.sequence, "it names the last update delivered");
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

    /// Whether the closing update came.
    pub fn has_closed(&self) -> bool {
        self.has_closed
    }
}

/// Checks all updates of a match from its first to its closing one.
pub fn check_whole(updates: &[MatchUpdate]) {
    check_rest(0, updates);
}

/// Checks all updates of a match from the one after a sequence to its closing one.
pub fn check_rest(after: u64, updates: &[MatchUpdate]) {
    let mut checker = Checker::after(after);
    updates.iter().for_each(|update| checker.see(update));
    assert!(checker.has_closed(), "the last update closes the match");
}

/// Whether an update is no fact.
pub fn is_passing(update: &MatchUpdate) -> bool {
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

/// Checks that Oz holds one photo of a match that was uploaded, and one analysis, which compares
/// just the liveness medium and that photo.
pub fn check_one_of_each(oz: &Simulator, m: &Match) {
    let folder = oz.folder(&m.folder_id).expect("the folder is there");
    let is_ours = |meta_data: &serde_json::Map<_, _>| {
        meta_data.get("facematch_match_id").is_some_and(|id| *id == m.match_id)
    };
    let ours: Vec<_> = folder.media.iter().filter(|media| is_ours(&media.meta_data)).collect();
    let [photo] = ours.as_slice() else { panic!("one photo, not {}", ours.len()) };
    assert_eq!(photo.media_id.to_string(), m.photo_media_id);
    let of_photo = |sources: &[uuid::Uuid]| sources.contains(&photo.media_id);
    let analyses: Vec<_> = folder.analyses.iter().filter(|a| of_photo(&a.source_media)).collect();
    let [analysis] = analyses.as_slice() else { panic!("one analysis, not {}", analyses.len()) };
    assert_eq!(analysis.analyse_id.to_string(), m.analysis_id);
    assert_eq!(analysis.source_media, [folder.media[0].media_id, photo.media_id]);
}
