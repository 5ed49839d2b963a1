//! Many watchers, cut off again and again: what every one of them sees is counted.

use std::collections::{HashMap, HashSet};

use facematch::pb::{Match, MatchUpdate, WatchMatchesRequest};
use futures_util::future::join_all;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::task::JoinSet;
use tonic::Streaming;

use crate::{
    canary::Client,
    checker::{Checker, is_passing},
    support::{House, connect, get, name, setting, watch_after},
    watching::{all_after, fail_many, keys, take},
};

const WATCHERS: usize = 1_000;
const CONNECTIONS: usize = 20;
/// How many updates are seen in all, unless `FACEMATCH_WATCH_UPDATES` says more.
const UPDATES: u64 = 50_000;
/// One update in so many is the last of its stream: the watcher comes back.
const CUT_EACH: u32 = 8;
/// One update in so many is looked for in the journal the moment it comes.
const LOOK_EACH: u32 = 64;
/// One match in so many is followed by itself as well.
const FOLLOW_EACH: u32 = 16;

/// What watchers found.
#[derive(Default, Debug)]
struct Found {
    updates: usize,
    missing: usize,
    repeated: usize,
    early: usize,
    cuts: usize,
    looks: usize,
}

impl Found {
    fn add(&mut self, other: &Self) {
        self.updates += other.updates;
        self.missing += other.missing;
        self.repeated += other.repeated;
        self.early += other.early;
        self.cuts += other.cuts;
        self.looks += other.looks;
    }
}

/// An update's place: its match and its sequence.
pub type Place = (String, u64);

/// One watcher of everything.
struct Watcher {
    client: Client,
    chance: StdRng,
    found: Found,
    seen: Vec<Place>,
    checkers: HashMap<String, Checker>,
}

impl Watcher {
    fn new(client: Client, seed: u64) -> Self {
        let chance = StdRng::seed_from_u64(seed);
        let (found, seen, checkers) = (Found::default(), Vec::new(), HashMap::new());
        Self { client, chance, found, seen, checkers }
    }

    fn one_in(&mut self, count: u32) -> bool {
        self.chance.random_range(0..count) == 0
    }

    /// Watches from the beginning to so many updates, and returns what it saw.
    async fn run(mut self, count: usize) -> Self {
        let mut token = "earliest".to_owned();
        while self.seen.len() < count {
            let mut updates = self.open(&token).await;
            while self.seen.len() < count {
                let update = updates.message().await.unwrap().expect("the stream goes on");
                token.clone_from(&update.resume_token);
                if !is_passing(&update) {
                    self.see(&update).await;
                }
                if self.one_in(CUT_EACH) {
                    self.found.cuts += 1;
                    break;
                }
            }
        }
        self
    }

    async fn open(&mut self, token: &str) -> Streaming<MatchUpdate> {
        let request = WatchMatchesRequest { resume_token: token.to_owned(), ..Default::default() };
        self.client.watch_matches(request).await.unwrap().into_inner()
    }

    async fn see(&mut self, update: &MatchUpdate) {
        self.found.updates += 1;
        let place = (update.match_id.clone(), update.sequence);
        self.seen.push(place);
        if self.one_in(LOOK_EACH) {
            self.look(update).await;
        }
        let checker = self.checkers.entry(update.match_id.clone()).or_default();
        checker.see(update);
        if checker.has_closed() {
            self.checkers.remove(&update.match_id);
        }
        if name(update) == "accepted" && self.one_in(FOLLOW_EACH) {
            self.follow(&update.match_id).await;
        }
    }

    /// Whoever sees an update finds the match at least as far.
    async fn look(&mut self, update: &MatchUpdate) {
        self.found.looks += 1;
        let found: Match = self.client.get_match(get(&update.match_id)).await.unwrap().into_inner();
        self.found.early += usize::from(found.sequence < update.sequence);
    }

    /// Follows one match from its first update to its closing one, cut off on the way.
    async fn follow(&mut self, id: &str) {
        let mut checker = Checker::default();
        while !checker.has_closed() {
            let request = watch_after(id, checker.sequence());
            let mut updates = self.client.watch_match(request).await.unwrap().into_inner();
            while let Some(update) = updates.message().await.unwrap() {
                self.found.updates += usize::from(!is_passing(&update));
                checker.see(&update);
                if self.one_in(2) {
                    self.found.cuts += 1;
                    break;
                }
            }
        }
    }

    /// Holds what it saw against the one order that there is.
    fn compare(mut self, all: &[Place]) -> Found {
        (self.found.missing, self.found.repeated) = missing_and_repeated(&self.seen, all);
        self.found
    }
}

/// How many of all there are were not seen, and how many of those seen were seen before.
pub fn missing_and_repeated(seen: &[Place], all: &[Place]) -> (usize, usize) {
    if seen == all {
        return (0, 0);
    }
    let once: HashSet<&Place> = seen.iter().collect();
    let missing = all.iter().filter(|place| !once.contains(place)).count();
    let repeated = seen.len() - once.len();
    assert!(missing + repeated > 0, "another order was seen");
    (missing, repeated)
}

fn updates_wanted() -> usize {
    usize::try_from(setting("FACEMATCH_WATCH_UPDATES", UPDATES)).expect("not that many")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_watchers_cut_again_and_again_miss_repeat_and_foresee_nothing() {
    let matches = updates_wanted().div_ceil(2 * WATCHERS);
    let house = House::build().await;
    // Some of it is there before they come, the rest comes while they watch.
    let before = matches / 3;
    fail_many(&house, before).await;
    let clients: Vec<_> = join_all((0..CONNECTIONS).map(|_| connect(&house.address))).await;
    let mut watchers = JoinSet::new();
    for seed in 0..WATCHERS {
        let watcher = Watcher::new(clients[seed % CONNECTIONS].clone(), seed as u64);
        watchers.spawn(watcher.run(2 * matches));
    }
    let mut left = matches - before;
    while left > 0 {
        let together = left.min(4);
        fail_many(&house, together).await;
        left -= together;
    }
    let all = take(&mut all_after(&house, "earliest").await, 2 * matches).await;
    let places = keys(&all).into_iter().map(|(id, sequence)| (id.to_owned(), sequence));
    let all: Vec<Place> = places.collect();
    let mut found = Found::default();
    for watcher in watchers.join_all().await {
        found.add(&watcher.compare(&all));
    }
    println!(
        "watch updates checked: {}, missing: {}, repeated: {}, early: {}",
        found.updates, found.missing, found.repeated, found.early
    );
    println!("{} reconnects, {} looks at the journal", found.cuts, found.looks);
    assert_eq!((found.missing, found.repeated, found.early), (0, 0, 0));
    assert!(found.updates >= updates_wanted());
}
