//! Follows all matches in one stream, and goes from replica to replica by its token.

use std::{collections::HashMap, sync::Arc};

use facematch::pb::{MatchUpdate, WatchMatchesRequest};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{sync::watch, time::timeout};
use tonic::{Status, Streaming};

use crate::{
    callers::stage::{Service, Stage},
    checker::{Checker, is_passing},
    support::{PATIENCE, try_connect},
    watching::checked::Place,
};

/// After at most so many updates it goes to some other replica, even if nothing is wrong.
const UPDATES_MAX: usize = 40;

/// Where all updates begin.
const EARLIEST: &str = "earliest";

/// Who follows.
pub struct Follower {
    service: watch::Receiver<Service>,
    random: StdRng,
    token: String,
    seen: Vec<Place>,
    checkers: HashMap<String, Checker>,
}

impl Follower {
    pub fn new(seed: u64, stage: &Arc<Stage>) -> Self {
        let (service, random) = (stage.service(), StdRng::seed_from_u64(seed));
        let (token, seen, checkers) = (EARLIEST.to_owned(), Vec::new(), HashMap::new());
        Self { service, random, token, seen, checkers }
    }

    /// Follows until it is told how many updates there are and has seen so many.
    pub async fn run(mut self, mut in_all: watch::Receiver<Option<usize>>) -> Vec<Place> {
        while in_all.borrow().is_none_or(|in_all| self.seen.len() < in_all) {
            // Whatever lets it down, it goes on elsewhere; who was let down rightly, others check.
            if let Ok(updates) = timeout(PATIENCE, self.open()).await.expect("somebody is there") {
                tokio::select! {
                    () = self.follow(updates) => {}
                    Ok(()) = in_all.changed() => {}
                }
            }
        }
        self.seen
    }

    async fn open(&mut self) -> Result<Streaming<MatchUpdate>, Status> {
        let is_open = |now: &Service| !now.open().is_empty();
        let now = self.service.wait_for(is_open).await.expect("the stage is there").clone();
        let open = now.open();
        let door = &now.doors[open[self.random.random_range(0..open.len())]];
        let client = try_connect(door.address.as_ref().expect("it is open")).await;
        let mut client = client.map_err(|failure| Status::unavailable(failure.to_string()))?;
        let request =
            WatchMatchesRequest { resume_token: self.token.clone(), ..Default::default() };
        Ok(client.watch_matches(request).await?.into_inner())
    }

    async fn follow(&mut self, mut updates: Streaming<MatchUpdate>) {
        for _ in 0..self.random.random_range(1..=UPDATES_MAX) {
            match updates.message().await {
                Ok(update) => self.see(&update.expect("such a stream has no end")),
                Err(_) => return,
            }
        }
    }

    fn see(&mut self, update: &MatchUpdate) {
        self.token.clone_from(&update.resume_token);
        if is_passing(update) {
            return;
        }
        self.checkers.entry(update.match_id.clone()).or_default().see(update);
        self.seen.push((update.match_id.clone(), update.sequence));
    }
}
