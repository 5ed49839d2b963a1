//! Inspects the file before anything else touches it, and brings its schema to this version.
//!
//! Migrations go forward only: each version is one SQL file that sets the next `user_version`, all
//! that are due run in one transaction, and a file of a newer version is refused. A change that a
//! program of an older version can live with is an addition. It raises no version, so that the
//! older program can still open the file.

use sqlx::{Connection, Row, SqliteConnection, query, query_scalar, raw_sql};

use crate::{
    domain::{DigestKey, Timestamp},
    journal::{Keys, Origin},
};

/// The `application_id` in a journal's header, as `1.sql` sets it.
const APPLICATION_ID: i64 = 1_180_913_012;

/// Each migration takes the schema one version further, and says so in `user_version`.
pub(super) const MIGRATIONS: [&str; 1] = [include_str!("1.sql")];

/// Additions to a version: the name in the schema that shows that the addition is there, and the
/// SQL that makes it.
const ADDITIONS: [(&str, &str); 2] = [
    ("match_states_unlisted", include_str!("lists.sql")),
    ("erasing_hold", include_str!("hold.sql")),
];

/// The version that this program reads and writes.
pub(super) const VERSION: usize = MIGRATIONS.len();

/// What kind of file it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A journal of this version or an older one, or an empty file.
    Ours { version: usize },
    /// A journal of a version that this program doesn't know.
    Newer { version: usize },
    /// A file of another program.
    Foreign,
}

/// Looks at a file without changing it.
pub(super) async fn inspect(connection: &mut SqliteConnection) -> sqlx::Result<Found> {
    let row = query(
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
         FROM pragma_application_id, pragma_user_version",
    )
    .fetch_one(connection)
    .await?;
    let (application_id, version, tables) =
        (row.try_get::<i64, _>(0)?, row.try_get::<i64, _>(1)?, row.try_get::<i64, _>(2)?);
    Ok(judge(application_id, version, tables))
}

fn judge(application_id: i64, version: i64, tables: i64) -> Found {
    // A process that died before its first commit leaves a file with nothing in it.
    let nothing = application_id == 0 && version == 0 && tables == 0;
    let Ok(version) = usize::try_from(version) else {
        return Found::Foreign;
    };
    match (nothing || application_id == APPLICATION_ID, version <= VERSION) {
        (false, _) => Found::Foreign,
        (true, true) => Found::Ours { version },
        (true, false) => Found::Newer { version },
    }
}

/// Brings the file to this version, makes the store's id and keys if it has none, and records a new
/// incarnation.
pub(super) async fn prepare(
    connection: &mut SqliteConnection,
    version: usize,
    now: Timestamp,
) -> sqlx::Result<(Origin, Keys)> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for &migration in &MIGRATIONS[version..] {
        raw_sql(migration).execute(&mut *transaction).await?;
    }
    for (name, addition) in ADDITIONS {
        if !exists(&mut transaction, name).await? {
            raw_sql(addition).execute(&mut *transaction).await?;
        }
    }
    let drawn: ([u8; 32], [u8; 32]) = (rand::random(), rand::random());
    query(
        "INSERT INTO store (id, store, digest_key, token_key, floor) VALUES (1, $1, $2, $3, 0)
         ON CONFLICT DO NOTHING",
    )
    .bind(rand::random::<i64>())
    .bind(drawn.0.as_slice())
    .bind(drawn.1.as_slice())
    .execute(&mut *transaction)
    .await?;
    let incarnation: u64 = rand::random();
    query(
        "INSERT INTO incarnations (incarnation, started_position, start_time)
         VALUES ($1, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0), $2)",
    )
    .bind(incarnation.cast_signed())
    .bind(now.as_micros())
    .execute(&mut *transaction)
    .await?;
    let (store, keys) = identity(&mut transaction).await?;
    transaction.commit().await?;
    Ok((Origin { store, incarnation }, keys))
}

async fn exists(connection: &mut SqliteConnection, name: &str) -> sqlx::Result<bool> {
    query_scalar("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = $1)")
        .bind(name)
        .fetch_one(connection)
        .await
}

async fn identity(connection: &mut SqliteConnection) -> sqlx::Result<(u64, Keys)> {
    let row = query("SELECT store, digest_key, token_key FROM store").fetch_one(connection).await?;
    let key = |column: usize| {
        let bytes: &[u8] = row.try_get(column)?;
        <[u8; 32]>::try_from(bytes).map_err(|error| sqlx::Error::Decode(error.into()))
    };
    let store: i64 = row.try_get(0)?;
    Ok((store.cast_unsigned(), Keys { digest: DigestKey(key(1)?), token: key(2)? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_ours_only_if_it_says_so_or_holds_nothing() {
        assert_eq!(judge(0, 0, 0), Found::Ours { version: 0 });
        assert_eq!(judge(APPLICATION_ID, 1, 9), Found::Ours { version: 1 });
        assert_eq!(judge(APPLICATION_ID, 7, 9), Found::Newer { version: 7 });
        for foreign in [(0, 0, 1), (0, 1, 0), (5, 1, 9), (APPLICATION_ID, -1, 9)] {
            assert_eq!(judge(foreign.0, foreign.1, foreign.2), Found::Foreign, "{foreign:?}");
        }
    }

    #[test]
    fn each_migration_names_the_version_it_leads_to() {
        for (index, migration) in MIGRATIONS.iter().enumerate() {
            assert!(migration.contains(&format!("PRAGMA user_version = {};", index + 1)));
        }
    }
}
