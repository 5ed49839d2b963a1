//! What callers share with whoever disturbs the service: its Oz, where it is at this moment, and
//! how much they have seen.

use facematch::simulator::{self, Answered, RecordedRequest, Simulator};
use rand::{RngExt, rngs::StdRng};
use serde_json::json;
use tokio::{sync::watch, time::timeout};

use crate::{
    canary,
    support::{PATIENCE, rule},
};

/// How often each of Oz's faults befalls a request.
const FAULTS: f64 = 0.02;

/// How long an analysis takes.
const PROCESSING_MS: u64 = 40;

/// A disturbance comes after at most so many requests to Oz, or so many answers of it.
const REQUESTS_MAX: usize = 90;

/// Or after so many updates that callers have seen.
const UPDATES_MAX: u64 = 40;

/// Where it all happens.
#[derive(Debug)]
pub struct Stage {
    pub oz: Simulator,
    service: watch::Sender<Service>,
    updates: watch::Sender<u64>,
}

/// The service as callers find it.
#[derive(Debug, Clone, Default)]
pub struct Service {
    /// One for each replica.
    pub doors: Vec<Door>,
    /// How often its store was taken away.
    pub outages: u64,
    /// Whether it won't be disturbed any more.
    pub is_quiet: bool,
}

/// A replica as callers find it.
#[derive(Debug, Clone, Default)]
pub struct Door {
    /// How often it has been started.
    pub life: u64,
    /// Where it listens; none while it is being killed.
    pub address: Option<String>,
}

impl Service {
    /// The doors at which somebody is.
    pub fn open(&self) -> Vec<usize> {
        let doors = self.doors.iter().enumerate();
        doors.filter(|(_, door)| door.address.is_some()).map(|(number, _)| number).collect()
    }
}

impl Stage {
    /// Around an Oz, for so many replicas.
    pub fn new(oz: Simulator, replicas: usize) -> Self {
        let service = Service { doors: vec![Door::default(); replicas], ..Service::default() };
        Self { oz, service: watch::Sender::new(service), updates: watch::Sender::default() }
    }

    /// Where the service is, and whether that changes.
    pub fn service(&self) -> watch::Receiver<Service> {
        self.service.subscribe()
    }

    /// A replica listens.
    pub fn opens(&self, number: usize, address: &str) {
        self.service.send_modify(|service| {
            let door = &mut service.doors[number];
            door.life += 1;
            door.address = Some(address.to_owned());
        });
    }

    /// A replica is about to go.
    pub fn closes(&self, number: usize) {
        self.service.send_modify(|service| service.doors[number].address = None);
    }

    /// The store is about to go.
    #[cfg(feature = "postgres-tests")]
    pub fn loses_store(&self) {
        self.service.send_modify(|service| service.outages += 1);
    }

    /// Nothing more will happen.
    pub fn calms_down(&self) {
        self.service.send_modify(|service| service.is_quiet = true);
    }

    /// Notes that a caller has seen one more update.
    pub fn saw_update(&self) {
        self.updates.send_modify(|seen| *seen += 1);
    }

    /// How many updates callers have seen, those that were told again included.
    pub fn updates_seen(&self) -> u64 {
        *self.updates.borrow()
    }

    /// Waits for some moment: just when Oz is asked, just when it answers, or just when callers
    /// are told.
    pub async fn some_moment(&self, random: &mut StdRng) {
        self.oz.clear_record();
        let requests = random.random_range(1..=REQUESTS_MAX);
        let is_answered = |asked: &&RecordedRequest| asked.answered != Answered::Pending;
        let moment = async {
            match random.random_range(0..3) {
                0 => self.oz.recorded(|all| all.len() >= requests).await,
                1 => {
                    let answered = |all: &[RecordedRequest]| all.iter().filter(is_answered).count();
                    self.oz.recorded(|all| answered(all) >= requests).await;
                }
                _ => self.more_updates(random.random_range(1..=UPDATES_MAX)).await,
            }
        };
        timeout(PATIENCE, moment).await.expect("the matches go on");
    }

    async fn more_updates(&self, count: u64) {
        let mut updates = self.updates.subscribe();
        let enough = self.updates_seen() + count;
        updates.wait_for(|seen| *seen >= enough).await.expect("the stage holds the other end");
    }
}

/// An Oz with faults.
pub async fn stormy_oz(seed: u64) -> Simulator {
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
    oz
}
