//! The statement that lists a caller's matches: fixed pieces, chosen by the filter; every value
//! is bound.

use sqlx::QueryBuilder;

use crate::{
    domain::{CallerId, MatchId, State},
    journal::{
        Filter,
        sqlite::rows::{blob, columns},
    },
};

type Builder = QueryBuilder<sqlx::Sqlite>;

/// Reads the events of a page of matches, newest match first, each one's in order.
///
/// Ids grow with time, so the page is found by walking an index backwards: of one label's
/// matches, of the folder's, or of all the caller's.
pub(super) fn query(
    caller: &CallerId,
    filter: &Filter,
    before: Option<MatchId>,
    limit: usize,
) -> Builder {
    let mut query = Builder::new("WITH page AS (SELECT m.match_id FROM ");
    let mut labels = filter.labels.iter();
    let start = match labels.next() {
        Some((key, value)) => {
            query.push("match_labels AS l CROSS JOIN matches AS m ON m.match_id = l.match_id");
            query.push(" WHERE l.caller = ").push_bind(caller.as_str());
            query.push(" AND l.key = ").push_bind(key.as_str());
            query.push(" AND l.value = ").push_bind(value.as_str());
            "l.match_id"
        }
        None => {
            query.push("matches AS m WHERE m.caller = ").push_bind(caller.as_str());
            "m.match_id"
        }
    };
    for (key, value) in labels {
        query.push(" AND EXISTS (SELECT 1 FROM match_labels AS o WHERE o.caller = ");
        query.push_bind(caller.as_str());
        query.push(" AND o.key = ").push_bind(key.as_str());
        query.push(" AND o.value = ").push_bind(value.as_str());
        query.push(" AND o.match_id = m.match_id)");
    }
    push_columns(&mut query, filter);
    if let Some(before) = before {
        query.push(" AND ").push(start).push(" < ").push_bind(blob(before.as_uuid()));
    }
    query.push(" ORDER BY ").push(start).push(" DESC LIMIT ");
    query.push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
    query.push(concat!(
        ") SELECT ",
        columns!(),
        " FROM page CROSS JOIN events AS e ON e.match_id = page.match_id
         ORDER BY page.match_id DESC, e.sequence"
    ));
    query
}

fn push_columns(query: &mut Builder, filter: &Filter) {
    if let Some(folder_id) = filter.folder_id {
        query.push(" AND m.folder_id = ").push_bind(blob(folder_id.as_uuid()));
    }
    if let Some(time) = filter.created_after {
        query.push(" AND m.create_time >= ").push_bind(time.as_micros());
    }
    if let Some(time) = filter.created_before {
        query.push(" AND m.create_time < ").push_bind(time.as_micros());
    }
    push_states(query, &filter.states);
}

fn push_states(query: &mut Builder, states: &[State]) {
    if states.is_empty() {
        return;
    }
    query.push(" AND (SELECT s.state FROM match_states AS s WHERE s.match_id = m.match_id) IN (");
    let mut list = query.separated(", ");
    for state in states {
        list.push_bind(state.name());
    }
    query.push(")");
}
