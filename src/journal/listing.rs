//! The statement that lists a caller's matches: fixed pieces, chosen by the filter; every value
//! is bound. The engines differ in little here, and each puts the pieces together for itself.

use uuid::Uuid;

use crate::{
    domain::{CallerId, MatchId, State},
    journal::Filter,
};

/// A piece of a statement.
pub(super) enum Piece<'a> {
    /// Just text.
    Sql(&'static str),
    /// A value to be bound.
    Text(&'a str),
    /// A value to be bound.
    Id(Uuid),
    /// A value to be bound.
    Number(i64),
}

/// How an engine says some things.
pub(super) struct Dialect {
    /// Joins a table to what is to be read first.
    pub join: &'static str,
    /// The columns of `events AS e` that are read.
    pub columns: &'static str,
}

use Piece::{Id, Number, Sql, Text};

/// Reads the events of a page of matches, newest match first, each one's in order.
///
/// Ids grow with time, so the page is found by walking an index backwards: of one label's
/// matches, of the folder's, or of all the caller's.
pub(super) fn pieces<'a>(
    dialect: &Dialect,
    caller: &'a CallerId,
    filter: &'a Filter,
    before: Option<MatchId>,
    limit: usize,
) -> Vec<Piece<'a>> {
    let caller = caller.as_str();
    let mut pieces = vec![Sql("WITH page AS (SELECT m.match_id FROM ")];
    let mut labels = filter.labels.iter();
    let start = match labels.next() {
        Some((key, value)) => {
            pieces.extend([Sql("match_labels AS l "), Sql(dialect.join)]);
            pieces.extend([Sql(" matches AS m ON m.match_id = l.match_id WHERE l.caller = ")]);
            pieces.extend([Text(caller), Sql(" AND l.key = "), Text(key)]);
            pieces.extend([Sql(" AND l.value = "), Text(value)]);
            "l.match_id"
        }
        None => {
            pieces.extend([Sql("matches AS m WHERE m.caller = "), Text(caller)]);
            "m.match_id"
        }
    };
    for (key, value) in labels {
        pieces.extend([Sql(" AND EXISTS (SELECT 1 FROM match_labels AS o WHERE o.caller = ")]);
        pieces.extend([Text(caller), Sql(" AND o.key = "), Text(key)]);
        pieces.extend([Sql(" AND o.value = "), Text(value)]);
        pieces.extend([Sql(" AND o.match_id = m.match_id)")]);
    }
    pieces.extend(conditions(filter));
    if let Some(before) = before {
        pieces.extend([Sql(" AND "), Sql(start), Sql(" < "), Id(*before.as_uuid())]);
    }
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    pieces.extend([Sql(" ORDER BY "), Sql(start), Sql(" DESC LIMIT "), Number(limit)]);
    pieces.extend([Sql(") SELECT "), Sql(dialect.columns), Sql(" FROM page "), Sql(dialect.join)]);
    pieces.extend([Sql(" events AS e ON e.match_id = page.match_id")]);
    pieces.extend([Sql(" ORDER BY page.match_id DESC, e.sequence")]);
    pieces
}

/// On the columns of the match.
fn conditions(filter: &Filter) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    if let Some(folder_id) = filter.folder_id {
        pieces.extend([Sql(" AND m.folder_id = "), Id(*folder_id.as_uuid())]);
    }
    if let Some(time) = filter.created_after {
        pieces.extend([Sql(" AND m.create_time >= "), Number(time.as_micros())]);
    }
    if let Some(time) = filter.created_before {
        pieces.extend([Sql(" AND m.create_time < "), Number(time.as_micros())]);
    }
    pieces.extend(one_of(&filter.states));
    pieces
}

fn one_of(states: &[State]) -> Vec<Piece<'_>> {
    const STATE: &str = " AND (SELECT s.state FROM match_states AS s WHERE s.match_id = m.match_id)
        IN (";
    let Some((first, others)) = states.split_first() else {
        return Vec::new();
    };
    let mut pieces = vec![Sql(STATE), Text(first.name())];
    pieces.extend(others.iter().flat_map(|state| [Sql(", "), Text(state.name())]));
    pieces.push(Sql(")"));
    pieces
}
