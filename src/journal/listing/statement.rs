//! The statement that scans a range of a tenant's matches: fixed pieces of SQL, chosen by the plan.
//! Every value is bound. The engines differ only in how they number the values.

use uuid::Uuid;

use crate::{
    domain::{MatchId, State, TenantId},
    journal::listing::plan::{Check, IndexScan, ListPlan},
};

/// A piece of a statement.
#[derive(Clone, Copy)]
pub(in crate::journal) enum Piece<'a> {
    /// Text of the statement.
    Sql(&'static str),
    /// A text value to bind.
    Text(&'a str),
    /// An id to bind.
    Id(Uuid),
    /// A number to bind.
    Number(i64),
}

use Piece::{Id, Number, Sql, Text};

/// Where a scan starts, and how many rows it reads at most.
#[derive(Clone, Copy)]
pub(in crate::journal) struct ScanRange {
    /// Only matches older than this one.
    pub before: Option<MatchId>,
    /// The most rows, of each index and in the result.
    pub rows: i64,
}

/// Scans a range: each match's id, and whether it fits the filter. The rows come in any order.
///
/// The row limit applies to the index scans, before anything is checked. So the work is the same
/// however few matches fit.
pub(in crate::journal) fn scan<'a>(
    plan: &ListPlan<'a>,
    tenant: &'a TenantId,
    stretch: ScanRange,
) -> Vec<Piece<'a>> {
    let mut pieces = vec![Sql("SELECT l.match_id, coalesce(l.fits")];
    pieces.extend(plan.checks.iter().flat_map(|it| check(it, tenant)));
    pieces.push(Sql(", FALSE) FROM ("));
    match plan.sources.as_slice() {
        [one] => pieces.extend(source(one, plan, tenant, stretch)),
        several => {
            for (index, one) in several.iter().enumerate() {
                let join =
                    if index == 0 { "SELECT * FROM (" } else { " UNION ALL SELECT * FROM (" };
                pieces.push(Sql(join));
                pieces.extend(source(one, plan, tenant, stretch));
                pieces.push(Sql(") AS s"));
            }
            pieces.extend([Sql(" ORDER BY match_id DESC LIMIT "), Number(stretch.rows)]);
        }
    }
    pieces.push(Sql(") AS l"));
    pieces
}

/// How an index is scanned: by all of its columns, with the match's id last.
///
/// The columns before the id are compared together with it, not each by itself, and the order names
/// them too, so that no other index has the same order. With two such indexes PostgreSQL would
/// choose by its statistics, and would walk the table's primary key past every match if it took
/// rare rows for common ones. The connections of lists have sorting disabled, so it can't sort
/// instead.
///
/// The scan reads a number of rows from the newest on, unconditionally, and the outer statement
/// drops those beyond the oldest. As a condition of the scan, the oldest id would not end it:
/// PostgreSQL would read on to the first row of the index where a later column decides such a
/// comparison.
struct IndexWalk<'a> {
    table: &'static str,
    /// As `i.a, i.match_id`.
    columns: &'static str,
    /// As `i.a DESC, i.match_id DESC`.
    order: &'static str,
    /// The values of the columns before the id.
    values: Vec<Piece<'a>>,
    /// The condition of a partial index.
    rows: &'static str,
    /// Whether a row fits the filter, as far as the row tells.
    fits: Vec<Piece<'a>>,
    /// The further columns that `fits` needs, as `, i.b`.
    needs: &'static str,
}

impl<'a> IndexWalk<'a> {
    fn of(source: &IndexScan<'a>, tenant: &'a TenantId) -> Self {
        let tenant = Text(tenant.as_str());
        let all = Self {
            table: "matches AS i",
            columns: "i.caller, i.match_id",
            order: "i.caller DESC, i.match_id DESC",
            values: vec![tenant],
            rows: "TRUE",
            fits: vec![Sql("TRUE")],
            needs: "",
        };
        let with_state = |states: &[State]| {
            let mut fits = vec![Sql("i.state")];
            fits.extend(one_of(states));
            fits
        };
        match source {
            IndexScan::Caller => all,
            IndexScan::Folder(id) => Self {
                columns: "i.caller, i.folder_id, i.match_id",
                order: "i.caller DESC, i.folder_id DESC, i.match_id DESC",
                values: vec![tenant, Id(*id.as_uuid())],
                ..all
            },
            IndexScan::Label(label) => Self {
                table: "match_labels AS i",
                columns: "i.caller, i.key, i.value, i.match_id",
                order: "i.caller DESC, i.key DESC, i.value DESC, i.match_id DESC",
                values: vec![tenant, Text(label.key), Text(label.value)],
                ..all
            },
            IndexScan::Ended(state) => Self {
                table: "match_states AS i",
                columns: "i.caller, i.end_state, i.match_id",
                order: "i.caller DESC, i.end_state DESC, i.match_id DESC",
                values: vec![tenant, Text(state.name())],
                rows: "i.end_state IS NOT NULL",
                ..all
            },
            IndexScan::Unfinished(states) => Self {
                table: "match_states AS i",
                rows: "i.end_time IS NULL",
                fits: with_state(states),
                needs: ", i.state",
                ..all
            },
            IndexScan::Unlisted(states) => {
                let mut fits = with_state(states);
                fits.extend([Sql(CALLER), tenant]);
                Self {
                    table: "match_states AS i",
                    // The id comes before the tenant: the table's primary key has no such order.
                    columns: "i.match_id",
                    order: "i.match_id DESC, i.caller DESC",
                    values: Vec::new(),
                    rows: UNLISTED,
                    fits,
                    needs: ", i.state",
                }
            }
        }
    }

    /// The rows from one id up to another, the upper one excluded, among the newest `rows`.
    fn pieces(self, from: Uuid, until: Uuid, rows: i64) -> Vec<Piece<'a>> {
        let (columns, values) = (self.columns, self.values);
        let compared = |compare: &'static str, id| {
            let mut pieces = vec![Sql("("), Sql(columns), Sql(compare)];
            pieces.extend(values.iter().flat_map(|value| [*value, Sql(", ")]));
            pieces.extend([Id(id), Sql(")")]);
            pieces
        };
        let mut pieces = vec![Sql("SELECT i.match_id, ")];
        pieces.extend(self.fits);
        pieces.extend([Sql(" AS fits FROM (SELECT "), Sql(columns), Sql(self.needs)]);
        pieces.extend([Sql(" FROM "), Sql(self.table), Sql(" WHERE "), Sql(self.rows)]);
        pieces.push(Sql(" AND "));
        pieces.extend(compared(") < (", until));
        pieces.extend([Sql(" ORDER BY "), Sql(self.order), Sql(" LIMIT "), Number(rows)]);
        pieces.push(Sql(") AS i WHERE "));
        pieces.extend(compared(") >= (", from));
        pieces
    }
}

/// The newest matches of one scan: each match's id, and whether it fits, as far as its row tells.
fn source<'a>(
    source: &IndexScan<'a>,
    plan: &ListPlan<'a>,
    tenant: &'a TenantId,
    stretch: ScanRange,
) -> Vec<Piece<'a>> {
    let from = plan.from.map_or(Uuid::nil(), |id| *id.as_uuid());
    let until = [plan.until, stretch.before].into_iter().flatten().min();
    // No match has the greatest id: it is of no UUID version.
    let until = until.map_or(Uuid::max(), |id| *id.as_uuid());
    IndexWalk::of(source, tenant).pieces(from, until, stretch.rows)
}

/// The condition on a match's tenant, where the row doesn't have it.
const CALLER: &str = " AND (SELECT m.caller FROM matches AS m WHERE m.match_id = i.match_id) = ";

/// The rows that an older version wrote. It is the condition of the index that finds them.
const UNLISTED: &str = "(i.caller IS NULL OR i.end_time IS NOT NULL AND i.end_state IS NULL)";

/// The look-up of one condition for a scanned match.
fn check<'a>(check: &Check<'a>, tenant: &'a TenantId) -> Vec<Piece<'a>> {
    match check {
        // Not EXISTS: PostgreSQL may answer that by hashing all matches with the label.
        Check::Label(label) => {
            const LABELLED: &str = " AND (SELECT TRUE FROM match_labels AS o WHERE o.caller = ";
            let mut pieces = vec![Sql(LABELLED)];
            pieces.extend([Text(tenant.as_str()), Sql(" AND o.key = "), Text(label.key)]);
            pieces.extend([Sql(" AND o.value = "), Text(label.value)]);
            pieces.push(Sql(" AND o.match_id = l.match_id)"));
            pieces
        }
        Check::States(states) => {
            const STATE: &str =
                " AND (SELECT s.state FROM match_states AS s WHERE s.match_id = l.match_id)";
            let mut pieces = vec![Sql(STATE)];
            pieces.extend(one_of(states));
            pieces
        }
        Check::Created { after, before } => {
            let mut pieces = vec![Sql(" AND (SELECT TRUE")];
            if let Some(time) = after {
                pieces.extend([Sql(" AND m.create_time >= "), Number(time.as_micros())]);
            }
            if let Some(time) = before {
                pieces.extend([Sql(" AND m.create_time < "), Number(time.as_micros())]);
            }
            pieces.push(Sql(" FROM matches AS m WHERE m.match_id = l.match_id)"));
            pieces
        }
    }
}

fn one_of<'a>(states: &[State]) -> Vec<Piece<'a>> {
    let mut pieces = Vec::with_capacity(2 * states.len() + 1);
    for (index, state) in states.iter().enumerate() {
        pieces.push(Sql(if index == 0 { " IN (" } else { ", " }));
        pieces.push(Text(state.name()));
    }
    pieces.push(Sql(")"));
    pieces
}
