//! Rows of events to domain values: whatever can't be read is told of, never stumbled over.

use sqlx::{Row, query, sqlite::SqliteRow};
use uuid::Uuid;

use crate::{
    domain::{CallerId, Match, MatchId, Position, Recorded, Sequence, Timestamp},
    journal::{
        Error, Key,
        stored::{self, ONE_WRITER},
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

/// The events of the match that a key of a caller's names.
pub(super) fn journal_by_key<'q>(caller: &'q CallerId, key: &'q Key) -> Query<'q> {
    const BY_ID: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM matches AS m JOIN events AS e ON e.match_id = m.match_id
         WHERE m.match_id = $2 AND m.caller = $1 ORDER BY e.sequence"
    );
    const BY_REQUEST: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM matches AS m JOIN events AS e ON e.match_id = m.match_id
         WHERE m.caller = $1 AND m.request_id = $2 ORDER BY e.sequence"
    );
    match key {
        Key::Match(id) => query(BY_ID).bind(caller.as_str()).bind(blob(id.as_uuid())),
        Key::Request(id) => query(BY_REQUEST).bind(caller.as_str()).bind(id.as_str()),
    }
}

/// A UUID as the journal holds it.
pub(super) fn blob(uuid: &Uuid) -> &[u8] {
    uuid.as_bytes()
}

/// A UUID that the journal holds.
pub(super) fn uuid(row: &SqliteRow, column: usize) -> sqlx::Result<Uuid> {
    Uuid::from_slice(row.try_get(column)?).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// How large the event in a row is.
pub(super) fn body_bytes(row: &SqliteRow) -> usize {
    row.try_get::<&str, _>(4).map_or(0, str::len)
}

/// Whether there is an event in a row.
pub(super) fn is_event(row: &SqliteRow) -> bool {
    uuid(row, 0).is_ok()
}

/// One row as [`columns!`] lists them.
pub(super) fn recorded(row: &SqliteRow) -> Result<Recorded, Error> {
    let match_id = MatchId::from_uuid(uuid(row, 0)?);
    let sequence = Sequence(row.try_get::<i64, _>(1)?.cast_unsigned());
    Ok(Recorded {
        match_id,
        sequence,
        position: Position(row.try_get::<i64, _>(2)?.cast_unsigned()),
        incarnation: ONE_WRITER,
        time: Timestamp::from_micros(row.try_get(3)?),
        event: stored::event(row.try_get(4)?, match_id, sequence)?,
    })
}

/// The match that the events of one match fold into.
pub(super) fn folded(rows: &[SqliteRow]) -> Result<Option<Match>, Error> {
    rows.iter().try_fold(None, |state, row| stored::next(state, &recorded(row)?).map(Some))
}

/// The matches that events of many fold into, each match's being together and in order.
pub(super) fn folded_each(rows: &[SqliteRow]) -> Result<Vec<Match>, Error> {
    let matches = rows.chunk_by(same_match).map(folded);
    matches.filter_map(Result::transpose).collect()
}

/// Whether two rows are of the same match.
pub(super) fn same_match(a: &SqliteRow, b: &SqliteRow) -> bool {
    uuid(a, 0).ok() == uuid(b, 0).ok()
}
