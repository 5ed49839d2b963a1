//! Rows of events to domain values: whatever can't be read is told of, never stumbled over.

use sqlx::{Row, postgres::PgRow};

use crate::{
    domain::{CallerId, Match, MatchId, Position, Recorded, Sequence, Timestamp},
    journal::{Error, Key, stored},
};

/// The columns that [`recorded`] reads, of `events AS e`.
macro_rules! columns {
    () => {
        "e.match_id, e.sequence, e.position, e.time, e.incarnation, e.body"
    };
}
pub(super) use columns;

/// A statement with its values, ready to run.
pub(super) type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

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
        Key::Match(id) => sqlx::query(BY_ID).bind(caller.as_str()).bind(id.as_uuid()),
        Key::Request(id) => sqlx::query(BY_REQUEST).bind(caller.as_str()).bind(id.as_str()),
    }
}

/// A number that is never negative here, from one that may be.
pub(super) fn unsigned(row: &PgRow, column: usize) -> sqlx::Result<u64> {
    Ok(row.try_get::<i64, _>(column)?.cast_unsigned())
}

/// How many, as statements take it.
pub(super) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// How large the event in a row is.
pub(super) fn body_bytes(row: &PgRow) -> usize {
    row.try_get::<&str, _>(5).map_or(0, str::len)
}

/// One row as [`columns!`] lists them.
pub(super) fn recorded(row: &PgRow) -> Result<Recorded, Error> {
    let match_id = MatchId::from_uuid(row.try_get(0)?);
    let sequence = Sequence(unsigned(row, 1)?);
    Ok(Recorded {
        match_id,
        sequence,
        position: Position(unsigned(row, 2)?),
        time: Timestamp::from_micros(row.try_get(3)?),
        incarnation: unsigned(row, 4)?,
        event: stored::event(row.try_get(5)?, match_id, sequence)?,
    })
}

/// The match that the events of one match fold into.
pub(super) fn folded(rows: &[PgRow]) -> Result<Option<Match>, Error> {
    rows.iter().try_fold(None, |state, row| stored::next(state, &recorded(row)?).map(Some))
}

/// The rows of each match, where those of one are together.
pub(super) fn by_match(rows: &[PgRow]) -> impl Iterator<Item = &[PgRow]> {
    rows.chunk_by(|a, b| id(a) == id(b))
}

/// Whose event a row is.
pub(super) fn id(row: &PgRow) -> Option<MatchId> {
    row.try_get(0).ok().map(MatchId::from_uuid)
}

/// The matches that events of many fold into, each match's being together and in order.
pub(super) fn folded_each(rows: &[PgRow]) -> Result<Vec<Match>, Error> {
    by_match(rows).map(folded).filter_map(Result::transpose).collect()
}
