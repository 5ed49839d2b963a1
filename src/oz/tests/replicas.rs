//! Several replicas with one login, each with a session of its own, at the simulated Oz.

use std::sync::Mutex;

use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::*;
use crate::{
    oz::Jitter,
    simulator::{Endpoint, Simulator},
};

/// For how many seconds each replica sends one request a second.
const SECONDS: usize = 600;

/// Each replica gets its session back within this many seconds.
const WITHIN: usize = 300;

struct Fleet {
    oz: Simulator,
    clients: Vec<Client>,
    hand: Hand,
}

impl Fleet {
    /// Replicas that share one clock.
    async fn new(replicas: u64) -> Self {
        let oz = Simulator::start().await;
        let (clock, hand) = Clock::manual(NOW);
        let clients = (0..replicas).map(|seed| {
            let (email, password) = oz.login();
            let credentials =
                Credentials::Login { email: email.to_owned(), password: password.into() };
            Client::new(Config::new(oz.url(), credentials), clock.clone(), chance(seed)).unwrap()
        });
        let clients = clients.collect();
        Self { oz, clients, hand }
    }

    /// Which replicas have a session: Oz answers those that it has no such analysis.
    async fn ask(&self) -> Vec<bool> {
        let mut heard = Vec::new();
        for client in &self.clients {
            heard.push(match perform(client, &read_analysis()).await.unwrap_err().kind {
                FailureKind::NotFound => true,
                FailureKind::SessionRefused => false,
                other => panic!("{other:?}"),
            });
        }
        heard
    }

    fn asked(&self, endpoint: Endpoint) -> usize {
        self.oz.record().iter().filter(|asked| asked.endpoint == endpoint).count()
    }
}

fn chance(seed: u64) -> Jitter {
    let random = Mutex::new(StdRng::seed_from_u64(seed));
    Arc::new(move || random.lock().unwrap().random())
}

#[tokio::test]
async fn replicas_that_end_each_others_sessions_log_in_rarely_and_none_starves() {
    for replicas in [2, 3] {
        let fleet = Fleet::new(replicas as u64).await;
        fleet.oz.switch(|on| on.login_ends_earlier_sessions = true);
        let (mut last, mut answers) = (vec![0; replicas], vec![0; replicas]);
        for second in 0..SECONDS {
            for (replica, answered) in fleet.ask().await.into_iter().enumerate() {
                if answered {
                    (last[replica], answers[replica]) = (second, answers[replica] + 1);
                }
                let starved = second - last[replica];
                assert!(starved < WITHIN, "replica {replica} of {replicas} at second {second}");
            }
            fleet.hand.advance(Duration::from_secs(1));
        }
        // Some logins until the pauses have grown; then at most one per replica in 30 s.
        let most = replicas * (7 + SECONDS / 30);
        let logins = fleet.asked(Endpoint::Login);
        assert!(logins <= most, "{logins} logins of {replicas} replicas");
        let least = SECONDS / replicas / 2;
        assert!(answers.iter().all(|answers| *answers >= least), "{answers:?}");
    }
}

#[tokio::test]
async fn replicas_whose_logins_end_no_session_log_in_once_each() {
    let fleet = Fleet::new(3).await;
    for _ in 0..100 {
        assert_eq!(fleet.ask().await, [true; 3]);
        fleet.hand.advance(Duration::from_secs(1));
    }
    assert_eq!(fleet.asked(Endpoint::Login), 3);
}

#[tokio::test]
async fn a_refresh_by_one_replica_ends_no_session_of_another() {
    let fleet = Fleet::new(2).await;
    // Both have a session before the next login would end the others.
    assert_eq!(fleet.ask().await, [true; 2]);
    fleet.oz.switch(|on| on.login_ends_earlier_sessions = true);
    let lifetime = Duration::from_secs(1_000 * 365 * 86_400);
    fleet.hand.advance(lifetime);
    for _ in 0..3 {
        assert_eq!(fleet.ask().await, [true; 2]);
        fleet.hand.advance(lifetime);
    }
    assert_eq!(fleet.asked(Endpoint::Login), 2);
    assert!(fleet.asked(Endpoint::Refresh) >= 2);
}
