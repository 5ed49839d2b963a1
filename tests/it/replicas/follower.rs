//! A follower of all matches, which moves its stream from replica to replica by its resume token.

use std::{collections::HashMap, sync::Arc};

use facematch::pb::{MatchUpdate, WatchMatchesRequest};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{sync::watch, time::timeout};
use tonic::{Status, Streaming};

use crate::{
    callers::storm::{Service, StormState},
    checker::{MatchChecker, is_transient},
    support::{PATIENCE, try_connect},
    watching::checked::UpdateKey,
};

/// The maximum number of updates before it moves to another replica, even without a failure.
const UPDATES_MAX: usize = 40;

/// The token of a stream from the first event on.
const EARLIEST: &str = "earliest";

/// A follower of all matches.
pub struct Follower {
    service: watch::Receiver<Service>,
    random: StdRng,
    token: String,
    seen: Vec<UpdateKey>,
    checkers: HashMap<String, MatchChecker>,
}

impl Follower {
    pub fn new(seed: u64, stage: &Arc<StormState>) -> Self {
        let (service, random) = (stage.service(), StdRng::seed_from_u64(seed));
        let (token, seen, checkers) = (EARLIEST.to_owned(), Vec::new(), HashMap::new());
        Self { service, random, token, seen, checkers }
    }

    /// Follows until it has seen as many updates as `in_all` announces.
    pub async fn run(mut self, mut in_all: watch::Receiver<Option<usize>>) -> Vec<UpdateKey> {
        while in_all.borrow().is_none_or(|in_all| self.seen.len() < in_all) {
            // After any failure it continues at another replica; callers check the reasons.
            if let Ok(updates) = timeout(PATIENCE, self.open()).await.expect("a replica listens") {
                tokio::select! {
                    () = self.follow(updates) => {}
                    Ok(()) = in_all.changed() => {}
                }
            }
        }
        self.seen
    }

    async fn open(&mut self) -> Result<Streaming<MatchUpdate>, Status> {
        let is_open = |now: &Service| !now.listening().is_empty();
        let now = self.service.wait_for(is_open).await.expect("the stage holds the sender").clone();
        let open = now.listening();
        let door = &now.replicas[open[self.random.random_range(0..open.len())]];
        let client = try_connect(door.address.as_ref().expect("it is open")).await;
        let mut client = client.map_err(|failure| Status::unavailable(failure.to_string()))?;
        let request =
            WatchMatchesRequest { resume_token: self.token.clone(), ..Default::default() };
        Ok(client.watch_matches(request).await?.into_inner())
    }

    async fn follow(&mut self, mut updates: Streaming<MatchUpdate>) {
        for _ in 0..self.random.random_range(1..=UPDATES_MAX) {
            match updates.message().await {
                Ok(update) => self.see(&update.expect("a stream of all matches doesn't end")),
                Err(_) => return,
            }
        }
    }

    fn see(&mut self, update: &MatchUpdate) {
        self.token.clone_from(&update.resume_token);
        if is_transient(update) {
            return;
        }
        self.checkers.entry(update.match_id.clone()).or_default().check(update);
        self.seen.push((update.match_id.clone(), update.sequence));
    }
}
