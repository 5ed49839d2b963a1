//! The worker over the journal without a disk: each test answers for Oz itself, one request after
//! another, and moves the time.
//!
//! Faults and crashes are tested by `simulation`.

mod replicas;

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::{
    driver::UNWRITABLE,
    housekeeping::{CLAIM_PAGE, CLAIMING_PAUSE, HOUSEKEEPING_INTERVAL},
    supervisor::PANIC_PAUSE,
    *,
};
use crate::{
    clock::Hand,
    domain::{
        Analysis, AnalysisId, Ask, Digest, Event, Failure, FailureKind, Folder, Format, Limit,
        LivenessPolicy, Media, MediaId, OzResult, PhotoKind, PhotoSource, Reply, Sequence, State,
        Timeout, ask::AskKind,
    },
    intercept::{Answer, Hook, Operation, Running, intercept},
    journal::{
        Admitted, Chore, Reader, Writer,
        memory::{Memory, Store},
    },
    outage::Outage,
    oz::Sent,
    sync::lock,
};

/// How long any wait may take: much longer than it does.
const PATIENCE: Duration = Duration::from_secs(10);

/// A time that isn't a whole millisecond.
const START: Timestamp = Timestamp::from_micros(1_764_000_000_512_345);

const CONFIG: Config = Config {
    policy: Policy {
        poll_interval: Duration::from_secs(1),
        oz_settle: Duration::from_secs(5),
        photo_grace: Duration::from_secs(60),
        retention: Duration::from_secs(86_400),
    },
    unfinished_max: 2,
    oz: OzLimits { requests_max: 10, rate_max: None },
    photo_bytes_max: 100,
};

/// A driver that gets this failure from Oz panics.
const PANIC: &str = "panic";

/// How long a replica is believed to be alive.
const LEASE: Duration = Duration::from_secs(10);

/// A request that waits for the test to answer it.
struct Asked {
    kind: AskKind,
    ask: Ask,
    photo: Option<Bytes>,
    answer: oneshot::Sender<OzResult>,
}

/// Forwards each request to the test.
struct ForwardingOz(mpsc::UnboundedSender<Asked>);

#[async_trait]
impl Oz for ForwardingOz {
    async fn perform(&self, ask: &Ask, photo: Option<Bytes>, _: Sent<'_>) -> OzResult {
        let (answer, told) = oneshot::channel();
        let unheard = || Failure::new(FailureKind::Interrupted, "the test has ended");
        let asked = Asked { kind: ask.kind(), ask: ask.clone(), photo, answer };
        self.0.send(asked).map_err(|_| unheard())?;
        let outcome = told.await.unwrap_or_else(|_| Err(unheard()));
        assert!(!matches!(&outcome, Err(failure) if failure.message == PANIC), "as the test wants");
        outcome
    }
}

/// The faults of the journal, as its flags say.
#[derive(Default)]
struct Faults {
    /// Whether the answer to the next append is lost.
    loses: AtomicBool,
    /// Whether every event but `Failed` is refused for good.
    refuses: AtomicBool,
    /// Whether claims and erasures panic.
    panics: AtomicBool,
    /// Whether a claim that finds no match panics.
    panics_when_empty: AtomicBool,
    /// How often `take` and `takeable` were called.
    takes: AtomicUsize,
    /// What happens between the next claim, or take, and its answer.
    meanwhile: Mutex<Option<BoxFuture<'static, ()>>>,
}

#[async_trait]
impl Hook for Faults {
    async fn around(
        &self,
        operation: Operation,
        running: Running<'_>,
    ) -> Result<Answer, journal::Error> {
        match operation {
            Operation::Append(event) => self.append(&event, running).await,
            Operation::Claim => {
                self.may_panic();
                let claimed = running.await;
                self.happens_meanwhile().await;
                let is_empty =
                    matches!(&claimed, Ok(Answer::Claimed(claimed)) if claimed.is_empty());
                let panics = is_empty && self.panics_when_empty.load(Ordering::Relaxed);
                assert!(!panics, "as the test wants");
                claimed
            }
            Operation::Tidy { chore: Chore::EraseExpired, .. } => {
                self.may_panic();
                running.await
            }
            Operation::Take | Operation::Takeable => {
                self.takes.fetch_add(1, Ordering::Relaxed);
                let taken = running.await;
                self.happens_meanwhile().await;
                taken
            }
            Operation::Admit { .. }
            | Operation::Cancel
            | Operation::Erase
            | Operation::Tidy { chore: Chore::Enlist, .. }
            | Operation::Confirm
            | Operation::Release
            | Operation::Leave
            | Operation::OwnedByOthers
            | Operation::Find
            | Operation::Events
            | Operation::Tail
            | Operation::Page { .. }
            | Operation::List
            | Operation::Cursor
            | Operation::CursorStatus
            | Operation::Ping => running.await,
        }
    }
}

impl Faults {
    async fn append(&self, event: &Event, running: Running<'_>) -> Result<Answer, journal::Error> {
        if self.refuses.load(Ordering::Relaxed) && !matches!(event, Event::Failed(_)) {
            return Err(journal::Error::Refused(Arc::new(std::fmt::Error)));
        }
        let appended = running.await;
        match self.loses.swap(false, Ordering::Relaxed) {
            true => Err(journal::Error::Unavailable(Arc::new(std::fmt::Error))),
            false => appended,
        }
    }

    async fn happens_meanwhile(&self) {
        let meanwhile = lock(&self.meanwhile).take();
        if let Some(meanwhile) = meanwhile {
            meanwhile.await;
        }
    }

    fn may_panic(&self) {
        assert!(!self.panics.load(Ordering::Relaxed), "as the test wants");
    }
}

struct Harness {
    worker: Worker,
    journal: Memory,
    faults: Arc<Faults>,
    clock: Clock,
    hand: Hand,
    asked: mpsc::UnboundedReceiver<Asked>,
}

impl Harness {
    fn new() -> Self {
        Self::with(CONFIG)
    }

    fn with(config: Config) -> Self {
        let (clock, hand) = Clock::manual(START);
        let store = Arc::new(Mutex::new(Store::new(1)));
        Self::over(config, Memory::open(store, clock.clone()), clock, hand)
    }

    fn over(config: Config, journal: Memory, clock: Clock, hand: Hand) -> Self {
        let (asks, asked) = mpsc::unbounded_channel();
        let faults = Arc::<Faults>::default();
        let with = Collaborators {
            journal: intercept(journal.handles(), faults.clone()),
            oz: Arc::new(ForwardingOz(asks)),
            clock: clock.clone(),
            progress: Arc::new(|_, _| {}),
            chance: Arc::new(|| 0.0),
            store: Outage::new("the store", clock.clone()),
        };
        Self { worker: Worker::new(config, with), journal, faults, clock, hand, asked }
    }

    /// Another process at the same store, not started.
    fn next_process(&self) -> Self {
        self.next_process_with(CONFIG)
    }

    fn next_process_with(&self, config: Config) -> Self {
        let journal = Memory::open(self.journal.store(), self.clock.clone());
        Self::over(config, journal, self.clock.clone(), self.hand.clone())
    }

    /// A replica over a store that other replicas may join.
    fn shared() -> Self {
        Self::shared_with(CONFIG)
    }

    fn shared_with(config: Config) -> Self {
        let (clock, hand) = Clock::manual(START);
        let store = Arc::new(Mutex::new(Store::new(1)));
        Self::over(config, Memory::join(store, clock.clone(), LEASE), clock, hand)
    }

    /// Another replica at the same store, not started.
    fn replica(&self) -> Self {
        self.replica_with(CONFIG)
    }

    fn replica_with(&self, config: Config) -> Self {
        let journal = Memory::join(self.journal.store(), self.clock.clone(), LEASE);
        Self::over(config, journal, self.clock.clone(), self.hand.clone())
    }

    /// Lets time pass, second by second, while only these replicas renew their leases.
    async fn pass(&self, time: Duration, alive: &[&Self]) {
        for _ in 0..time.as_secs() {
            self.hand.advance(Duration::from_secs(1));
            for house in alive {
                house.journal.pulse();
            }
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Asserts that no request to Oz waits.
    #[track_caller]
    fn is_quiet(&mut self) {
        assert!(self.asked.try_recv().is_err(), "a request to Oz waits");
    }

    async fn admit(&self, spec: Spec) -> Match {
        let photo = match spec.needs_photo() {
            true => Some(Photo::new(jpeg(), self.worker.photo_memory().reserve(4).unwrap())),
            false => None,
        };
        self.worker.admit(spec, photo).await.unwrap()
    }

    /// Waits for the next request to Oz, which must be of this kind.
    #[track_caller]
    fn next(&mut self, kind: AskKind) -> impl Future<Output = Asked> {
        let caller = std::panic::Location::caller();
        async move {
            let asked = timeout(PATIENCE, self.asked.recv()).await;
            let asked = asked.unwrap_or_else(|_| panic!("{caller}: Oz is not asked")).unwrap();
            assert_eq!(asked.kind, kind, "{caller}");
            asked
        }
    }

    /// Answers the next request to Oz, which must be of this kind.
    async fn answers(&mut self, kind: AskKind, reply: Reply) -> &mut Self {
        assert!(self.next(kind).await.answer.send(Ok(reply)).is_ok(), "the request still waits");
        self
    }

    async fn find(&self, m: &Match) -> Option<Match> {
        self.journal.find(&m.spec.caller, &Key::Match(m.id)).await.unwrap()
    }
}

fn jpeg() -> Bytes {
    Bytes::from_static(b"jpeg")
}

/// A match whose photo is sent with the request.
fn spec() -> Spec {
    Spec {
        caller: CallerId::default_caller(),
        request_id: None,
        folder_id: "7e782ba3-94fa-4b34-94a0-c1e2f8c3b5b1".parse().unwrap(),
        photo: PhotoSource::Content { digest: Digest([7; 32]), format: Format::Jpeg },
        kind: PhotoKind::Selfie,
        timeout: Timeout { duration: Duration::from_secs(1_200), named: false },
        liveness_media: Vec::new(),
        liveness_policy: LivenessPolicy::Report,
        labels: BTreeMap::new(),
    }
}

/// The same with a request id, so that it may be repeated.
fn repeatable() -> Spec {
    Spec { request_id: Some("order-1".parse().unwrap()), ..spec() }
}

/// A match whose photo is the medium `p` of the folder.
fn naming_a_medium() -> Spec {
    Spec { photo: PhotoSource::FolderMedia(medium_id("p")), ..spec() }
}

fn medium_id(text: &str) -> MediaId {
    text.parse().unwrap()
}

fn medium(id: &str, media_type: &str) -> Media {
    Media {
        id: medium_id(id),
        media_type: Some(media_type.into()),
        tags: Vec::new(),
        original_name: None,
        match_id: None,
        time_created: None,
    }
}

/// A folder with a video `v`, and an image `p` that belongs to no match.
fn folder() -> Reply {
    let media = vec![medium("v", "VIDEO_FOLDER"), medium("p", "IMAGE_FOLDER")];
    Reply::Folder(Folder { media, analyses: Vec::new() })
}

fn started() -> Reply {
    let analysis = Analysis {
        id: Some("b".parse().unwrap()),
        kind: Some("BIOMETRY".into()),
        state: Some("PROCESSING".into()),
        ..Analysis::default()
    };
    Reply::Started(vec![analysis])
}

/// Waits until `holds` is true, while every task gets some turns.
async fn eventually<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    for _ in 0..1_000 {
        if holds().await {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{what}");
}

/// Drains a server, which must end without another request to Oz.
async fn drains(house: &mut Harness) {
    let down = timeout(PATIENCE, house.worker.drain(Duration::from_secs(10))).await;
    assert!(down.is_ok(), "the drain waits for something");
    assert!(house.asked.try_recv().is_err(), "another request was sent to Oz");
}

// Admission.

#[tokio::test]
async fn the_id_of_a_match_tells_when_it_was_accepted() {
    let house = Harness::new();
    let m = house.admit(spec()).await;
    let (seconds, nanos) = m.id.as_uuid().get_timestamp().unwrap().to_unix();
    assert_eq!((seconds, nanos / 1_000_000), (1_764_000_000, 512));
}

#[tokio::test]
async fn no_more_matches_are_under_way_than_the_settings_allow() {
    let house = Harness::new();
    let first = house.admit(naming_a_medium()).await;
    house.admit(naming_a_medium()).await;
    assert_eq!(house.worker.unfinished(), 2);
    let refused = house.worker.admit(naming_a_medium(), None).await.unwrap_err();
    assert!(matches!(refused, Refused::Overloaded(Limit::UnfinishedMatches)), "{refused}");
    house.worker.cancel(&first.spec.caller, &Key::Match(first.id)).await.unwrap();
    eventually("its slot is free", || async { house.worker.unfinished() == 1 }).await;
    house.admit(naming_a_medium()).await;
}

// Driving.

#[tokio::test]
async fn a_photo_leaves_memory_once_oz_has_it() {
    let mut house = Harness::new();
    house.admit(spec()).await;
    house.answers(AskKind::ReadFolder, folder()).await;
    let upload = house.next(AskKind::UploadPhoto).await;
    assert_eq!((upload.photo, house.worker.photo_memory().photos()), (Some(jpeg()), 1));
    upload.answer.send(Ok(Reply::Photo(medium_id("ours")))).unwrap();
    let start = house.next(AskKind::StartAnalyses).await;
    assert_eq!((start.photo, house.worker.photo_memory().photos()), (None, 0));
}

#[tokio::test]
async fn oz_may_take_its_time_until_the_deadline() {
    let mut house = Harness::new();
    let m = house.admit(naming_a_medium()).await;
    let look = house.next(AskKind::ReadFolder).await;
    house.hand.advance(Duration::from_secs(600));
    tokio::task::yield_now().await;
    look.answer.send(Ok(folder())).unwrap();
    house.next(AskKind::StartAnalyses).await;
    assert_eq!(house.find(&m).await.unwrap().state, State::Uploaded);
}

#[tokio::test]
async fn an_event_written_despite_a_store_failure_is_found_and_built_on() {
    let mut house = Harness::new();
    let m = house.admit(naming_a_medium()).await;
    house.faults.loses.store(true, Ordering::Relaxed);
    house.answers(AskKind::ReadFolder, folder()).await;
    let again = START.after(Duration::from_secs(1));
    eventually("the driver pauses", || async { house.hand.next_wake() == Some(again) }).await;
    house.hand.advance(Duration::from_secs(1));
    house.next(AskKind::StartAnalyses).await;
    assert_eq!(house.find(&m).await.unwrap().sequence, Sequence(2));
}

#[tokio::test]
async fn an_event_that_the_store_refuses_for_good_ends_its_match() {
    let mut house = Harness::new();
    let m = house.admit(naming_a_medium()).await;
    house.faults.refuses.store(true, Ordering::Relaxed);
    house.answers(AskKind::ReadFolder, folder()).await;
    eventually("it ends", || async { house.find(&m).await.unwrap().has_ended() }).await;
    let error = house.find(&m).await.unwrap().error.unwrap();
    assert_eq!((error.reason.as_str(), error.message.as_str()), ("OZ_PROTOCOL", UNWRITABLE));
}

#[tokio::test]
async fn a_request_unsent_for_lack_of_a_session_is_held_back_and_not_blamed_on_oz() {
    let mut house = Harness::new();
    let m = house.admit(naming_a_medium()).await;
    let again = Duration::from_secs(20);
    for round in 1..=50 {
        let look = house.next(AskKind::ReadFolder).await;
        look.answer.send(Err(Failure::without_session(again))).unwrap();
        let due = START.after(again * round);
        eventually("the request is held back", || async { house.hand.next_wake() == Some(due) })
            .await;
        house.hand.advance(again);
    }
    house.answers(AskKind::ReadFolder, folder()).await;
    house.next(AskKind::StartAnalyses).await;
    let found = house.find(&m).await.unwrap();
    assert_eq!((found.troubles, found.state), (1, State::Uploaded), "the trouble is reported once");
}

#[tokio::test]
async fn a_cancelled_match_drops_its_request_and_its_photo() {
    let mut house = Harness::new();
    let m = house.admit(spec()).await;
    let mut look = house.next(AskKind::ReadFolder).await;
    house.worker.cancel(&m.spec.caller, &Key::Match(m.id)).await.unwrap();
    timeout(PATIENCE, look.answer.closed()).await.unwrap();
    let held = || (house.worker.unfinished(), house.worker.photo_memory().photos());
    eventually("nothing is held", || async { held() == (0, 0) }).await;
}

/// The answers of an Oz that goes on processing: each folder has an analysis of its own.
fn processing(ask: &Ask) -> Reply {
    let analysis = |id: AnalysisId| Analysis {
        id: Some(id),
        kind: Some("BIOMETRY".into()),
        state: Some("PROCESSING".into()),
        ..Analysis::default()
    };
    match ask {
        Ask::ReadFolder { .. } => folder(),
        Ask::UploadPhoto { .. } => Reply::Photo(medium_id("ours")),
        Ask::StartAnalyses { folder_id, .. } => {
            Reply::Started(vec![analysis(folder_id.to_string().parse().unwrap())])
        }
        Ask::ReadAnalysis { analysis_id } => Reply::Analysis(analysis(analysis_id.clone())),
    }
}

#[tokio::test]
async fn a_replica_at_its_share_of_the_rate_stretches_the_polls_of_all_matches_alike() {
    let oz = OzLimits { rate_max: std::num::NonZeroU32::new(2), ..CONFIG.oz };
    let mut house = Harness::shared_with(Config { unfinished_max: 6, oz, ..CONFIG });
    let other = house.replica();
    house.journal.pulse();
    house.worker.start().await.unwrap();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    for folder in 1..=6 {
        let folder_id = crate::domain::FolderId::from_uuid(uuid::Uuid::from_u128(folder));
        house.admit(Spec { folder_id, ..naming_a_medium() }).await;
    }
    let (until, mut times, mut polls) =
        (START.after(Duration::from_secs(120)), vec![], BTreeMap::new());
    while house.clock.now() < until {
        eventually("all wait", || async { house.hand.next_wake().is_some() }).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        while let Ok(asked) = house.asked.try_recv() {
            times.push(house.clock.now());
            if let Ask::ReadAnalysis { analysis_id } = &asked.ask {
                *polls.entry(analysis_id.clone()).or_insert(0) += 1;
            }
            asked.answer.send(Ok(processing(&asked.ask))).unwrap();
        }
        house.hand.advance(Duration::from_millis(100));
        house.journal.pulse();
        other.journal.pulse();
    }
    // One request a second: the share of one of two replicas.
    assert!((118..=120).contains(&times.len()), "{}", times.len());
    assert!(times.windows(2).all(|pair| pair[1].since(pair[0]) >= Duration::from_millis(900)));
    assert_eq!(polls.len(), 6);
    assert!(polls.values().all(|polls| (17..=19).contains(polls)), "{polls:?}");
}

#[tokio::test]
async fn of_two_claims_observed_out_of_order_the_later_one_is_driven() {
    let first = Harness::new();
    let m = first.admit(naming_a_medium()).await;
    let mut house = first.next_process();
    let (earlier, early) = house.journal.claim(1).await.unwrap().remove(0);
    house.journal.release(vec![early]).await.unwrap();
    let (later, late) = house.journal.claim(1).await.unwrap().remove(0);
    let supervisor = Arc::clone(&house.worker.supervisor);
    let driver = supervisor.revive(later, late).unwrap();
    assert!(supervisor.revive(earlier, early).is_none());
    supervisor.spawn(driver, supervisor.slots.take());
    house.answers(AskKind::ReadFolder, folder()).await;
    eventually("the driver proceeds", || async {
        house.find(&m).await.unwrap().state != State::Accepted
    })
    .await;
}

/// A match of a former process, and the next process, not started: it is cancelled at the moment at
/// which its claim has been written and isn't known to this process yet.
async fn cancelled_while_claimed() -> Harness {
    let first = Harness::new();
    let m = first.admit(Spec { photo: naming_a_medium().photo, ..repeatable() }).await;
    let next = first.next_process();
    let worker = next.worker.clone();
    *lock(&next.faults.meanwhile) = Some(Box::pin(async move {
        worker.cancel(&CallerId::default_caller(), &Key::Match(m.id)).await.unwrap();
    }));
    next
}

#[tokio::test]
async fn a_match_cancelled_while_it_is_claimed_sends_nothing_to_oz() {
    let mut claims = cancelled_while_claimed().await;
    claims.worker.start().await.unwrap();
    let mut takes = cancelled_while_claimed().await;
    takes.admit(Spec { photo: naming_a_medium().photo, ..repeatable() }).await;
    for house in [&mut claims, &mut takes] {
        eventually("the driver has left", || async { house.worker.unfinished() == 0 }).await;
        assert!(lock(&house.faults.meanwhile).is_none(), "it was cancelled");
        house.is_quiet();
    }
}

#[tokio::test]
async fn a_stop_before_a_claim_was_made_stops_no_driver_of_it() {
    let first = Harness::new();
    let m = first.admit(naming_a_medium()).await;
    let mut house = first.next_process();
    drop(house.worker.supervisor.registry.expect_claim());
    house.worker.supervisor.registry.stop(m.id);
    house.worker.start().await.unwrap();
    house.next(AskKind::ReadFolder).await;
}

// Draining.

#[tokio::test]
async fn a_draining_server_sends_no_request_that_waits_for_a_permit() {
    let oz = OzLimits { requests_max: 1, ..CONFIG.oz };
    let mut house = Harness::with(Config { oz, ..CONFIG });
    for _ in 0..2 {
        house.admit(naming_a_medium()).await;
    }
    house.answers(AskKind::ReadFolder, folder()).await;
    house.answers(AskKind::ReadFolder, folder()).await;
    let start = house.next(AskKind::StartAnalyses).await;
    let worker = house.worker.clone();
    let answers = async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        start.answer.send(Ok(started())).unwrap();
    };
    let down = timeout(PATIENCE, worker.drain(Duration::from_secs(10)));
    let (down, ()) = tokio::join!(down, answers);
    assert!(down.is_ok(), "the drain waits for something");
    house.is_quiet();
}

#[tokio::test]
async fn a_draining_server_brings_its_photos_to_oz_and_leaves_the_rest() {
    let mut house = Harness::new();
    let m = house.admit(spec()).await;
    let look = house.next(AskKind::ReadFolder).await;
    let worker = house.worker.clone();
    let brought = async {
        look.answer.send(Ok(folder())).unwrap();
        house.answers(AskKind::UploadPhoto, Reply::Photo(medium_id("ours"))).await;
    };
    let down = timeout(PATIENCE, worker.drain(Duration::from_secs(10)));
    let (down, ()) = tokio::join!(down, brought);
    assert!(down.is_ok(), "the drain waits for something");
    assert!(house.asked.try_recv().is_err(), "another request was sent to Oz");
    assert_eq!(house.find(&m).await.unwrap().state, State::Uploaded);
    let refused = worker.admit(spec(), None).await.unwrap_err();
    assert!(matches!(refused, Refused::Draining), "{refused}");
}

#[tokio::test]
async fn a_draining_server_awaits_no_answer_about_a_match_without_a_photo() {
    let mut house = Harness::new();
    house.admit(naming_a_medium()).await;
    let _look = house.next(AskKind::ReadFolder).await;
    drains(&mut house).await;
}

#[tokio::test]
async fn a_draining_server_awaits_the_answer_to_a_request_that_changes_oz() {
    let mut house = Harness::new();
    let m = house.admit(naming_a_medium()).await;
    house.answers(AskKind::ReadFolder, folder()).await;
    let start = house.next(AskKind::StartAnalyses).await;
    let worker = house.worker.clone();
    let down = timeout(PATIENCE, worker.drain(Duration::from_secs(10)));
    let (down, ()) = tokio::join!(down, async { start.answer.send(Ok(started())).unwrap() });
    assert!(down.is_ok(), "the drain waits for something");
    assert_eq!(house.find(&m).await.unwrap().state, State::Processing);
}

#[tokio::test]
async fn a_draining_server_waits_for_no_photo_to_arrive() {
    let first = Harness::new();
    first.admit(spec()).await;
    let mut second = first.next_process();
    second.worker.start().await.unwrap();
    let _look = second.next(AskKind::ReadFolder).await;
    drains(&mut second).await;
}

#[tokio::test]
async fn a_match_claimed_during_a_drain_sends_nothing_to_oz() {
    let first = Harness::new();
    first.admit(spec()).await;
    let mut second = first.next_process();
    second.admit(spec()).await;
    let look = second.next(AskKind::ReadFolder).await;
    let worker = second.worker.clone();
    let claimed = async {
        worker.start().await.unwrap();
        eventually("the claimed match is left", || async { worker.unfinished() == 1 }).await;
        assert!(second.asked.try_recv().is_err(), "a request to Oz was sent");
        look.answer.send(Ok(folder())).unwrap();
        second.answers(AskKind::UploadPhoto, Reply::Photo(medium_id("ours"))).await;
    };
    let down = timeout(PATIENCE, worker.drain(Duration::from_secs(10)));
    let (down, ()) = tokio::join!(down, claimed);
    assert!(down.is_ok(), "the drain waits for something");
}

// Housekeeping.

#[tokio::test]
async fn a_match_whose_driver_panicked_is_driven_again_after_a_pause() {
    let mut house = Harness::new();
    house.worker.start().await.unwrap();
    let m = house.admit(naming_a_medium()).await;
    for _ in 0..3 {
        let look = house.next(AskKind::ReadFolder).await;
        look.answer.send(Err(Failure::new(FailureKind::Interrupted, PANIC))).unwrap();
        eventually("the driver has ended", || async { house.worker.unfinished() == 0 }).await;
        house.pass(PANIC_PAUSE - HOUSEKEEPING_INTERVAL, &[]).await;
        house.is_quiet();
        house.pass(HOUSEKEEPING_INTERVAL * 2, &[]).await;
    }
    house.answers(AskKind::ReadFolder, folder()).await;
    house.answers(AskKind::StartAnalyses, started()).await;
    assert_eq!(house.find(&m).await.unwrap().state, State::Uploaded);
}

#[tokio::test]
async fn housekeeping_goes_on_after_a_panic() {
    let house = Harness::new();
    house.worker.start().await.unwrap();
    let m = house.admit(naming_a_medium()).await;
    house.worker.cancel(&m.spec.caller, &Key::Match(m.id)).await.unwrap();
    house.faults.panics.store(true, Ordering::Relaxed);
    house.pass(HOUSEKEEPING_INTERVAL * 3, &[]).await;
    house.faults.panics.store(false, Ordering::Relaxed);
    let late = MatchId::from_uuid(uuid::Uuid::now_v7());
    let admitted = house.journal.admit(late, Arc::new(naming_a_medium())).await.unwrap();
    let Admitted::New(_, claim) = admitted else { panic!("the match is new") };
    house.journal.release(vec![claim]).await.unwrap();
    house.pass(HOUSEKEEPING_INTERVAL * 3, &[]).await;
    assert_eq!(house.worker.unfinished(), 1, "the late match is claimed");
    house.hand.advance(CONFIG.policy.retention);
    house.pass(HOUSEKEEPING_INTERVAL * 3, &[]).await;
    assert!(house.find(&m).await.is_none(), "it is erased");
}

#[tokio::test]
async fn matches_claimed_before_a_panic_of_housekeeping_are_driven() {
    let mut house = Harness::new();
    house.worker.start().await.unwrap();
    house.faults.panics_when_empty.store(true, Ordering::Relaxed);
    let id = MatchId::from_uuid(uuid::Uuid::now_v7());
    let admitted = house.journal.admit(id, Arc::new(naming_a_medium())).await.unwrap();
    let Admitted::New(_, claim) = admitted else { panic!("the match is new") };
    house.journal.release(vec![claim]).await.unwrap();
    house.pass(CLAIMING_PAUSE, &[]).await;
    assert_eq!(house.worker.unfinished(), 1);
    house.answers(AskKind::ReadFolder, folder()).await;
}

#[tokio::test]
async fn a_draining_server_releases_the_claims_of_panicked_drivers_at_once() {
    let mut house = Harness::shared();
    house.admit(naming_a_medium()).await;
    let look = house.next(AskKind::ReadFolder).await;
    look.answer.send(Err(Failure::new(FailureKind::Interrupted, PANIC))).unwrap();
    eventually("the driver has ended", || async { house.worker.unfinished() == 0 }).await;
    let mut other = house.replica();
    drains(&mut house).await;
    other.worker.start().await.unwrap();
    other.answers(AskKind::ReadFolder, folder()).await;
}

#[tokio::test]
async fn claims_stop_at_the_limit_and_new_matches_wait_for_unclaimed_ones() {
    let house = Harness::new();
    let mut all = Vec::new();
    for _ in 0..5 {
        let id = MatchId::from_uuid(uuid::Uuid::now_v7());
        house.journal.admit(id, Arc::new(naming_a_medium())).await.unwrap();
        all.push(id);
    }
    let next = house.next_process();
    next.worker.start().await.unwrap();
    for left in (0..5).rev() {
        assert_eq!(next.worker.unfinished(), 2.min(left + 1));
        // The oldest driven match ends. Its slot is not for a new match.
        let caller = CallerId::default_caller();
        next.worker.cancel(&caller, &Key::Match(all[4 - left])).await.unwrap();
        eventually("its slot is free", || async { next.worker.unfinished() < 2 }).await;
        if left > 1 {
            let refused = next.worker.admit(naming_a_medium(), None).await.unwrap_err();
            assert!(matches!(refused, Refused::Overloaded(Limit::UnfinishedMatches)));
        }
        next.pass(CLAIMING_PAUSE * 2, &[]).await;
    }
    next.admit(naming_a_medium()).await;
}

#[tokio::test]
async fn oz_is_asked_only_after_all_unclaimed_matches_are_claimed() {
    let house = Harness::new();
    for _ in 0..=CLAIM_PAGE {
        let id = MatchId::from_uuid(uuid::Uuid::now_v7());
        house.journal.admit(id, Arc::new(naming_a_medium())).await.unwrap();
    }
    let mut next = house.next_process_with(Config { unfinished_max: 2_000, ..CONFIG });
    next.worker.start().await.unwrap();
    assert_eq!(next.worker.unfinished(), CLAIM_PAGE + 1);
    assert!(next.asked.try_recv().is_err(), "the first page waited for the second");
    assert_eq!(next.asked.recv().await.unwrap().kind, AskKind::ReadFolder);
}

#[tokio::test]
async fn a_match_is_erased_when_its_retention_ends() {
    let house = Harness::new();
    let m = house.admit(naming_a_medium()).await;
    house.worker.cancel(&m.spec.caller, &Key::Match(m.id)).await.unwrap();
    house.worker.start().await.unwrap();
    house.hand.advance(CONFIG.policy.retention - HOUSEKEEPING_INTERVAL * 2);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(house.find(&m).await.is_some(), "it is kept");
    eventually("it is erased", || async {
        house.hand.advance(HOUSEKEEPING_INTERVAL);
        house.find(&m).await.is_none()
    })
    .await;
}

#[tokio::test]
async fn the_debug_form_of_a_photo_has_its_size_only() {
    let house = Harness::new();
    let photo = Photo::new(jpeg(), house.worker.photo_memory().reserve(4).unwrap());
    assert_eq!(format!("{photo:?}"), "Photo(4 bytes)");
}
