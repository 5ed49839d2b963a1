//! Many watchers that reconnect all the time: counts the updates that each of them misses, sees
//! twice, or sees before they are durable.

use facematch::pb::{Match, MatchUpdate, WatchMatchesRequest};
use futures_util::future::join_all;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::task::JoinSet;
use tonic::{Streaming, transport::Endpoint};

use crate::{
    canary::{self, Client},
    checker::{MatchChecker, follow, is_transient},
    invariants::{Difference, FollowerHistory, UpdateKey},
    support::{TestServer, event_name, get, size_from_env, watch_after},
    watching::{all_after, fail_many, keys, take},
};

const WATCHERS: usize = 1_000;
const CONNECTIONS: usize = 20;
/// Updates seen by all watchers together: the default of `FACEMATCH_WATCH_UPDATES`.
const UPDATES: u64 = 50_000;
/// After one update in this many the watcher closes its stream and reconnects.
const CUT_EACH: u32 = 8;
/// One update in this many is looked up in the journal as soon as it arrives.
const LOOK_EACH: u32 = 64;
/// The HTTP/2 window of a watcher's stream, in bytes: some ten updates. With the default window the
/// service would send hundreds of updates to each stream, and most of them are cut unread.
const STREAM_WINDOW: u32 = 4 << 10;
/// One match in this many is also followed by a stream of its own.
const FOLLOW_EACH: u32 = 16;

/// Counts of watchers. `early` counts updates that arrived before the journal had them.
#[derive(Default, Debug)]
struct Found {
    updates: usize,
    difference: Difference,
    early: usize,
    cuts: usize,
    looks: usize,
}

impl Found {
    fn add(&mut self, other: &Self) {
        self.updates += other.updates;
        self.difference.add(other.difference);
        self.early += other.early;
        self.cuts += other.cuts;
        self.looks += other.looks;
    }
}

/// A watcher of all matches.
struct Watcher {
    client: Client,
    chance: StdRng,
    found: Found,
    history: FollowerHistory<String>,
}

impl Watcher {
    fn new(client: Client, seed: u64) -> Self {
        let chance = StdRng::seed_from_u64(seed);
        Self { client, chance, found: Found::default(), history: FollowerHistory::default() }
    }

    fn one_in(&mut self, count: u32) -> bool {
        self.chance.random_range(0..count) == 0
    }

    /// Watches from the first update until it has seen `count`.
    async fn run(mut self, count: usize) -> Self {
        while self.history.updates().len() < count {
            let mut updates = self.open().await;
            while self.history.updates().len() < count {
                let update = updates.message().await.unwrap().expect("the stream stays open");
                if follow(&mut self.history, &update) {
                    self.look_around(&update).await;
                }
                if self.one_in(CUT_EACH) {
                    self.found.cuts += 1;
                    break;
                }
            }
        }
        self
    }

    async fn open(&mut self) -> Streaming<MatchUpdate> {
        let request =
            WatchMatchesRequest { resume_token: self.history.token(), ..Default::default() };
        self.client.watch_matches(request).await.unwrap().into_inner()
    }

    /// Counts a durable update, and sometimes looks at its match in other ways.
    async fn look_around(&mut self, update: &MatchUpdate) {
        self.found.updates += 1;
        if self.one_in(LOOK_EACH) {
            self.look(update).await;
        }
        if event_name(update) == "accepted" && self.one_in(FOLLOW_EACH) {
            self.follow(&update.match_id).await;
        }
    }

    /// Checks that the journal has the match at least as far as an update that was seen.
    async fn look(&mut self, update: &MatchUpdate) {
        self.found.looks += 1;
        let found: Match = self.client.get_match(get(&update.match_id)).await.unwrap().into_inner();
        self.found.early += usize::from(found.sequence < update.sequence);
    }

    /// Follows one match from its first update to its closing one, with reconnects.
    async fn follow(&mut self, id: &str) {
        let mut checker = MatchChecker::default();
        while !checker.has_closed() {
            let request = watch_after(id, checker.sequence());
            let mut updates = self.client.watch_match(request).await.unwrap().into_inner();
            while let Some(update) = updates.message().await.unwrap() {
                self.found.updates += usize::from(!is_transient(&update));
                checker.check(&update);
                if self.one_in(2) {
                    self.found.cuts += 1;
                    break;
                }
            }
        }
    }

    /// Compares the updates seen with the order of the journal.
    fn compare(mut self, all: &[UpdateKey<String>]) -> Found {
        self.found.difference = Difference::of(self.history.updates(), all);
        self.found
    }
}

/// A client whose streams have a small window.
async fn watcher_client(address: &str) -> Client {
    let endpoint = Endpoint::from_shared(address.to_owned()).expect("an address");
    let channel = endpoint.initial_stream_window_size(STREAM_WINDOW).connect().await;
    canary::client(channel.expect("the service listens"))
}

fn updates_wanted() -> usize {
    usize::try_from(size_from_env("FACEMATCH_WATCH_UPDATES", UPDATES)).expect("not that many")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_reconnecting_watchers_see_each_durable_update_once() {
    let matches = updates_wanted().div_ceil(2 * WATCHERS);
    let house = TestServer::build().await;
    // Some matches exist before the watchers connect, the rest run while they watch.
    let before = matches / 3;
    fail_many(&house, before).await;
    let clients: Vec<_> = join_all((0..CONNECTIONS).map(|_| watcher_client(&house.address))).await;
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
    let all: Vec<_> = places.collect();
    let mut found = Found::default();
    for watcher in watchers.join_all().await {
        found.add(&watcher.compare(&all));
    }
    println!(
        "watch updates checked: {}, missing: {}, repeated: {}, early: {}",
        found.updates, found.difference.missing, found.difference.repeated, found.early
    );
    println!("{} reconnects, {} look-ups in the journal", found.cuts, found.looks);
    assert_eq!((found.difference, found.early), (Difference::default(), 0));
    assert!(found.updates >= updates_wanted());
}

#[test]
fn each_way_to_differ_from_the_journal_is_counted() {
    let key = |n: u64| ("match", n);
    let all = [key(1), key(2), key(3)];
    let of = |received: &[u64]| {
        let received: Vec<_> = received.iter().copied().map(key).collect();
        let found = Difference::of(&received, &all);
        [found.missing, found.repeated, found.foreign, found.misplaced]
    };
    assert_eq!(of(&[1, 2, 3]), [0; 4]);
    assert_eq!(of(&[1, 3]), [1, 0, 0, 0]);
    assert_eq!(of(&[1, 2, 2, 3]), [0, 1, 0, 0]);
    assert_eq!(of(&[1, 2, 3, 4]), [0, 0, 1, 0]);
    assert_eq!(of(&[2, 1, 3]), [0, 0, 0, 2]);
}
