//! Thousands of matches in one outage, in simulated time: the load that Oz sees.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::domain::{
    Ask, CircuitBreaker, FailureKind, Format, LivenessPolicy, OzResult, Reply, State, Step, Ticket,
    Timestamp,
    ask::AskKind,
    request_traits,
    tests::{
        oz::{biometry, decided, fails, folder, our_photo, photo, seconds, started, told},
        scene::Scene,
    },
};

const MATCHES: usize = 5_000;
/// Matches that are accepted as the outage begins, and meet it during their upload.
const LATE: usize = 500;
const BEGINS: i64 = 5;
const ENDS: i64 = BEGINS + 300;
/// When the analyses are over: by then all matches have returned.
const VERDICTS: i64 = ENDS + 30;
const LATENCY: Duration = Duration::from_millis(50);

/// The next thing that a match waits for.
enum Wakes {
    /// A time that it chose itself.
    Up,
    /// The answer to its request.
    Answered(Ask, Ticket, Box<OzResult>),
}

/// Oz's folder for one match.
#[derive(Clone, Copy, Default)]
struct Folder {
    uploads: usize,
    starts: usize,
}

struct Stage {
    scenes: Vec<Scene>,
    folders: Vec<Folder>,
    circuit: CircuitBreaker,
    chance: StdRng,
    due: BinaryHeap<Reverse<(Timestamp, usize)>>,
    wakes: Vec<Wakes>,
    /// The times of all requests, in order.
    sent: Vec<Timestamp>,
}

impl Folder {
    /// Acts and answers as a correct Oz does.
    fn acts(&mut self, ask: &Ask, now: Timestamp) -> OzResult {
        let analysis =
            || if now < seconds(VERDICTS) { biometry("b") } else { decided("b", "SUCCESS") };
        match ask.kind() {
            AskKind::ReadFolder => {
                let photos = vec![our_photo("p"); self.uploads.min(1)];
                folder(photos, (0..self.starts.min(1)).map(|_| biometry("b")).collect())
            }
            AskKind::UploadPhoto => {
                self.uploads += 1;
                photo("p")
            }
            AskKind::StartAnalyses => {
                self.starts += 1;
                started(vec![biometry("b")])
            }
            AskKind::ReadAnalysis => told(analysis()),
            AskKind::ReadReference => Ok(Reply::Reference(Format::Jpeg)),
        }
    }

    /// Acts and answers with the outage: a request in flight as it begins is carried out, but its
    /// answer is lost.
    fn answers(&mut self, ask: &Ask, asked: Timestamp) -> OzResult {
        let answered = asked.after(LATENCY);
        if answered < seconds(BEGINS) || asked >= seconds(ENDS) {
            return self.acts(ask, asked);
        }
        if asked < seconds(BEGINS) {
            let _lost = self.acts(ask, asked);
            return fails(FailureKind::Interrupted);
        }
        fails(FailureKind::Unreachable)
    }
}

impl Stage {
    fn new() -> Self {
        let mut chance = StdRng::seed_from_u64(7);
        let mut scenes = Vec::new();
        let mut due = BinaryHeap::new();
        for number in 0..MATCHES {
            let mut scene = Scene::with(LivenessPolicy::Report);
            scene.latency = LATENCY;
            let start = if number < LATE { seconds(BEGINS - 1) } else { seconds(0) };
            scene.now = start.after(Duration::from_secs(1).mul_f64(chance.random()));
            due.push(Reverse((scene.now, number)));
            scenes.push(scene);
        }
        Self {
            scenes,
            folders: vec![Folder::default(); MATCHES],
            circuit: CircuitBreaker::new(seconds(0)),
            chance,
            due,
            wakes: (0..MATCHES).map(|_| Wakes::Up).collect(),
            sent: Vec::new(),
        }
    }

    fn plays(mut self) -> Self {
        while let Some(Reverse((now, number))) = self.due.pop() {
            match std::mem::replace(&mut self.wakes[number], Wakes::Up) {
                Wakes::Up => self.scenes[number].now = now,
                Wakes::Answered(ask, ticket, outcome) => self.hears(number, &ask, ticket, *outcome),
            }
            self.goes_on(number);
        }
        self
    }

    fn hears(&mut self, number: usize, ask: &Ask, ticket: Ticket, outcome: OzResult) {
        let (failure, now) = (outcome.as_ref().err(), self.scenes[number].now.after(LATENCY));
        self.circuit.report(ticket, failure, now, self.chance.random());
        self.scenes[number].chance = self.chance.random();
        self.scenes[number].answer(ask, outcome);
    }

    /// Steps the match until it has to wait.
    fn goes_on(&mut self, number: usize) {
        loop {
            let scene = &mut self.scenes[number];
            let now = scene.now;
            match scene.step() {
                Step::Rest => return,
                Step::Record(event) => scene.write(event),
                Step::Wait(until) => return self.due.push(Reverse((until, number))),
                Step::Ask(ask) => {
                    let entry = request_traits(&scene.m, &scene.volatile, &ask, now);
                    match self.circuit.enter(entry, now, self.chance.random()) {
                        Ok(ticket) => return self.sends(number, ask, ticket),
                        Err(hold) => scene.hold(&ask, &hold),
                    }
                }
            }
        }
    }

    fn sends(&mut self, number: usize, ask: Ask, ticket: Ticket) {
        let now = self.scenes[number].now;
        let outcome = self.folders[number].answers(&ask, now);
        self.sent.push(now);
        self.wakes[number] = Wakes::Answered(ask, ticket, Box::new(outcome));
        self.due.push(Reverse((now.after(LATENCY), number)));
    }

    /// How many requests were sent from one second to another.
    fn sent_between(&self, from: i64, to: i64) -> usize {
        self.sent.iter().filter(|time| (seconds(from)..seconds(to)).contains(time)).count()
    }

    /// The most requests sent within any second from this one on.
    fn most_in_a_second_from(&self, from: i64) -> usize {
        let times = &self.sent[self.sent.partition_point(|time| *time < seconds(from))..];
        let within = |(first, time): (usize, &Timestamp)| {
            let end = time.after(Duration::from_secs(1));
            times.partition_point(|time| *time < end) - first
        };
        times.iter().enumerate().map(within).max().unwrap()
    }
}

#[test]
fn an_outage_lowers_the_rate_to_probes_and_its_end_is_no_stampede() {
    let stage = Stage::new().plays();
    let normal = stage.sent_between(BEGINS - 2, BEGINS - 1);
    let out = stage.sent_between(ENDS - 240, ENDS);
    let most = stage.most_in_a_second_from(ENDS);
    let back = stage.sent_between(VERDICTS - 1, VERDICTS);
    assert!(out > 10, "probes are sent: {out}");
    assert!(out * 100 < normal * 240, "in the outage: {out} in 240 s, {normal} a second before");
    assert!(most * 5 <= MATCHES * 6, "after the outage: {most} in a second");
    assert!(back * 100 >= MATCHES * 95, "all are polled again: {back} in a second");
    for (scene, folder) in stage.scenes.iter().zip(&stage.folders) {
        assert_eq!(scene.m.state, State::Finished, "{:?}", scene.m.error);
        assert_eq!((folder.uploads, folder.starts), (1, 1), "no request is sent twice");
        assert!((1..=3).contains(&scene.troubles()), "watchers are told: {}", scene.troubles());
    }
}
