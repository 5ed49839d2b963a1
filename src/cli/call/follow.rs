//! Follows streams to their end across broken connections, and shows each update once.
//!
//! It deliberately doesn't decide which call comes next (`resume` does), when (`retry` does), nor how
//! an update looks (the audience does).

use std::{future::Future, io};

use tonic::{Response, Status, Streaming};

use crate::{
    cli::call::{
        client::{Connection, ServiceClient},
        pb::{
            GetMatchRequest, Match, MatchRequest, MatchUpdate, WatchMatchRequest,
            WatchMatchesRequest, get_match_request, watch_match_request,
        },
        resume::{self, Acceptance, News, ResumeCall, Retry, Seen},
        retry::{Error, RetryState, Terms, within},
    },
    clock::Clock,
};

/// Receives the updates of a followed stream, and its interruptions.
pub trait Audience {
    /// Takes an update. Each durable update is passed once. An error stops the follower.
    fn update(&mut self, update: &MatchUpdate) -> impl Future<Output = io::Result<()>> + Send;
    /// Takes the error of a call that broke off or could not be made. Another call follows after
    /// `retry`.
    fn broken(&mut self, status: &Status, retry: Retry);
    /// Takes the error of a token that has expired: following goes on without it, and the updates
    /// in between are missed.
    fn missed(&mut self, status: &Status);
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
    pub connection: Connection,
    /// The match.
    pub target: Target,
    /// The last durable update that was seen.
    pub seen: Seen,
    /// Whether the server has accepted the match. Matters only for [`Target::Run`].
    pub acceptance: Acceptance,
    /// How long to wait.
    pub terms: Terms,
    /// The clock of pauses and silence.
    pub clock: Clock,
}

impl FollowMatch {
    /// Follows the match to its end.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn until_end<A: Audience>(&mut self, audience: &mut A) -> Result<Match, Error> {
        let (clock, limit) = (self.clock.clone(), self.terms.limit);
        // Boxed here and below, since each future would take twice the stack of those within it.
        within(&clock, limit, Box::pin(self.follow(audience))).await?
    }

    async fn follow<A: Audience>(&mut self, audience: &mut A) -> Result<Match, Error> {
        let mut trying = RetryState::new(&self.connection, &self.clock, self.terms);
        let mut call = match self.target {
            Target::Run(_) => ResumeCall::Run,
            Target::Watch(_) => ResumeCall::Watch { after: self.seen.sequence },
        };
        loop {
            let before = self.acceptance;
            let error = match self.follow_one_call(call, &mut trying, audience).await {
                Ok(ended) => return Ok(ended),
                Err(error) => error,
            };
            if self.acceptance < Acceptance::Yes && says_no_effect(&error) {
                self.acceptance = before;
            }
            let tell = |status: &Status, retry| audience.broken(status, retry);
            trying.wait_for_retry(error, tell).await?;
            call = resume::next_call(self.has_request(), &self.seen);
        }
    }

    fn has_request(&self) -> bool {
        match self.target {
            Target::Run(_) => true,
            Target::Watch(_) => false,
        }
    }

    /// Makes one call and follows it until the call or the match ends.
    async fn follow_one_call<A: Audience>(
        &mut self,
        call: ResumeCall,
        trying: &mut RetryState,
        audience: &mut A,
    ) -> Result<Match, Error> {
        let client = trying.begin_stream(call);
        let mut stream = trying.opened(Box::pin(self.open(client, call))).await?;
        while let Some(update) = trying.next(&mut stream).await? {
            match self.seen.take(&update) {
                News::New => {}
                News::Known => continue,
                News::Gap(due) => return Err(gap(&update, due)),
            }
            let durable = resume::is_durable(&update);
            if durable {
                self.acceptance = Acceptance::Yes;
                trying.note_progress();
            }
            audience.update(&update).await?;
            if let Some(ended) = update.r#match.filter(|m| durable && resume::has_ended(m)) {
                return Ok(ended);
            }
        }
        self.read_match(trying).await
    }

    async fn open(
        &mut self,
        mut client: ServiceClient,
        call: ResumeCall,
    ) -> Result<Response<Streaming<MatchUpdate>>, Status> {
        match (call, &self.target) {
            (ResumeCall::Run, Target::Run(request)) => {
                let request = request.clone();
                self.send(client, request).await
            }
            (ResumeCall::Run, Target::Watch(request)) => client.watch_match(request.clone()).await,
            (ResumeCall::Watch { after }, _) => client.watch_match(self.watch_request(after)).await,
        }
    }

    /// Sends the request. From here on the match may be accepted, even if the call fails.
    async fn send(
        &mut self,
        mut client: ServiceClient,
        request: MatchRequest,
    ) -> Result<Response<Streaming<MatchUpdate>>, Status> {
        let before = self.acceptance;
        self.acceptance = before.max(Acceptance::Perhaps);
        let sent = client.run_match(request).await;
        if sent.as_ref().is_err_and(resume::had_no_effect) {
            self.acceptance = before;
        }
        sent
    }

    /// Reads the match after its stream ended without a closing update. Its result is that of the
    /// stream only if nothing was missed: the match had ended before the stream began.
    async fn read_match(&self, trying: &mut RetryState) -> Result<Match, Error> {
        let id = match self.watch_request(0).id {
            Some(watch_match_request::Id::MatchId(id)) => get_match_request::Id::MatchId(id),
            Some(watch_match_request::Id::RequestId(id)) => get_match_request::Id::RequestId(id),
            None => return Err(Status::internal("nothing to follow").into()),
        };
        let mut client = trying.client();
        let found =
            trying.answered(Box::pin(client.get_match(GetMatchRequest { id: Some(id) }))).await?;
        let missed_nothing = resume::has_ended(&found) && found.sequence == self.seen.sequence;
        if missed_nothing || resume::is_unknown_state(&found) {
            return Ok(found);
        }
        Err(Status::unavailable("the stream ended before the match did").into())
    }

    /// A request to watch the match: by its own id as soon as that is known, since the caller's may
    /// come to name another match once this one is erased.
    fn watch_request(&self, after: u64) -> WatchMatchRequest {
        let mut request = match &self.target {
            Target::Run(request) => WatchMatchRequest {
                id: Some(watch_match_request::Id::RequestId(request.request_id.clone())),
                include_progress: request.include_progress,
                ..Default::default()
            },
            Target::Watch(request) => request.clone(),
        };
        if !self.seen.match_id.is_empty() {
            request.id = Some(watch_match_request::Id::MatchId(self.seen.match_id.clone()));
        }
        WatchMatchRequest { after_sequence: after, ..request }
    }
}

fn gap(update: &MatchUpdate, due: u64) -> Error {
    let words =
        format!("update {} of the match came where {due} was due: none is shown", update.sequence);
    Error::Contract(Box::new(Status::data_loss(words)))
}

/// Follows all matches that a filter selects.
pub struct FollowMatches {
    /// The connection to the server.
    pub connection: Connection,
    /// The filter, and the token to resume from, which moves forward with the updates that the
    /// audience has taken.
    pub request: WatchMatchesRequest,
    /// The token to begin with once that one has expired; `None` ends the stream then. The updates
    /// that were erased are missed.
    pub once_expired: Option<String>,
    /// How long to wait.
    pub terms: Terms,
    /// The clock of pauses and silence.
    pub clock: Clock,
}

impl FollowMatches {
    /// Follows until the call fails and no retry is left.
    pub async fn until_failure<A: Audience>(&mut self, audience: &mut A) -> Error {
        let (clock, limit) = (self.clock.clone(), self.terms.limit);
        match within(&clock, limit, Box::pin(self.follow(audience))).await {
            Ok(error) | Err(error) => error,
        }
    }

    async fn follow<A: Audience>(&mut self, audience: &mut A) -> Error {
        let mut trying = RetryState::new(&self.connection, &self.clock, self.terms);
        loop {
            let error = match self.attend(&mut trying, audience).await {
                Error::Refused(status) if self.begins_anew_after(&status) => {
                    audience.missed(&status);
                    continue;
                }
                error => error,
            };
            let tell = |status: &Status, retry| audience.broken(status, retry);
            if let Err(error) = trying.wait_for_retry(error, tell).await {
                return error;
            }
        }
    }

    /// Whether an error means that the token has expired, and another one is to be used: then it is.
    fn begins_anew_after(&mut self, status: &Status) -> bool {
        let Some(token) = &self.once_expired else { return false };
        // Neither "earliest" nor an empty token expires. If a server says so, the error is final.
        if !resume::is_expired_token(status) || *token == self.request.resume_token {
            return false;
        }
        self.request.resume_token.clone_from(token);
        true
    }

    async fn attend<A: Audience>(&mut self, trying: &mut RetryState, audience: &mut A) -> Error {
        match self.read_stream(trying, audience).await {
            Ok(()) => Status::unavailable("the server ended the stream").into(),
            Err(error) => error,
        }
    }

    async fn read_stream<A: Audience>(
        &mut self,
        trying: &mut RetryState,
        audience: &mut A,
    ) -> Result<(), Error> {
        let mut client = trying.begin_stream(ResumeCall::Watch { after: 0 });
        let mut stream =
            trying.opened(Box::pin(client.watch_matches(self.request.clone()))).await?;
        while let Some(update) = trying.next(&mut stream).await? {
            audience.update(&update).await?;
            // A new token is progress, even if it comes with a heartbeat.
            if !update.resume_token.is_empty() && update.resume_token != self.request.resume_token {
                trying.note_progress();
                self.request.resume_token = update.resume_token;
            }
        }
        Ok(())
    }
}

/// Whether the server says that a call has had no effect, although its stream had begun.
fn says_no_effect(error: &Error) -> bool {
    match error {
        Error::Refused(status) | Error::Broken(status) => resume::says_no_effect(status),
        Error::Contract(_) | Error::Late(_) | Error::Output(_) => false,
    }
}

#[cfg(test)]
mod tests;
