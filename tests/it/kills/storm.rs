//! The storm itself: an Oz with faults, a service that is killed and started, and when.

use std::sync::Arc;

use facematch::simulator::{self, Answered, RecordedRequest, Simulator};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;
use tempfile::TempDir;
use tokio::{sync::watch, time::timeout};

use crate::{
    canary,
    process::Process,
    support::{PATIENCE, rule},
};

/// How often each of Oz's faults befalls a request.
const FAULTS: f64 = 0.02;

/// How long an analysis takes.
const PROCESSING_MS: u64 = 40;

/// For how long Oz may still act on what was cut off: far longer than it does here.
const SETTINGS: [&str; 4] = ["--oz-settle", "300ms", "--photo-grace", "10m"];

/// A kill comes after at most so many requests to Oz, or so many answers of it.
const REQUESTS_MAX: usize = 90;

/// Or after so many updates that callers have seen.
const UPDATES_MAX: u64 = 40;

/// What the callers and the killer share.
#[derive(Debug)]
pub struct Storm {
    pub oz: Simulator,
    directory: TempDir,
    seed: u64,
    service: watch::Sender<Service>,
    updates: watch::Sender<u64>,
}

/// The service as callers find it.
#[derive(Debug, Clone, Default)]
pub struct Service {
    /// How often it has been started.
    pub life: u64,
    /// Where it listens; none while it is being killed.
    pub address: Option<String>,
    /// Whether it won't be killed any more.
    pub is_quiet: bool,
}

impl Storm {
    /// An Oz with faults, and the service's first life.
    pub async fn gather(seed: u64) -> (Arc<Self>, Process) {
        let config = simulator::Config { seed: Some(seed), ..canary::config() };
        let oz = Simulator::start_with(config).await.unwrap();
        oz.switch(|switches| {
            switches.processing_ms = PROCESSING_MS;
            switches.processing_jitter_ms = PROCESSING_MS;
        });
        let faults = [
            json!({"drop_after_acting": true}),
            json!({"drop_before_acting": true}),
            json!({"status": 500}),
            json!({"status": 502, "act": true}),
            json!({"status": 429, "retry_after": "0"}),
            json!({"truncate_bytes": 9}),
        ];
        oz.script(faults.map(|then| rule(json!({"match": {"probability": FAULTS}, "then": then}))));
        let (service, updates) = (watch::Sender::default(), watch::Sender::default());
        let directory = tempfile::tempdir().unwrap();
        let storm = Self { oz, directory, seed, service, updates };
        let process = storm.start();
        (Arc::new(storm), process)
    }

    /// Kills the service so often and starts it again at once, then leaves it in peace.
    pub async fn rage(&self, kills: u64, mut process: Process) -> Process {
        let mut random = StdRng::seed_from_u64(self.seed);
        for _ in 0..kills {
            let moment = timeout(PATIENCE, self.moment(&mut random)).await;
            moment.expect("the matches go on");
            self.service.send_modify(|service| service.address = None);
            process.kill();
            process = self.start();
        }
        self.service.send_modify(|service| service.is_quiet = true);
        process
    }

    fn start(&self) -> Process {
        let process = Process::start(&self.oz, self.directory.path(), &SETTINGS);
        self.service.send_modify(|service| {
            service.life += 1;
            service.address = Some(process.address().to_owned());
        });
        process
    }

    /// Some moment: just when Oz is asked, just when it answers, or just when callers are told.
    async fn moment(&self, random: &mut StdRng) {
        self.oz.clear_record();
        let requests = random.random_range(1..=REQUESTS_MAX);
        let is_answered = |asked: &&RecordedRequest| asked.answered != Answered::Pending;
        match random.random_range(0..3) {
            0 => self.oz.recorded(|all| all.len() >= requests).await,
            1 => self.oz.recorded(|all| all.iter().filter(is_answered).count() >= requests).await,
            _ => self.more_updates(random.random_range(1..=UPDATES_MAX)).await,
        }
    }

    async fn more_updates(&self, count: u64) {
        let mut updates = self.updates.subscribe();
        let enough = self.updates_seen() + count;
        updates.wait_for(|seen| *seen >= enough).await.expect("the storm holds the other end");
    }

    /// Where the service is, and whether that changes.
    pub fn service(&self) -> watch::Receiver<Service> {
        self.service.subscribe()
    }

    /// Notes that a caller has seen one more update.
    pub fn saw_update(&self) {
        self.updates.send_modify(|seen| *seen += 1);
    }

    /// How many updates callers have seen, those that were told again included.
    pub fn updates_seen(&self) -> u64 {
        *self.updates.borrow()
    }
}
