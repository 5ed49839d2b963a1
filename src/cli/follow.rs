//! Follows streams to their end across broken connections, showing each update once.
//!
//! What to call next is `resume`'s rule; what an update looks like is the audience's business.

use std::{future::Future, io, time::Duration};

use tonic::{Status, Streaming};

use crate::{
    cli::{
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

/// How long a call may take until the server has taken it, its photo included: longer than servers
/// receive a request for (60 s), so that theirs is the word for it.
const TAKING_MAX: Duration = Duration::from_secs(90);

/// The listener to the updates.
pub trait Audience {
    /// An update, each durable one once.
    fn update(&mut self, update: &MatchUpdate) -> io::Result<()>;
    /// A call broke off or could not be made; there will be another one.
    fn broken(&mut self, status: &Status, retry: Retry);
}

/// Why following stopped before the end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused, and would again.
    #[error("the call was refused: {}", .0.message())]
    Refused(Box<Status>),
    /// The call broke off; of a whole run it means that patience is at its end.
    #[error("the call broke off: {}", .0.message())]
    Broken(Box<Status>),
    /// The audience is gone.
    #[error("can't write the output")]
    Output(#[from] io::Error),
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        match resume::outcome_of(&status) {
            CallOutcome::Broken => Self::Broken(Box::new(status)),
            CallOutcome::Unknown | CallOutcome::Refused => Self::Refused(Box::new(status)),
        }
    }
}

/// What to follow.
#[derive(Debug, Clone)]
pub enum Target {
    /// A match to run. Its request id is set: it is what makes going on safe.
    Run(MatchRequest),
    /// A match that exists.
    ///
    /// The number after which it goes on is taken from `Follow::seen`.
    Watch(WatchMatchRequest),
}

/// One match that is followed.
pub struct FollowMatch {
    /// The server.
    pub client: ServiceClient,
    /// The match.
    pub target: Target,
    /// What is known already.
    pub seen: Seen,
    /// Whether the server has taken the match over: of interest where it is run.
    pub acceptance: Acceptance,
    /// How to try again.
    pub pace: Backoff,
    /// What pauses and silence are measured by.
    pub clock: Clock,
}

impl FollowMatch {
    /// Follows the match to its end.
    pub async fn until_end(&mut self, audience: &mut dyn Audience) -> Result<Match, Error> {
        let mut trying = Trying::new(&self.clock, self.pace);
        let mut call = match self.target {
            Target::Run(_) => ResumeCall::Run,
            Target::Watch(_) => ResumeCall::Watch { after: self.seen.sequence },
        };
        loop {
            let error = match self.attend(call, &mut trying, audience).await {
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
            if !trying.again(status, audience).await {
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

    /// One call, to its end or the match's.
    async fn attend(
        &mut self,
        call: ResumeCall,
        trying: &mut Trying,
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
                trying.outage.news();
            }
            audience.update(&update)?;
            if let Some(ended) = update.r#match.filter(|m| durable && resume::has_ended(m)) {
                return Ok(ended);
            }
        }
        self.look().await
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

    /// Sends the request. From here on it may be accepted, whatever becomes of the call.
    async fn send(&mut self, request: MatchRequest) -> Result<Streaming<MatchUpdate>, Status> {
        let before = self.acceptance;
        self.acceptance = before.max(Acceptance::Perhaps);
        let sent = self.client.run_match(request).await;
        if sent.as_ref().is_err_and(resume::left_nothing) {
            self.acceptance = before;
        }
        Ok(sent?.into_inner())
    }

    /// A stream that ended well without news: the match had ended before it was opened.
    async fn look(&mut self) -> Result<Match, Error> {
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

/// All matches that are followed.
pub struct FollowMatches {
    /// The server.
    pub client: ServiceClient,
    /// Which ones, and from where on; the token moves on with the updates.
    pub request: WatchMatchesRequest,
    /// How to try again.
    pub pace: Backoff,
    /// What pauses and silence are measured by.
    pub clock: Clock,
}

impl FollowMatches {
    /// Follows until the call fails for good.
    pub async fn until_failure(mut self, audience: &mut dyn Audience) -> Error {
        let mut trying = Trying::new(&self.clock, self.pace);
        loop {
            let error = self.attend(&mut trying, audience).await;
            let Error::Broken(status) = &error else { return error };
            if !trying.again(status, audience).await {
                return error;
            }
        }
    }

    async fn attend(&mut self, trying: &mut Trying, audience: &mut dyn Audience) -> Error {
        match self.attend_to(trying, audience).await {
            Ok(()) => Status::unavailable("the server ended the stream").into(),
            Err(error) => error,
        }
    }

    async fn attend_to(
        &mut self,
        trying: &mut Trying,
        audience: &mut dyn Audience,
    ) -> Result<(), Error> {
        let opening = self.client.watch_matches(self.request.clone());
        let mut stream = taken(&self.clock, opening).await?.into_inner();
        trying.taken();
        while let Some(update) = trying.next(&mut stream).await? {
            audience.update(&update)?;
            // A new token is progress, also where it comes with a heartbeat.
            if !update.resume_token.is_empty() {
                trying.outage.news();
                self.request.resume_token = update.resume_token;
            }
        }
        Ok(())
    }
}

/// Tries again, by the clock.
struct Trying {
    clock: Clock,
    elapsed: Box<dyn Fn() -> Duration + Send>,
    pace: Backoff,
    outage: OngoingOutage,
    /// How much silence is normal, as the last heartbeat said.
    heartbeat: Option<Duration>,
}

impl Trying {
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
        self.outage.taken((self.elapsed)());
    }

    /// The next update of a stream, which is taken for dead if it is silent for too long.
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

    /// Returns when it is time for the next call; false if there shall be none.
    async fn again(&mut self, status: &Status, audience: &mut dyn Audience) -> bool {
        if !self.outage.may_pass(status) {
            return false;
        }
        let (now, asked) = ((self.elapsed)(), resume::asked(status));
        let Some(retry) = self.outage.retry(&self.pace, now, rand::random(), asked) else {
            return false;
        };
        audience.broken(status, retry);
        self.clock.sleep(retry.pause).await;
        true
    }
}

/// A call that the server takes, as long as it has for that.
async fn taken<T>(
    clock: &Clock,
    opening: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    match clock.before(clock.now().after(TAKING_MAX), opening).await {
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
