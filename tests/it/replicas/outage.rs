//! Outages of the database for all replicas at once: killed, unreachable, or hanging.

use facematch::pb::{ListMatchesRequest, Match};
use futures_util::future::join_all;
use serde_json::json;

use tokio::time::timeout;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus::{NotServing, Serving};

use crate::{
    replicas::fleet::{Fleet, LEASE, Plan},
    support::{
        PATIENCE, Refusal, get, last_match, portrait_request, read_until, rule, size_from_env,
    },
};

/// Matches per replica: those being analysed, and those whose photo is still in memory.
const ANALYSED: usize = 5;
const PHOTOS: usize = 2;

/// How many calls are refused before the database is reachable again.
const REFUSED: u32 = 3;

/// The length of an outage in leases: the default of `FACEMATCH_AWAY_LEASES`.
const AWAY_LEASES: u64 = 3;

fn plan(links: bool) -> Plan {
    Plan { own_cluster: true, links, ..Plan::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_the_database_costs_no_match() {
    // A busy machine, too, has each replica back within a lease.
    let settings = vec![("--lease", "15s")];
    let waiting = Outage::begin(Plan { settings, ..plan(false) }).await;
    waiting.fleet.cluster().kill();
    waiting.fleet.cluster().start_again();
    waiting.go_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_down_for_longer_than_a_lease_costs_no_match() {
    let waiting = Outage::begin(plan(false)).await;
    waiting.fleet.cluster().kill();
    waiting.wait_out().await;
    waiting.fleet.cluster().start_again();
    waiting.go_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_unreachable_for_longer_than_a_lease_costs_no_match() {
    let waiting = Outage::begin(plan(true)).await;
    for number in 0..waiting.fleet.len() {
        waiting.fleet.link(number).cut_off();
    }
    waiting.wait_out().await;
    for number in 0..waiting.fleet.len() {
        waiting.fleet.link(number).heal();
    }
    waiting.go_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_hanging_for_longer_than_a_lease_costs_no_match() {
    let waiting = Outage::begin(plan(false)).await;
    waiting.fleet.cluster().pause();
    waiting.wait_out().await;
    waiting.fleet.cluster().resume();
    waiting.go_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_stop_during_an_outage_lose_only_photos_in_memory() {
    let plan = Plan { settings: vec![("--drain-timeout", "2s")], ..plan(false) };
    let mut fleet = Fleet::start_by_plan(plan).await;
    let matches = fleet.create(0, ANALYSED).await;
    fleet.cluster().pause();
    for number in 0..fleet.len() {
        fleet.stop(number).await;
    }
    fleet.cluster().resume();
    fleet.start_all();
    fleet.wait_until_polled_again(&matches, 2).await;
    fleet.end_all_analyses();
    fleet.check_finished(&matches).await;
    fleet.shut_down_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_retry_without_a_pause_keep_no_replica_from_its_database() {
    let plan = Plan { replicas: 1, links: true, ..Plan::default() };
    let fleet = Fleet::start_by_plan(plan).await;
    let (client, mut refused) = (fleet.client(0).await, 0);
    fleet.link(0).cut_off();
    let created = async {
        loop {
            let answer = client.clone().create_match(portrait_request(&fleet.folder())).await;
            match answer {
                Ok(m) => return m.into_inner(),
                Err(status) => Refusal::of(status).assert(Code::Unavailable, "STORE_UNAVAILABLE"),
            }
            refused += 1;
            if refused == REFUSED {
                fleet.link(0).heal();
            }
        }
    };
    let created = timeout(PATIENCE, created).await.expect("the replica reconnects");
    fleet.end_all_analyses();
    fleet.check_finished(&[created]).await;
    fleet.shut_down_all().await;
}

/// A fleet with matches for an outage.
struct Outage {
    fleet: Fleet,
    matches: Vec<Match>,
    /// The owners of the matches before the outage.
    owners: String,
}

/// The owner of each match.
const OWNERS: &str = "SELECT match_id, owner FROM match_states ORDER BY match_id";

impl Outage {
    /// Starts a fleet, and creates matches in both states at each replica.
    async fn begin(plan: Plan) -> Self {
        let fleet = Fleet::start_by_plan(plan).await;
        let created = join_all((0..fleet.len()).map(|n| fleet.create(n, ANALYSED))).await;
        let mut matches = created.concat();
        let slow = json!({"match": {"endpoint": "get_folder"}, "then": {"delay_ms": 1_000}});
        fleet.oz().script([rule(slow)]);
        for number in 0..fleet.len() {
            for _ in 0..PHOTOS {
                matches.push(accept(&fleet, number).await);
            }
        }
        let owners = fleet.sql(OWNERS);
        Self { fleet, matches, owners }
    }

    /// Waits for the length of an outage. Checks that calls fail in time, and that Oz gets no
    /// request once all leases have expired.
    async fn wait_out(&self) {
        let (fleet, began_ms) = (&self.fleet, self.fleet.clock_ms());
        let lease_ms = u64::try_from(LEASE.as_millis()).unwrap();
        join_all((0..fleet.len()).map(|number| fleet.wait_for_health(number, NotServing))).await;
        let away_ms = lease_ms * size_from_env("FACEMATCH_AWAY_LEASES", AWAY_LEASES);
        while fleet.clock_ms() < began_ms + away_ms {
            join_all((0..fleet.len()).map(|number| self.check_unavailable(number))).await;
        }
        let polls = fleet.polls(began_ms + lease_ms).into_values().flatten().count();
        assert_eq!(polls, 0, "replicas without a lease poll Oz");
    }

    async fn check_unavailable(&self, number: usize) {
        let (fleet, client) = (&self.fleet, self.fleet.client(number).await);
        let (client, request) = (|| client.clone(), portrait_request(&fleet.folder()));
        let known = get(&self.matches[0].match_id);
        let all = ListMatchesRequest::default;
        tokio::join!(
            fleet.check_unavailable(async { client().get_match(known).await }),
            fleet.check_unavailable(async { client().create_match(request).await }),
            fleet.check_unavailable(async { client().list_matches(all()).await }),
        );
    }

    /// Checks that all matches resume and end with their verdict.
    async fn go_on(self) {
        let Self { fleet, matches, owners } = self;
        let back_ms = fleet.clock_ms();
        join_all((0..fleet.len()).map(|number| fleet.wait_for_health(number, Serving))).await;
        fleet.oz().clear_rules();
        fleet.wait_until_polled(&matches, back_ms, 3).await;
        let took_ms = fleet.clock_ms() - back_ms;
        let polls = fleet.polls(back_ms).into_values().flatten().count();
        println!("outage: all matches resumed within {took_ms} ms, {polls} polls meanwhile");
        fleet.wait_for_leases(fleet.len()).await;
        assert_eq!(fleet.sql(OWNERS), owners, "the first replica back took matches of others");
        fleet.end_all_analyses();
        fleet.check_finished(&matches).await;
        fleet.shut_down_all().await;
    }
}

/// Creates a match at a replica, which accepts it and holds its photo.
async fn accept(fleet: &Fleet, number: usize) -> Match {
    let mut client = fleet.client(number).await;
    let updates = client.run_match(portrait_request(&fleet.folder())).await.unwrap();
    last_match(&read_until(&mut updates.into_inner(), "accepted").await).clone()
}
