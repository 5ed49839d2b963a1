//! A follower of all matches, which moves its stream from replica to replica by its resume token.

use std::sync::Arc;

use facematch::pb::{MatchUpdate, WatchMatchesRequest};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{sync::watch, time::timeout};
use tonic::{Status, Streaming};

use crate::{
    callers::storm::{Service, StormState},
    checker::follow,
    invariants::{FollowerHistory, UpdateKey},
    support::{PATIENCE, try_connect},
};

/// The maximum number of updates before it moves to another replica, even without a failure.
const UPDATES_MAX: usize = 40;

/// A follower of all matches.
pub struct Follower {
    service: watch::Receiver<Service>,
    random: StdRng,
    history: FollowerHistory<String>,
}

impl Follower {
    pub fn new(seed: u64, stage: &Arc<StormState>) -> Self {
        let (service, random) = (stage.service(), StdRng::seed_from_u64(seed));
        Self { service, random, history: FollowerHistory::default() }
    }

    /// Follows until it has seen as many updates as `in_all` announces.
    pub async fn run(
        mut self,
        mut in_all: watch::Receiver<Option<usize>>,
    ) -> Vec<UpdateKey<String>> {
        while in_all.borrow().is_none_or(|in_all| self.history.updates().len() < in_all) {
            // After any failure it continues at another replica; callers check the reasons.
            if let Ok(updates) = timeout(PATIENCE, self.open()).await.expect("a replica listens") {
                tokio::select! {
                    () = self.follow(updates) => {}
                    Ok(()) = in_all.changed() => {}
                }
            }
        }
        self.history.updates().to_vec()
    }

    async fn open(&mut self) -> Result<Streaming<MatchUpdate>, Status> {
        let is_open = |now: &Service| !now.listening().is_empty();
        let now = self.service.wait_for(is_open).await.expect("the stage holds the sender").clone();
        let open = now.listening();
        let door = &now.replicas[open[self.random.random_range(0..open.len())]];
        let client = try_connect(door.address.as_ref().expect("it is open")).await;
        let mut client = client.map_err(|failure| Status::unavailable(failure.to_string()))?;
        let request =
            WatchMatchesRequest { resume_token: self.history.token(), ..Default::default() };
        Ok(client.watch_matches(request).await?.into_inner())
    }

    async fn follow(&mut self, mut updates: Streaming<MatchUpdate>) {
        for _ in 0..self.random.random_range(1..=UPDATES_MAX) {
            match updates.message().await {
                Ok(update) => {
                    let update = update.expect("a stream of all matches doesn't end");
                    follow(&mut self.history, &update);
                }
                Err(_) => return,
            }
        }
    }
}
