//! A caller that reconnects after a failure, by repeating its request or by watching from its last
//! update, and that sometimes cancels its match.

use std::sync::Arc;

use facematch::pb::{CancelMatchRequest, Match, MatchState, MatchUpdate, cancel_match_request};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{sync::watch, time::timeout};
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt;

use crate::{
    callers::{
        requested_match::{CancelMoment, RequestedMatch},
        storm::{ReplicaAddress, Service, StormState},
    },
    canary::Client,
    checker::WatcherHistory,
    support::{PATIENCE, Refusal, get, try_connect, watch_after},
};

/// A match that has ended.
#[derive(Debug)]
pub struct Ended {
    pub asked: RequestedMatch,
    /// The last state that its caller saw.
    pub last: Match,
    pub cancel: Cancel,
}

/// The outcome of a caller's cancel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Cancel {
    /// Not sent.
    #[default]
    Unsent,
    /// Sent, without a response so far.
    Unanswered,
    /// The match is cancelled.
    Done,
    /// The match had ended before.
    TooLate,
}

/// What a caller knows of its match, across restarts of the service.
#[derive(Default)]
struct MatchKnowledge {
    history: WatcherHistory,
    cancel: Cancel,
}

/// A caller that runs one match at a time.
pub struct Caller {
    number: u64,
    stage: Arc<StormState>,
    service: watch::Receiver<Service>,
    random: StdRng,
    /// The replica that failed last.
    failed_last: Option<usize>,
}

/// A caller's connection to a replica, valid until that replica is restarted.
#[derive(Clone)]
struct Connection {
    number: usize,
    start_count: u64,
    client: Client,
}

impl Caller {
    pub fn new(number: u64, seed: u64, stage: &Arc<StormState>) -> Self {
        let random = StdRng::seed_from_u64(seed.wrapping_add(number + 1));
        let (stage, service) = (Arc::clone(stage), stage.service());
        Self { number, stage, service, random, failed_last: None }
    }

    /// Runs one match after another until the storm is over and the last match has ended.
    pub async fn run_until_quiet(mut self) -> Vec<Ended> {
        let mut all = Vec::new();
        while !self.service.borrow().is_quiet {
            let request_id = format!("caller {}, match {}", self.number, all.len());
            let asked = RequestedMatch::random(&request_id, &mut self.random, &self.stage.oz);
            all.push(self.bring_to_end(asked).await);
        }
        all
    }

    /// Runs a match to its end, across any number of restarts of the service.
    async fn bring_to_end(&mut self, asked: RequestedMatch) -> Ended {
        let mut course = MatchKnowledge::default();
        while !course.history.has_closed() || course.cancel == Cancel::Unanswered {
            let Some(here) = self.connect_to_some_replica().await else { continue };
            if let Err(status) = self.follow(&here, &asked, &mut course).await {
                self.check_failure(here.number, here.start_count, &status).await;
            }
        }
        let last = course.history.last().and_then(|update| update.r#match.clone());
        let last = last.expect("a closing update with its match");
        Ended { asked, last, cancel: course.cancel }
    }

    /// Connects to a random replica, and avoids the replica that failed last if there is another.
    /// Returns `None` if the connection fails.
    async fn connect_to_some_replica(&mut self) -> Option<Connection> {
        let is_open = |now: &Service| !now.listening().is_empty();
        let now = timeout(PATIENCE, self.service.wait_for(is_open)).await;
        let now = now.expect("the service comes back").unwrap().clone();
        let mut open = now.listening();
        if open.len() > 1 {
            open.retain(|number| Some(*number) != self.failed_last);
        }
        let number = open[self.random.random_range(0..open.len())];
        let ReplicaAddress { life, address } = &now.replicas[number];
        match try_connect(address.as_ref().expect("it is open")).await {
            Ok(client) => Some(Connection { number, start_count: *life, client }),
            Err(failure) => {
                let status = Status::unavailable(failure.to_string());
                self.check_failure(number, *life, &status).await;
                None
            }
        }
    }

    /// Checks why a call failed: the only valid reasons are that the replica was killed or stopped,
    /// or that the store was unavailable.
    async fn check_failure(&mut self, number: usize, life: u64, status: &Status) {
        self.failed_last = Some(number);
        let now = self.service.borrow_and_update().clone();
        let is_gone = now.replicas[number].address.is_none() || now.replicas[number].life > life;
        let Some(reason) = status.get_details_error_info().map(|info| info.reason) else {
            assert!(is_gone, "a call broke while the replica was alive: {status:?}");
            // The transport's codes for a broken connection, depending on when it breaks.
            let broken = [Code::Unavailable, Code::Unknown, Code::Cancelled, Code::Internal];
            assert!(broken.contains(&status.code()), "callers don't retry this: {status:?}");
            return;
        };
        match &*reason {
            "SERVER_DRAINING" => assert!(is_gone, "it drains without a shutdown: {status:?}"),
            "STORE_UNAVAILABLE" => assert!(now.outages > 0, "the store is available: {status:?}"),
            _ => panic!("callers don't retry this: {status:?}"),
        }
        assert_eq!(status.code(), Code::Unavailable);
        let delay = status.get_details_retry_info().and_then(|info| info.retry_delay);
        // Waits for the retry delay, or until the service changes.
        let _ = timeout(delay.expect("the error has a retry delay"), self.service.changed()).await;
    }

    async fn follow(
        &mut self,
        here: &Connection,
        asked: &RequestedMatch,
        course: &mut MatchKnowledge,
    ) -> Result<(), Status> {
        self.check_not_behind(here, &course.history).await?;
        let mut client = here.client.clone();
        self.repeat_cancel(&mut client, asked, course).await?;
        let mut updates = self.reconnect(&mut client, asked, &mut course.history).await?;
        loop {
            tokio::select! {
                update = next(&mut updates) => {
                    let Some(update) = update? else { break };
                    course.history.see(&update);
                    self.stage.saw_update();
                    if self.random.random_bool(0.3) {
                        self.check_not_behind(here, &course.history).await?;
                    }
                }
                () = self.time_to_cancel(asked, &course.history), if course.cancel == Cancel::Unsent => {
                    self.cancel(&mut client, asked, course).await?;
                }
            }
        }
        course.history.checker().check_end();
        Ok(())
    }

    /// Reads the match from this replica or from another. The answer must not be older than the
    /// last update that the caller has seen.
    async fn check_not_behind(
        &mut self,
        here: &Connection,
        history: &WatcherHistory,
    ) -> Result<(), Status> {
        let Some(last) = history.last() else { return Ok(()) };
        let replicas = self.service.borrow().replicas.len();
        if replicas == 1 || self.random.random_bool(0.5) {
            return look(&mut here.client.clone(), history, last).await;
        }
        let Some(mut there) = self.connect_to_some_replica().await else { return Ok(()) };
        if let Err(status) = look(&mut there.client, history, last).await {
            self.check_failure(there.number, there.start_count, &status).await;
        }
        Ok(())
    }

    /// Waits until it is time to cancel the match; forever, if the caller doesn't cancel it.
    async fn time_to_cancel(&self, asked: &RequestedMatch, history: &WatcherHistory) {
        let has_seen = |count| history.last().is_some_and(|last| last.sequence >= count);
        match asked.cancel {
            Some(CancelMoment::Seen(count)) if has_seen(count) => {}
            Some(CancelMoment::Asked(endpoint)) => {
                let folder = asked.request.folder_id.parse().ok();
                let oz = &self.stage.oz;
                oz.recorded(|all| all.iter().any(|r| r.endpoint == endpoint && r.folder == folder))
                    .await;
            }
            Some(CancelMoment::Seen(_)) | None => std::future::pending().await,
        }
    }

    /// Repeats a cancel whose response was lost, and sometimes a cancel that was answered.
    async fn repeat_cancel(
        &mut self,
        client: &mut Client,
        asked: &RequestedMatch,
        course: &mut MatchKnowledge,
    ) -> Result<(), Status> {
        match course.cancel {
            Cancel::Unanswered => self.cancel(client, asked, course).await,
            Cancel::Done | Cancel::TooLate if self.random.random_bool(0.5) => {
                self.cancel(client, asked, course).await
            }
            Cancel::Unsent | Cancel::Done | Cancel::TooLate => Ok(()),
        }
    }

    /// Cancels the match, and checks that a repeated cancel gets the same answer.
    async fn cancel(
        &mut self,
        client: &mut Client,
        asked: &RequestedMatch,
        course: &mut MatchKnowledge,
    ) -> Result<(), Status> {
        use cancel_match_request::Id;
        let known = course.history.last().filter(|_| self.random.random_bool(0.5));
        let id = known.map(|last| Id::MatchId(last.match_id.clone()));
        let id = id.or_else(|| Some(Id::RequestId(asked.request.request_id.clone())));
        let before = std::mem::replace(&mut course.cancel, Cancel::Unanswered);
        let answer = match client.cancel_match(CancelMatchRequest { id }).await {
            Ok(cancelled) => {
                assert_eq!(cancelled.into_inner().state(), MatchState::Cancelled);
                Cancel::Done
            }
            Err(status) if status.code() == Code::FailedPrecondition => {
                Refusal::of(status).assert(Code::FailedPrecondition, "MATCH_ENDED");
                Cancel::TooLate
            }
            Err(status) => return Err(status),
        };
        let is_same = matches!(before, Cancel::Unsent | Cancel::Unanswered) || before == answer;
        assert!(is_same, "a cancel was {before:?}, and is {answer:?}");
        course.cancel = answer;
        Ok(())
    }

    /// Opens a stream of the match's updates again. While Oz may lack the photo, this repeats the
    /// request with its photo; afterwards it repeats the request or watches, at random.
    async fn reconnect(
        &mut self,
        client: &mut Client,
        asked: &RequestedMatch,
        history: &mut WatcherHistory,
    ) -> Result<Streaming<MatchUpdate>, Status> {
        let is_at_oz = |m: &Match| !m.photo_media_id.is_empty() || !asked.is_upload();
        let seen = history.last().filter(|last| last.r#match.as_ref().is_some_and(is_at_oz));
        let seen = seen.filter(|_| self.random.random_bool(0.5));
        let updates = match seen.map(|last| (last.match_id.clone(), last.sequence)) {
            Some((match_id, sequence)) => {
                history.resume_after(sequence);
                client.watch_match(watch_after(&match_id, sequence)).await?
            }
            None => {
                history.resume_after(0);
                client.run_match(asked.request.clone()).await?
            }
        };
        Ok(updates.into_inner())
    }
}

async fn next(updates: &mut Streaming<MatchUpdate>) -> Result<Option<MatchUpdate>, Status> {
    timeout(PATIENCE, updates.message()).await.expect("the match makes progress")
}

async fn look(
    client: &mut Client,
    history: &WatcherHistory,
    last: &MatchUpdate,
) -> Result<(), Status> {
    let m = client.get_match(get(&last.match_id)).await?.into_inner();
    history.checker().check_read(m.sequence);
    Ok(())
}
