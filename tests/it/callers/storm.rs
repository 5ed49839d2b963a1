//! What callers share with the disturbances of the service: the simulated Oz, the replicas'
//! current addresses, and a count of the updates seen.

use facematch::simulator::{self, Answered, RecordedRequest, Simulator};
use rand::{RngExt, rngs::StdRng};
use serde_json::json;
use tokio::{sync::watch, time::timeout};

use crate::{
    canary,
    library::Photos,
    oz_faults::{
        DROP_AFTER_ACTING, DROP_BEFORE_ACTING, HTML_502_AFTER_ACTING, STATUS_429_WITH_RETRY_AFTER,
        STATUS_500, TRUNCATE,
    },
    support::{PATIENCE, rule, then},
};

/// The probability of each of Oz's faults, per request.
const FAULTS: f64 = 0.02;

/// The processing time of an analysis, and its jitter.
const PROCESSING_MS: u64 = 40;

/// The maximum number of requests to Oz, or of its responses, before a disturbance.
const REQUESTS_MAX: usize = 90;

/// The maximum number of updates to callers before a disturbance.
const UPDATES_MAX: u64 = 40;

/// The shared state of a storm.
#[derive(Debug)]
pub struct StormState {
    pub oz: Simulator,
    /// The photo library of all replicas.
    pub photos: Photos,
    service: watch::Sender<Service>,
    updates: watch::Sender<u64>,
}

/// The service as callers find it.
#[derive(Debug, Clone, Default)]
pub struct Service {
    /// One entry per replica.
    pub replicas: Vec<ReplicaAddress>,
    /// How many outages its store has had.
    pub outages: u64,
    /// Whether the disturbances are over.
    pub is_quiet: bool,
}

/// A replica as callers find it.
#[derive(Debug, Clone, Default)]
pub struct ReplicaAddress {
    /// How many times it has been started.
    pub life: u64,
    /// Its address; `None` while it is down or about to be killed.
    pub address: Option<String>,
}

impl Service {
    /// The numbers of the replicas that listen.
    pub fn listening(&self) -> Vec<usize> {
        let doors = self.replicas.iter().enumerate();
        doors.filter(|(_, door)| door.address.is_some()).map(|(number, _)| number).collect()
    }
}

impl StormState {
    /// For a number of replicas that use one simulated Oz.
    pub fn new(oz: Simulator, replicas: usize) -> Self {
        let service =
            Service { replicas: vec![ReplicaAddress::default(); replicas], ..Service::default() };
        let service = watch::Sender::new(service);
        Self { oz, photos: Photos::new(), service, updates: watch::Sender::default() }
    }

    /// The service's state, and its changes.
    pub fn service(&self) -> watch::Receiver<Service> {
        self.service.subscribe()
    }

    /// Publishes that a replica listens.
    pub fn replica_started(&self, number: usize, address: &str) {
        self.service.send_modify(|service| {
            let door = &mut service.replicas[number];
            door.life += 1;
            door.address = Some(address.to_owned());
        });
    }

    /// Publishes that a replica is about to be killed or stopped.
    pub fn replica_stopping(&self, number: usize) {
        self.service.send_modify(|service| service.replicas[number].address = None);
    }

    /// Publishes that the store is about to become unavailable.
    #[cfg(feature = "postgres-tests")]
    pub fn outage_begins(&self) {
        self.service.send_modify(|service| service.outages += 1);
    }

    /// Publishes that the disturbances are over.
    pub fn storm_is_over(&self) {
        self.service.send_modify(|service| service.is_quiet = true);
    }

    /// Counts an update that a caller has seen.
    pub fn saw_update(&self) {
        self.updates.send_modify(|seen| *seen += 1);
    }

    /// How many updates callers have seen, repeated ones included.
    pub fn updates_seen(&self) -> u64 {
        *self.updates.borrow()
    }

    /// Waits for a random moment: when Oz gets a request, when Oz responds, or when callers get an
    /// update.
    pub async fn random_moment(&self, random: &mut StdRng) {
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
        timeout(PATIENCE, moment).await.expect("the matches make progress");
    }

    async fn more_updates(&self, count: u64) {
        let mut updates = self.updates.subscribe();
        let enough = self.updates_seen() + count;
        updates.wait_for(|seen| *seen >= enough).await.expect("the stage holds the sender");
    }
}

/// A simulated Oz with random faults.
pub async fn faulty_oz(seed: u64) -> Simulator {
    let config = simulator::Config { seed: Some(seed), ..canary::config() };
    let oz = Simulator::start_with(config).await.unwrap();
    oz.switch(|switches| {
        switches.processing_ms = PROCESSING_MS;
        switches.processing_jitter_ms = PROCESSING_MS;
    });
    let faults = [
        DROP_AFTER_ACTING,
        DROP_BEFORE_ACTING,
        STATUS_500,
        HTML_502_AFTER_ACTING,
        STATUS_429_WITH_RETRY_AFTER,
        TRUNCATE,
    ];
    let when = json!({"probability": FAULTS});
    oz.script(faults.map(|fault| rule(json!({"match": when, "then": then(&fault)}))));
    oz
}
