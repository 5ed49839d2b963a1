//! Random walks: a match among answers of all shapes, failures of all kinds, takeovers and lost
//! photos. In every walk it stays legal, ends in time, sends few requests and sends nothing twice.

use std::time::Duration;

use proptest::prelude::*;

use crate::domain::{
    Ask, Failure, FailureKind, Format, LivenessPolicy, OzResult, PhotoSource, Reply, Spec, State,
    Timestamp,
    ask::AskKind,
    state::fold,
    tests::{
        chance::{Answer, Turn, some_failure, some_spec, some_turn},
        oz::{bare, biometry, decided, photo, started, told, with_photo},
        scene::{POLICY, Scene},
    },
    volatile::{LAST_LOOK_MAX, TROUBLES_MAX},
};

/// A request that changes Oz and whose outcome is unknown.
#[derive(Clone, Copy)]
struct Doubt {
    since: Timestamp,
    /// Whether a folder read that began late enough has found nothing.
    looked: bool,
}

/// A random walk of a match, and the properties that must hold.
struct Walk {
    scene: Scene,
    upload: Option<Doubt>,
    start: Option<Doubt>,
    takeovers: usize,
}

impl Walk {
    fn of(spec: Spec) -> Self {
        Self { scene: Scene::of(spec), upload: None, start: None, takeovers: 0 }
    }

    /// Repeats the turns until the match has ended.
    fn run(mut self, turns: &[Turn]) -> Self {
        for turn in turns.iter().cycle() {
            if let Some(photo_here) = turn.photo_here {
                self.scene.photo_here = photo_here;
            }
            let Some(ask) = self.scene.next_ask() else { break };
            self.may_be_asked(&ask);
            self.hears(&ask, turn);
        }
        self
    }

    fn may_be_asked(&self, ask: &Ask) {
        let clear = |doubt: Option<Doubt>| doubt.is_none_or(|doubt| doubt.looked);
        match ask.kind() {
            AskKind::UploadPhoto => {
                let is_read = self.scene.volatile.reference.is_some();
                let by_key = matches!(self.scene.m.spec.photo, PhotoSource::Library(_));
                let here = if by_key { is_read } else { self.scene.photo_here };
                assert!(here && clear(self.upload));
            }
            AskKind::ReadReference => {
                assert!(self.scene.volatile.reference.is_none(), "once for each attempt");
                assert!(clear(self.upload), "it is read when it is due");
            }
            AskKind::StartAnalyses => assert!(clear(self.start)),
            AskKind::ReadFolder | AskKind::ReadAnalysis => {}
        }
    }

    fn hears(&mut self, ask: &Ask, turn: &Turn) {
        let asked = self.scene.now;
        let deadline = self.scene.m.deadline();
        let limit = if asked < deadline { deadline } else { asked.after(LAST_LOOK_MAX) };
        let is_cut = asked.after(turn.latency) > limit;
        let latency = if is_cut { limit.since(asked) } else { turn.latency };
        let cut = || Err(Failure::new(FailureKind::TimedOut, "cut"));
        let outcome = if is_cut { cut() } else { turn.outcome.clone().to(ask) };
        (self.scene.latency, self.scene.chance) = (latency, turn.chance);
        if turn.revive && self.takeovers < 20 {
            return self.is_taken_over(latency);
        }
        self.doubt(ask, &outcome, asked);
        self.scene.answer(ask, outcome);
    }

    /// Takes the match over in place of an answer, which is lost if there is one.
    fn is_taken_over(&mut self, latency: Duration) {
        self.scene.now = self.scene.now.after(latency);
        self.scene.revive();
        self.takeovers += 1;
        let doubt = Some(Doubt { since: self.scene.now, looked: false });
        match self.scene.m.state {
            State::Accepted => self.upload = doubt,
            State::Uploaded => self.start = doubt,
            State::Processing
            | State::Finished
            | State::Failed
            | State::Cancelled
            | State::Unknown => {}
        }
    }

    fn doubt(&mut self, ask: &Ask, outcome: &OzResult, asked: Timestamp) {
        let heard = asked.after(self.scene.latency);
        let doubt = Doubt { since: heard, looked: false };
        let may_have_acted = match outcome {
            Ok(_) => true,
            Err(failure) => failure.kind.may_have_acted(),
        };
        match (ask.kind(), outcome) {
            (AskKind::UploadPhoto, _) if may_have_acted => self.upload = Some(doubt),
            (AskKind::StartAnalyses, _) if may_have_acted => self.start = Some(doubt),
            (AskKind::ReadFolder, Ok(Reply::Folder(_))) => {
                for doubt in [&mut self.upload, &mut self.start].into_iter().flatten() {
                    doubt.looked |= asked >= doubt.since.after(POLICY.oz_settle);
                }
            }
            // These outcomes reveal nothing new.
            (AskKind::UploadPhoto | AskKind::StartAnalyses, _)
            | (AskKind::ReadFolder | AskKind::ReadAnalysis | AskKind::ReadReference, _) => {}
        }
    }

    fn check(&self) {
        let scene = &self.scene;
        assert!(scene.m.has_ended());
        // Each driver that takes over past the deadline takes a last look of its own.
        let looks = u32::try_from(self.takeovers).unwrap() + 1;
        assert!(scene.now <= scene.m.deadline().after(LAST_LOOK_MAX * looks));
        assert!(scene.m.troubles <= TROUBLES_MAX);
        self.check_asks();
        for (index, recorded) in scene.journal.iter().enumerate() {
            let m = fold(&scene.journal[..=index]).unwrap().unwrap();
            assert_eq!(m.sequence, recorded.sequence);
        }
        assert_eq!(fold(&scene.journal), Ok(Some(scene.m.clone())));
    }

    /// The number of requests stays below the duration over the poll interval (for each analysis
    /// under RUN), plus the folder reads for lost answers (two for each failed request), plus a
    /// few.
    fn check_asks(&self) {
        let scene = &self.scene;
        let seconds = scene.m.update_time.since(scene.m.create_time).as_secs() as usize;
        let polls = match scene.m.spec.liveness_policy {
            LivenessPolicy::Run => 2 * seconds,
            LivenessPolicy::Report | LivenessPolicy::Require | LivenessPolicy::Unknown => seconds,
        };
        let asks = scene.asked.len();
        let most = polls + 8 + 4 * self.takeovers;
        assert!(asks <= most, "{asks} asks in {seconds} s, {} takeovers", self.takeovers);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_walk_is_legal_ends_in_time_sends_few_requests_and_none_twice(
        spec in some_spec(),
        turns in prop::collection::vec(some_turn(), 1..40),
    ) {
        Walk::of(spec).run(&turns).check();
    }

    #[test]
    fn every_outage_is_waited_out_or_ends_in_time(
        spec in some_spec(),
        failure in some_failure(),
        chance in 0.0..1.0,
    ) {
        let turn = Turn {
            outcome: Answer::Fails(failure),
            latency: Duration::ZERO,
            chance,
            revive: false,
            photo_here: None,
        };
        Walk::of(spec).run(&[turn]).check();
    }
}

/// A correct Oz, and how many uploads and starts it has received.
#[derive(Default)]
struct Sound {
    photos: usize,
    starts: usize,
}

impl Sound {
    fn answer(&mut self, ask: &Ask) -> OzResult {
        match ask.kind() {
            AskKind::ReadFolder if self.photos == 0 => bare(),
            AskKind::ReadFolder if self.starts == 0 => with_photo(vec![]),
            AskKind::ReadFolder => with_photo(vec![biometry("b")]),
            AskKind::UploadPhoto => {
                self.photos += 1;
                photo("p")
            }
            AskKind::StartAnalyses => {
                self.starts += 1;
                started(vec![biometry("b")])
            }
            AskKind::ReadAnalysis => told(decided("b", "SUCCESS")),
            AskKind::ReadReference => Ok(Reply::Reference(Format::Jpeg)),
        }
    }
}

#[test]
fn any_answer_may_be_lost_with_its_replica_and_nothing_is_sent_twice() {
    for (lost, scene) in (0..6)
        .map(|lost| (lost, Scene::new()))
        .chain((0..7).map(|lost| (lost, Scene::naming_a_key())))
    {
        let (mut scene, mut oz) = (scene, Sound::default());
        for number in 0.. {
            let Some(ask) = scene.next_ask() else { break };
            let outcome = oz.answer(&ask);
            if number == lost {
                scene.revive().photo_here = true;
            } else {
                scene.answer(&ask, outcome);
            }
        }
        assert_eq!((oz.photos, oz.starts), (1, 1), "answer {lost} was lost");
        scene.result();
    }
}
