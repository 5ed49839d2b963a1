//! Histories of several replicas at one store: each may die, stand still, be cut off from the
//! store, or go down in order, while callers move from one to another.
//!
//! Each replica has a runtime of its own, and so have those outside. They run by turns, in one
//! thread, until none has anything left to do; then time is moved on. A replica that isn't given
//! its turn stands still, as a process does that the operating system has stopped.

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
    app::histories::{
        caller::{Caller, lock},
        checks,
        fleet::{
            client::{Client, Doors, Everything},
            replica::{End, Life, Outside},
        },
        oz::Model,
        plug::Plug,
    },
    clock::{Clock, Hand},
    domain::Timestamp,
    journal::{
        memory::{Memory, Store},
        suite::START,
    },
};

/// How long a replica is believed to be alive.
pub const LEASE: Duration = Duration::from_secs(10);

/// No history takes longer: no match may, and there are few strikes.
const TIME_MAX: Duration = Duration::from_secs(3_600);

/// Once all matches have ended and everybody is well again: whoever stood still would do by then
/// what it must not.
const AFTERWARDS: Duration = Duration::from_secs(40);

/// How long those who follow all matches may be behind after that.
const CATCHING_UP: Duration = Duration::from_secs(120);

/// More turns than any moment takes.
const TURNS_MAX: usize = 10_000;

/// What befalls a replica.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Strike {
    /// It dies.
    Kill,
    /// A dead one is started again.
    Start,
    /// It goes down in order.
    Drain,
    /// It stands still.
    Pause,
    /// It goes on where it stood.
    Resume,
    /// It can't reach the store any more.
    Cut,
    /// It can again.
    Mend,
}

/// Everything that outlives the replicas, and what is to happen.
pub struct Fleet {
    pub seed: u64,
    pub clock: Clock,
    hand: Hand,
    /// Counts the operations of all.
    pub plug: Plug,
    pub oz: Arc<Model>,
    store: Arc<Mutex<Store>>,
    pub callers: Vec<Arc<Caller>>,
    /// How many follow all matches.
    pub followers: usize,
    /// How probable it is that a write fails.
    pub store_trouble: f64,
    /// How long it takes to hear of others.
    pub lag: Duration,
    /// How soon whoever died is started again.
    pub restart: Duration,
    /// For how long whoever is told to by the plug stands still.
    pub halt: Duration,
    /// By how many microseconds the clock of each replica is ahead when it starts.
    pub skews: Vec<i64>,
    /// How often a caller moves of itself, after each update.
    pub restless: f64,
    strikes: BTreeMap<(Timestamp, usize), (usize, Strike)>,
    strikes_made: usize,
    replicas: Vec<Option<Life>>,
    doors: Arc<Doors>,
    outside: Outside,
    /// How many lives there have been.
    lives: u64,
    /// How often a replica was struck.
    pub struck: usize,
}

impl Fleet {
    /// So many replicas, to which nothing happens yet.
    pub fn new(seed: u64, replicas: usize) -> Self {
        let (clock, hand) = Clock::manual(START);
        Self {
            seed,
            oz: Arc::new(Model::new(clock.clone(), seed)),
            clock,
            hand,
            plug: Plug::default(),
            store: Arc::new(Mutex::new(Store::new(seed))),
            callers: Vec::new(),
            followers: 1,
            store_trouble: 0.0,
            lag: Duration::from_millis(5),
            restart: Duration::from_secs(1),
            halt: 2 * LEASE,
            skews: vec![0; replicas],
            restless: 0.0,
            strikes: BTreeMap::new(),
            strikes_made: 0,
            replicas: (0..replicas).map(|_| None).collect(),
            doors: Arc::new(Doors::new(replicas)),
            outside: Outside::new(),
            lives: 0,
            struck: 0,
        }
    }

    /// At this time this befalls a replica.
    pub fn strike(&mut self, time: Timestamp, replica: usize, strike: Strike) {
        self.strikes_made += 1;
        self.strikes.insert((time, self.strikes_made), (replica, strike));
    }

    /// Lives until every match has ended, and checks.
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
        let until = self.clock.now().after(AFTERWARDS);
        let late = until.after(CATCHING_UP);
        while self.clock.now() < until
            || everything.iter().any(|it| it.updates().len() < self.facts())
        {
            self.turn(&mut clients, &mut following);
            if self.clock.now() > late {
                self.tell("a stream of all matches stays behind");
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
                    doors: Arc::clone(&self.doors),
                    clock: self.clock.clone(),
                    random,
                    restless: self.restless,
                };
                clients.spawn_on(client.run(), self.outside.handle());
            }
            let random = StdRng::seed_from_u64(random.random());
            if let Some(time) = caller.plan.cancels {
                let (caller, doors) = (Arc::clone(caller), Arc::clone(&self.doors));
                let cancelling = client::cancel(caller, doors, self.clock.clone(), time, random);
                clients.spawn_on(cancelling, self.outside.handle());
            }
        }
        clients
    }

    fn follow_all(&self, random: &mut StdRng) -> (Vec<Arc<Everything>>, JoinSet<()>) {
        let mut following = JoinSet::new();
        let followers = (0..self.followers).map(|_| {
            let everything = Arc::new(Everything::default());
            let follow = Arc::clone(&everything).follow(
                Arc::clone(&self.doors),
                self.clock.clone(),
                StdRng::seed_from_u64(random.random()),
                self.restless,
            );
            following.spawn_on(follow, self.outside.handle());
            everything
        });
        (followers.collect(), following)
    }

    /// Lets everybody run who isn't standing still, until none has anything left to do.
    fn turn(&mut self, clients: &mut JoinSet<()>, following: &mut JoinSet<()>) {
        for _ in 0..TURNS_MAX {
            self.outside.run();
            for replica in 0..self.replicas.len() {
                let life = self.replicas[replica].as_mut().filter(|life| !life.stands_still);
                match life.map(Life::run) {
                    Some(End::Died) => self.befall(replica, Strike::Kill),
                    Some(End::Gone) => self.bury(replica),
                    Some(End::Halted) => {
                        self.befall(replica, Strike::Pause);
                        let resume = self.clock.now().after(self.halt);
                        self.strike(resume, replica, Strike::Resume);
                    }
                    Some(End::Quiet) | None => {}
                }
            }
            while let Some(done) = clients.try_join_next().or_else(|| following.try_join_next()) {
                done.unwrap_or_else(|panic| self.tell(&panic.to_string()));
            }
            let mut running = self.replicas.iter().flatten().filter(|life| !life.stands_still);
            if self.outside.is_quiet() && running.all(Life::is_quiet) {
                return;
            }
        }
        self.tell("it never comes to rest");
    }

    /// Moves the time on to the next thing that is waited for, or to the next strike.
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
            self.befall(replica, strike);
        }
    }

    fn befall(&mut self, replica: usize, strike: Strike) {
        let Some(life) = &mut self.replicas[replica] else {
            if strike == Strike::Start {
                self.start(replica);
            }
            return;
        };
        let harms = [Strike::Kill, Strike::Drain, Strike::Pause, Strike::Cut].contains(&strike);
        self.struck += usize::from(harms);
        match strike {
            Strike::Kill => self.bury(replica),
            Strike::Start => {}
            Strike::Drain => life.drain(),
            Strike::Pause => life.stands_still = true,
            Strike::Resume => {
                life.stands_still = false;
                life.plug.go_on();
            }
            Strike::Cut => life.plug.cut(true),
            Strike::Mend => life.plug.cut(false),
        }
    }

    fn start(&mut self, replica: usize) {
        self.lives += 1;
        let seed = self.seed + 1_000 * self.lives;
        let clock = self.clock.skewed(self.skews[replica]);
        let journal = Memory::join(Arc::clone(&self.store), clock.clone(), LEASE);
        let plug = Arc::new(self.plug.beside());
        let life = Life::begin(
            journal,
            plug,
            &self.oz,
            &clock,
            replica::Chances { seed, store_trouble: self.store_trouble, lag: self.lag },
        );
        self.doors.open(replica, life.door());
        self.replicas[replica] = Some(life);
    }

    /// A replica is gone, by itself or not; another one takes its place after a while.
    fn bury(&mut self, replica: usize) {
        self.doors.close(replica);
        if let Some(life) = self.replicas[replica].take() {
            life.end();
        }
        let back = self.clock.now().after(self.restart);
        self.strike(back, replica, Strike::Start);
    }

    /// Everybody is there and well.
    fn heal(&mut self) {
        self.strikes.clear();
        for replica in 0..self.replicas.len() {
            for strike in [Strike::Start, Strike::Resume, Strike::Mend] {
                self.befall(replica, strike);
            }
        }
    }

    fn unfinished(&self) -> usize {
        lock(&self.store).unfinished()
    }

    fn facts(&self) -> usize {
        lock(&self.store).events()
    }

    fn check(&mut self, everything: &[Arc<Everything>]) {
        let reader = Memory::join(Arc::clone(&self.store), self.clock.clone(), LEASE);
        let case = checks::Case {
            oz: &self.oz,
            callers: &self.callers,
            disturbances: self.struck,
            again: self.again(),
        };
        let all: Vec<_> = everything.iter().map(|it| it.updates()).collect();
        self.outside.block_on(checks::check(&case, &reader, &all));
    }

    /// Fails, and says how to see it again.
    fn tell(&self, what: &str) -> ! {
        panic!("{}: {what}", self.again());
    }

    fn again(&self) -> String {
        let now = self.clock.now().since(START);
        format!("seed {} of a fleet, after {} strikes, at {now:?}", self.seed, self.struck)
    }
}
