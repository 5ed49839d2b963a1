//! Follows streams to their end across broken connections, and shows each update once.
//!
//! It deliberately doesn't decide which call comes next (`resume` does), nor how an update looks
//! (the audience does).

use std::{future::Future, io, time::Duration};

use tonic::{Status, Streaming};

use crate::{
    cli::call::{
        client::ServiceClient,
        pb::{
            GetMatchRequest, Match, MatchRequest, MatchUpdate, WatchMatchRequest,
            WatchMatchesRequest, get_match_request, watch_match_request,
        },
        resume::{
            self, Acceptance, Backoff, CallOutcome, NextMove, OngoingOutage, ResumeCall, Retry,
            Seen,
        },
    },
    clock::Clock,
};

/// How long the server may take to accept a call, its photo included. This is longer than a
/// server's own timeout for receiving a request (60 s), so that the server's error arrives first.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(90);

/// Receives the updates of a followed stream, and its interruptions.
pub trait Audience {
    /// Takes an update. Each durable update is passed once. An error stops the follower.
    fn update(&mut self, update: &MatchUpdate) -> io::Result<()>;
    /// Takes the error of a call that broke off or could not be made. Another call follows after
    /// `retry`.
    fn broken(&mut self, status: &Status, retry: Retry);
}

/// Why following stopped before the end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused the call, and would refuse it again.
    #[error("the call was refused: {}", .0.message())]
    Refused(Box<Status>),
    /// The call broke off. If this is the result of a whole run, no further retry is allowed.
    #[error("the call broke off: {}", .0.message())]
    Broken(Box<Status>),
    /// The audience can't take updates any more.
    #[error("can't write the output")]
    Output(#[from] io::Error),
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        match resume::outcome_of(&status) {
            CallOutcome::Broken => Self::Broken(Box::new(status)),
            CallOutcome::MatchNotFound | CallOutcome::Refused => Self::Refused(Box::new(status)),
        }
    }
}

/// What to follow.
#[derive(Debug, Clone)]
pub enum Target {
    /// A match to run. The request id must be set: it makes repeating the call safe.
    Run(MatchRequest),
    /// A match that exists already. The sequence to resume after comes from [`FollowMatch::seen`].
    Watch(WatchMatchRequest),
}

/// Follows one match.
pub struct FollowMatch {
    /// The connection to the server.
    pub client: ServiceClient,
    /// The match.
    pub target: Target,
    /// The last durable update that was seen.
    pub seen: Seen,
    /// Whether the server has accepted the match. Matters only for [`Target::Run`].
    pub acceptance: Acceptance,
    /// The pauses between retries, and when to give up.
    pub pace: Backoff,
    /// The clock of pauses and silence.
    pub clock: Clock,
}

impl FollowMatch {
    /// Follows the match to its end.
    pub async fn until_end(&mut self, audience: &mut dyn Audience) -> Result<Match, Error> {
        let mut trying = RetryState::new(&self.clock, self.pace);
        let mut call = match self.target {
            Target::Run(_) => ResumeCall::Run,
            Target::Watch(_) => ResumeCall::Watch { after: self.seen.sequence },
        };
        loop {
            let error = match self.follow_one_call(call, &mut trying, audience).await {
                Ok(ended) => return Ok(ended),
                Err(error) => error,
            };
            let status = match &error {
                Error::Refused(status) | Error::Broken(status) => status,
                Error::Output(_) => return Err(error),
            };
            let outcome = resume::outcome_of(status);
            match resume::next_call(self.has_photo(), call, &self.seen, outcome) {
                NextMove::Call(next) => call = next,
                NextMove::Fail => return Err(error),
            }
            if !trying.wait_for_retry(status, audience).await {
                return Err(error);
            }
        }
    }

    fn has_photo(&self) -> bool {
        match self.target {
            Target::Run(_) => true,
            Target::Watch(_) => false,
        }
    }

    /// Makes one call and follows it until the call or the match ends.
    async fn follow_one_call(
        &mut self,
        call: ResumeCall,
        trying: &mut RetryState,
        audience: &mut dyn Audience,
    ) -> Result<Match, Error> {
        let clock = self.clock.clone();
        let mut stream = taken(&clock, self.open(call)).await?;
        trying.taken();
        while let Some(update) = trying.next(&mut stream).await? {
            if !self.seen.take(&update) {
                continue;
            }
            let durable = resume::is_durable(&update);
            if durable {
                self.acceptance = Acceptance::Yes;
                trying.outage.note_progress();
            }
            audience.update(&update)?;
            if let Some(ended) = update.r#match.filter(|m| durable && resume::has_ended(m)) {
                return Ok(ended);
            }
        }
        self.read_match().await
    }

    async fn open(&mut self, call: ResumeCall) -> Result<Streaming<MatchUpdate>, Status> {
        let response = match (call, &self.target) {
            (ResumeCall::Run, Target::Run(request)) => return self.send(request.clone()).await,
            (ResumeCall::Watch { after }, target) => {
                self.client.watch_match(watch_request(target, after)).await?
            }
            (ResumeCall::Run, Target::Watch(request)) => {
                self.client.watch_match(request.clone()).await?
            }
        };
        Ok(response.into_inner())
    }

    /// Sends the request. From here on the match may be accepted, even if the call fails.
    async fn send(&mut self, request: MatchRequest) -> Result<Streaming<MatchUpdate>, Status> {
        let before = self.acceptance;
        self.acceptance = before.max(Acceptance::Perhaps);
        let sent = self.client.run_match(request).await;
        if sent.as_ref().is_err_and(resume::had_no_effect) {
            self.acceptance = before;
        }
        Ok(sent?.into_inner())
    }

    /// Reads the match after its stream ended without a closing update: the match should have ended
    /// before the stream began.
    async fn read_match(&mut self) -> Result<Match, Error> {
        let id = match watch_request(&self.target, 0).id {
            Some(watch_match_request::Id::MatchId(id)) => get_match_request::Id::MatchId(id),
            Some(watch_match_request::Id::RequestId(id)) => get_match_request::Id::RequestId(id),
            None => return Err(Status::internal("nothing to follow").into()),
        };
        let clock = self.clock.clone();
        let looking = self.client.get_match(GetMatchRequest { id: Some(id) });
        let found = taken(&clock, looking).await?.into_inner();
        if resume::has_ended(&found) || resume::is_unknown_state(&found) {
            return Ok(found);
        }
        Err(Status::unavailable("the stream ended before the match did").into())
    }
}

/// Follows all matches that a filter selects.
pub struct FollowMatches {
    /// The connection to the server.
    pub client: ServiceClient,
    /// The filter, and the token to resume from, which moves forward with the updates.
    pub request: WatchMatchesRequest,
    /// The pauses between retries, and when to give up.
    pub pace: Backoff,
    /// The clock of pauses and silence.
    pub clock: Clock,
}

impl FollowMatches {
    /// Follows until the call fails and no retry is left.
    pub async fn until_failure(mut self, audience: &mut dyn Audience) -> Error {
        let mut trying = RetryState::new(&self.clock, self.pace);
        loop {
            let error = self.attend(&mut trying, audience).await;
            let Error::Broken(status) = &error else { return error };
            if !trying.wait_for_retry(status, audience).await {
                return error;
            }
        }
    }

    async fn attend(&mut self, trying: &mut RetryState, audience: &mut dyn Audience) -> Error {
        match self.read_stream(trying, audience).await {
            Ok(()) => Status::unavailable("the server ended the stream").into(),
            Err(error) => error,
        }
    }

    async fn read_stream(
        &mut self,
        trying: &mut RetryState,
        audience: &mut dyn Audience,
    ) -> Result<(), Error> {
        let opening = self.client.watch_matches(self.request.clone());
        let mut stream = taken(&self.clock, opening).await?.into_inner();
        trying.taken();
        while let Some(update) = trying.next(&mut stream).await? {
            audience.update(&update)?;
            // A new token is progress, even if it comes with a heartbeat.
            if !update.resume_token.is_empty() {
                trying.outage.note_progress();
                self.request.resume_token = update.resume_token;
            }
        }
        Ok(())
    }
}

/// The retries of one run, and how long its stream may be silent.
struct RetryState {
    clock: Clock,
    elapsed: Box<dyn Fn() -> Duration + Send>,
    pace: Backoff,
    outage: OngoingOutage,
    /// The interval of heartbeats, as the last heartbeat said.
    heartbeat: Option<Duration>,
}

impl RetryState {
    fn new(clock: &Clock, pace: Backoff) -> Self {
        let (start, watch) = (clock.now(), clock.clone());
        let elapsed = Box::new(move || watch.now().since(start));
        Self {
            clock: clock.clone(),
            elapsed,
            pace,
            outage: OngoingOutage::default(),
            heartbeat: None,
        }
    }

    fn taken(&mut self) {
        self.outage.note_accepted((self.elapsed)());
    }

    /// The next update of a stream. A stream that is silent for too long counts as broken.
    async fn next(
        &mut self,
        stream: &mut Streaming<MatchUpdate>,
    ) -> Result<Option<MatchUpdate>, Status> {
        let end = self.clock.now().after(resume::silence_max(self.heartbeat));
        let Some(message) = self.clock.before(end, stream.message()).await else {
            return Err(Status::unavailable("the server has been silent for too long"));
        };
        let update = message?;
        self.heartbeat = update.as_ref().and_then(resume::heartbeat).or(self.heartbeat);
        Ok(update)
    }

    /// Waits until the next call is due. Returns false if there must be no further call.
    async fn wait_for_retry(&mut self, status: &Status, audience: &mut dyn Audience) -> bool {
        if !self.outage.may_retry(status) {
            return false;
        }
        let (now, asked) = ((self.elapsed)(), resume::requested_delay(status));
        let Some(retry) = self.outage.retry(&self.pace, now, rand::random(), asked) else {
            return false;
        };
        audience.broken(status, retry);
        self.clock.sleep(retry.pause).await;
        true
    }
}

/// The answer to a call, if it comes within [`ACCEPT_TIMEOUT`].
async fn taken<T>(
    clock: &Clock,
    opening: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    match clock.before(clock.now().after(ACCEPT_TIMEOUT), opening).await {
        Some(opened) => opened,
        None => Err(Status::unavailable("the server has not answered the call")),
    }
}

fn watch_request(target: &Target, after: u64) -> WatchMatchRequest {
    match target {
        Target::Run(request) => WatchMatchRequest {
            id: Some(watch_match_request::Id::RequestId(request.request_id.clone())),
            after_sequence: after,
            include_progress: request.include_progress,
        },
        Target::Watch(request) => WatchMatchRequest { after_sequence: after, ..request.clone() },
    }
}

#[cfg(test)]
mod tests;
