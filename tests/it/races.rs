//! Races that no caller can provoke: the worker and the watch over a store whose answers are
//! delayed or lost.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use facematch::{
    clock::{Clock, Hand},
    domain::{
        FolderId, Format, LivenessPolicy, Match, MatchId, PhotoKind, PhotoSource, Policy, Sequence,
        Spec, State, TenantId, Tenants, Timeout, Timestamp,
    },
    journal::{
        Filter, Key,
        sqlite::{self, Sqlite},
    },
    outage::Outage,
    oz,
    simulator::{Simulator, sample},
    trace::Tracer,
    watch::{self, Update, Watch},
    worker::{self, Worker, photo_memory::Photo},
};
use futures_util::poll;
use tempfile::TempDir;

use crate::{
    canary::Inspection,
    faulty_store::FaultyStore,
    support::{JOURNAL, portrait},
};

/// The first page that streams of all matches read.
const PAGE_OF_ALL: usize = 8;
/// Tests move the clock only to wake-ups nearer than this, which a match's deadline is not.
const NEAR: Duration = Duration::from_secs(5);
/// The pause before the clock is moved again. The simulator answers in real time meanwhile: without
/// a pause, a busy machine would let minutes of a match pass during one request.
const PACE: Duration = Duration::from_millis(10);

/// The worker and the watch over a faulty store, with a simulated Oz and a manual clock.
struct WorkerAndWatch {
    _inspection: Inspection,
    oz: Simulator,
    store: FaultyStore,
    worker: Worker,
    watch: Watch,
    clock: Clock,
    hand: Hand,
    _directory: TempDir,
}

impl WorkerAndWatch {
    async fn new() -> Self {
        let oz = crate::support::simulator().await;
        oz.switch(|switches| switches.processing_ms = 0);
        let directory = tempfile::tempdir().unwrap();
        let (clock, hand) = Clock::manual(Timestamp::from_micros(1_700_000_000_000_000));
        let path = directory.path().join(JOURNAL);
        let _inspection = Inspection::begin(path.clone());
        let config =
            sqlite::Config { path, clock: clock.clone(), ticks: Clock::system(), readers: 4 };
        let store = FaultyStore::new(&Sqlite::open(config).await.unwrap());
        let heartbeat = Duration::from_secs(3_600);
        let outage = Outage::new("the store", clock.clone());
        let watch = Watch::new(
            watch::Config { heartbeat },
            store.journal.feed.clone(),
            outage,
            clock.clone(),
        );
        let worker = Worker::new(worker_config(), collaborators(&oz, &store, &clock));
        Self { _inspection, oz, store, worker, watch, clock, hand, _directory: directory }
    }

    /// Admits a match of the portrait.
    async fn admit(&self) -> Match {
        let folder = self.oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
        let bytes = portrait();
        let digest = self.store.journal.feed.identity.keys.digest.digest(&bytes);
        let place = self.worker.photo_memory().reserve(&TenantId::default_tenant(), bytes.len());
        let place = place.expect("room");
        let source = PhotoSource::Content { digest, format: Format::Jpeg };
        let photo = Some(Photo::new(bytes, place));
        self.worker.admit(spec(folder.parse().unwrap(), source), photo).await.unwrap()
    }

    /// Writes a match that has no driver.
    async fn write(&self) -> Match {
        let source = PhotoSource::FolderMedia("medium".parse().unwrap());
        let spec = spec(FolderId::from_uuid(uuid::Uuid::nil()), source);
        let id = MatchId::from_uuid(uuid::Uuid::now_v7());
        self.store.journal.writer.admit(id, Arc::new(spec)).await.unwrap();
        let key = Key::Match(id);
        self.watch.find(&TenantId::default_tenant(), &key).await.unwrap()
    }

    /// Moves the clock from one wake-up to the next until the match ends.
    async fn end(&self, m: Match) -> Match {
        let id = m.id;
        let mut follow = self.watch.follow(m.id, Sequence::ZERO, false).await.unwrap();
        let mut last = None;
        loop {
            tokio::select! {
                update = follow.next() => match update {
                    Some(Ok(Update::Event(entry))) => last = Some(Arc::clone(&entry.snapshot)),
                    Some(other) => panic!("{id}: {other:?}"),
                    None => return (*last.expect("a last update")).clone(),
                },
                () = tokio::time::sleep(PACE) => self.advance_to_next_wake(),
            }
        }
    }

    fn advance_to_next_wake(&self) {
        let now = self.clock.now();
        if let Some(wake) = self.hand.next_wake().filter(|wake| wake.since(now) <= NEAR) {
            self.hand.advance(wake.since(now));
        }
    }
}

fn worker_config() -> worker::Config {
    let second = Duration::from_secs(1);
    let policy = Policy {
        poll_interval: second,
        oz_settle: second,
        photo_grace: second,
        retention: second * 3_600,
    };
    let oz = worker::OzLimits { requests_max: 100, rate_max: None };
    worker::Config { policy, unfinished_max: 100, oz, photo_bytes_max: 1 << 20 }
}

fn collaborators(oz: &Simulator, store: &FaultyStore, clock: &Clock) -> worker::Collaborators {
    let (login, password) = oz.login();
    let credentials =
        oz::Credentials::Login { email: login.to_owned(), password: password.to_owned().into() };
    let config = oz::Config::new(oz.url(), credentials);
    worker::Collaborators {
        journal: store.journal.clone(),
        libraries: Arc::new(facematch::library::NoLibraries),
        oz: Arc::new(oz::Client::new(config, clock.clone(), Arc::new(|| 0.5)).unwrap()),
        clock: clock.clone(),
        progress: Arc::new(|_, _| {}),
        chance: Arc::new(|| 0.5),
        store: Outage::new("the store", clock.clone()),
        tracer: Tracer::off(),
        tenants: Arc::new(Tenants::default),
    }
}

fn spec(folder_id: FolderId, photo: PhotoSource) -> Spec {
    Spec {
        tenant: TenantId::default_tenant(),
        request_id: None,
        folder_id,
        photo,
        kind: PhotoKind::Selfie,
        timeout: Timeout { duration: Duration::from_secs(1_200), named: false },
        liveness_media: Vec::new(),
        liveness_policy: LivenessPolicy::Report,
        labels: BTreeMap::new(),
        trace: None,
    }
}

#[tokio::test]
async fn a_driver_keeps_its_match_while_the_outcome_of_a_write_is_unknown() {
    let halves = WorkerAndWatch::new().await;
    halves.watch.start().await.unwrap();
    let m = halves.admit().await;
    halves.store.faults.appends_reported_failed.store(1, Ordering::SeqCst);
    halves.store.faults.reads_failing.store(3, Ordering::SeqCst);
    // The watch reads as well, and a failing read would end its stream.
    while halves.store.faults.reads_failing.load(Ordering::SeqCst) > 0 {
        halves.advance_to_next_wake();
        tokio::time::sleep(PACE).await;
    }
    let ended = halves.end(m).await;
    assert_eq!((ended.state, ended.sequence), (State::Finished, Sequence(4)));
    let uploads = halves.oz.record().iter().filter(|asked| !asked.uploads.is_empty()).count();
    assert_eq!(uploads, 1);
}

#[tokio::test]
async fn a_match_cancelled_as_it_becomes_durable_sends_no_request_to_oz() {
    let halves = WorkerAndWatch::new().await;
    halves.watch.start().await.unwrap();
    halves.store.faults.canceller.set(halves.worker.clone()).ok().unwrap();
    let m = halves.admit().await;
    assert_eq!(halves.end(m).await.state, State::Cancelled);
    while halves.worker.unfinished() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(halves.oz.record().len(), 0);
    assert_eq!(halves.worker.photo_memory().photos(), 0);
}

#[tokio::test]
async fn a_watcher_that_joins_during_a_read_waits_for_its_result() {
    let halves = WorkerAndWatch::new().await;
    let m = halves.write().await;
    halves.store.faults.events.shut();
    let mut first = Box::pin(halves.watch.follow(m.id, Sequence::ZERO, false));
    let mut second = Box::pin(halves.watch.follow(m.id, Sequence::ZERO, false));
    tokio::select! {
        () = halves.store.faults.events.arrival() => {}
        _ = &mut first => panic!("the read is still blocked"),
    }
    assert!(poll!(second.as_mut()).is_pending(), "the second watcher doesn't wait for the read");
    halves.store.faults.events.open();
    let (first, second) = tokio::join!(first, second);
    for follow in [first, second] {
        let update = follow.unwrap().next().await;
        assert!(matches!(update, Some(Ok(Update::Event(_)))), "{update:?}");
    }
}

#[tokio::test]
async fn a_watcher_that_leaves_during_its_read_costs_others_no_update() {
    let halves = WorkerAndWatch::new().await;
    let m = halves.write().await;
    halves.store.faults.events.shut();
    let mut first = Box::pin(halves.watch.follow(m.id, Sequence::ZERO, false));
    let second = halves.watch.follow(m.id, Sequence::ZERO, false);
    tokio::select! {
        () = halves.store.faults.events.arrival() => {}
        _ = &mut first => panic!("the read is still blocked"),
    }
    let mut second = Box::pin(second);
    assert!(poll!(second.as_mut()).is_pending());
    drop(first);
    halves.store.faults.events.open();
    let update = second.await.unwrap().next().await;
    assert!(matches!(update, Some(Ok(Update::Event(_)))), "{update:?}");
    assert_eq!(halves.watch.watched(), 0);
}

#[tokio::test]
async fn a_stream_ends_as_not_found_when_its_match_is_erased() {
    let halves = WorkerAndWatch::new().await;
    let m = halves.write().await;
    let mut stream = halves.watch.follow(m.id, Sequence::ZERO, false).await.unwrap();
    assert!(matches!(stream.next().await, Some(Ok(Update::Event(_)))));
    let mut waiting = Box::pin(stream.next());
    assert!(poll!(waiting.as_mut()).is_pending());
    let tenant = TenantId::default_tenant();
    halves.worker.cancel(&tenant, &Key::Match(m.id)).await.unwrap();
    halves.worker.delete(&tenant, &Key::Match(m.id)).await.unwrap();
    halves.watch.erased(m.id);
    let update = waiting.await;
    assert!(matches!(update, Some(Err(watch::Ended::Absent))), "{update:?}");
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_stream_of_all_does_not_rely_on_a_read_that_began_before_an_event() {
    let halves = WorkerAndWatch::new().await;
    let m = halves.write().await;
    halves.watch.start().await.unwrap();
    let mut live = halves.watch.follow(m.id, m.sequence, false).await.unwrap();
    let follow = || halves.watch.follow_all(TenantId::default_tenant(), Filter::default(), "");
    let (mut first, mut second) = (follow().await.unwrap(), follow().await.unwrap());
    for stream in [&mut first, &mut second] {
        let update = stream.next().await;
        assert!(matches!(update, Some(Ok(Update::Heartbeat { .. }))), "{update:?}");
    }
    halves.store.faults.page_limit.store(PAGE_OF_ALL, Ordering::SeqCst);
    halves.store.faults.pages.shut();
    let mut reading = Box::pin(first.next());
    tokio::select! {
        () = halves.store.faults.pages.arrival() => {}
        update = &mut reading => panic!("there is no event yet: {update:?}"),
    }
    // The read in flight has found no event. Now an event is written, and all streams are notified.
    let key = Key::Match(m.id);
    halves.worker.cancel(&TenantId::default_tenant(), &key).await.unwrap();
    let update = live.next().await;
    assert!(matches!(update, Some(Ok(Update::Event(_)))), "{update:?}");
    let mut coming = Box::pin(second.next());
    assert!(poll!(coming.as_mut()).is_pending());
    halves.store.faults.pages.open();
    let (one, other) = tokio::join!(reading, coming);
    for update in [one, other] {
        assert!(matches!(update, Some(Ok(Update::Event(_)))), "{update:?}");
    }
}

#[tokio::test]
async fn a_worker_with_endless_erasures_stops_at_a_drain() {
    let halves = WorkerAndWatch::new().await;
    halves.store.faults.endlessly_expired.store(true, Ordering::SeqCst);
    halves.worker.start().await.unwrap();
    let stopped = tokio::time::timeout(NEAR, halves.worker.drain(NEAR));
    stopped.await.expect("a drain doesn't wait for erasures");
}
