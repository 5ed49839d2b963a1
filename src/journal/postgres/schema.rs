//! What the database must hold before anything else touches it, and how it comes to.
//!
//! Forward only: each version is one SQL file that writes its number into `facematch_schema`, and
//! a database of a newer version is refused. Each file runs as one transaction, sent at once;
//! replicas that start together may all try it, and all but one fail and look again. What replicas
//! of an older version can live with is an addition and raises no version, so that they may go on
//! beside newer ones, and start again.

use sqlx::{PgConnection, Row, query, query_scalar, raw_sql};

use crate::{
    domain::{Place, Position, Timestamp},
    journal::{
        Keys, Origin,
        postgres::{
            connect::{self, Meaning, STATEMENT_TIMEOUT},
            rows,
        },
    },
};

/// Each takes the schema one version further.
pub(super) const MIGRATIONS: [&str; 1] = [include_str!("1.sql")];

/// What was added to a version: the index that tells that it is there, and how it comes there.
const ADDITIONS: [(&str, &str); 1] = [("match_states_unlisted", include_str!("lists.sql"))];

/// The version that this program reads and writes.
pub(super) const VERSION: usize = MIGRATIONS.len();

/// How often a migration is tried that others may be at as well: each try but the last sees one
/// more version done.
const TRIES_MAX: usize = 20;

/// What a database turns out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A journal of this version or an older one, or nothing yet.
    Ours { version: usize },
    /// A journal of a version that this program doesn't know.
    Newer { version: usize },
    /// Somebody else's: it has tables of our names.
    Foreign,
}

/// Looks at a database without changing it.
pub(super) async fn inspect(connection: &mut PgConnection) -> sqlx::Result<Found> {
    // By the search path, as every other statement finds its tables.
    const TABLES: &str = "SELECT to_regclass('facematch_schema') IS NOT NULL,
        to_regclass('matches') IS NOT NULL OR to_regclass('events') IS NOT NULL";
    let row =
        connect::in_time(STATEMENT_TIMEOUT, query(TABLES).fetch_one(&mut *connection)).await?;
    match (row.try_get(0)?, row.try_get(1)?) {
        (false, true) => Ok(Found::Foreign),
        (false, false) => Ok(Found::Ours { version: 0 }),
        (true, _) => version(connection).await,
    }
}

async fn version(connection: &mut PgConnection) -> sqlx::Result<Found> {
    let version: i32 =
        query_scalar("SELECT version FROM facematch_schema").fetch_one(connection).await?;
    Ok(match usize::try_from(version) {
        Ok(version) if version <= VERSION => Found::Ours { version },
        Ok(version) => Found::Newer { version },
        Err(_) => Found::Foreign,
    })
}

/// Brings the database to this version, or tells what else it is.
pub(super) async fn migrate(connection: &mut PgConnection) -> sqlx::Result<Found> {
    let mut tries = 0;
    loop {
        let found = inspect(connection).await?;
        let Found::Ours { version } = found else {
            return Ok(found);
        };
        let step = match MIGRATIONS.get(version) {
            Some(&migration) => Some(migration),
            None => addition(connection).await?,
        };
        let Some(step) = step else {
            return Ok(found);
        };
        tries += 1;
        match raw_sql(step).execute(&mut *connection).await {
            Ok(_) => tracing::info!(schema.version = version, "the database's schema was extended"),
            // Another replica was faster, or is about to be.
            Err(error) if tries < TRIES_MAX && is_done_already(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

/// The next addition that is not there yet.
async fn addition(connection: &mut PgConnection) -> sqlx::Result<Option<&'static str>> {
    for (index, addition) in ADDITIONS {
        let is_there = query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(index);
        if !is_there.fetch_one(&mut *connection).await? {
            return Ok(Some(addition));
        }
    }
    Ok(None)
}

/// What a migration fails with that somebody else does at the same time: a unique key of the
/// catalogue, a table or a column that exists, or whatever says that it came second.
fn is_done_already(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code().map(|c| c.into_owned()));
    matches!(code.as_deref(), Some("23505" | "42P07" | "42701" | "42710"))
        || connect::meaning(error) == Meaning::Raced
}

/// Makes the store's own ids and keys if it has none, and enters a new incarnation.
pub(super) async fn enter(
    connection: &mut PgConnection,
    now: Timestamp,
) -> sqlx::Result<(Origin, Keys)> {
    let drawn: ([u8; 32], [u8; 32]) = (rand::random(), rand::random());
    query(
        "INSERT INTO store (id, store, digest_key, token_key, floor, erasures)
         VALUES (1, $1, $2, $3, 0, 0) ON CONFLICT DO NOTHING",
    )
    .bind(rand::random::<i64>())
    .bind(drawn.0.as_slice())
    .bind(drawn.1.as_slice())
    .execute(&mut *connection)
    .await?;
    let incarnation: u64 = rand::random();
    query(
        "INSERT INTO incarnations (incarnation, started_position, start_time)
         SELECT $1, last_position, $2 FROM commits ORDER BY first_position DESC LIMIT 1",
    )
    .bind(incarnation.cast_signed())
    .bind(now.as_micros())
    .execute(&mut *connection)
    .await?;
    let (store, keys) = identity(connection).await?;
    Ok((Origin { store, incarnation }, keys))
}

/// The newest position, and who wrote it.
pub(super) async fn head(connection: &mut PgConnection) -> sqlx::Result<Place> {
    const HEAD: &str = "
        SELECT last_position, incarnation FROM commits ORDER BY first_position DESC LIMIT 1";
    let row = query(HEAD).fetch_one(connection).await?;
    let (position, incarnation) = (rows::unsigned(&row, 0)?, rows::unsigned(&row, 1)?);
    Ok(Place { position: Position(position), incarnation })
}

async fn identity(connection: &mut PgConnection) -> sqlx::Result<(u64, Keys)> {
    let row = query("SELECT store, digest_key, token_key FROM store").fetch_one(connection).await?;
    let key = |column: usize| {
        let bytes: &[u8] = row.try_get(column)?;
        <[u8; 32]>::try_from(bytes).map_err(|error| sqlx::Error::Decode(error.into()))
    };
    let store: i64 = row.try_get(0)?;
    Ok((store.cast_unsigned(), Keys { digest: key(1)?, token: key(2)? }))
}
