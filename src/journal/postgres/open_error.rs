//! Why a database can't be used as a journal: one line for the operator.

use crate::{
    database_url::Malformed,
    journal::postgres::{
        connect::{self, Database},
        pooler, schema,
    },
};

/// Why a database can't be used as a journal. Each message is one line that follows `--store: `.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is malformed, or has parameters that are not supported.
    #[error("not a postgres:// URL that can be used: {source}")]
    Url {
        /// What is wrong with the URL.
        source: Malformed,
    },
    /// No connection to the server could be made.
    #[error("{database} can't be reached: {source}")]
    Unreachable {
        /// The database's URL without the password.
        database: String,
        /// Why the connection failed.
        source: sqlx::Error,
    },
    /// The server was reached, and refuses the connection.
    #[error("{database} refuses the connection: {}", connect::sentence(source))]
    Refused {
        /// The database's URL without the password.
        database: String,
        /// PostgreSQL's error.
        source: sqlx::Error,
    },
    /// The server, the role or a pooler allows fewer connections than a replica needs.
    #[error("{database}: {why}; a replica needs {needed} connections")]
    TooFewConnections {
        /// The database's URL without the password.
        database: String,
        /// Which limit was met.
        why: String,
        /// How many connections one replica needs.
        needed: u32,
    },
    /// A pooler in front of the database gives each transaction another session.
    #[error(
        "{database} is reached through a pooler that gives each transaction another session; a \
         replica needs sessions of its own: set pool_mode = session, or name the database's own \
         address"
    )]
    SharedSessions {
        /// The pooler's URL without the password.
        database: String,
    },
    /// The database's encoding is not UTF8, so an event may not fit.
    #[error(
        "{database} has the encoding {found}: it can't hold every character, create it with UTF8"
    )]
    NotUtf8 {
        /// The database's URL without the password.
        database: String,
        /// The encoding that the database has.
        found: String,
    },
    /// The database acknowledges a commit before it is durable.
    #[error("{database} has synchronous_commit = {found}: a commit could be lost, set it to on")]
    NotDurable {
        /// The database's URL without the password.
        database: String,
        /// The present value of `synchronous_commit`.
        found: String,
    },
    /// The journal's schema is newer than this program.
    #[error("{database} was made by a newer version (schema {found}, this is {known})")]
    Newer {
        /// The database's URL without the password.
        database: String,
        /// The schema's version in the database.
        found: usize,
        /// The newest schema version that this program knows.
        known: usize,
    },
    /// Another application's tables have the names of the journal's.
    #[error("{database} holds other tables and is not a FaceMatch journal")]
    NotAJournal {
        /// The database's URL without the password.
        database: String,
    },
    /// The role may not create the journal's tables.
    #[error("{database} can't be used: the role may not create tables in {schema}")]
    NoTables {
        /// The database's URL without the password.
        database: String,
        /// The schema in which new tables would be.
        schema: String,
    },
    /// A statement of the start failed after the connection was made.
    #[error("{database} can't be used: {}", connect::sentence(source))]
    Unusable {
        /// The database's URL without the password.
        database: String,
        /// The statement's error.
        source: sqlx::Error,
    },
}

impl OpenError {
    /// A schema that this program doesn't know.
    pub(super) fn newer(database: &Database, found: usize) -> Self {
        Self::Newer { database: database.to_string(), found, known: schema::VERSION }
    }

    /// Classifies a failure to connect, or, if `is_connected`, a failure of a later statement.
    pub(super) fn of(
        database: &Database,
        needed: u32,
        is_connected: bool,
        source: sqlx::Error,
    ) -> Self {
        let database = database.to_string();
        match source {
            source if connect::lacks_connections(&source) => {
                Self::TooFewConnections { database, why: connect::sentence(&source), needed }
            }
            sqlx::Error::PoolTimedOut => {
                let why = "a second connection gets no session".to_owned();
                Self::TooFewConnections { database, why, needed }
            }
            source if pooler::lost_its_session(&source) => Self::SharedSessions { database },
            source if is_connected => Self::Unusable { database, source },
            source @ sqlx::Error::Database(_) => Self::Refused { database, source },
            source => Self::Unreachable { database, source },
        }
    }
}
