//! The database goes away for all replicas at once: killed, out of reach, or hung.

use facematch::pb::{ListMatchesRequest, Match};
use futures_util::future::join_all;
use serde_json::json;

use tokio::time::timeout;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus::{NotServing, Serving};

use crate::{
    replicas::fleet::{Fleet, LEASE, Plan},
    support::{PATIENCE, Refusal, get, last, portrait_request, rule, setting, until},
};

/// Matches of each replica: so many are being analysed, and of so many the photo is in memory.
const ANALYSED: usize = 5;
const PHOTOS: usize = 2;

/// How often callers are refused before the database is there again.
const REFUSED: u32 = 3;

/// How long it is away, in leases, unless it is for a moment, or the environment says otherwise.
const AWAY_LEASES: u64 = 3;

fn plan(links: bool) -> Plan {
    Plan { own_cluster: true, links, ..Plan::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_killed_and_started_again_costs_no_match() {
    let waiting = Waiting::begin(plan(false)).await;
    waiting.fleet.cluster().kill();
    waiting.fleet.cluster().start_again();
    waiting.go_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_down_for_longer_than_a_lease_costs_no_match() {
    let waiting = Waiting::begin(plan(false)).await;
    waiting.fleet.cluster().kill();
    waiting.outlast().await;
    waiting.fleet.cluster().start_again();
    waiting.go_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_out_of_reach_for_longer_than_a_lease_costs_no_match() {
    let waiting = Waiting::begin(plan(true)).await;
    for number in 0..waiting.fleet.len() {
        waiting.fleet.link(number).refuse();
        waiting.fleet.link(number).cut();
    }
    waiting.outlast().await;
    for number in 0..waiting.fleet.len() {
        waiting.fleet.link(number).heal();
    }
    waiting.go_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_hangs_for_longer_than_a_lease_costs_no_match() {
    let waiting = Waiting::begin(plan(false)).await;
    waiting.fleet.cluster().pause();
    waiting.outlast().await;
    waiting.fleet.cluster().resume();
    waiting.go_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_stop_while_the_database_is_away_lose_nothing_but_photos_in_memory() {
    let plan = Plan { settings: vec![("--drain-timeout", "2s")], ..plan(false) };
    let mut fleet = Fleet::gather_as(plan).await;
    let matches = fleet.create(0, ANALYSED).await;
    fleet.cluster().pause();
    for number in 0..fleet.len() {
        fleet.stop(number).await;
    }
    fleet.cluster().resume();
    fleet.start_all();
    fleet.polled_anew(&matches, 2).await;
    fleet.finish();
    fleet.check_finished(&matches).await;
    fleet.disband().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_who_come_back_all_the_time_keep_no_replica_from_its_database() {
    let plan = Plan { replicas: 1, links: true, ..Plan::default() };
    let fleet = Fleet::gather_as(plan).await;
    let (client, mut refused) = (fleet.client(0).await, 0);
    fleet.link(0).refuse();
    fleet.link(0).cut();
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
    let created = timeout(PATIENCE, created).await.expect("it finds its database");
    fleet.finish();
    fleet.check_finished(&[created]).await;
    fleet.disband().await;
}

/// A fleet whose matches wait for the end of an outage.
struct Waiting {
    fleet: Fleet,
    matches: Vec<Match>,
    /// Who held them as it began.
    owners: String,
}

/// Whose each match is.
const OWNERS: &str = "SELECT match_id, owner FROM match_states ORDER BY match_id";

impl Waiting {
    /// Matches in both states that an outage finds them in, at each replica.
    async fn begin(plan: Plan) -> Self {
        let fleet = Fleet::gather_as(plan).await;
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

    /// Whatever is asked meanwhile is answered in time, and Oz is left in peace once nobody has a
    /// lease.
    async fn outlast(&self) {
        let (fleet, began_ms) = (&self.fleet, self.fleet.clock_ms());
        let lease_ms = u64::try_from(LEASE.as_millis()).unwrap();
        join_all((0..fleet.len()).map(|number| fleet.health_says(number, NotServing))).await;
        let away_ms = lease_ms * setting("FACEMATCH_AWAY_LEASES", AWAY_LEASES);
        while fleet.clock_ms() < began_ms + away_ms {
            join_all((0..fleet.len()).map(|number| self.check_unavailable(number))).await;
        }
        let polls = fleet.polls(began_ms + lease_ms).into_values().flatten().count();
        assert_eq!(polls, 0, "Oz is asked by those who have no lease");
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

    /// All matches go on, and end with their verdict.
    async fn go_on(self) {
        let Self { fleet, matches, owners } = self;
        let back_ms = fleet.clock_ms();
        join_all((0..fleet.len()).map(|number| fleet.health_says(number, Serving))).await;
        fleet.oz().clear_rules();
        fleet.polled(&matches, back_ms, 3).await;
        let took_ms = fleet.clock_ms() - back_ms;
        let polls = fleet.polls(back_ms).into_values().flatten().count();
        println!("outage: all went on within {took_ms} ms, {polls} polls meanwhile");
        fleet.leases(fleet.len()).await;
        assert_eq!(fleet.sql(OWNERS), owners, "whoever was back first took what others have");
        fleet.finish();
        fleet.check_finished(&matches).await;
        fleet.disband().await;
    }
}

/// A match that a replica has accepted, and whose photo it holds.
async fn accept(fleet: &Fleet, number: usize) -> Match {
    let mut client = fleet.client(number).await;
    let updates = client.run_match(portrait_request(&fleet.folder())).await.unwrap();
    last(&until(&mut updates.into_inner(), "accepted").await).clone()
}
