//! A library in a database of any kind.

use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use sqlx::{AssertSqlSafe, Connection};

use crate::{
    domain::{LibraryFault, ReferenceKey},
    library::{
        LibrarySource, Room, SourceError, SourceKind,
        sql::{self, Asked, ConnectionOf, Dialect, PhotoRow, Query, connections::Connections},
    },
    sync::lock,
};

/// A library in a database.
pub(super) struct DatabaseLibrary<D: Dialect> {
    connections: Connections<D::Database>,
    query: Query,
    /// Begins a read-only transaction with its settings.
    begin: String,
    /// The database's URL without the user and the password.
    place: String,
    /// Set once the query has been described.
    described: Mutex<Option<D::Described>>,
}

/// A key in an open transaction.
struct AskedKey<'a, D: Dialect> {
    connection: &'a mut ConnectionOf<D>,
    query: &'a Query,
    described: D::Described,
    key: &'a str,
}

impl<D: Dialect> DatabaseLibrary<D> {
    /// A library that is connected to nothing yet.
    pub(super) fn new(
        options: <ConnectionOf<D> as Connection>::Options,
        query: Query,
        begin: String,
        place: String,
    ) -> Self {
        let connections = Connections::new(options);
        Self { connections, query, begin, place, described: Mutex::new(None) }
    }

    /// Its address, for tests of URLs.
    #[cfg(test)]
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Reads in an open transaction.
    async fn read_over(
        &self,
        connection: &mut ConnectionOf<D>,
        key: &ReferenceKey,
        room: &mut dyn Room,
    ) -> Result<Bytes, SourceError> {
        let known = lock(&self.described).clone();
        let described = match known {
            Some(described) => described,
            None => self.describe(connection).await?,
        };
        let mut asked: AskedKey<'_, D> =
            AskedKey { connection, query: &self.query, described, key: key.as_str() };
        let outcome = sql::read(&mut asked, room).await;
        if matches!(outcome, Err(SourceError::Fault(LibraryFault::Protocol, _))) {
            // The tables may have changed: the next read says what is wrong with the query now.
            *lock(&self.described) = None;
        }
        outcome
    }

    async fn describe(
        &self,
        connection: &mut ConnectionOf<D>,
    ) -> Result<D::Described, SourceError> {
        let described = D::describe(connection, &self.query).await?;
        *lock(&self.described) = Some(described.clone());
        Ok(described)
    }

    /// Adds where the database is, which only the operator sees.
    fn at_place(&self, error: SourceError) -> SourceError {
        match error {
            SourceError::NoRoom => SourceError::NoRoom,
            SourceError::Fault(fault, why) => {
                SourceError::Fault(fault, format!("{}: {why}", self.place))
            }
        }
    }

    fn explained(&self, error: sqlx::Error) -> SourceError {
        self.at_place(D::explained(error))
    }
}

#[async_trait]
impl<D: Dialect> LibrarySource for DatabaseLibrary<D> {
    fn kind(&self) -> SourceKind {
        D::KIND
    }

    async fn read(&self, key: &ReferenceKey, room: &mut dyn Room) -> Result<Bytes, SourceError> {
        let mut lent = self.connections.take().await.map_err(|error| self.explained(error))?;
        let begun = lent.begin_with(AssertSqlSafe(self.begin.as_str())).await;
        let mut transaction = begun.map_err(|error| self.explained(error))?;
        let outcome = self.read_over(&mut transaction, key, room).await;
        // It is ended before anything else is done, so that it never holds up the operator's own
        // changes of a table.
        if sql::is_answer(&outcome) && transaction.rollback().await.is_ok() {
            lent.keep();
        }
        outcome.map_err(|error| self.at_place(error))
    }

    async fn check(&self) -> Result<(), SourceError> {
        let mut lent = self.connections.take().await.map_err(|error| self.explained(error))?;
        let begun = lent.begin_with(AssertSqlSafe(self.begin.as_str())).await;
        let mut transaction = begun.map_err(|error| self.explained(error))?;
        let described = self.describe(&mut transaction).await.map(|_| ());
        if described.is_ok() && transaction.rollback().await.is_ok() {
            lent.keep();
        }
        described.map_err(|error| match error {
            // It is shown beside the name of the setting, and the address would be in its way.
            SourceError::Fault(LibraryFault::Protocol, _) => error,
            error => self.at_place(error),
        })
    }
}

#[async_trait]
impl<D: Dialect> Asked for AskedKey<'_, D> {
    async fn ask(&mut self, bytes_max: usize) -> Result<Vec<PhotoRow>, SourceError> {
        D::ask(self.connection, self.query, &self.described, self.key, bytes_max).await
    }
}
