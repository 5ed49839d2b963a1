//! The operations that the writer runs: their interface, their transaction, and their replies.

use async_trait::async_trait;
use sqlx::{SqliteConnection, sqlite::SqliteRow};
use uuid::Uuid;

use crate::{
    domain::{Recorded, Timestamp},
    journal::{
        Error,
        reply::{self, CarriesClaims, ReplySender},
        sqlite::{rows::Query, template::Template},
    },
};

/// The rows that statements returned.
pub(super) type Rows = Vec<SqliteRow>;

/// A write, with the statements that make it.
#[async_trait]
pub(super) trait Operation: Send + Sync + 'static {
    /// What its caller is told once it is durable.
    type Outcome: CarriesClaims;

    /// The statements that the operation begins with, if other operations begin with the same ones.
    fn template(&self) -> Option<&'static Template> {
        None
    }

    /// Binds the values of the template, in order.
    fn bind<'q>(&self, query: Query<'q>, _tx: &Tx<'_>) -> Query<'q> {
        query
    }

    /// Continues within the transaction, given the rows that the template returned. Other
    /// operations of the same transaction may have run in between; after a rollback this may run
    /// again.
    async fn run(&self, rows: Rows, tx: &mut Tx<'_>) -> Result<Self::Outcome, Error>;

    /// Whether the operation may erase a match that a caller names.
    fn erases(&self) -> bool {
        false
    }

    /// Whether the operation has erased anything, given its outcome.
    fn has_erased(_outcome: &Self::Outcome) -> bool {
        false
    }

    /// Whether another part follows at once: the WAL is then emptied once for all parts.
    fn is_continued(_outcome: &Self::Outcome) -> bool {
        false
    }
}

/// A transaction in progress, and what it leaves for the writer to do after the commit.
pub(super) struct Tx<'a> {
    connection: &'a mut SqliteConnection,
    /// How often statements were sent to SQLite's thread.
    pub trips: u64,
    /// The time of all events that it writes, unless a match's last event is later.
    pub now: Timestamp,
    /// This incarnation, as the owner of the matches that it claims.
    pub owner: i64,
    /// Where the next search for unclaimed matches starts: this process holds every unfinished
    /// match with a smaller id. `None`: it holds them all.
    pub unclaimed_from: Option<Uuid>,
    /// The events that it has written.
    pub written: Vec<Recorded>,
}

impl<'a> Tx<'a> {
    /// A transaction before its first statement.
    pub(super) fn new(
        connection: &'a mut SqliteConnection,
        now: Timestamp,
        owner: i64,
        unclaimed_from: Option<Uuid>,
    ) -> Self {
        Self { connection, trips: 0, now, owner, unclaimed_from, written: Vec::new() }
    }

    /// The connection, for one trip: one statement, or several that are sent at once.
    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        self.trips += 1;
        self.connection
    }
}

/// An operation of any kind, and the caller that waits for its reply.
#[async_trait]
pub(super) trait Job: Send + Sync {
    /// As [`Operation::template`].
    fn template(&self) -> Option<&'static Template>;

    /// As [`Operation::bind`].
    fn bind<'q>(&self, query: Query<'q>, tx: &Tx<'_>) -> Query<'q>;

    /// Runs the operation, and keeps its outcome back until the commit.
    async fn run(&mut self, rows: Rows, tx: &mut Tx<'_>) -> Result<(), Error>;

    /// As [`Operation::erases`].
    fn erases(&self) -> bool;

    /// As [`Operation::has_erased`], for the outcome of the last run.
    fn has_erased(&self) -> bool;

    /// As [`Operation::is_continued`], for the outcome of the last run.
    fn is_continued(&self) -> bool;

    /// Sends the reply: the outcome if it is committed, the error otherwise.
    fn answer(self: Box<Self>, committed: Result<(), Error>);
}

struct PendingOperation<O: Operation> {
    operation: O,
    outcome: Option<O::Outcome>,
    reply: ReplySender<O::Outcome>,
}

/// An operation for the writer's queue.
pub(super) fn asked<O: Operation>(operation: O, reply: ReplySender<O::Outcome>) -> Box<dyn Job> {
    Box::new(PendingOperation { operation, outcome: None, reply })
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
            // It may have been committed all the same: its caller is told that it failed, so its
            // claims are released.
            (Err(error), Some(doubtful)) => reply.fail(&doubtful, error),
            (Err(error), None) => reply.send(Err(error)),
        }
    }
}
