//! A resume storm: thousands of watchers lose the service at one moment, and all reconnect.
//!
//! During the restart, Oz ends all analyses, so that the missing updates are written just as the
//! watchers reconnect. `FACEMATCH_STORM` sets the number of watchers.

use std::{sync::Arc, time::Duration};

use facematch::{
    pb::MatchUpdate,
    simulator::{Simulator, sample},
};
use futures_util::future::join_all;
use tokio::{
    sync::watch::{Receiver, Sender},
    task::JoinSet,
    time::timeout,
};
use tonic::Status;
use tonic_types::StatusExt;

use crate::{
    canary::Client,
    checker::{MatchChecker, is_transient},
    invariants::{Difference, UpdateKey},
    process::{Process, assert_may_open},
    support::{PATIENCE, connect, now, portrait_request, simulator, size_from_env, watch_after},
};

/// The default of `FACEMATCH_STORM`.
const WATCHERS: u64 = 1_000;

/// Watchers per connection, and per match.
const OF_A_CONNECTION: usize = 100;
const OF_A_MATCH: usize = 100;

/// Updates of a match before the kill (accepted, uploaded, analysis started), and in all.
const BEFORE: u64 = 3;
const IN_ALL: u64 = 4;

/// A processing time longer than any test: the test ends the analyses.
const PROCESSING_MS: u64 = 3_600_000;

/// Polls are slow, as they are no part of the measurement.
const SETTINGS: [&str; 2] = ["--oz-poll-interval", "250ms"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_cut_at_once_all_resume_and_miss_no_update() {
    let watchers = usize::try_from(size_from_env("FACEMATCH_STORM", WATCHERS)).unwrap();
    assert_may_open(watchers / OF_A_CONNECTION + 1_000);
    let oz = simulator().await;
    oz.switch(|switches| switches.processing_ms = PROCESSING_MS);
    let directory = tempfile::tempdir().unwrap();
    let process = Process::start(&oz, directory.path(), &SETTINGS);
    let matches = run_matches(&oz, &process, watchers.div_ceil(OF_A_MATCH)).await;

    let storm = Arc::new(Storm::default());
    let mut crowds = JoinSet::new();
    let all = (0..watchers).map(|number| Watcher::new(&matches[number % matches.len()]));
    let all: Vec<_> = all.collect();
    for crowd in all.chunks(OF_A_CONNECTION) {
        crowds.spawn(stay(crowd.to_vec(), Arc::clone(&storm)));
    }
    storm.is_up_at(process.address());
    storm.reached(|seen| seen.told == watchers).await;

    let cut = now();
    storm.is_down();
    process.kill();
    oz.skip(Duration::from_millis(PROCESSING_MS));
    let process = Process::start(&oz, directory.path(), &SETTINGS);
    storm.is_up_at(process.address());
    storm.reached(|seen| seen.back == 2 * watchers).await;
    let back = cut.elapsed();

    let mut found = Difference::default();
    for watcher in crowds.join_all().await.into_iter().flatten() {
        let all: Vec<_> = (1..=IN_ALL).map(|n| (watcher.match_id.clone(), n)).collect();
        found.add(Difference::of(&watcher.seen, &all));
    }
    println!(
        "resume storm: {watchers} watchers cut at once, last one back after {:.2} s, all told the \
         end after {:.2} s, {} missing, {} repeated",
        back.as_secs_f64(),
        cut.elapsed().as_secs_f64(),
        found.missing,
        found.repeated,
    );
    assert_eq!(found, Difference::default());
    process.stop();
}

/// Creates matches, and returns their ids.
async fn run_matches(oz: &Simulator, process: &Process, count: usize) -> Vec<String> {
    let client = process.client().await;
    let created = (0..count).map(|_| {
        let mut client = client.clone();
        let folder = oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
        async move { client.create_match(portrait_request(&folder)).await }
    });
    let created = join_all(created).await.into_iter();
    created.map(|m| m.expect("it is accepted").into_inner().match_id).collect()
}

/// The state shared between the test and its watchers.
#[derive(Default)]
struct Storm {
    service: Sender<Service>,
    seen: Sender<Seen>,
}

/// The service's address, `None` while it is down, and a count of its starts.
#[derive(Clone, Default)]
struct Service {
    life: u64,
    address: Option<String>,
}

/// Counts over all watchers.
#[derive(Default)]
struct Seen {
    /// Watchers whose stream was opened, once per life of the service.
    back: usize,
    /// Watchers that have seen all updates before the kill.
    told: usize,
}

impl Storm {
    fn is_up_at(&self, address: &str) {
        let address = Some(address.to_owned());
        self.service.send_modify(|service| {
            *service = Service { life: service.life + 1, address };
        });
    }

    fn is_down(&self) {
        self.service.send_modify(|service| service.address = None);
    }

    fn has(&self, change: impl FnOnce(&mut Seen)) {
        self.seen.send_modify(change);
    }

    async fn reached(&self, enough: impl FnMut(&Seen) -> bool) {
        let mut seen = self.seen.subscribe();
        let all = timeout(PATIENCE, seen.wait_for(enough)).await.map(drop);
        all.expect("all watchers get there in time");
    }
}

/// A watcher of one match.
#[derive(Clone)]
struct Watcher {
    match_id: String,
    seen: Vec<UpdateKey<String>>,
    checker: MatchChecker,
}

/// Runs the watchers of one connection to the ends of their matches, across restarts.
async fn stay(mut crowd: Vec<Watcher>, storm: Arc<Storm>) -> Vec<Watcher> {
    let mut service: Receiver<Service> = storm.service.subscribe();
    let mut life = 0;
    while !crowd.iter().all(|watcher| watcher.checker.has_closed()) {
        let newer = |now: &Service| now.address.is_some() && now.life > life;
        let here = timeout(PATIENCE, service.wait_for(newer)).await;
        let here = here.expect("the service comes back").unwrap().clone();
        life = here.life;
        let client = connect(&here.address.expect("it is up")).await;
        join_all(crowd.iter_mut().map(|watcher| watcher.follow(client.clone(), &storm))).await;
    }
    crowd
}

impl Watcher {
    fn new(match_id: &str) -> Self {
        Self { match_id: match_id.to_owned(), seen: Vec::new(), checker: MatchChecker::default() }
    }

    /// Follows its match until its end, or until the connection breaks.
    async fn follow(&mut self, mut client: Client, storm: &Storm) {
        let mut is_back = false;
        while let Err(status) = self.read(&mut client, &mut is_back, storm).await {
            // Errors of the service are retried at once, sooner than their retry delay.
            if status.get_details_retry_info().is_none() {
                return;
            }
        }
        self.checker.check_end();
    }

    async fn read(
        &mut self,
        client: &mut Client,
        is_back: &mut bool,
        storm: &Storm,
    ) -> Result<(), Status> {
        let request = watch_after(&self.match_id, self.checker.sequence());
        let mut updates = client.watch_match(request).await?.into_inner();
        storm.has(|seen| seen.back += usize::from(!*is_back));
        *is_back = true;
        while let Some(update) = updates.message().await? {
            self.see(&update);
            if !is_transient(&update) && update.sequence == BEFORE {
                storm.has(|seen| seen.told += 1);
            }
        }
        Ok(())
    }

    fn see(&mut self, update: &MatchUpdate) {
        self.checker.check(update);
        if !is_transient(update) {
            self.seen.push((update.match_id.clone(), update.sequence));
        }
    }
}
