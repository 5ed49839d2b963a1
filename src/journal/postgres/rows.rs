//! Turns rows into domain values. An event that can't be read is deliberately no error: it is
//! completed from other columns.

use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use crate::{
    domain::{Match, MatchId, Position, Recorded, Sequence, TenantId, Timestamp},
    journal::{
        Error, Key,
        stored::{self, ColumnsByMatch, MatchColumns},
    },
};

/// The columns that [`recorded`] reads, of `events AS e`.
macro_rules! columns {
    () => {
        "e.match_id, e.sequence, e.position, e.time, e.incarnation, e.body"
    };
}
pub(super) use columns;

/// A statement with its values bound.
pub(super) type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

/// Selects the events of the match that a tenant's key names. How rows are found: see `write.sql`.
pub(super) fn journal_by_key<'q>(tenant: &'q TenantId, key: &'q Key) -> Query<'q> {
    const BY_ID: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM events AS e
         WHERE e.match_id = (SELECT m.match_id FROM matches AS m
                             WHERE m.caller = $1 AND m.match_id BETWEEN $2 AND $2
                             ORDER BY m.match_id LIMIT 1)
         ORDER BY e.sequence"
    );
    const BY_REQUEST: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM events AS e
         WHERE e.match_id = (SELECT m.match_id FROM matches AS m
                             WHERE m.caller = $1 AND m.request_id BETWEEN $2 AND $2
                             ORDER BY m.request_id LIMIT 1)
         ORDER BY e.sequence"
    );
    match key {
        Key::Match(id) => sqlx::query(BY_ID).bind(tenant.as_str()).bind(id.as_uuid()),
        Key::Request(id) => sqlx::query(BY_REQUEST).bind(tenant.as_str()).bind(id.as_str()),
    }
}

/// Reads a column that stores an unsigned number in a signed type.
pub(super) fn unsigned(row: &PgRow, column: usize) -> sqlx::Result<u64> {
    Ok(row.try_get::<i64, _>(column)?.cast_unsigned())
}

/// A limit in the type that statements take.
pub(super) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// The size of a row's event, in bytes of JSON.
pub(super) fn body_bytes(row: &PgRow) -> usize {
    row.try_get::<&str, _>(5).map_or(0, str::len)
}

/// Reads a row with the columns of [`columns!`].
pub(super) fn recorded(row: &PgRow) -> Result<Recorded, Error> {
    let match_id = MatchId::from_uuid(row.try_get(0)?);
    let sequence = Sequence(unsigned(row, 1)?);
    Ok(Recorded {
        match_id,
        sequence,
        position: Position(unsigned(row, 2)?),
        time: Timestamp::from_micros(row.try_get(3)?),
        incarnation: unsigned(row, 4)?,
        event: stored::event(row.try_get(5)?),
    })
}

/// Reads rows with the columns of [`columns!`].
pub(super) fn events(rows: &[PgRow]) -> Result<Vec<Recorded>, Error> {
    rows.iter().map(recorded).collect()
}

/// The match id in a row. `None` if the row has no event.
pub(super) fn id(row: &PgRow) -> Option<MatchId> {
    row.try_get(0).ok().map(MatchId::from_uuid)
}

/// Selects what the store keeps of matches beside their events.
pub(super) fn beside(ids: &[MatchId]) -> Query<'static> {
    const BESIDE: &str = "
        SELECT m.match_id, m.caller, m.request_id, m.folder_id, m.create_time,
            (SELECT coalesce(json_object_agg(l.key, l.value)::text, '{}')
             FROM match_labels AS l WHERE l.match_id = m.match_id),
            s.state, s.sequence, s.update_time, s.end_time, s.expire_time
        FROM matches AS m JOIN match_states AS s ON s.match_id = m.match_id
        WHERE m.match_id = ANY($1)";
    let ids: Vec<Uuid> = ids.iter().map(|id| *id.as_uuid()).collect();
    sqlx::query(BESIDE).bind(ids)
}

/// Reads the rows of [`beside`].
pub(super) fn besides(rows: &[PgRow]) -> Result<ColumnsByMatch, Error> {
    let read = |row: &PgRow| -> sqlx::Result<(MatchId, MatchColumns)> {
        let time = |column| row.try_get(column).map(Timestamp::from_micros);
        let end = |column| -> sqlx::Result<Option<Timestamp>> {
            Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_micros))
        };
        let match_id = MatchId::from_uuid(row.try_get(0)?);
        let beside = MatchColumns {
            match_id,
            tenant: row.try_get(1)?,
            request_id: row.try_get(2)?,
            folder_id: row.try_get(3)?,
            create_time: time(4)?,
            labels: row.try_get(5)?,
            state: row.try_get(6)?,
            sequence: Sequence(unsigned(row, 7)?),
            update_time: time(8)?,
            end_time: end(9)?,
            expire_time: end(10)?,
        };
        Ok((match_id, beside))
    };
    Ok(rows.iter().map(read).collect::<sqlx::Result<_>>()?)
}

/// Folds the events of several matches. The rows of each match are adjacent and in order.
pub(super) async fn folded_each(
    connection: &mut PgConnection,
    rows: &[PgRow],
) -> Result<Vec<Match>, Error> {
    let events = events(rows)?;
    let matches = || events.chunk_by(|a, b| a.match_id == b.match_id);
    let folded: Vec<_> = matches().map(stored::folded).collect();
    let ids: Vec<MatchId> = folded.iter().filter_map(|it| it.as_ref().err()).copied().collect();
    let besides = match ids.as_slice() {
        [] => ColumnsByMatch::new(),
        ids => besides(&beside(ids).fetch_all(connection).await?)?,
    };
    let whole = folded.into_iter().zip(matches()).filter_map(|(folded, events)| {
        folded.unwrap_or_else(|_| stored::folded_beside(events, &besides))
    });
    Ok(whole.collect())
}

/// Completes unreadable events from what the store keeps beside them.
pub(super) async fn complete(
    connection: &mut PgConnection,
    mut events: Vec<Recorded>,
) -> Result<Vec<Recorded>, Error> {
    if let ids @ [_, ..] = stored::incomplete(&events).as_slice() {
        stored::complete(&mut events, &besides(&beside(ids).fetch_all(connection).await?)?);
    }
    Ok(events)
}
