//! One life of a replica, in a runtime of its own, and the runtime of everything outside the
//! replicas.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{
    runtime::{Handle, Runtime},
    sync::Notify,
};

use crate::{
    clock::Clock,
    domain::Tenants,
    journal::memory::Memory,
    outage::Outage,
    simulation::{
        POLICY,
        caller::Process,
        fault_injection::{FaultInjector, faulty},
        fleet::{LEASE, client::Door},
        library::{LibraryModel, ModelLibraries},
        oz::{Model, Wire},
        runtime,
    },
    trace::Tracer,
    watch::{self, Watch},
    worker::{self, Worker},
};

/// How many times a lease is renewed within its length.
const RENEWALS: u32 = 4;

/// The drain timeout of a replica.
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// A runtime that runs until no task is ready.
pub struct Outside {
    runtime: Runtime,
    parked: Arc<Notify>,
}

/// One life of a replica.
pub struct Life {
    runtime: Outside,
    house: Arc<Process>,
    journal: Memory,
    pub injector: Arc<FaultInjector>,
    /// Whether the replica is paused: its runtime gets no turn.
    pub is_paused: bool,
    has_drained: Arc<AtomicBool>,
}

/// What a replica reaches beside its store.
pub struct Outer {
    pub oz: Arc<Model>,
    pub library: Arc<LibraryModel>,
}

/// How a turn of a replica's runtime ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Every task waits.
    Quiet,
    /// It has crashed.
    Crashed,
    /// It has drained.
    Drained,
    /// It is paused at a point of an operation.
    Paused,
}

/// The random parameters of a life.
pub struct Chances {
    pub seed: u64,
    /// The probability that a write fails, 0 to 1.
    pub store_trouble: f64,
    /// The delay of notifications from other replicas.
    pub lag: Duration,
}

impl Outside {
    pub fn new() -> Self {
        let parked = Arc::new(Notify::new());
        Self { runtime: runtime(Arc::clone(&parked)), parked }
    }

    pub fn handle(&self) -> &Handle {
        self.runtime.handle()
    }

    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Runs until every task waits.
    pub fn run(&self) {
        self.runtime.block_on(self.parked.notified());
    }

    /// Whether no task was woken since from another runtime.
    pub fn is_quiet(&self) -> bool {
        self.runtime.metrics().global_queue_depth() == 0
    }
}

impl Life {
    /// A started process, which has claimed the unclaimed matches.
    pub fn begin(
        journal: Memory,
        injector: Arc<FaultInjector>,
        outer: &Outer,
        clock: &Clock,
        chances: Chances,
    ) -> Self {
        let rest = Outside::new();
        let wire = Wire {
            oz: Arc::clone(&outer.oz),
            injector: Arc::clone(&injector),
            journal: Some(journal.clone()),
        };
        let house = house(&journal, &injector, wire, &outer.library, clock, &chances);
        rest.block_on(async {
            house.watch.start().await.expect("the journal can be read");
            house.worker.start().await.expect("the journal can be written");
        });
        let beating = beat(journal.clone(), Arc::clone(&injector), clock.clone(), chances.lag);
        spawn(&rest, beating);
        let has_drained = Arc::new(AtomicBool::new(false));
        Self {
            runtime: rest,
            house: Arc::new(house),
            journal,
            injector,
            is_paused: false,
            has_drained,
        }
    }

    /// The way for callers into this replica.
    pub fn door(&self) -> Door {
        Door { handle: self.runtime.handle().clone(), house: Arc::clone(&self.house) }
    }

    /// Runs until every task waits, or the replica has crashed, drained or paused.
    pub fn run(&mut self) -> End {
        let lives = self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.injector.crashed() => false,
                () = self.runtime.parked.notified() => true,
            }
        });
        let has_drained = self.has_drained.load(Ordering::Relaxed);
        match (lives, has_drained, self.injector.is_paused()) {
            (false, ..) => End::Crashed,
            (true, true, _) => End::Drained,
            (true, false, true) => End::Paused,
            (true, false, false) => End::Quiet,
        }
    }

    /// Whether no task was woken since from another runtime.
    pub fn is_quiet(&self) -> bool {
        self.runtime.is_quiet()
    }

    /// Begins a drain.
    pub fn drain(&self) {
        let (house, has_drained) = (Arc::clone(&self.house), Arc::clone(&self.has_drained));
        spawn(&self.runtime, async move {
            house.worker.drain(DRAIN_TIME).await;
            house.watch.drain().await;
            has_drained.store(true, Ordering::Relaxed);
        });
    }

    /// How many bytes its photo memory holds.
    pub fn photo_bytes(&self) -> usize {
        self.house.worker.photo_memory().bytes()
    }

    /// Ends the life, wherever its tasks are.
    pub fn end(self) {
        self.journal.die();
    }
}

/// The two halves of the service, as one process.
fn house(
    journal: &Memory,
    injector: &Arc<FaultInjector>,
    wire: Wire,
    library: &Arc<LibraryModel>,
    clock: &Clock,
    chances: &Chances,
) -> Process {
    let journal = faulty(journal.handles(), injector, chances.seed, chances.store_trouble);
    let digest_key = journal.feed.identity.keys.digest;
    let config = watch::Config { heartbeat: Duration::from_secs(20) };
    let store = Outage::new("the store", clock.clone());
    let watch = Watch::new(config, journal.feed.clone(), store.clone(), clock.clone());
    let random = Mutex::new(StdRng::seed_from_u64(chances.seed));
    let chance = move || random.lock().expect("it is never poisoned").random_range(0.0..1.0);
    let chance: Arc<dyn Fn() -> f64 + Send + Sync> = Arc::new(chance);
    let libraries = ModelLibraries::new(library, injector, clock, chance.clone());
    let with = worker::Collaborators {
        journal,
        oz: Arc::new(wire),
        libraries,
        clock: clock.clone(),
        progress: Arc::new(|_, _| {}),
        chance,
        store,
        tracer: Tracer::off(),
        tenants: Arc::new(Tenants::default),
    };
    let config = worker::Config {
        policy: POLICY,
        unfinished_max: 10_000,
        photo_bytes_max: 1 << 20,
        oz: worker::OzLimits { requests_max: 512, rate_max: None },
    };
    Process { worker: Worker::new(config, with), watch, clock: clock.clone(), digest_key }
}

/// What PostgreSQL's engine does in the background: renews the lease, and learns what other
/// replicas have written.
async fn beat(journal: Memory, injector: Arc<FaultInjector>, clock: Clock, lag: Duration) {
    let mut bell = journal.bell();
    loop {
        bell.mark_unchanged();
        if !injector.is_cut_off() {
            journal.pulse();
        }
        tokio::select! {
            biased;
            Ok(()) = bell.changed() => clock.sleep(lag).await,
            () = clock.sleep(LEASE / RENEWALS) => {}
        }
    }
}

/// Spawns a task that ends with its runtime.
fn spawn(rest: &Outside, task: impl Future<Output = ()> + Send + 'static) {
    drop(rest.handle().spawn(task));
}
