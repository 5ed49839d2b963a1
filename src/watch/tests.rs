//! The watch over the journal without a disk: each test writes the events itself and moves the
//! time.

mod all;
mod list;
mod log;
mod one;
mod pages;
mod tail;

use std::{
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::{sync::watch, task::yield_now, time::timeout};

use crate::{
    clock::{Clock, Hand},
    domain::{Cursor, Event, Match, MatchId, Position, Recorded, Sequence, Spec},
    intercept::{Answer, Hook, Operation, Running, intercept},
    journal::{
        Admitted, Appended, Chore, Claim, Error, Feed, Filter, Key, Reader, Writer,
        memory::{Memory, Store},
        suite::facts::{START, finished, match_id, plain_spec, started, uploaded},
    },
    outage::Outage,
    watch::{
        Config, Ended, Follow, FollowAll, Watch,
        pages::{PageLimits, Pages},
    },
};

/// How long any wait may take: much longer than it does.
const PATIENCE: Duration = Duration::from_secs(10);

const HEARTBEAT: Duration = Duration::from_secs(20);

/// The clock's smallest step.
const MICROSECOND: Duration = Duration::from_micros(1);

/// The faults of the journal.
#[derive(Default)]
struct Faults {
    /// Whether reads of events fail.
    is_failing: AtomicBool,
    /// Whether reads of events leave out the second event of each match.
    is_damaged: AtomicBool,
}

#[async_trait]
impl Hook for Faults {
    async fn around(&self, operation: Operation, running: Running<'_>) -> Result<Answer, Error> {
        let reads =
            matches!(operation, Operation::Events | Operation::Tail | Operation::Page { .. });
        match reads && self.is_failing.load(Ordering::Relaxed) {
            true => Err(Error::Unavailable(Arc::new(std::fmt::Error))),
            false => Ok(self.damaged(running.await?)),
        }
    }
}

impl Faults {
    fn damaged(&self, answer: Answer) -> Answer {
        match answer {
            Answer::Events(mut events) if self.is_damaged.load(Ordering::Relaxed) => {
                events.retain(|recorded| recorded.sequence != Sequence(2));
                Answer::Events(events)
            }
            answer => answer,
        }
    }
}

/// A replica's watch and its journal.
struct Harness {
    watch: Watch,
    journal: Memory,
    /// Reads the journal with its faults.
    reader: Arc<dyn Reader>,
    faults: Arc<Faults>,
    clock: Clock,
    hand: Hand,
    /// The sender of wake-ups that never come.
    _lost: Option<watch::Sender<()>>,
}

/// A watch over a journal, with the settings of all tests.
fn watch_of(feed: Feed, clock: &Clock) -> Watch {
    let store = Outage::new("the store", clock.clone());
    Watch::new(Config { heartbeat: HEARTBEAT }, feed, store, clock.clone())
}

impl Harness {
    /// A watch that doesn't follow the journal yet.
    fn new() -> Self {
        Self::at_store(1)
    }

    fn at_store(id: u64) -> Self {
        let (clock, hand) = Clock::manual(START);
        let journal = Memory::open(Arc::new(Mutex::new(Store::new(id))), clock.clone());
        Self::over(journal, clock, hand)
    }

    /// A watch that follows the journal.
    async fn started() -> Self {
        let house = Self::new();
        house.watch.start().await.unwrap();
        house
    }

    /// Another replica at the same store. It reads later events of this one at its next pulse.
    fn replica(&self) -> Self {
        let journal = Memory::join(self.journal.store(), self.clock.clone(), Duration::MAX);
        Self::over(journal, self.clock.clone(), self.hand.clone())
    }

    /// A watch that doesn't follow the journal yet, and whose wake-ups are lost.
    fn deaf() -> Self {
        let mut house = Self::new();
        let (lost, wake) = watch::channel(());
        let feed = Feed { reader: house.reader.clone(), wake, ..house.journal.handles().feed };
        house.watch = watch_of(feed, &house.clock);
        house._lost = Some(lost);
        house
    }

    fn over(journal: Memory, clock: Clock, hand: Hand) -> Self {
        let faults = Arc::<Faults>::default();
        let feed = intercept(journal.handles(), faults.clone()).feed;
        let reader = Arc::clone(&feed.reader);
        let watch = watch_of(feed, &clock);
        Self { watch, journal, reader, faults, clock, hand, _lost: None }
    }

    /// Sets the memory limits of pages, before the watch starts.
    fn limit_pages(&mut self, limits: PageLimits) {
        let inner = Arc::get_mut(&mut self.watch.0).expect("the watch has no clone yet");
        inner.pages.limits = limits;
    }

    fn pages(&self) -> &Pages {
        &self.watch.0.pages
    }

    /// Admits the n-th match.
    async fn admit(&self, n: u64) -> DrivenMatch {
        self.admit_with(n, plain_spec()).await
    }

    async fn admit_with(&self, n: u64, spec: Spec) -> DrivenMatch {
        match self.journal.admit(match_id(0, n), Arc::new(spec)).await.unwrap() {
            Admitted::New(first, claim) => {
                DrivenMatch { journal: self.journal.clone(), claim, events: vec![first] }
            }
            Admitted::Known(known) => panic!("{} is known", known.id),
        }
    }

    /// Admits this many matches, each of one event.
    async fn admit_many(&self, count: u64) {
        for n in 0..count {
            self.admit(n).await;
        }
    }

    /// Writes the n-th match from its first event to its closing one, which is the fourth.
    async fn run(&self, n: u64) -> DrivenMatch {
        let mut m = self.admit(n).await;
        for event in events_to_the_end(n) {
            m.append(event).await;
        }
        m
    }

    /// Erases the matches whose retention has ended.
    async fn retain(&self) {
        self.journal.tidy(Chore::EraseExpired, usize::MAX).await.unwrap();
    }

    async fn find(&self, m: &DrivenMatch) -> Match {
        self.watch.find(&plain_spec().tenant, &Key::Match(m.id())).await.unwrap()
    }

    async fn follow(&self, m: &DrivenMatch, after: u64) -> Follow {
        self.watch.follow(m.id(), Sequence(after), false).await.unwrap()
    }

    async fn follow_all(&self, token: &str) -> Result<FollowAll, Ended> {
        self.watch.follow_all(plain_spec().tenant, Filter::default(), token).await
    }
}

/// A match that the test writes.
struct DrivenMatch {
    journal: Memory,
    claim: Claim,
    events: Vec<Recorded>,
}

impl DrivenMatch {
    fn id(&self) -> MatchId {
        self.claim.match_id
    }

    async fn append(&mut self, event: Event) -> Recorded {
        let after = self.events[self.events.len() - 1].sequence;
        match self.journal.append(self.claim, after, event).await.unwrap() {
            Appended::Done(recorded) => {
                self.events.push(recorded.clone());
                recorded
            }
            refused => panic!("{} after {after:?}: {refused:?}", self.id()),
        }
    }
}

/// The three events that follow the first one of the n-th match.
fn events_to_the_end(n: u64) -> [Event; 3] {
    [uploaded(), started(&format!("analysis-{n}")), finished()]
}

fn at(position: u64) -> Cursor {
    Cursor { position: Position(position), incarnation: 1 }
}

/// Awaits a future that has to resolve soon.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("the future resolves")
}

/// Lets every task run until it waits.
async fn settle() {
    for _ in 0..100 {
        yield_now().await;
    }
}

/// The name of a stream's end.
fn name(ended: &Ended) -> &'static str {
    match ended {
        Ended::Absent => "absent",
        Ended::Ahead { .. } => "ahead",
        Ended::Expired => "expired",
        Ended::InvalidToken => "invalid token",
        Ended::Draining => "draining",
        Ended::Journal(_) => "journal",
    }
}
