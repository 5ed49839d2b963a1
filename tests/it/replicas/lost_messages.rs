//! Lost messages between a replica and its database: each request, each answer and each answer to
//! a commit is lost once, together with its connection.

use facematch::pb::{Match, MatchRequest, MatchState};
use tokio::time::timeout;
use tonic::{Code, Status};

use crate::{
    canary::Client,
    checker::WatcherHistory,
    postgres::Loss,
    replicas::fleet::{Fleet, Plan},
    support::{PATIENCE, Refusal, cancel, get, portrait_request, with_request_id},
};

/// More points than a match has, so that the matrix ends.
const POINTS_MAX: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_match_survives_the_loss_of_each_request_to_the_database() {
    survives_each(Loss::Request).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_match_survives_the_loss_of_each_answer_of_the_database() {
    survives_each(Loss::Answer).await;
}

/// After this time a replica has given up a write to a hanging database, and has failed to repeat
/// it.
const GIVEN_UP_MS: u64 = 16_000;

/// Many times more requests than an idle replica sends to the database in 2 s.
const BUSY: usize = 60;

/// The number of answers during a takeover, other queries included.
const POINTS: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_takeover_survives_the_loss_of_each_answer_of_the_database() {
    let mut fleet = Fleet::start_by_plan(plan()).await;
    let mut matches = Vec::new();
    for point in 1..=POINTS {
        let left = fleet.create(1, 2).await;
        fleet.link(0).lose(Loss::Answer, point);
        fleet.stop(1).await;
        fleet.wait_until_polled_again(&left, 2).await;
        let mut client = fleet.client(0).await;
        // Whichever answer is lost, the cancel takes effect once and a repeat confirms it.
        while let Err(status) = client.cancel_match(cancel(&left[0].match_id)).await {
            Refusal::of(status).assert(Code::Unavailable, "STORE_UNAVAILABLE");
        }
        matches.push(left[1].clone());
        fleet.start_all();
    }
    println!("unheard: takeovers survived {} losses", fleet.link(0).losses());
    fleet.link(0).heal();
    fleet.end_all_analyses();
    fleet.check_finished(&matches).await;
    fleet.shut_down_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_match_whose_acceptance_is_unknown_causes_no_busy_loop() {
    let plan = Plan { replicas: 1, own_cluster: true, ..plan() };
    let fleet = Fleet::start_by_plan(plan).await;
    let reference = fleet.create(0, 1).await;
    let (link, mut client) = (fleet.link(0), fleet.client(0).await);
    let request = with_request_id("unheard", portrait_request(&fleet.folder()));
    fleet.cluster().pause();
    fleet.check_unavailable(client.create_match(request.clone())).await;
    // The outcome of the write stays unknown.
    fleet.cluster().kill();
    fleet.cluster().start_again();
    let matches = [reference, vec![bring_to_start(client, request).await]].concat();
    let losses = link.losses();
    link.lose(Loss::Request, BUSY);
    fleet.wait_until_polled_again(&matches, 20).await;
    assert_eq!(link.losses(), losses, "the replica queries the database in a loop");
    link.heal();
    fleet.end_all_analyses();
    fleet.check_finished(&matches).await;
    fleet.shut_down_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_match_that_a_hung_database_accepts_late_is_driven_once_requested_again() {
    let fleet = Fleet::start_by_plan(Plan { replicas: 1, own_cluster: true, ..plan() }).await;
    // Prepares the statements: a prepared statement is executed as soon as the database reads it.
    let prepared = fleet.create(0, 1).await;
    let client = fleet.client(0).await;
    let request = with_request_id("unheard", portrait_request(&fleet.folder()));
    fleet.cluster().pause();
    let until_ms = fleet.clock_ms() + GIVEN_UP_MS;
    fleet.check_unavailable(client.clone().create_match(request.clone())).await;
    while fleet.clock_ms() < until_ms {
        fleet
            .check_unavailable(client.clone().get_match(get(&uuid::Uuid::nil().to_string())))
            .await;
    }
    fleet.cluster().resume();
    fleet.wait_for_sql("SELECT count(*) FROM matches", "2").await;
    let started = timeout(PATIENCE, bring_to_start(client, request)).await;
    let matches = [prepared, vec![started.expect("the match is driven")]].concat();
    fleet.end_all_analyses();
    fleet.check_finished(&matches).await;
    fleet.shut_down_all().await;
}

fn plan() -> Plan {
    Plan { replicas: 2, links: true, ..Plan::default() }
}

/// Runs a match for each point at which a message is lost, until a match ends before its point.
async fn survives_each(loss: Loss) {
    let fleet = Fleet::start_by_plan(plan()).await;
    fleet.oz().switch(|switches| switches.processing_ms = 0);
    let (link, client) = (fleet.link(0), fleet.client(0).await);
    let mut matches = Vec::new();
    for point in 1.. {
        assert!(point < POINTS_MAX, "the matrix doesn't end");
        let losses = link.losses();
        link.lose(loss, point);
        let request =
            with_request_id(&format!("{loss:?} {point}"), portrait_request(&fleet.folder()));
        matches.push(run_to_end(client.clone(), request).await);
        if link.losses() == losses {
            break;
        }
    }
    link.heal();
    println!("unheard: a match survived the loss of {loss:?} at {} points", matches.len() - 1);
    fleet.check_finished(&matches).await;
    fleet.shut_down_all().await;
}

/// Repeats the call until the match is being analysed.
async fn bring_to_start(mut client: Client, request: MatchRequest) -> Match {
    loop {
        match client.create_match(request.clone()).await {
            Ok(m) => return m.into_inner(),
            Err(status) => Refusal::of(status).assert(Code::Unavailable, "STORE_UNAVAILABLE"),
        }
    }
}

/// Repeats the call until the match has ended, as callers do.
pub async fn run_to_end(mut client: Client, request: MatchRequest) -> Match {
    let mut history = WatcherHistory::default();
    while !history.has_closed() {
        history.resume_after(0);
        if let Err(status) = follow(&mut client, request.clone(), &mut history).await {
            Refusal::of(status).assert(Code::Unavailable, "STORE_UNAVAILABLE");
        }
    }
    let m = history.last().and_then(|update| update.r#match.clone()).expect("a match");
    assert_eq!(m.state(), MatchState::Finished);
    m
}

async fn follow(
    client: &mut Client,
    request: MatchRequest,
    history: &mut WatcherHistory,
) -> Result<(), Status> {
    let mut updates = client.run_match(request).await?.into_inner();
    while let Some(update) = updates.message().await? {
        history.see(&update);
    }
    Ok(())
}
