//! Inspects the file before anything else touches it, and brings its schema to this version.
//!
//! Migrations go forward only: each version is one SQL file that sets the next `user_version`, all
//! that are due run in one transaction, and a file of a newer version is refused. A change that a
//! program of an older version can live with is an addition. It raises no version, so that the
//! older program can still open the file.

use rusqlite::{Connection, Transaction, TransactionBehavior};

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
pub(super) fn inspect(connection: &Connection) -> rusqlite::Result<Found> {
    connection.query_row(
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
         FROM pragma_application_id, pragma_user_version",
        [],
        |row| Ok(judge(row.get(0)?, row.get(1)?, row.get(2)?)),
    )
}

pub(super) fn judge(application_id: i64, version: i64, tables: i64) -> Found {
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
pub(super) fn prepare(
    connection: &mut Connection,
    version: usize,
    now: Timestamp,
) -> rusqlite::Result<(Origin, Keys)> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for migration in &MIGRATIONS[version..] {
        transaction.execute_batch(migration)?;
    }
    for (name, addition) in ADDITIONS {
        if !exists(&transaction, name)? {
            transaction.execute_batch(addition)?;
        }
    }
    let drawn: ([u8; 32], [u8; 32]) = (rand::random(), rand::random());
    transaction.execute(
        "INSERT INTO store (id, store, digest_key, token_key, floor) VALUES (1, ?1, ?2, ?3, 0)
         ON CONFLICT DO NOTHING",
        (rand::random::<i64>(), drawn.0, drawn.1),
    )?;
    let incarnation: u64 = rand::random();
    transaction.execute(
        "INSERT INTO incarnations (incarnation, started_position, start_time)
         VALUES (?1, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0), ?2)",
        [incarnation.cast_signed(), now.as_micros()],
    )?;
    let (store, keys) = identity(&transaction)?;
    transaction.commit()?;
    Ok((Origin { store, incarnation }, keys))
}

fn exists(transaction: &Transaction<'_>, name: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?1)";
    transaction.query_row(sql, [name], |row| row.get(0))
}

fn identity(transaction: &Transaction<'_>) -> rusqlite::Result<(u64, Keys)> {
    let sql = "SELECT store, digest_key, token_key FROM store";
    transaction.query_row(sql, [], |row| {
        let store: i64 = row.get(0)?;
        Ok((store.cast_unsigned(), Keys { digest: DigestKey(row.get(1)?), token: row.get(2)? }))
    })
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
