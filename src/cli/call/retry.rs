//! Repeats calls until one of them has ended well: waits out the pauses, ends calls that are silent
//! for too long, and replaces connections that seem dead.
//!
//! It deliberately knows no particular call (`follow` and `unary` make them), and doesn't decide
//! which errors pass (`resume` does).

use std::{future::Future, io, time::Duration};

use http::HeaderValue;
use tonic::{Response, Status, Streaming};

use crate::{
    cli::call::{
        client::{Connection, Link, ServiceClient},
        pb::MatchUpdate,
        resume::{self, Backoff, CallOutcome, OngoingOutage, ResumeCall, Retry, Silence},
    },
    clock::Clock,
};

/// The time limit of one answer that is no stream: longer than a healthy server needs for any.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Why there is no further call.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused the call, and would refuse it again.
    #[error("the call was refused: {}", .0.message())]
    Refused(Box<Status>),
    /// The call broke off, and no further retry is allowed.
    #[error("the call broke off: {}", .0.message())]
    Broken(Box<Status>),
    /// The server broke the contract.
    #[error("the server broke the contract: {}", .0.message())]
    Contract(Box<Status>),
    /// The time limit has passed, or will have passed before the next retry. Then this holds the
    /// error that would be retried.
    #[error("the time has passed")]
    Late(Option<Box<Status>>),
    /// The output can't be written.
    #[error("can't write the output")]
    Output(#[from] io::Error),
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        match resume::outcome_of(&status) {
            CallOutcome::Broken => Self::Broken(Box::new(status)),
            CallOutcome::Refused => Self::Refused(Box::new(status)),
        }
    }
}

/// How long a command waits, and for what.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// The pauses between retries, and when to give up.
    pub pace: Backoff,
    /// How long a stream may be silent.
    pub silence: Silence,
    /// How long an answer that is no stream may take.
    pub answer: Duration,
    /// How long all calls and pauses may take together.
    pub limit: Option<Duration>,
}

impl Terms {
    /// The terms of every client, but for its patience.
    pub const fn patient(give_up_after: Option<Duration>, limit: Option<Duration>) -> Self {
        let pace = Backoff::patient(give_up_after);
        Self { pace, silence: Silence::DEFAULT, answer: ANSWER_TIMEOUT, limit }
    }
}

/// The retries of one run, and how long its stream may be silent.
pub struct RetryState {
    connection: Connection,
    clock: Clock,
    /// The time since the start, from which all times here are counted.
    elapsed: Box<dyn Fn() -> Duration + Send + Sync>,
    terms: Terms,
    outage: OngoingOutage,
    /// What the present call goes over, and the credential that it carries.
    link: Link,
    credential: Option<HeaderValue>,
    /// When the present call must have had its first message; `None` once it had.
    first_message_by: Option<Duration>,
}

impl RetryState {
    /// The state before the first call.
    pub fn new(connection: &Connection, clock: &Clock, terms: Terms) -> Self {
        let (start, watch) = (clock.now(), clock.clone());
        Self {
            connection: connection.clone(),
            clock: clock.clone(),
            elapsed: Box::new(move || watch.now().since(start)),
            terms,
            outage: OngoingOutage::default(),
            link: connection.link(),
            credential: None,
            first_message_by: None,
        }
    }

    /// The client for the next call.
    pub fn begin(&mut self) -> ServiceClient {
        self.link = self.connection.link();
        self.credential = self.connection.credential();
        self.outage.note_call();
        self.client()
    }

    /// The client for the next call, which has a stream.
    pub fn begin_stream(&mut self, call: ResumeCall) -> ServiceClient {
        let limit = self.terms.silence.before(call, self.connection.heartbeat());
        self.first_message_by = Some((self.elapsed)().saturating_add(limit));
        self.begin()
    }

    /// The client of the present call.
    pub fn client(&self) -> ServiceClient {
        self.link.client.clone()
    }

    /// Notes a new update, which ends the outage.
    pub fn note_progress(&mut self) {
        self.outage.note_progress();
    }

    /// How long the present stream may be silent from now on.
    fn silence_left(&self) -> Duration {
        match self.first_message_by {
            Some(by) => by.saturating_sub((self.elapsed)()),
            None => self.terms.silence.between(self.connection.heartbeat()),
        }
    }

    /// The stream of a call that has begun.
    ///
    /// # Errors
    /// That of the call, which also breaks if it is silent for too long.
    pub async fn opened<T>(
        &self,
        opening: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Status> {
        self.heard_within(self.silence_left(), opening).await?.map(Response::into_inner)
    }

    /// The answer to a call that looks at a match whose stream has ended.
    ///
    /// # Errors
    /// That of the call, which also breaks if its answer takes too long.
    pub async fn answered<T>(
        &self,
        calling: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Status> {
        self.heard_within(self.terms.answer, calling).await?.map(Response::into_inner)
    }

    /// The next update of a stream.
    ///
    /// # Errors
    /// That of the stream, which also breaks if it is silent for too long.
    pub async fn next(
        &mut self,
        stream: &mut Streaming<MatchUpdate>,
    ) -> Result<Option<MatchUpdate>, Status> {
        let update = self.heard_within(self.silence_left(), stream.message()).await??;
        if let Some(update) = &update {
            self.first_message_by = None;
            self.outage.note_message((self.elapsed)());
            if let Some(interval) = resume::heartbeat(update) {
                self.connection.note_heartbeat(interval);
            }
        }
        Ok(update)
    }

    async fn heard_within<F: Future>(
        &self,
        limit: Duration,
        hearing: F,
    ) -> Result<F::Output, Status> {
        let heard = self.clock.before(self.clock.now().after(limit), hearing).await;
        heard.ok_or_else(|| {
            self.leave_connection();
            Status::unavailable("the server has been silent for too long")
        })
    }

    /// Has the next call use a new connection: that of an unanswered call may be dead without
    /// knowing it.
    fn leave_connection(&self) {
        self.connection.replace(&self.link);
    }

    /// The output of a call within the time that is left for all of them.
    ///
    /// # Errors
    /// [`Error::Late`].
    pub async fn in_time<F: Future>(&self, calling: F) -> Result<F::Output, Error> {
        let left = self.terms.limit.map(|limit| limit.saturating_sub((self.elapsed)()));
        let output = within(&self.clock, left, calling).await;
        output.inspect_err(|_| self.leave_connection())
    }

    /// Waits until the next call is due, after it has told how the last one broke.
    ///
    /// # Errors
    /// That of the last call, if there must be no further one.
    pub async fn wait_for_retry(
        &mut self,
        error: Error,
        tell: impl FnOnce(&Status, Retry),
    ) -> Result<(), Error> {
        let retry = self.next_retry(error, tell)?;
        self.clock.sleep(retry.pause).await;
        Ok(())
    }

    fn next_retry(
        &mut self,
        error: Error,
        tell: impl FnOnce(&Status, Retry),
    ) -> Result<Retry, Error> {
        let status = match &error {
            Error::Broken(status) => status,
            Error::Refused(status) if self.has_new_credential(status) => status,
            Error::Refused(_) | Error::Contract(_) | Error::Late(_) | Error::Output(_) => {
                return Err(error);
            }
        };
        if !self.outage.may_retry(status) {
            return Err(error);
        }
        let (now, asked) = ((self.elapsed)(), resume::requested_delay(status));
        let Some(retry) = self.outage.retry(&self.terms.pace, now, rand::random(), asked) else {
            return Err(error);
        };
        if self.terms.limit.is_some_and(|limit| now.saturating_add(retry.pause) >= limit) {
            return Err(Error::Late(Some(status.clone())));
        }
        tell(status, retry);
        Ok(retry)
    }

    /// Whether the call was refused for an expired credential, and the next call has another one.
    fn has_new_credential(&self, status: &Status) -> bool {
        let now = self.connection.credential();
        resume::needs_new_credential(status) && now.is_some() && now != self.credential
    }
}

/// The output of a future, if it comes within the limit.
///
/// # Errors
/// [`Error::Late`].
pub async fn within<F: Future>(
    clock: &Clock,
    limit: Option<Duration>,
    future: F,
) -> Result<F::Output, Error> {
    match limit {
        Some(limit) => {
            let output = clock.before(clock.now().after(limit), future).await;
            output.ok_or(Error::Late(None))
        }
        None => Ok(future.await),
    }
}
