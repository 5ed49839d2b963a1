//! What the writer is asked to write.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::{SqliteConnection, sqlite::SqliteRow};
use uuid::Uuid;

use crate::{
    domain::{Recorded, Timestamp},
    journal::{
        Error,
        reply::{self, CarriesClaims, Orphans, ReplyReceiver, ReplySender},
        sqlite::{rows::Query, template::Template},
    },
};

/// What statements returned.
pub(super) type Rows = Vec<SqliteRow>;

/// Something to be written, with the statements that write it.
#[async_trait]
pub(super) trait Operation: Send + Sync + 'static {
    /// What its caller is told once it is durable.
    type Outcome: CarriesClaims;

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

    /// Whether it may erase what a caller names.
    fn erases(&self) -> bool {
        false
    }

    /// Whether it has erased anything, given its outcome.
    fn has_erased(_outcome: &Self::Outcome) -> bool {
        false
    }

    /// Whether more of the same follows at once: the WAL is emptied of all of it together.
    fn is_continued(_outcome: &Self::Outcome) -> bool {
        false
    }
}

/// A transaction under way, and what is to be done once it is committed.
pub(super) struct Tx<'a> {
    connection: &'a mut SqliteConnection,
    /// How often something was sent to SQLite's thread.
    pub trips: u64,
    /// The time of everything that it writes, unless a match is ahead of it.
    pub now: Timestamp,
    /// This incarnation, as the owner of what it claims.
    pub owner: i64,
    /// Where the next search for matches that nobody holds starts: every unfinished one with a
    /// smaller id is ours. None: all are.
    pub unclaimed_from: Option<Uuid>,
    /// The events that it has written.
    pub written: Vec<Recorded>,
}

impl<'a> Tx<'a> {
    /// Nothing of it has been sent yet.
    pub(super) fn new(
        connection: &'a mut SqliteConnection,
        now: Timestamp,
        owner: i64,
        unclaimed_from: Option<Uuid>,
    ) -> Self {
        Self { connection, trips: 0, now, owner, unclaimed_from, written: Vec::new() }
    }

    /// Where statements run: each time that one is sent, or several at once, is one trip.
    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        self.trips += 1;
        self.connection
    }
}

/// An operation of any kind, with its caller waiting.
#[async_trait]
pub(super) trait Job: Send + Sync {
    /// As [`Operation::template`].
    fn template(&self) -> Option<&'static Template>;

    /// As [`Operation::bind`].
    fn bind<'q>(&self, query: Query<'q>, tx: &Tx<'_>) -> Query<'q>;

    /// Runs it, and keeps the outcome to itself until it is committed.
    async fn run(&mut self, rows: Rows, tx: &mut Tx<'_>) -> Result<(), Error>;

    /// As [`Operation::erases`].
    fn erases(&self) -> bool;

    /// Whether it has erased anything when it was run.
    fn has_erased(&self) -> bool;

    /// As [`Operation::is_continued`], when it was run.
    fn is_continued(&self) -> bool;

    /// Tells whoever asked.
    fn answer(self: Box<Self>, committed: Result<(), Error>);
}

struct PendingOperation<O: Operation> {
    operation: O,
    outcome: Option<O::Outcome>,
    reply: ReplySender<O::Outcome>,
}

/// An operation for the writer's queue, and where its answer comes.
pub(super) fn asked<O: Operation>(
    operation: O,
    orphans: &Arc<Orphans>,
) -> (Box<dyn Job>, ReplyReceiver<O::Outcome>) {
    let (reply, answer) = reply::pair(orphans);
    (Box::new(PendingOperation { operation, outcome: None, reply }), answer)
}

#[async_trait]
impl<O: Operation> Job for PendingOperation<O> {
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

    fn erases(&self) -> bool {
        self.operation.erases()
    }

    fn has_erased(&self) -> bool {
        self.outcome.as_ref().is_some_and(O::has_erased)
    }

    fn is_continued(&self) -> bool {
        self.outcome.as_ref().is_some_and(O::is_continued)
    }

    fn answer(self: Box<Self>, committed: Result<(), Error>) {
        let Self { outcome, reply, .. } = *self;
        match (committed, outcome) {
            (Ok(()), Some(outcome)) => reply.send(Ok(outcome)),
            (Ok(()), None) => reply.send(Err(reply::closed())),
            // It may have been committed all the same, and its caller is told that it failed.
            (Err(error), Some(doubtful)) => reply.fail(&doubtful, error),
            (Err(error), None) => reply.send(Err(error)),
        }
    }
}
