//! Turns rows of events into domain values. An event that can't be read is completed, and is never
//! an error.

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

/// The query for the events of the match that a tenant's key names.
pub(super) fn journal_by_key<'q>(tenant: &'q TenantId, key: &'q Key) -> Query<'q> {
    match key {
        Key::Match(id) => query(statements::BY_ID).bind(tenant.as_str()).bind(blob(id.as_uuid())),
        Key::Request(id) => query(statements::BY_REQUEST).bind(tenant.as_str()).bind(id.as_str()),
    }
}

/// A UUID as the journal stores it.
pub(super) fn blob(uuid: &Uuid) -> &[u8] {
    uuid.as_bytes()
}

/// Reads a UUID from a column.
pub(super) fn uuid(row: &SqliteRow, column: usize) -> sqlx::Result<Uuid> {
    Uuid::from_slice(row.try_get(column)?).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// The size of the event in a row, in bytes.
pub(super) fn body_bytes(row: &SqliteRow) -> usize {
    row.try_get::<&str, _>(4).map_or(0, str::len)
}

/// Whether there is an event in a row.
pub(super) fn is_event(row: &SqliteRow) -> bool {
    uuid(row, 0).is_ok()
}

/// The event in a row of the columns that [`columns!`] lists.
pub(super) fn recorded(row: &SqliteRow) -> Result<Recorded, Error> {
    let match_id = MatchId::from_uuid(uuid(row, 0)?);
    let sequence = Sequence(row.try_get::<i64, _>(1)?.cast_unsigned());
    Ok(Recorded {
        match_id,
        sequence,
        position: Position(row.try_get::<i64, _>(2)?.cast_unsigned()),
        incarnation: ONE_WRITER,
        time: Timestamp::from_micros(row.try_get(3)?),
        // A damaged body may not even be text.
        event: stored::event(row.try_get(4).unwrap_or_default()),
    })
}

/// The events in some rows.
pub(super) fn events(rows: &[SqliteRow]) -> Result<Vec<Recorded>, Error> {
    rows.iter().map(recorded).collect()
}

/// What the store has of matches beside their events.
async fn besides(store: impl SqliteExecutor<'_>, ids: &[MatchId]) -> Result<ColumnsByMatch, Error> {
    let asked: Vec<String> = ids.iter().map(|id| id.as_uuid().simple().to_string()).collect();
    let asked = serde_json::to_string(&asked).expect("ids are plain text");
    let rows = query(statements::BESIDE).bind(asked).fetch_all(store).await?;
    Ok(rows.iter().map(beside).collect::<sqlx::Result<_>>()?)
}

fn beside(row: &SqliteRow) -> sqlx::Result<(MatchId, MatchColumns)> {
    let time = |column| row.try_get(column).map(Timestamp::from_micros);
    let end = |column| -> sqlx::Result<Option<Timestamp>> {
        Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_micros))
    };
    let match_id = MatchId::from_uuid(uuid(row, 0)?);
    let beside = MatchColumns {
        match_id,
        tenant: row.try_get(1)?,
        request_id: row.try_get(2)?,
        folder_id: uuid(row, 3)?,
        create_time: time(4)?,
        labels: row.try_get(5)?,
        state: row.try_get(6)?,
        sequence: Sequence(row.try_get::<i64, _>(7)?.cast_unsigned()),
        update_time: time(8)?,
        end_time: end(9)?,
        expire_time: end(10)?,
    };
    Ok((match_id, beside))
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
    let matches = || events.chunk_by(|a, b| a.match_id == b.match_id);
    let folded: Vec<_> = matches().map(stored::folded).collect();
    let ids: Vec<MatchId> = folded.iter().filter_map(|it| it.as_ref().err()).copied().collect();
    let besides = match ids.as_slice() {
        [] => ColumnsByMatch::new(),
        ids => besides(store, ids).await?,
    };
    let whole = folded.into_iter().zip(matches()).filter_map(|(folded, events)| {
        folded.unwrap_or_else(|_| stored::folded_beside(events, &besides))
    });
    Ok(whole.collect())
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

/// Whether two rows are of the same match.
pub(super) fn same_match(a: &SqliteRow, b: &SqliteRow) -> bool {
    uuid(a, 0).ok() == uuid(b, 0).ok()
}
