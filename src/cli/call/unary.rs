//! Calls with one answer, which are repeated until it has arrived.
//!
//! Each is safe to repeat: a read changes nothing, and neither does the second try to cancel or to
//! erase a match. Deliberately, no call that makes a match is among them.

use std::future::Future;

use tonic::{Response, Status};

use crate::{
    cli::call::{
        client::{Connection, ServiceClient},
        pb::{
            CancelMatchRequest, DeleteMatchRequest, DeleteMatchResponse, GetMatchRequest,
            ListMatchesRequest, ListMatchesResponse, Match, delete_match_request::Id,
        },
        resume::{self, Retry},
        retry::{Error, RetryState, Terms},
    },
    clock::Clock,
};

/// A request with one answer, which may be sent again.
pub trait UnaryRequest: Clone {
    /// The answer.
    type Answer;

    /// Sends the request.
    fn send(
        self,
        client: ServiceClient,
    ) -> impl Future<Output = Result<Response<Self::Answer>, Status>> + Send;
}

impl UnaryRequest for GetMatchRequest {
    type Answer = Match;

    async fn send(self, mut client: ServiceClient) -> Result<Response<Match>, Status> {
        client.get_match(self).await
    }
}

impl UnaryRequest for ListMatchesRequest {
    type Answer = ListMatchesResponse;

    async fn send(self, mut client: ServiceClient) -> Result<Response<Self::Answer>, Status> {
        client.list_matches(self).await
    }
}

impl UnaryRequest for CancelMatchRequest {
    type Answer = Match;

    async fn send(self, mut client: ServiceClient) -> Result<Response<Match>, Status> {
        client.cancel_match(self).await
    }
}

impl UnaryRequest for DeleteMatchRequest {
    type Answer = DeleteMatchResponse;

    async fn send(self, mut client: ServiceClient) -> Result<Response<Self::Answer>, Status> {
        client.delete_match(self).await
    }
}

/// A match that is erased.
#[derive(Debug, Clone, PartialEq)]
pub enum Erased {
    /// The server has said so.
    Confirmed(DeleteMatchResponse),
    /// An earlier try, whose answer was lost, has erased the match that the request names.
    Unconfirmed(Option<Id>),
}

/// Asks a server for answers.
pub struct Asking {
    /// The connection to the server.
    pub connection: Connection,
    /// How long to wait. The limit is that of each answer, with all its retries.
    pub terms: Terms,
    /// The clock of pauses and limits.
    pub clock: Clock,
}

impl Asking {
    /// The answer to a request. `tell` gets each error after which the request is sent again.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn answer<R: UnaryRequest>(
        &self,
        request: R,
        mut tell: impl FnMut(&Status, Retry),
    ) -> Result<R::Answer, Error> {
        let mut trying = RetryState::new(&self.connection, &self.clock, self.terms);
        loop {
            let sending = Box::pin(request.clone().send(trying.begin()));
            match trying.in_time(sending).await? {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) => trying.wait_for_retry(status.into(), &mut tell).await?,
            }
        }
    }

    /// Erases a match. If an answer was lost and the repeat finds no match, it is erased, too.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn erase(
        &self,
        request: DeleteMatchRequest,
        mut tell: impl FnMut(&Status, Retry),
    ) -> Result<Erased, Error> {
        let (mut may_be_erased, id) = (false, request.id.clone());
        let answer = self.answer(request, |status, retry| {
            may_be_erased |= !resume::had_no_effect(status);
            tell(status, retry);
        });
        match answer.await {
            Ok(erased) => Ok(Erased::Confirmed(erased)),
            Err(Error::Refused(status)) if may_be_erased && resume::is_no_match(&status) => {
                Ok(Erased::Unconfirmed(id))
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
