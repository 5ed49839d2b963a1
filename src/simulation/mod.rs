//! A deterministic simulation of the service. Each history runs the worker and the watch over one
//! journal, with a model of Oz, callers, faults, crashes and simulated time, in one thread. A seed
//! repeats a history exactly. Each history must keep every invariant.
//!
//! Each process of the service has a runtime of its own. A crash drops that runtime, wherever its
//! tasks are. The store, Oz, and what callers remember outlive the process.

mod caller;
mod checks;
mod fairness;
mod fault_injection;
mod fleet;
mod library;
mod matrix;
mod outages;
mod oz;
mod seeds;
mod stretched;

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tempfile::TempDir;
use tokio::{runtime::Runtime, sync::Notify, task::JoinSet};

use crate::{
    clock::{Clock, Hand},
    domain::{Policy, Tenants, Timestamp},
    journal::{
        Handles, Reader,
        memory::{Memory, Store},
        sqlite::{self, Sqlite},
        suite::START,
    },
    outage::Outage,
    simulation::{
        caller::{Caller, Follower, Process},
        fault_injection::{FaultInjector, faulty},
        library::{LibraryModel, ModelLibraries},
        oz::{Model, Wire},
    },
    trace::Tracer,
    watch::{self, Watch},
    worker::{self, Worker},
};

/// The policy of all histories: the default one, but for a shorter retention.
pub const POLICY: Policy = Policy {
    poll_interval: Duration::from_secs(1),
    oz_settle: Duration::from_secs(5),
    photo_grace: Duration::from_secs(60),
    retention: Duration::from_secs(86_400),
};

/// The most simulated time of a history. A correct one takes less: matches have deadlines, and
/// there are few crashes.
const TIME_MAX: Duration = Duration::from_secs(3_600);

/// A store that outlives processes. Each history chooses its engine.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Opens the store for a process.
    async fn open(&self, clock: &Clock) -> Handles;
}

/// The engine in memory.
pub struct InMemory(Arc<Mutex<Store>>);

#[async_trait]
impl Engine for InMemory {
    async fn open(&self, clock: &Clock) -> Handles {
        Memory::open(Arc::clone(&self.0), clock.clone()).handles()
    }
}

/// The SQLite engine, on a real file.
pub struct OnDisk(TempDir);

impl OnDisk {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }
}

#[async_trait]
impl Engine for OnDisk {
    async fn open(&self, clock: &Clock) -> Handles {
        let path = self.0.path().join("facematch.db");
        let config = sqlite::Config {
            path,
            clock: clock.clone(),
            ticks: Clock::system(),
            readers: sqlite::READERS,
        };
        loop {
            match Sqlite::open(config.clone()).await {
                // The thread of a process that has crashed here ends by itself, a moment later.
                Err(sqlite::OpenError::InUse { .. }) => tokio::task::yield_now().await,
                opened => return opened.expect("the former process is gone").handles(),
            }
        }
    }
}

/// A history: what outlives its processes, and the faults and crashes that are planned.
pub struct History {
    pub seed: u64,
    pub clock: Clock,
    clock_hand: Hand,
    pub injector: Arc<FaultInjector>,
    pub oz: Arc<Model>,
    pub library: Arc<LibraryModel>,
    engine: Box<dyn Engine>,
    pub callers: Vec<Arc<Caller>>,
    /// A follower of all matches for each tenant.
    followers: Vec<Arc<Follower>>,
    /// The tenants that the operator has named.
    pub tenants: Tenants,
    /// Limits on requests to Oz.
    pub limits: worker::OzLimits,
    /// The times at which the process crashes, besides the injector's crash point.
    pub crash_times: VecDeque<Timestamp>,
    /// The probability that a write fails, 0 to 1.
    pub store_trouble: f64,
    /// How often the process has crashed.
    pub crashes: usize,
}

/// How a process ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Crashed,
    Finished,
}

impl History {
    /// A history without callers and faults, in memory.
    pub fn new(seed: u64) -> Self {
        Self::over(seed, Box::new(InMemory(Arc::new(Mutex::new(Store::new(seed))))))
    }

    /// The same, over a store of another engine.
    pub fn over(seed: u64, engine: Box<dyn Engine>) -> Self {
        let (clock, hand) = Clock::manual(START);
        let injector = Arc::new(FaultInjector::default());
        let oz = Arc::new(Model::new(clock.clone(), seed));
        let library = Arc::new(LibraryModel::new(clock.clone(), seed));
        Self {
            seed,
            clock,
            clock_hand: hand,
            injector,
            oz,
            library,
            engine,
            callers: Vec::new(),
            followers: Vec::new(),
            tenants: Tenants::default(),
            limits: worker::OzLimits { requests_max: 512, rate_max: None },
            crash_times: VecDeque::new(),
            store_trouble: 0.0,
            crashes: 0,
        }
    }

    /// The time so many seconds after the start.
    pub fn at(seconds: f64) -> Timestamp {
        START.after(Duration::from_secs_f64(seconds))
    }

    /// Runs until every match has ended, through as many processes as it takes, and checks the
    /// invariants.
    pub fn run(&mut self) {
        let tenants: BTreeSet<_> = self.callers.iter().map(|it| it.plan.tenant.clone()).collect();
        self.followers = tenants.into_iter().map(Follower::of).collect();
        while self.run_process() == End::Crashed {
            self.crashes += 1;
            self.injector.reset();
        }
    }

    fn run_process(&mut self) -> End {
        let parked = Arc::new(Notify::new());
        let runtime = runtime(Arc::clone(&parked));
        runtime.block_on(self.run_until_end_or_crash(&parked))
    }

    async fn run_until_end_or_crash(&mut self, parked: &Notify) -> End {
        let (house, reader) = self.open().await;
        let mut tasks = JoinSet::new();
        for caller in &self.callers {
            caller.attend(&house, self.crashes, &mut tasks);
        }
        let mut beside = JoinSet::new();
        for follower in &self.followers {
            beside.spawn(Arc::clone(follower).follow(Arc::clone(&house)));
        }
        loop {
            tokio::select! {
                biased;
                () = self.injector.crashed() => return End::Crashed,
                () = self.wait_until_idle(parked) => {}
            }
            while let Some(done) = tasks.try_join_next().or_else(|| beside.try_join_next()) {
                done.unwrap_or_else(|panic| self.fail(&panic.to_string()));
            }
            if tasks.is_empty() && house.worker.unfinished() == 0 {
                if house.worker.photo_memory().bytes() > 0 {
                    self.fail("photo memory is taken although all matches have ended");
                }
                let case = checks::Case {
                    oz: &self.oz,
                    library: &self.library,
                    callers: &self.callers,
                    disturbances: self.crashes,
                    again: self.reproduction(),
                };
                let all: Vec<_> =
                    self.followers.iter().map(|it| (it.tenant().clone(), it.updates())).collect();
                checks::check(&case, reader.as_ref(), &all).await;
                return End::Finished;
            }
            self.advance_time();
        }
    }

    /// Waits until every task waits for a later time, and the store has no operation in progress.
    async fn wait_until_idle(&self, parked: &Notify) {
        loop {
            parked.notified().await;
            if !self.injector.is_store_busy() {
                return;
            }
        }
    }

    /// Moves the time on to the next wake-up or the next crash.
    fn advance_time(&mut self) {
        let now = self.clock.now();
        if now.since(START) > TIME_MAX {
            let seen: Vec<_> = self.callers.iter().flat_map(|it| it.seen()).collect();
            self.fail(&format!("it doesn't end: {seen:?}, store trouble {}", self.store_trouble));
        }
        let next = self.clock_hand.next_wake().unwrap_or(Timestamp::MAX);
        let crash = self.crash_times.front().copied().unwrap_or(Timestamp::MAX);
        self.clock_hand.advance(next.min(crash).since(now));
        if crash <= next {
            self.crash_times.pop_front();
            self.injector.crash();
        }
    }

    async fn open(&self) -> (Arc<Process>, Arc<dyn Reader>) {
        let seed = self.seed + self.crashes as u64;
        let journal = self.engine.open(&self.clock).await;
        let journal = faulty(journal, &self.injector, seed, self.store_trouble);
        let reader = Arc::clone(&journal.feed.reader);
        let digest_key = journal.feed.identity.keys.digest;
        let config = watch::Config { heartbeat: Duration::from_secs(20) };
        let store = Outage::new("the store", self.clock.clone());
        let watch = Watch::new(config, journal.feed.clone(), store.clone(), self.clock.clone());
        let random = Mutex::new(StdRng::seed_from_u64(seed));
        let chance = move || random.lock().expect("it is never poisoned").random_range(0.0..1.0);
        let chance: Arc<dyn Fn() -> f64 + Send + Sync> = Arc::new(chance);
        let libraries =
            ModelLibraries::new(&self.library, &self.injector, &self.clock, chance.clone());
        let with = worker::Collaborators {
            journal,
            oz: Arc::new(Wire {
                oz: Arc::clone(&self.oz),
                injector: Arc::clone(&self.injector),
                journal: None,
            }),
            libraries,
            clock: self.clock.clone(),
            progress: Arc::new(|_, _| {}),
            chance,
            store,
            tracer: Tracer::off(),
            tenants: {
                let tenants = self.tenants.clone();
                Arc::new(move || tenants.clone())
            },
        };
        let config = worker::Config {
            policy: POLICY,
            unfinished_max: 10_000,
            photo_bytes_max: 1 << 20,
            oz: self.limits,
        };
        let worker = Worker::new(config, with);
        watch.start().await.expect("the journal can be read");
        worker.start().await.expect("the journal can be written");
        (Arc::new(Process { worker, watch, clock: self.clock.clone(), digest_key }), reader)
    }

    /// Panics with the seed that repeats the failure.
    pub fn fail(&self, what: &str) -> ! {
        panic!("{}: {what}", self.reproduction());
    }

    fn reproduction(&self) -> String {
        format!("seed {}, after {} crashes, at {:?}", self.seed, self.crashes, self.clock.now())
    }
}

/// A runtime of one thread that notifies when no task is ready to run.
fn runtime(parked: Arc<Notify>) -> Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park(move || parked.notify_waiters())
        .build();
    runtime.expect("a runtime")
}
