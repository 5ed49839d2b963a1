//! A match under test: it waits and sends requests as the domain decides, and gets the test's
//! answers.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::domain::{
    Ask, Deferred, Digest, Event, Format, KeyForm, LivenessPolicy, Match, MatchError, MatchResult,
    Moment, OzResult, PhotoKind, PhotoSource, Policy, Position, Recorded, ReferenceKey, Sequence,
    Settled, Spec, State, Step, TenantId, Timeout, Timestamp, VolatileState, apply, ask::AskKind,
    held_back, next_step, settle, state::fold, tests::oz,
};

pub const POLICY: Policy = Policy {
    poll_interval: Duration::from_secs(1),
    oz_settle: Duration::from_secs(5),
    photo_grace: Duration::from_secs(60),
    retention: Duration::from_secs(86_400),
};

/// No match sends more requests or writes more events: a match beyond it would never end.
const MOST: usize = 10_000;

pub fn spec() -> Spec {
    Spec {
        tenant: TenantId::default_tenant(),
        request_id: None,
        folder_id: oz::folder_id(),
        photo: PhotoSource::Content { digest: Digest([7; 32]), format: Format::Jpeg },
        kind: PhotoKind::Selfie,
        timeout: Timeout { duration: Duration::from_secs(1200), named: false },
        liveness_media: Vec::new(),
        liveness_policy: LivenessPolicy::Report,
        labels: BTreeMap::new(),
        trace: None,
    }
}

/// The key of a photo in the library.
pub fn reference_key() -> ReferenceKey {
    ReferenceKey::parse("customer-17", KeyForm::Path).unwrap()
}

pub fn recorded(sequence: u64, time: Timestamp, event: Event) -> Recorded {
    let (sequence, position) = (Sequence(sequence), Position(sequence));
    Recorded { match_id: oz::match_id(), sequence, position, incarnation: 0, time, event }
}

pub struct Scene {
    pub m: Match,
    pub volatile: VolatileState,
    pub photo_here: bool,
    pub now: Timestamp,
    pub policy: Policy,
    /// How long each answer takes.
    pub latency: Duration,
    /// The jitter of each backoff: none by default.
    pub chance: f64,
    pub journal: Vec<Recorded>,
    /// The requests, and when each was sent.
    pub asked: Vec<(Timestamp, Ask)>,
    /// How many duplicates were noticed.
    pub duplicates: usize,
}

impl Scene {
    /// A match that was accepted just now and whose photo this replica holds.
    pub fn of(spec: Spec) -> Self {
        let now = oz::seconds(0);
        let accepted = recorded(1, now, Event::Accepted(Arc::new(spec)));
        Self {
            m: apply(None, &accepted).unwrap(),
            volatile: VolatileState::fresh(now),
            photo_here: true,
            now,
            policy: POLICY,
            latency: Duration::ZERO,
            chance: 0.0,
            journal: vec![accepted],
            asked: Vec::new(),
            duplicates: 0,
        }
    }

    pub fn new() -> Self {
        Self::of(spec())
    }

    pub fn with(liveness_policy: LivenessPolicy) -> Self {
        Self::of(Spec { liveness_policy, ..spec() })
    }

    /// A match whose photo is the folder's own medium `p`.
    pub fn naming_a_medium() -> Self {
        let photo = PhotoSource::FolderMedia(oz::media_id("p"));
        let scene = Self::of(Spec { photo, ..spec() });
        Self { photo_here: false, ..scene }
    }

    /// A match whose photo is in the photo library.
    pub fn naming_a_key() -> Self {
        let photo = PhotoSource::Library(reference_key());
        let scene = Self::of(Spec { photo, ..spec() });
        Self { photo_here: false, ..scene }
    }

    /// A match whose photo `p` is at Oz beside the video `v`.
    pub fn uploaded(liveness_policy: LivenessPolicy) -> Self {
        let mut scene = Self::with(liveness_policy);
        let passed = match liveness_policy {
            LivenessPolicy::Require => vec![oz::judged("q0", "SUCCESS")],
            LivenessPolicy::Report | LivenessPolicy::Run | LivenessPolicy::Unknown => vec![],
        };
        scene.hears(AskKind::ReadFolder, oz::folder(vec![], passed));
        scene.hears(AskKind::UploadPhoto, oz::photo("p"));
        scene
    }

    /// A match whose analysis `b` runs, and under RUN `q` beside it.
    pub fn processing(liveness_policy: LivenessPolicy) -> Self {
        let mut scene = Self::uploaded(liveness_policy);
        let analyses = vec![oz::biometry("b"), oz::quality("q")];
        scene.hears(AskKind::StartAnalyses, oz::started(analyses));
        scene
    }

    pub fn step(&self) -> Step {
        next_step(&self.m, &self.volatile, self.photo_here, self.now, &self.policy)
    }

    /// Waits as the domain says, writes events that time has made true, and returns the request
    /// that comes then; `None` if the match has ended.
    pub fn next_ask(&mut self) -> Option<Ask> {
        loop {
            match self.step() {
                Step::Ask(ask) => return Some(ask),
                Step::Wait(until) => {
                    assert!(until > self.now, "a wait for {until:?} at {:?}", self.now);
                    self.now = until;
                }
                Step::Record(event) => self.write(event),
                Step::Rest => return None,
            }
        }
    }

    /// Answers the next request, which must be of this kind.
    #[track_caller]
    pub fn hears(&mut self, kind: AskKind, outcome: OzResult) -> &mut Self {
        let ask = self.next_ask();
        assert_eq!(ask.as_ref().map(Ask::kind), Some(kind), "at {:?}: {ask:?}", self.now);
        if let Some(ask) = ask {
            self.answer(&ask, outcome);
        }
        self
    }

    /// Answers the next request, which must be a poll of this analysis.
    #[track_caller]
    pub fn polls(&mut self, id: &str, outcome: OzResult) -> &mut Self {
        let ask = self.next_ask();
        let expected = Ask::ReadAnalysis { analysis_id: oz::analysis_id(id) };
        assert_eq!(ask.as_ref(), Some(&expected), "at {:?}", self.now);
        self.answer(&expected, outcome);
        self
    }

    pub fn answer(&mut self, ask: &Ask, outcome: OzResult) {
        assert!(self.asked.len() < MOST, "the match never stops sending requests");
        let asked = self.now;
        self.asked.push((asked, ask.clone()));
        self.now = asked.after(self.latency);
        let moment = Moment { asked, now: self.now, chance: self.chance };
        let Settled { event, duplicates } =
            settle(&self.m, &mut self.volatile, ask, outcome, moment, &self.policy);
        self.duplicates += duplicates;
        if let Some(event) = event {
            self.write(event);
        }
    }

    /// Holds back the next request, which must be of this kind.
    #[track_caller]
    pub fn held(&mut self, kind: AskKind, hold: &Deferred) -> &mut Self {
        let ask = self.next_ask().unwrap();
        assert_eq!(ask.kind(), kind, "at {:?}: {ask:?}", self.now);
        self.hold(&ask, hold);
        self
    }

    pub fn hold(&mut self, ask: &Ask, hold: &Deferred) {
        let settled = held_back(&self.m, &mut self.volatile, ask, hold, self.now, &self.policy);
        if let Some(event) = settled.event {
            self.write(event);
        }
    }

    /// Lets time pass until the match ends. It must send no request until then.
    #[track_caller]
    pub fn ends(&mut self) -> &mut Self {
        let ask = self.next_ask();
        assert_eq!(ask, None, "at {:?}", self.now);
        self
    }

    pub fn write(&mut self, event: Event) {
        assert!(self.journal.len() < MOST, "the match never stops writing events");
        let recorded = recorded(self.m.sequence.next().0, self.now, event);
        self.m = apply(Some(self.m.clone()), &recorded).unwrap();
        self.journal.push(recorded);
    }

    /// Another replica takes over: it has the journal and nothing else.
    pub fn revive(&mut self) -> &mut Self {
        self.m = fold(&self.journal).unwrap().unwrap();
        self.volatile = VolatileState::revived(&self.m, self.now, &self.policy, 0.0);
        self.photo_here = false;
        self
    }

    pub fn waits(&mut self, seconds: u64) -> &mut Self {
        self.now = self.now.after(Duration::from_secs(seconds));
        self
    }

    // Outcomes.

    /// The names of all events, in order.
    pub fn events(&self) -> Vec<&'static str> {
        self.journal.iter().map(|recorded| recorded.event.name()).collect()
    }

    pub fn last_event(&self) -> &Event {
        &self.journal.last().unwrap().event
    }

    /// How many events report trouble.
    pub fn troubles(&self) -> usize {
        self.events().into_iter().filter(|name| *name == "attempt_failed").count()
    }

    /// How many requests of this kind were sent.
    pub fn count(&self, kind: AskKind) -> usize {
        self.asked.iter().filter(|(_, ask)| ask.kind() == kind).count()
    }

    /// When the last request was sent, in milliseconds into the match.
    pub fn asked_ms(&self) -> u128 {
        let (time, _) = self.asked.last().unwrap();
        time.since(oz::seconds(0)).as_millis()
    }

    #[track_caller]
    pub fn result(&self) -> &MatchResult {
        assert_eq!(self.m.state, State::Finished, "{:?}", self.m.error);
        self.m.result.as_ref().unwrap()
    }

    #[track_caller]
    pub fn error(&self) -> &MatchError {
        assert_eq!(self.m.state, State::Failed, "{:?}", self.m.result);
        self.m.error.as_ref().unwrap()
    }

    /// The reason of a failed match.
    #[track_caller]
    pub fn reason(&self) -> &'static str {
        self.error().reason.as_str()
    }
}
