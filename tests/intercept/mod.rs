//! A journal whose operations pass a hook: a test observes, delays or fails them there, or gives
//! other answers.
//!
//! It deliberately decides nothing itself. The crate's unit tests and `tests/it` mount it as
//! `crate::intercept`, beside `crate::domain` and `crate::journal`.

#![allow(dead_code, reason = "no crate that mounts it uses everything")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::{FutureExt, TryFutureExt, future::BoxFuture};

use crate::{
    domain::{
        AnalysisId, Cursor, Event, Match, MatchId, Position, Recorded, Sequence, Spec, TenantId,
    },
    journal::{
        Admitted, Appended, CancelledAs, Chore, Claim, ClaimStatus, CursorStatus, Erased, Error,
        EventPage, Feed, Filter, Handles, Key, Listener, Listing, Origin, Reader, Start, Takeover,
        Writer,
    },
};

/// An operation that passes a hook, with what a hook needs to know of it.
#[derive(Debug)]
pub enum Operation {
    Admit { match_id: MatchId, spec: Arc<Spec> },
    Append(Event),
    Cancel,
    Erase,
    Tidy { chore: Chore, limit: usize },
    Claim,
    Take,
    Takeable,
    Confirm,
    Release,
    Leave,
    OwnedByOthers,
    Find,
    Events,
    Tail,
    Page { limit: usize },
    List,
    Cursor,
    CursorStatus,
    Ping,
}

/// Defines [`Answer`], and its conversions from and to what each operation returns.
macro_rules! answers {
    ($($variant:ident($answer:ty),)+) => {
        /// The answer to an operation. Operations that return the same type share a variant.
        pub enum Answer {
            $($variant($answer),)+
        }

        $(
            impl From<$answer> for Answer {
                fn from(answer: $answer) -> Self {
                    Self::$variant(answer)
                }
            }

            impl From<Answer> for $answer {
                fn from(answer: Answer) -> Self {
                    let Answer::$variant(answer) = answer else {
                        panic!("a hook gives the answer of another operation");
                    };
                    answer
                }
            }
        )+
    };
}

answers! {
    Admitted(Admitted),
    Appended(Appended),
    Cancelled(CancelledAs),
    Erased(Erased),
    Tidied(usize),
    Claimed(Vec<(Match, Claim)>),
    Takeover(Takeover),
    Matches(Vec<MatchId>),
    Confirmed(Option<Claim>),
    Analyses(Vec<AnalysisId>),
    Found(Option<Match>),
    Events(Vec<Recorded>),
    Page(EventPage),
    Listing(Listing),
    Cursor(Cursor),
    CursorStatus(CursorStatus),
    Done(()),
}

/// An operation of the intercepted journal. It takes place when it is awaited.
pub type Running<'a> = BoxFuture<'a, Result<Answer, Error>>;

/// What a test does to the operations of a journal.
#[async_trait]
pub trait Hook: Send + Sync {
    /// Answers an operation: by `running` it, with something before or after it, or instead of it.
    async fn around(&self, operation: Operation, running: Running<'_>) -> Result<Answer, Error>;

    /// Whether [`Reader::recent`] knows nothing, so that reads become operations.
    fn hides_memory(&self) -> bool {
        false
    }
}

/// A writer or a reader whose operations pass a hook. What needs no store passes by: the callback
/// for changes of matches and the status of a claim.
pub struct Intercept<T: ?Sized> {
    inner: Arc<T>,
    hook: Arc<dyn Hook>,
}

/// The journal, with all of its operations passing the hook.
pub fn intercept(journal: Handles, hook: Arc<dyn Hook>) -> Handles {
    let writer = Intercept { inner: journal.writer, hook: Arc::clone(&hook) };
    let reader = Intercept { inner: journal.feed.reader, hook };
    let feed = Feed { reader: Arc::new(reader), ..journal.feed };
    Handles { writer: Arc::new(writer), feed, ..journal }
}

impl<T: ?Sized> Intercept<T> {
    async fn pass<A: Into<Answer> + From<Answer>>(
        &self,
        operation: Operation,
        running: impl Future<Output = Result<A, Error>> + Send,
    ) -> Result<A, Error> {
        self.hook.around(operation, running.map_ok(A::into).boxed()).await.map(A::from)
    }
}

#[async_trait]
impl Writer for Intercept<dyn Writer> {
    async fn admit(&self, match_id: MatchId, spec: Arc<Spec>) -> Result<Admitted, Error> {
        let operation = Operation::Admit { match_id, spec: Arc::clone(&spec) };
        self.pass(operation, self.inner.admit(match_id, spec)).await
    }

    async fn append(&self, claim: Claim, after: Sequence, event: Event) -> Result<Appended, Error> {
        let operation = Operation::Append(event.clone());
        self.pass(operation, self.inner.append(claim, after, event)).await
    }

    async fn cancel(
        &self,
        tenant: &TenantId,
        key: &Key,
        keep: Duration,
    ) -> Result<CancelledAs, Error> {
        self.pass(Operation::Cancel, self.inner.cancel(tenant, key, keep)).await
    }

    async fn erase(&self, tenant: &TenantId, match_id: MatchId) -> Result<Erased, Error> {
        self.pass(Operation::Erase, self.inner.erase(tenant, match_id)).await
    }

    async fn tidy(&self, chore: Chore, limit: usize) -> Result<usize, Error> {
        self.pass(Operation::Tidy { chore, limit }, self.inner.tidy(chore, limit)).await
    }

    async fn claim(&self, limit: usize) -> Result<Vec<(Match, Claim)>, Error> {
        self.pass(Operation::Claim, self.inner.claim(limit)).await
    }

    async fn take(&self, match_id: MatchId, has_photo: bool) -> Result<Takeover, Error> {
        self.pass(Operation::Take, self.inner.take(match_id, has_photo)).await
    }

    async fn takeable(&self, matches: &[MatchId]) -> Result<Vec<MatchId>, Error> {
        self.pass(Operation::Takeable, self.inner.takeable(matches)).await
    }

    fn listen(&self, ear: Listener) {
        self.inner.listen(ear);
    }

    async fn confirm(&self, claim: Claim) -> Result<Option<Claim>, Error> {
        self.pass(Operation::Confirm, self.inner.confirm(claim)).await
    }

    async fn release(&self, claims: Vec<Claim>) -> Result<(), Error> {
        self.pass(Operation::Release, self.inner.release(claims)).await
    }

    async fn leave(&self) {
        // A hook that fails it keeps the replica from leaving, of which its caller isn't told.
        let _ = self.pass(Operation::Leave, self.inner.leave().map(Ok)).await;
    }

    async fn owned_by_others(
        &self,
        match_id: MatchId,
        analyses: &[AnalysisId],
    ) -> Result<Vec<AnalysisId>, Error> {
        self.pass(Operation::OwnedByOthers, self.inner.owned_by_others(match_id, analyses)).await
    }

    fn claim_status(&self, claim: Claim) -> ClaimStatus {
        self.inner.claim_status(claim)
    }
}

#[async_trait]
impl Reader for Intercept<dyn Reader> {
    async fn find(&self, tenant: &TenantId, key: &Key) -> Result<Option<Match>, Error> {
        self.pass(Operation::Find, self.inner.find(tenant, key)).await
    }

    async fn events(&self, match_id: MatchId) -> Result<Vec<Recorded>, Error> {
        self.pass(Operation::Events, self.inner.events(match_id)).await
    }

    fn recent(&self, match_id: MatchId) -> Option<Vec<Recorded>> {
        if self.hook.hides_memory() { None } else { self.inner.recent(match_id) }
    }

    async fn tail(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, Error> {
        self.pass(Operation::Tail, self.inner.tail(after, limit)).await
    }

    async fn page(&self, after: Position, limit: usize) -> Result<EventPage, Error> {
        self.pass(Operation::Page { limit }, self.inner.page(after, limit)).await
    }

    async fn list(
        &self,
        tenant: &TenantId,
        filter: &Filter,
        before: Option<MatchId>,
        limit: usize,
    ) -> Result<Listing, Error> {
        self.pass(Operation::List, self.inner.list(tenant, filter, before, limit)).await
    }

    async fn cursor(&self, start: Start) -> Result<Cursor, Error> {
        self.pass(Operation::Cursor, self.inner.cursor(start)).await
    }

    async fn cursor_status(
        &self,
        origin: Origin,
        position: Position,
    ) -> Result<CursorStatus, Error> {
        self.pass(Operation::CursorStatus, self.inner.cursor_status(origin, position)).await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.pass(Operation::Ping, self.inner.ping()).await
    }
}
