//! The operations that the writer runs: their interface, their transaction, and their replies.

use rusqlite::{CachedStatement, Connection, Params, Row};
use uuid::Uuid;

use crate::{
    domain::{Match, Recorded, TenantId, Timestamp},
    journal::{
        Error, Key,
        reply::{self, CarriesClaims, ReplySender},
        sqlite::{
            rows::{self, Folding, blob, recorded},
            statements,
        },
    },
};

/// A write, with the statements that make it.
pub(super) trait Operation: Send + 'static {
    /// What its caller is told once it is durable.
    type Outcome: CarriesClaims;

    /// Runs within the transaction. Other operations of the same transaction may have run before;
    /// after a rollback this may run again.
    fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Outcome, Error>;

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
    pub connection: &'a Connection,
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

impl Tx<'_> {
    /// Runs a statement, and returns how many rows it has changed.
    pub(super) fn execute(&self, sql: &str, values: impl Params) -> rusqlite::Result<usize> {
        self.prepared(sql)?.execute(values)
    }

    /// Runs a statement that returns at most one row.
    pub(super) fn optional<T>(
        &self,
        sql: &str,
        values: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Option<T>> {
        let mut statement = self.prepared(sql)?;
        let mut rows = statement.query(values)?;
        let Some(first) = rows.next()?.map(read).transpose()? else {
            return Ok(None);
        };
        // A statement has taken effect once it has run to its end.
        while rows.next()?.is_some() {}
        Ok(Some(first))
    }

    /// Runs a statement, and returns all of its rows.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        values: impl Params,
        mut read: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut statement = self.prepared(sql)?;
        let mut rows = statement.query(values)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            all.push(read(row)?);
        }
        Ok(all)
    }

    /// The match that a tenant's key names, as this transaction sees it.
    pub(super) fn find(&self, tenant: &TenantId, key: &Key) -> Result<Option<Match>, Error> {
        let by = rows::by_key(key);
        let events = match key {
            Key::Match(id) => {
                self.all(by, (tenant.as_str(), blob(id.as_uuid())), |row| recorded(row))
            }
            Key::Request(id) => self.all(by, (tenant.as_str(), id.as_str()), |row| recorded(row)),
        };
        Ok(self.folded_each(&events?)?.pop())
    }

    /// The matches that these events fold into. The events of each match are adjacent and in order.
    pub(super) fn folded_each(&self, events: &[Recorded]) -> Result<Vec<Match>, Error> {
        let folding = Folding::of(events);
        let besides = match folding.incomplete().as_slice() {
            [] => Vec::new(),
            ids => self.all(statements::BESIDE, [rows::asked(ids)], |row| rows::beside(row))?,
        };
        Ok(folding.completed(&besides.into_iter().collect()))
    }

    fn prepared(&self, sql: &str) -> rusqlite::Result<CachedStatement<'_>> {
        self.connection.prepare_cached(sql)
    }
}

/// An operation of any kind, and the caller that waits for its reply.
pub(super) trait Job: Send {
    /// Runs the operation, and keeps its outcome back until the commit.
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), Error>;

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

impl<O: Operation> Job for PendingOperation<O> {
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), Error> {
        self.outcome = Some(self.operation.run(tx)?);
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
