//! The worker over the journal without a disk: each test answers for Oz itself, one request after
//! another, and moves the time.
//!
//! Faults and crashes are tested by `simulation`.

mod admission;
mod claims;
mod drains;
mod driving;
mod housekeeping;
mod library;
mod replicas;
mod tenants;

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
        TenantTerms, Tenants, Timeout, ask::AskKind,
    },
    intercept::{Answer, Hook, Operation, Running, intercept},
    journal::{
        Admitted, Chore, Reader, Writer,
        memory::{Memory, Store},
    },
    outage::Outage,
    oz::Sent,
    sync::lock,
    trace::AskTrace,
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
    async fn perform(
        &self,
        ask: &Ask,
        photo: Option<Bytes>,
        _: Sent<'_>,
        _: AskTrace<'_>,
    ) -> OzResult {
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
    /// Whether claims panic from the next one on that follows a claim of matches.
    panics_after_claim: AtomicBool,
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
                let has_found =
                    matches!(&claimed, Ok(Answer::Claimed(claimed)) if !claimed.is_empty());
                if has_found && self.panics_after_claim.load(Ordering::Relaxed) {
                    self.panics.store(true, Ordering::Relaxed);
                }
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
    /// The tenants of this moment.
    tenants: Arc<Mutex<Tenants>>,
    clock: Clock,
    hand: Hand,
    asked: mpsc::UnboundedReceiver<Asked>,
    libraries: Arc<library::TestLibraries>,
    /// The reads from the libraries that wait.
    reads: mpsc::UnboundedReceiver<library::Read>,
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
        let (libraries, reads) = library::TestLibraries::new(&clock);
        let (faults, tenants) = (Arc::<Faults>::default(), Arc::<Mutex<Tenants>>::default());
        let with = Collaborators {
            journal: intercept(journal.handles(), faults.clone()),
            oz: Arc::new(ForwardingOz(asks)),
            libraries: Arc::clone(&libraries) as _,
            clock: clock.clone(),
            progress: Arc::new(|_, _| {}),
            chance: Arc::new(|| 0.0),
            store: Outage::new("the store", clock.clone()),
            tracer: Tracer::off(),
            tenants: {
                let tenants = Arc::clone(&tenants);
                Arc::new(move || lock(&tenants).clone())
            },
        };
        let worker = Worker::new(config, with);
        Self { worker, journal, faults, tenants, clock, hand, asked, libraries, reads }
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
            true => Some(self.photo(&spec.tenant)),
            false => None,
        };
        self.worker.admit(spec, photo).await.unwrap()
    }

    /// A photo of a tenant, in memory.
    fn photo(&self, tenant: &TenantId) -> Photo {
        Photo::new(jpeg(), self.worker.photo_memory().reserve(tenant, 4).unwrap())
    }

    /// The operator names two tenants, `small` and `other`, with these terms for the first.
    fn names_two_tenants(&self, small: TenantTerms) {
        let terms = [(tenant("small"), small), (tenant("other"), TenantTerms::default())];
        *lock(&self.tenants) = Tenants::new(terms.into());
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
        self.journal.find(&m.spec.tenant, &Key::Match(m.id)).await.unwrap()
    }
}

fn tenant(name: &str) -> TenantId {
    TenantId::from_stored(name)
}

fn jpeg() -> Bytes {
    Bytes::from_static(b"jpeg")
}

/// A match whose photo is sent with the request.
fn spec() -> Spec {
    Spec {
        tenant: TenantId::default_tenant(),
        request_id: None,
        folder_id: "7e782ba3-94fa-4b34-94a0-c1e2f8c3b5b1".parse().unwrap(),
        photo: PhotoSource::Content { digest: Digest([7; 32]), format: Format::Jpeg },
        kind: PhotoKind::Selfie,
        timeout: Timeout { duration: Duration::from_secs(1_200), named: false },
        liveness_media: Vec::new(),
        liveness_policy: LivenessPolicy::Report,
        labels: BTreeMap::new(),
        trace: None,
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
