//! A model of the photo library as a value: it holds a photo for each key, and fails as it is told.
//!
//! Each read is an operation of the fault injector. A process reaches the model through a
//! [`ModelLibraries`] of its own, so that circuit breakers and slots die with the process.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{
    clock::Clock,
    domain::{KeyForm, LibraryFault, ReferenceKey, TenantId, Timestamp},
    library::{Libraries, Library, LibrarySource, READ_TIMEOUT, Room, SourceError, SourceKind},
    metrics::LibraryMetrics,
    simulation::fault_injection::{FaultInjector, Point},
    sync::lock,
};

/// The least time of every answer.
const LATENCY: Duration = Duration::from_millis(20);

/// What a read does instead of returning its photo. Each passes, and no match may be harmed. Seeds
/// draw from it by place, so a known seed repeats its history only as long as no place changes.
pub const READ_FAULTS: &[ReadFault] = &[
    ReadFault::Unreachable,
    ReadFault::Hangs,
    ReadFault::Slow,
    ReadFault::NoRoom,
    ReadFault::Interrupted,
];

/// How one read goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadFault {
    /// The library can't be reached.
    Unreachable,
    /// It never answers.
    Hangs,
    /// It answers just before the timeout.
    Slow,
    /// There is no memory for the photo.
    NoRoom,
    /// The connection breaks while the photo is read.
    Interrupted,
}

/// An outage of the library.
#[derive(Clone, Copy)]
pub struct Outage {
    pub from: Timestamp,
    pub to: Timestamp,
    pub fault: ReadFault,
}

/// A read that has reached the library.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Read {
    pub time: Timestamp,
    pub key: ReferenceKey,
    /// Whether the library has sent the photo.
    pub is_whole: bool,
}

/// The model. It survives every crash of the service.
pub struct LibraryModel {
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    random: StdRng,
    /// ReadFaults by the number of their operation.
    scripted: BTreeMap<usize, ReadFault>,
    /// How many of these faults there were.
    faults: usize,
    /// The probability of a fault of every other read.
    fault_chance: f64,
    outage: Option<Outage>,
    reads: Vec<Read>,
}

/// The libraries of one process: one for each tenant, each with a circuit breaker of its own.
pub struct ModelLibraries {
    open: Mutex<BTreeMap<String, Arc<Library>>>,
    source: Arc<dyn LibrarySource>,
    clock: Clock,
    chance: Arc<dyn Fn() -> f64 + Send + Sync>,
}

/// The connection of a process to the model.
struct Wire {
    model: Arc<LibraryModel>,
    injector: Arc<FaultInjector>,
}

/// The key of a request: each request has its own.
pub fn key_of(request: &str) -> ReferenceKey {
    ReferenceKey::parse(&format!("people/{request}"), KeyForm::Path).expect("a key")
}

/// The key of a request that the library has no photo for.
pub fn missing_key_of(request: &str) -> ReferenceKey {
    ReferenceKey::parse(&format!("missing/{request}"), KeyForm::Path).expect("a key")
}

/// The photo of a key, which no other key has.
pub fn photo_of(key: &ReferenceKey) -> Bytes {
    let mut photo = include_bytes!("../../fuzz/corpus/photo/control-sound.jpg").to_vec();
    photo.extend_from_slice(key.as_str().as_bytes());
    photo.into()
}

impl LibraryModel {
    /// A library that has a photo for each key of [`key_of`].
    pub fn new(clock: Clock, seed: u64) -> Self {
        let state = State {
            random: StdRng::seed_from_u64(seed),
            scripted: BTreeMap::new(),
            faults: 0,
            fault_chance: 0.0,
            outage: None,
            reads: Vec::new(),
        };
        Self { clock, state: Mutex::new(state) }
    }

    /// Makes the n-th operation of the history go wrong, if it is a read.
    pub fn fail_at(&self, n: usize, fault: ReadFault) {
        self.lock().scripted.insert(n, fault);
    }

    /// How many reads have gone wrong by [`Self::fail_at`].
    pub fn faults(&self) -> usize {
        self.lock().faults
    }

    /// Makes every read go wrong with this probability.
    pub fn fail_often(&self, chance: f64) {
        self.lock().fault_chance = chance;
    }

    /// Starts and ends an outage, at its times.
    pub fn go_out(&self, outage: Outage) {
        self.lock().outage = Some(outage);
    }

    /// All reads that have reached the library, in their order.
    pub fn reads(&self) -> Vec<Read> {
        self.lock().reads.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    async fn answer(
        &self,
        injector: &FaultInjector,
        n: usize,
        key: &ReferenceKey,
        room: &mut dyn Room,
    ) -> Result<Bytes, SourceError> {
        let (fault, read) = self.lock().begin(n, key, self.clock.now());
        self.clock.sleep(LATENCY).await;
        injector.pass(n, Point::Acted).await;
        match fault {
            Some(ReadFault::Unreachable) => return Err(unreachable("no connection")),
            Some(ReadFault::Hangs) => std::future::pending().await,
            Some(ReadFault::Slow) => self.clock.sleep(READ_TIMEOUT.mul_f64(0.9)).await,
            Some(ReadFault::NoRoom) => return Err(SourceError::NoRoom),
            Some(ReadFault::Interrupted) | None => {}
        }
        if !key.as_str().starts_with("people/") {
            return Err(SourceError::Fault(LibraryFault::NotFound, "no such object".into()));
        }
        let photo = photo_of(key);
        if !room.grow_to(photo.len()) {
            return Err(SourceError::NoRoom);
        }
        if fault == Some(ReadFault::Interrupted) {
            return Err(unreachable("the connection broke"));
        }
        self.lock().reads[read].is_whole = true;
        Ok(photo)
    }
}

impl State {
    /// Notes a read, and draws its fault. Returns the place of the read, too.
    fn begin(
        &mut self,
        n: usize,
        key: &ReferenceKey,
        now: Timestamp,
    ) -> (Option<ReadFault>, usize) {
        self.reads.push(Read { time: now, key: key.clone(), is_whole: false });
        (self.fault(n, now), self.reads.len() - 1)
    }

    fn fault(&mut self, n: usize, now: Timestamp) -> Option<ReadFault> {
        if let Some(fault) = self.scripted.get(&n) {
            self.faults += 1;
            return Some(*fault);
        }
        if let Some(outage) = self.outage.filter(|it| it.from <= now && now < it.to) {
            return Some(outage.fault);
        }
        let due = self.fault_chance > 0.0 && self.random.random_bool(self.fault_chance);
        due.then(|| READ_FAULTS[self.random.random_range(0..READ_FAULTS.len())])
    }
}

impl ModelLibraries {
    /// The libraries of a process that has not read anything yet.
    pub fn new(
        model: &Arc<LibraryModel>,
        injector: &Arc<FaultInjector>,
        clock: &Clock,
        chance: Arc<dyn Fn() -> f64 + Send + Sync>,
    ) -> Arc<Self> {
        let (model, injector) = (Arc::clone(model), Arc::clone(injector));
        let source = Arc::new(Wire { model, injector });
        Arc::new(Self { open: Mutex::default(), source, clock: clock.clone(), chance })
    }
}

impl Libraries for ModelLibraries {
    fn library(&self, tenant: &TenantId) -> Option<Arc<Library>> {
        let mut open = lock(&self.open);
        let library = open.entry(tenant.to_string()).or_insert_with(|| {
            let (source, chance) = (Arc::clone(&self.source), Arc::clone(&self.chance));
            let (clock, metrics) = (self.clock.clone(), LibraryMetrics::default());
            Arc::new(Library::new(tenant.clone(), source, clock, chance, metrics))
        });
        Some(Arc::clone(library))
    }
}

#[async_trait]
impl LibrarySource for Wire {
    fn kind(&self) -> SourceKind {
        SourceKind::S3
    }

    async fn read(&self, key: &ReferenceKey, room: &mut dyn Room) -> Result<Bytes, SourceError> {
        let n = self.injector.begin(Point::Before).await;
        let answer = self.model.answer(&self.injector, n, key, room).await;
        self.injector.pass(n, Point::After).await;
        answer
    }

    async fn check(&self) -> Result<(), SourceError> {
        Ok(())
    }
}

fn unreachable(why: &str) -> SourceError {
    SourceError::Fault(LibraryFault::Unreachable, why.into())
}
