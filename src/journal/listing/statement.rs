//! The statement that looks at a stretch of a caller's matches: fixed pieces, chosen by the plan;
//! every value is bound. The engines differ in nothing here but how values are numbered.

use uuid::Uuid;

use crate::{
    domain::{CallerId, MatchId, State},
    journal::listing::plan::{Check, Label, Plan, Source},
};

/// A piece of a statement.
pub(in crate::journal) enum Piece<'a> {
    /// Just text.
    Sql(&'static str),
    /// A value to be bound.
    Text(&'a str),
    /// A value to be bound.
    Id(Uuid),
    /// A value to be bound.
    Number(i64),
}

use Piece::{Id, Number, Sql, Text};

/// Where a stretch begins, and how many rows of each source it has at most.
#[derive(Clone, Copy)]
pub(in crate::journal) struct Stretch {
    /// Only older matches than this.
    pub before: Option<MatchId>,
    /// So many, of each source and in all.
    pub rows: i64,
}

/// Looks at a stretch, newest match first: each match's id, and whether it fits.
///
/// The bound is on what the sources give, before anything is checked. So the work is the same
/// however few matches fit.
pub(in crate::journal) fn look<'a>(
    plan: &Plan<'a>,
    caller: &'a CallerId,
    stretch: Stretch,
) -> Vec<Piece<'a>> {
    let mut pieces = vec![Sql("SELECT l.match_id, coalesce(l.fits")];
    pieces.extend(plan.checks.iter().flat_map(|it| check(it, caller)));
    pieces.push(Sql(", FALSE) FROM ("));
    match plan.sources.as_slice() {
        [one] => pieces.extend(source(one, plan, caller, stretch)),
        several => {
            for (index, one) in several.iter().enumerate() {
                let join =
                    if index == 0 { "SELECT * FROM (" } else { " UNION ALL SELECT * FROM (" };
                pieces.push(Sql(join));
                pieces.extend(source(one, plan, caller, stretch));
                pieces.push(Sql(") AS s"));
            }
            pieces.extend([Sql(" ORDER BY match_id DESC LIMIT "), Number(stretch.rows)]);
        }
    }
    pieces.push(Sql(") AS l ORDER BY l.match_id DESC"));
    pieces
}

/// The newest matches of one source: each one's id, and whether it fits as far as its row tells.
fn source<'a>(
    source: &Source<'a>,
    plan: &Plan<'a>,
    caller: &'a CallerId,
    stretch: Stretch,
) -> Vec<Piece<'a>> {
    const MATCHES: &str = "SELECT i.match_id, TRUE AS fits FROM matches AS i WHERE i.caller = ";
    const LABELS: &str = "SELECT i.match_id, TRUE AS fits FROM match_labels AS i WHERE i.caller = ";
    const ENDED: &str = "SELECT i.match_id, TRUE AS fits FROM match_states AS i WHERE i.caller = ";
    let caller = Text(caller.as_str());
    let mut pieces = match source {
        Source::Caller => vec![Sql(MATCHES), caller],
        Source::Folder(id) => {
            vec![Sql(MATCHES), caller, Sql(" AND i.folder_id = "), Id(*id.as_uuid())]
        }
        Source::Label(label) => {
            let mut pieces = vec![Sql(LABELS), caller];
            pieces.extend(labelled("i", *label));
            pieces
        }
        Source::Ended(state) => {
            vec![Sql(ENDED), caller, Sql(" AND i.end_state = "), Text(state.name())]
        }
        Source::Unfinished(states) => {
            let mut pieces = vec![Sql("SELECT i.match_id, i.state")];
            pieces.extend(one_of(states));
            pieces.push(Sql(" AS fits FROM match_states AS i WHERE i.caller = "));
            pieces.extend([caller, Sql(" AND i.end_time IS NULL")]);
            pieces
        }
        Source::Unlisted(states) => {
            let mut pieces = vec![Sql("SELECT i.match_id, i.state")];
            pieces.extend(one_of(states));
            pieces.push(Sql(" AND (SELECT m.caller FROM matches AS m
                WHERE m.match_id = i.match_id) = "));
            pieces.extend([caller, Sql(" AS fits FROM match_states AS i WHERE ")]);
            pieces.push(Sql(UNLISTED));
            pieces
        }
    };
    let until = [plan.until, stretch.before].into_iter().flatten().min();
    if let Some(until) = until {
        pieces.extend([Sql(" AND i.match_id < "), Id(*until.as_uuid())]);
    }
    if let Some(from) = plan.from {
        pieces.extend([Sql(" AND i.match_id >= "), Id(*from.as_uuid())]);
    }
    pieces.extend([Sql(" ORDER BY i.match_id DESC LIMIT "), Number(stretch.rows)]);
    pieces
}

/// Which rows an older version wrote: as the index that finds them has it.
const UNLISTED: &str = "(i.caller IS NULL OR i.end_time IS NOT NULL AND i.end_state IS NULL)";

/// What is looked up for a match of the stretch.
fn check<'a>(check: &Check<'a>, caller: &'a CallerId) -> Vec<Piece<'a>> {
    match check {
        // Not by EXISTS: PostgreSQL may answer that from a table of all matches with the label.
        Check::Label(label) => {
            const LABELLED: &str = " AND (SELECT TRUE FROM match_labels AS o WHERE o.caller = ";
            let mut pieces = vec![Sql(LABELLED)];
            pieces.push(Text(caller.as_str()));
            pieces.extend(labelled("o", *label));
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

fn labelled<'a>(table: &'static str, label: Label<'a>) -> [Piece<'a>; 4] {
    let (key, value) = match table {
        "i" => (" AND i.key = ", " AND i.value = "),
        _ => (" AND o.key = ", " AND o.value = "),
    };
    [Sql(key), Text(label.key), Sql(value), Text(label.value)]
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
