//! What the writer is asked to write, and how whoever asked gets the answer.
//!
//! An answer that nobody is there to hear may hold claims; they are let go, since otherwise these
//! matches would be driven by nobody until the next start.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use sqlx::{SqliteConnection, sqlite::SqliteRow};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::{
    domain::{Recorded, Timestamp},
    journal::{
        Claim, Error,
        sqlite::{rows::Query, template::Template},
    },
};

/// What statements returned.
pub(super) type Rows = Vec<SqliteRow>;

/// Something to be written, with the statements that write it.
#[async_trait]
pub(super) trait Operation: Send + Sync + 'static {
    /// What its caller is told once it is durable.
    type Outcome: Send + Sync + 'static;

    /// The statements that it begins with, if others begin with the same.
    fn template(&self) -> Option<&'static Template> {
        None
    }

    /// Binds the values of its template, in their order.
    fn bind<'q>(&self, query: Query<'q>, _tx: &Tx<'_>) -> Query<'q> {
        query
    }

    /// Goes on within the transaction, given what its template returned; may be run again after
    /// a rollback. In between, others of the same transaction may have run.
    async fn run(&self, rows: Rows, tx: &mut Tx<'_>) -> Result<Self::Outcome, Error>;

    /// Which matches its caller holds once it has the outcome.
    fn claims(_outcome: &Self::Outcome) -> Vec<Claim> {
        Vec::new()
    }
}

/// A transaction under way, and what is to be done once it is committed.
pub(super) struct Tx<'a> {
    /// Where statements run.
    pub connection: &'a mut SqliteConnection,
    /// The time of everything that it writes, unless a match is ahead of it.
    pub now: Timestamp,
    /// This incarnation, as the owner of what it claims.
    pub owner: i64,
    /// Where the next search for matches that nobody holds starts: every unfinished one with a
    /// smaller id is ours. None: all are.
    pub unclaimed_from: Option<Uuid>,
    /// The events that it has written.
    pub written: Vec<Recorded>,
    /// Whether it has erased anything.
    pub has_erased: bool,
}

/// Claims of operations whose callers had gone when the answer came, or were told that it failed:
/// nobody drives these matches unless they are let go.
#[derive(Default)]
pub(super) struct Orphans(Mutex<Vec<Claim>>);

/// An operation of any kind, with its caller waiting.
#[async_trait]
pub(super) trait Job: Send + Sync {
    /// As [`Operation::template`].
    fn template(&self) -> Option<&'static Template>;

    /// As [`Operation::bind`].
    fn bind<'q>(&self, query: Query<'q>, tx: &Tx<'_>) -> Query<'q>;

    /// Runs it, and keeps the outcome to itself until it is committed.
    async fn run(&mut self, rows: Rows, tx: &mut Tx<'_>) -> Result<(), Error>;

    /// Tells whoever asked.
    fn answer(self: Box<Self>, committed: Result<(), Error>);
}

struct Asked<O: Operation> {
    operation: O,
    outcome: Option<O::Outcome>,
    reply: oneshot::Sender<Result<O::Outcome, Error>>,
    orphans: Arc<Orphans>,
}

/// Waits for an answer; should its caller go meanwhile, the claims in the answer are let go.
pub(super) struct Answer<O: Operation> {
    reply: oneshot::Receiver<Result<O::Outcome, Error>>,
    orphans: Arc<Orphans>,
}

/// An operation for the writer's queue, and where its answer comes.
pub(super) fn asked<O: Operation>(
    operation: O,
    orphans: &Arc<Orphans>,
) -> (Box<dyn Job>, Answer<O>) {
    let (reply, answer) = oneshot::channel();
    let job = Asked { operation, outcome: None, reply, orphans: Arc::clone(orphans) };
    (Box::new(job), Answer { reply: answer, orphans: Arc::clone(orphans) })
}

impl<O: Operation> Answer<O> {
    /// What became of the operation.
    pub(super) async fn wait(mut self) -> Result<O::Outcome, Error> {
        (&mut self.reply).await.map_err(|_| closed())?
    }
}

#[async_trait]
impl<O: Operation> Job for Asked<O> {
    fn template(&self) -> Option<&'static Template> {
        self.operation.template()
    }

    fn bind<'q>(&self, query: Query<'q>, tx: &Tx<'_>) -> Query<'q> {
        self.operation.bind(query, tx)
    }

    async fn run(&mut self, rows: Rows, tx: &mut Tx<'_>) -> Result<(), Error> {
        self.outcome = Some(self.operation.run(rows, tx).await?);
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), Error>) {
        let Self { outcome, reply, orphans, .. } = *self;
        if let (Err(_), Some(doubtful)) = (&committed, &outcome) {
            // It may have been committed all the same, and its caller is told that it failed.
            orphans.add(O::claims(doubtful));
        }
        let outcome = committed.and_then(|()| outcome.ok_or_else(closed));
        if let Err(Ok(unheard)) = reply.send(outcome) {
            orphans.add(O::claims(&unheard));
        }
    }
}

impl<O: Operation> Drop for Answer<O> {
    fn drop(&mut self) {
        self.reply.close();
        if let Ok(Ok(unheard)) = self.reply.try_recv() {
            self.orphans.add(O::claims(&unheard));
        }
    }
}

impl Orphans {
    pub(super) fn add(&self, claims: Vec<Claim>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(claims);
    }

    pub(super) fn take(&self) -> Vec<Claim> {
        mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The journal was closed before the operation was written.
#[derive(Debug, thiserror::Error)]
#[error("the journal is closed")]
struct Closed;

/// The error of whoever comes too late.
pub(super) fn closed() -> Error {
    Error::Unavailable(Arc::new(Closed))
}
