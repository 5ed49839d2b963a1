//! Histories of several replicas over one store. Each replica may crash, pause, be cut off from the
//! store, or drain, while callers move from one to another.
//!
//! Each replica has a runtime of its own; callers and followers share another one. The runtimes
//! take turns, in one thread, until no task is ready; then time is moved on. A replica whose
//! runtime gets no turn is paused, like a process that the operating system has stopped.

mod client;
mod replica;
mod seeds;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::task::JoinSet;

use crate::{
    clock::{Clock, Hand},
    domain::{TenantId, Timestamp},
    journal::{
        memory::{Memory, Store},
        suite::START,
    },
    simulation::{
        caller::Caller,
        checks,
        fault_injection::FaultInjector,
        fleet::{
            client::{Client, Doors, Follower},
            replica::{End, Life, Outer, Outside},
        },
        library::LibraryModel,
        oz::Model,
    },
    sync::lock,
};

/// The length of a replica's lease.
pub const LEASE: Duration = Duration::from_secs(10);

/// The most simulated time of a history. A correct one takes less: matches have deadlines, and
/// there are few strikes.
const TIME_MAX: Duration = Duration::from_secs(3_600);

/// How long the fleet continues after all matches have ended and all replicas are healed. Within
/// this time, a replica that was paused would have acted on a claim that it has lost, if it ever
/// does.
const RUN_ON: Duration = Duration::from_secs(40);

/// How long followers of all matches may lag after that.
const CATCHING_UP: Duration = Duration::from_secs(120);

/// The most turns of the runtimes before time moves on. No correct history needs as many.
const TURNS_MAX: usize = 10_000;

/// What happens to a replica. `tests/it` has the same words for its processes, where a replica
/// crashes by being killed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Strike {
    /// It crashes.
    Crash,
    /// It is started again, if it is down.
    Start,
    /// It drains.
    Drain,
    /// It is paused.
    Pause,
    /// It resumes where it was paused.
    Resume,
    /// It is cut off from the store.
    CutOff,
    /// It reaches the store again.
    Heal,
}

/// A history of several replicas: what outlives them, and the strikes that are planned.
pub struct Fleet {
    pub seed: u64,
    pub clock: Clock,
    hand: Hand,
    /// Counts the operations of all replicas.
    pub injector: FaultInjector,
    pub oz: Arc<Model>,
    pub library: Arc<LibraryModel>,
    store: Arc<Mutex<Store>>,
    pub callers: Vec<Arc<Caller>>,
    /// How many followers of all matches there are.
    pub followers: usize,
    /// The probability that a write fails, 0 to 1.
    pub write_failure_probability: f64,
    /// The delay of notifications between replicas.
    pub lag: Duration,
    /// How soon a replica that is down is started again.
    pub restart_delay: Duration,
    /// How long a replica that the injector pauses stays paused.
    pub pause_length: Duration,
    /// By how many microseconds the clock of each replica is ahead when it starts.
    pub clock_skews_micros: Vec<i64>,
    /// The probability that a caller changes replicas after an update, 0 to 1.
    pub move_probability: f64,
    strikes: BTreeMap<(Timestamp, usize), (usize, Strike)>,
    strikes_planned: usize,
    replicas: Vec<Option<Life>>,
    endpoints: Arc<Doors>,
    outside: Outside,
    /// How often a replica has been started: each start begins a new life.
    lives: u64,
    /// How many strikes have done harm.
    pub harmful_strikes: usize,
}

impl Fleet {
    /// A fleet of so many replicas, without callers and strikes.
    pub fn new(seed: u64, replicas: usize) -> Self {
        let (clock, hand) = Clock::manual(START);
        Self {
            seed,
            oz: Arc::new(Model::new(clock.clone(), seed)),
            library: Arc::new(LibraryModel::new(clock.clone(), seed)),
            clock,
            hand,
            injector: FaultInjector::default(),
            store: Arc::new(Mutex::new(Store::new(seed))),
            callers: Vec::new(),
            followers: 1,
            write_failure_probability: 0.0,
            lag: Duration::from_millis(5),
            restart_delay: Duration::from_secs(1),
            pause_length: 2 * LEASE,
            clock_skews_micros: vec![0; replicas],
            move_probability: 0.0,
            strikes: BTreeMap::new(),
            strikes_planned: 0,
            replicas: (0..replicas).map(|_| None).collect(),
            endpoints: Arc::new(Doors::new(replicas)),
            outside: Outside::new(),
            lives: 0,
            harmful_strikes: 0,
        }
    }

    /// Plans a strike at a replica.
    pub fn plan_strike(&mut self, time: Timestamp, replica: usize, strike: Strike) {
        self.strikes_planned += 1;
        self.strikes.insert((time, self.strikes_planned), (replica, strike));
    }

    /// Runs until every match has ended, and for [`RUN_ON`] longer, then checks the invariants.
    pub fn run(&mut self) {
        for replica in 0..self.replicas.len() {
            self.start(replica);
        }
        let mut random = StdRng::seed_from_u64(self.seed);
        let mut clients = self.clients(&mut random);
        let (everything, mut following) = self.follow_all(&mut random);
        while !clients.is_empty() || self.unfinished() > 0 {
            self.turn(&mut clients, &mut following);
            self.move_on();
        }
        self.heal();
        let until = self.clock.now().after(RUN_ON);
        let late = until.after(CATCHING_UP);
        while self.clock.now() < until
            || everything.iter().any(|it| it.updates().len() < self.event_count())
        {
            self.turn(&mut clients, &mut following);
            if self.clock.now() > late {
                self.tell("a stream of all matches lags");
            }
            self.move_on();
        }
        self.check(&everything);
    }

    fn clients(&self, random: &mut StdRng) -> JoinSet<()> {
        let mut clients = JoinSet::new();
        for caller in &self.callers {
            for copy in 0..caller.copies().len() {
                let random = StdRng::seed_from_u64(random.random());
                let client = Client {
                    caller: Arc::clone(caller),
                    copy,
                    doors: Arc::clone(&self.endpoints),
                    clock: self.clock.clone(),
                    random,
                    restless: self.move_probability,
                };
                clients.spawn_on(client.run(), self.outside.handle());
            }
            let random = StdRng::seed_from_u64(random.random());
            if let Some(time) = caller.plan.cancels {
                let (caller, doors) = (Arc::clone(caller), Arc::clone(&self.endpoints));
                let cancelling = client::cancel(caller, doors, self.clock.clone(), time, random);
                clients.spawn_on(cancelling, self.outside.handle());
            }
        }
        clients
    }

    fn follow_all(&self, random: &mut StdRng) -> (Vec<Arc<Follower>>, JoinSet<()>) {
        let mut following = JoinSet::new();
        let followers = (0..self.followers).map(|_| {
            let everything = Arc::new(Follower::default());
            let follow = Arc::clone(&everything).follow(
                Arc::clone(&self.endpoints),
                self.clock.clone(),
                StdRng::seed_from_u64(random.random()),
                self.move_probability,
            );
            following.spawn_on(follow, self.outside.handle());
            everything
        });
        (followers.collect(), following)
    }

    /// Runs every runtime that isn't paused, until no task is ready.
    fn turn(&mut self, clients: &mut JoinSet<()>, following: &mut JoinSet<()>) {
        for _ in 0..TURNS_MAX {
            self.outside.run();
            for replica in 0..self.replicas.len() {
                let life = self.replicas[replica].as_mut().filter(|life| !life.is_paused);
                match life.map(Life::run) {
                    Some(End::Crashed) => self.apply_strike(replica, Strike::Crash),
                    Some(End::Drained) => self.end_life(replica),
                    Some(End::Paused) => {
                        self.apply_strike(replica, Strike::Pause);
                        let resume = self.clock.now().after(self.pause_length);
                        self.plan_strike(resume, replica, Strike::Resume);
                    }
                    Some(End::Quiet) | None => {}
                }
            }
            while let Some(done) = clients.try_join_next().or_else(|| following.try_join_next()) {
                done.unwrap_or_else(|panic| self.tell(&panic.to_string()));
            }
            let mut running = self.replicas.iter().flatten().filter(|life| !life.is_paused);
            if self.outside.is_quiet() && running.all(Life::is_quiet) {
                return;
            }
        }
        self.tell("a moment without end: tasks are always ready");
    }

    /// Moves the time on to the next wake-up or the next strike.
    fn move_on(&mut self) {
        let now = self.clock.now();
        if now.since(START) > TIME_MAX {
            let seen: Vec<_> = self.callers.iter().flat_map(|it| it.seen()).collect();
            self.tell(&format!("it doesn't end: {seen:?}"));
        }
        let strike = self.strikes.keys().next().map(|(time, _)| *time);
        let next = strike.into_iter().chain(self.hand.next_wake()).min();
        self.hand.advance(next.unwrap_or(Timestamp::MAX).since(now));
        while let Some(entry) = self.strikes.first_entry()
            && entry.key().0 <= self.clock.now()
        {
            let (replica, strike) = entry.remove();
            self.apply_strike(replica, strike);
        }
    }

    fn apply_strike(&mut self, replica: usize, strike: Strike) {
        let Some(life) = &mut self.replicas[replica] else {
            if strike == Strike::Start {
                self.start(replica);
            }
            return;
        };
        let harms = [Strike::Crash, Strike::Drain, Strike::Pause, Strike::CutOff].contains(&strike);
        self.harmful_strikes += usize::from(harms);
        match strike {
            Strike::Crash => self.end_life(replica),
            Strike::Start => {}
            Strike::Drain => life.drain(),
            Strike::Pause => life.is_paused = true,
            Strike::Resume => {
                life.is_paused = false;
                life.injector.resume();
            }
            Strike::CutOff => life.injector.set_cut_off(true),
            Strike::Heal => life.injector.set_cut_off(false),
        }
    }

    fn start(&mut self, replica: usize) {
        self.lives += 1;
        let seed = self.seed + 1_000 * self.lives;
        let clock = self.clock.skewed(self.clock_skews_micros[replica]);
        let journal = Memory::join(Arc::clone(&self.store), clock.clone(), LEASE);
        let injector = Arc::new(self.injector.for_other_process());
        let outer = Outer { oz: Arc::clone(&self.oz), library: Arc::clone(&self.library) };
        let life = Life::begin(
            journal,
            injector,
            &outer,
            &clock,
            replica::Chances { seed, store_trouble: self.write_failure_probability, lag: self.lag },
        );
        self.endpoints.open(replica, life.door());
        self.replicas[replica] = Some(life);
    }

    /// Ends a replica's life, if it has not ended, and plans its restart.
    fn end_life(&mut self, replica: usize) {
        self.endpoints.close(replica);
        if let Some(life) = self.replicas[replica].take() {
            life.end();
        }
        let back = self.clock.now().after(self.restart_delay);
        self.plan_strike(back, replica, Strike::Start);
    }

    /// Starts, resumes and reconnects all replicas.
    fn heal(&mut self) {
        self.strikes.clear();
        for replica in 0..self.replicas.len() {
            for strike in [Strike::Start, Strike::Resume, Strike::Heal] {
                self.apply_strike(replica, strike);
            }
        }
    }

    fn unfinished(&self) -> usize {
        lock(&self.store).unfinished()
    }

    fn event_count(&self) -> usize {
        lock(&self.store).events()
    }

    fn check(&mut self, everything: &[Arc<Follower>]) {
        if self.replicas.iter().flatten().any(|life| life.photo_bytes() > 0) {
            self.tell("photo memory is taken although all matches have ended");
        }
        let reader = Memory::join(Arc::clone(&self.store), self.clock.clone(), LEASE);
        let case = checks::Case {
            oz: &self.oz,
            library: &self.library,
            callers: &self.callers,
            disturbances: self.harmful_strikes,
            again: self.again(),
        };
        let all: Vec<_> =
            everything.iter().map(|it| (TenantId::default_tenant(), it.updates())).collect();
        self.outside.block_on(checks::check(&case, &reader, &all));
    }

    /// Panics with the seed that repeats the failure.
    fn tell(&self, what: &str) -> ! {
        panic!("{}: {what}", self.again());
    }

    fn again(&self) -> String {
        let now = self.clock.now().since(START);
        format!("seed {} of a fleet, after {} strikes, at {now:?}", self.seed, self.harmful_strikes)
    }
}
