//! Turns rows of events into domain values. An event that can't be read is completed, and is never
//! an error.
//!
//! The writer reads its rows by rusqlite, all readers by sqlx: [`Columns`] is what they share.

use std::collections::HashMap;

use rusqlite::types::FromSqlError;
use sqlx::{Row, SqliteExecutor, query, sqlite::SqliteRow};
use uuid::Uuid;

use crate::{
    domain::{Match, MatchId, Position, Recorded, Sequence, TenantId, Timestamp},
    journal::{
        Error, Key,
        sqlite::statements,
        stored::{self, ColumnsByMatch, MatchColumns, ONE_WRITER},
    },
};

/// The columns that [`recorded`] reads, of `events AS e`.
macro_rules! columns {
    () => {
        "e.match_id, e.sequence, e.position, e.time, e.body"
    };
}
pub(super) use columns;

/// A statement with its values, ready to run.
pub(super) type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

/// The columns of a row, by their index.
pub(super) trait Columns {
    /// A number, unless the column is null.
    fn number_or_null(&self, column: usize) -> Result<Option<i64>, Error>;

    /// A text, unless the column is null.
    fn text_or_null(&self, column: usize) -> Result<Option<&str>, Error>;

    /// The bytes of a blob.
    fn bytes(&self, column: usize) -> Result<&[u8], Error>;

    /// A number.
    fn number(&self, column: usize) -> Result<i64, Error> {
        self.number_or_null(column)?.ok_or_else(|| unreadable(column))
    }

    /// A text.
    fn text(&self, column: usize) -> Result<&str, Error> {
        self.text_or_null(column)?.ok_or_else(|| unreadable(column))
    }

    /// A UUID.
    fn uuid(&self, column: usize) -> Result<Uuid, Error> {
        Uuid::from_slice(self.bytes(column)?).map_err(|_| unreadable(column))
    }

    /// A time.
    fn time(&self, column: usize) -> Result<Timestamp, Error> {
        self.number(column).map(Timestamp::from_micros)
    }
}

fn unreadable(column: usize) -> Error {
    Error::Corrupt(format!("column {column} of a row has no value of its type"))
}

impl Columns for SqliteRow {
    fn number_or_null(&self, column: usize) -> Result<Option<i64>, Error> {
        Ok(self.try_get(column)?)
    }

    fn text_or_null(&self, column: usize) -> Result<Option<&str>, Error> {
        Ok(self.try_get(column)?)
    }

    fn bytes(&self, column: usize) -> Result<&[u8], Error> {
        Ok(self.try_get(column)?)
    }
}

impl Columns for rusqlite::Row<'_> {
    fn number_or_null(&self, column: usize) -> Result<Option<i64>, Error> {
        Ok(self.get(column)?)
    }

    fn text_or_null(&self, column: usize) -> Result<Option<&str>, Error> {
        let text = self.get_ref(column)?.as_str_or_null();
        text.map_err(|_: FromSqlError| unreadable(column))
    }

    fn bytes(&self, column: usize) -> Result<&[u8], Error> {
        self.get_ref(column)?.as_blob().map_err(|_: FromSqlError| unreadable(column))
    }
}

/// The statement for the events of the match that a tenant's key names. Its values are the tenant
/// and what the key holds.
pub(super) fn by_key(key: &Key) -> &'static str {
    match key {
        Key::Match(_) => statements::BY_ID,
        Key::Request(_) => statements::BY_REQUEST,
    }
}

/// The query for the events of the match that a tenant's key names.
pub(super) fn journal_by_key<'q>(tenant: &'q TenantId, key: &'q Key) -> Query<'q> {
    let query = query(by_key(key)).bind(tenant.as_str());
    match key {
        Key::Match(id) => query.bind(blob(id.as_uuid())),
        Key::Request(id) => query.bind(id.as_str()),
    }
}

/// A UUID as the journal stores it.
pub(super) fn blob(uuid: &Uuid) -> &[u8] {
    uuid.as_bytes()
}

/// The size of the event in a row, in bytes.
pub(super) fn body_bytes(row: &SqliteRow) -> usize {
    row.try_get::<&str, _>(4).map_or(0, str::len)
}

/// Whether there is an event in a row.
pub(super) fn is_event(row: &SqliteRow) -> bool {
    row.uuid(0).is_ok()
}

/// The event in a row of the columns that [`columns!`] lists.
pub(super) fn recorded(row: &impl Columns) -> Result<Recorded, Error> {
    Ok(Recorded {
        match_id: MatchId::from_uuid(row.uuid(0)?),
        sequence: Sequence(row.number(1)?.cast_unsigned()),
        position: Position(row.number(2)?.cast_unsigned()),
        incarnation: ONE_WRITER,
        time: row.time(3)?,
        // A damaged body may not even be text.
        event: stored::event(row.text(4).unwrap_or_default()),
    })
}

/// The events in some rows.
pub(super) fn events(rows: &[SqliteRow]) -> Result<Vec<Recorded>, Error> {
    rows.iter().map(recorded).collect()
}

/// The ids of some matches, as [`statements::BESIDE`] takes them.
pub(super) fn asked(ids: &[MatchId]) -> String {
    let asked: Vec<String> = ids.iter().map(|id| id.as_uuid().simple().to_string()).collect();
    serde_json::to_string(&asked).expect("ids are plain text")
}

/// What a row of [`statements::BESIDE`] has of a match.
pub(super) fn beside(row: &impl Columns) -> Result<(MatchId, MatchColumns), Error> {
    let end = |column| Ok::<_, Error>(row.number_or_null(column)?.map(Timestamp::from_micros));
    let match_id = MatchId::from_uuid(row.uuid(0)?);
    let beside = MatchColumns {
        match_id,
        tenant: row.text(1)?.to_owned(),
        request_id: row.text_or_null(2)?.map(str::to_owned),
        folder_id: row.uuid(3)?,
        create_time: row.time(4)?,
        labels: row.text(5)?.to_owned(),
        state: row.text(6)?.to_owned(),
        sequence: Sequence(row.number(7)?.cast_unsigned()),
        update_time: row.time(8)?,
        end_time: end(9)?,
        expire_time: end(10)?,
    };
    Ok((match_id, beside))
}

/// What the store has of matches beside their events.
async fn besides(store: impl SqliteExecutor<'_>, ids: &[MatchId]) -> Result<ColumnsByMatch, Error> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = query(statements::BESIDE).bind(asked(ids)).fetch_all(store).await?;
    rows.iter().map(beside).collect()
}

/// The match that one match's events fold into; `None` if there are none.
pub(super) async fn folded(
    store: impl SqliteExecutor<'_>,
    rows: &[SqliteRow],
) -> Result<Option<Match>, Error> {
    Ok(folded_each(store, rows).await?.pop())
}

/// The matches that these events fold into. The events of each match are adjacent and in order.
pub(super) async fn folded_each(
    store: impl SqliteExecutor<'_>,
    rows: &[SqliteRow],
) -> Result<Vec<Match>, Error> {
    let events = events(rows)?;
    let folding = Folding::of(&events);
    let besides = besides(store, &folding.incomplete()).await?;
    Ok(folding.completed(&besides))
}

/// The fold of the events of some matches, before what can't be read is completed.
pub(super) struct Folding<'a> {
    matches: Vec<(&'a [Recorded], Folded)>,
}

/// A match, or its id if its columns are needed as well.
type Folded = Result<Option<Match>, MatchId>;

impl<'a> Folding<'a> {
    /// The events of each match are adjacent and in order.
    pub(super) fn of(events: &'a [Recorded]) -> Self {
        let matches = events.chunk_by(|a, b| a.match_id == b.match_id);
        Self { matches: matches.map(|events| (events, stored::folded(events))).collect() }
    }

    /// The matches whose columns are needed as well.
    pub(super) fn incomplete(&self) -> Vec<MatchId> {
        self.matches.iter().filter_map(|(_, folded)| folded.as_ref().err()).copied().collect()
    }

    /// The matches, given the columns of those that were incomplete.
    pub(super) fn completed(self, besides: &ColumnsByMatch) -> Vec<Match> {
        let whole = self.matches.into_iter().filter_map(|(events, folded)| {
            folded.unwrap_or_else(|_| stored::folded_beside(events, besides))
        });
        whole.collect()
    }
}

/// Completes events that can't be read, from what the store has beside them.
pub(super) async fn complete(
    store: impl SqliteExecutor<'_>,
    mut events: Vec<Recorded>,
) -> Result<Vec<Recorded>, Error> {
    if let ids @ [_, ..] = stored::incomplete(&events).as_slice() {
        stored::complete(&mut events, &besides(store, ids).await?);
    }
    Ok(events)
}
