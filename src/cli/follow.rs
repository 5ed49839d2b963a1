//! Follows streams to their end across broken connections, showing each update once.
//!
//! What to call next is `resume`'s rule; what an update looks like is the audience's business.

use std::{io, time::Duration};

use tonic::{Status, Streaming};

use crate::{
    cli::{
        client::Client,
        pb::{
            GetMatchRequest, Match, MatchRequest, MatchUpdate, WatchMatchRequest,
            WatchMatchesRequest, get_match_request, watch_match_request,
        },
        resume::{self, Call, Next, Outage, Outcome, Pace, Seen},
    },
    clock::Clock,
};

/// Silence after which a stream is taken for dead: heartbeats come every 20 s unless the operator
/// chose otherwise, and a stream that is taken for dead wrongly is only opened again.
const SILENCE_MAX: Duration = Duration::from_secs(90);

/// Whoever hears of the updates.
pub trait Audience {
    /// An update, each durable one once.
    fn update(&mut self, update: &MatchUpdate) -> io::Result<()>;
    /// The connection broke; the next try comes after the pause.
    fn broken(&mut self, status: &Status, pause: Duration);
}

/// Why following stopped before the end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused, and would again.
    #[error("the call was refused: {}", .0.message())]
    Refused(Box<Status>),
    /// The connection broke; of a whole run it means that patience is at its end.
    #[error("the connection broke: {}", .0.message())]
    Broken(Box<Status>),
    /// The audience is gone.
    #[error("can't write the output")]
    Output(#[from] io::Error),
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        match resume::outcome_of(&status) {
            Outcome::Broken => Self::Broken(Box::new(status)),
            Outcome::Unknown | Outcome::Refused => Self::Refused(Box::new(status)),
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
pub struct Follow {
    /// The server.
    pub client: Client,
    /// The match.
    pub target: Target,
    /// What is known already.
    pub seen: Seen,
    /// How to try again.
    pub pace: Pace,
    /// What pauses and silence are measured by.
    pub clock: Clock,
}

impl Follow {
    /// Follows the match to its end.
    pub async fn until_end(mut self, audience: &mut dyn Audience) -> Result<Match, Error> {
        let (start, mut outage) = (self.clock.now(), Outage::default());
        let mut call = match self.target {
            Target::Run(_) => Call::Run,
            Target::Watch(_) => Call::Watch { after: self.seen.sequence },
        };
        loop {
            let error = match self.attend(call, &mut outage, audience).await {
                Ok(ended) => return Ok(ended),
                Err(error) => error,
            };
            let status = match &error {
                Error::Refused(status) | Error::Broken(status) => status,
                Error::Output(_) => return Err(error),
            };
            let outcome = resume::outcome_of(status);
            match resume::next_call(self.has_photo(), call, &self.seen, outcome) {
                Next::Call(next) => call = next,
                Next::Fail => return Err(error),
            }
            let now = self.clock.now().since(start);
            let Some(pause) = outage.pause(&self.pace, now, rand::random(), resume::asked(status))
            else {
                return Err(error);
            };
            audience.broken(status, pause);
            self.clock.sleep(pause).await;
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
        call: Call,
        outage: &mut Outage,
        audience: &mut dyn Audience,
    ) -> Result<Match, Error> {
        let mut stream = self.open(call).await?;
        while let Some(update) = next(&self.clock, &mut stream).await? {
            if !self.seen.take(&update) {
                continue;
            }
            outage.over();
            audience.update(&update)?;
            let durable = resume::is_durable(&update);
            if let Some(ended) = update.r#match.filter(|m| durable && resume::has_ended(m)) {
                return Ok(ended);
            }
        }
        self.look().await
    }

    async fn open(&mut self, call: Call) -> Result<Streaming<MatchUpdate>, Status> {
        let response = match (call, &self.target) {
            (Call::Run, Target::Run(request)) => self.client.run_match(request.clone()).await?,
            (Call::Watch { after }, target) => {
                self.client.watch_match(watch_request(target, after)).await?
            }
            (Call::Run, Target::Watch(request)) => self.client.watch_match(request.clone()).await?,
        };
        Ok(response.into_inner())
    }

    /// A stream that ended well without news: the match had ended before it was opened.
    async fn look(&mut self) -> Result<Match, Error> {
        let id = match watch_request(&self.target, 0).id {
            Some(watch_match_request::Id::MatchId(id)) => get_match_request::Id::MatchId(id),
            Some(watch_match_request::Id::RequestId(id)) => get_match_request::Id::RequestId(id),
            None => return Err(Status::internal("nothing to follow").into()),
        };
        let found = self.client.get_match(GetMatchRequest { id: Some(id) }).await?.into_inner();
        if resume::has_ended(&found) {
            return Ok(found);
        }
        Err(Status::unavailable("the stream ended before the match did").into())
    }
}

/// All matches that are followed.
pub struct FollowAll {
    /// The server.
    pub client: Client,
    /// Which ones, and from where on; the token moves on with the updates.
    pub request: WatchMatchesRequest,
    /// How to try again.
    pub pace: Pace,
    /// What pauses and silence are measured by.
    pub clock: Clock,
}

impl FollowAll {
    /// Follows until the call fails for good.
    pub async fn until_failure(mut self, audience: &mut dyn Audience) -> Error {
        let (start, mut outage) = (self.clock.now(), Outage::default());
        loop {
            let error = self.attend(&mut outage, audience).await;
            let Error::Broken(status) = &error else { return error };
            let now = self.clock.now().since(start);
            let Some(pause) = outage.pause(&self.pace, now, rand::random(), resume::asked(status))
            else {
                return error;
            };
            audience.broken(status, pause);
            self.clock.sleep(pause).await;
        }
    }

    async fn attend(&mut self, outage: &mut Outage, audience: &mut dyn Audience) -> Error {
        match self.attend_to(outage, audience).await {
            Ok(()) => Status::unavailable("the server ended the stream").into(),
            Err(error) => error,
        }
    }

    async fn attend_to(
        &mut self,
        outage: &mut Outage,
        audience: &mut dyn Audience,
    ) -> Result<(), Error> {
        let mut stream = self.client.watch_matches(self.request.clone()).await?.into_inner();
        while let Some(update) = next(&self.clock, &mut stream).await? {
            outage.over();
            audience.update(&update)?;
            if !update.resume_token.is_empty() {
                self.request.resume_token = update.resume_token;
            }
        }
        Ok(())
    }
}

async fn next(
    clock: &Clock,
    stream: &mut Streaming<MatchUpdate>,
) -> Result<Option<MatchUpdate>, Status> {
    match clock.before(clock.now().after(SILENCE_MAX), stream.message()).await {
        Some(message) => message,
        None => Err(Status::unavailable("the server has been silent for too long")),
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
