//! Which indexes a list scans: decided from the filter alone, so that the plan is the same on every
//! store, regardless of its statistics.
//!
//! All indexes are in the order of match ids, and ids grow with time. So a page is found by a
//! backward scan of one index, or of several that are merged. Conditions that an index doesn't
//! cover are checked row by row.

use std::{collections::btree_map, time::Duration};

use uuid::Uuid;

use crate::{
    domain::{FolderId, MatchId, State, Timestamp},
    journal::Filter,
};

/// How much later than its id says a match may have been created: the longest that a commit waits
/// for a slow disk or an unavailable database. Scans for `created_after` start that much earlier.
const ID_BEHIND_MAX: Duration = Duration::from_secs(60);

/// How far the time in an id may run ahead of the clock: ids of one millisecond are incremented, so
/// that each is greater than the previous one. Scans for `created_before` start that much later.
const ID_AHEAD_MAX: Duration = Duration::from_secs(1);

/// The bits of an id that follow its milliseconds.
const BITS_AFTER_MILLIS: u32 = 80;

/// The latest time that an id can name.
const MILLIS_MAX: u128 = (1 << 48) - 1;

/// A scan of one index, newest match first.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum IndexScan<'a> {
    /// All of the tenant's matches.
    Caller,
    /// The tenant's matches in a folder.
    Folder(FolderId),
    /// The tenant's matches with a label.
    Label(Label<'a>),
    /// The tenant's matches that have not ended. Each row tells whether it is in one of these
    /// states.
    Unfinished(Vec<State>),
    /// The tenant's matches that ended in this state.
    Ended(State),
    /// All tenants' matches whose rows an older version wrote, which are in neither of the two
    /// indexes above yet. Whether a match is the tenant's is looked up; its row tells whether it is
    /// in one of these states.
    Unlisted(Vec<State>),
}

/// A condition that is looked up for each match that the scans find.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Check<'a> {
    /// It has this label as well.
    Label(Label<'a>),
    /// It is in one of these states.
    States(Vec<State>),
    /// It was created at `after` or later, and before `before`. Ids tell that nearly, not exactly.
    Created { after: Option<Timestamp>, before: Option<Timestamp> },
}

/// A label of the filter.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Label<'a> {
    pub key: &'a str,
    pub value: &'a str,
}

/// How a list is read.
#[derive(Clone, PartialEq, Debug)]
pub(in crate::journal) struct ListPlan<'a> {
    /// Each match is found by at most one of these scans.
    pub(super) sources: Vec<IndexScan<'a>>,
    pub(super) checks: Vec<Check<'a>>,
    /// No match with a smaller id can fit.
    pub(super) from: Option<MatchId>,
    /// No match with this id or a greater one can fit.
    pub(super) until: Option<MatchId>,
}

/// The plan for a filter.
///
/// A folder has a few dozen matches, so it is the first choice. Unfinished matches are the second,
/// since `--max-unfinished` bounds them. Labels are the third, since a label may be on every match.
/// Ended states come last, since most matches are in one of them.
pub(in crate::journal) fn plan(filter: &Filter) -> ListPlan<'_> {
    let (states, mut labels) = (states(&filter.states), labels(filter.labels.iter()));
    let (sources, states) = match (filter.folder_id, states) {
        (Some(folder_id), states) => (vec![IndexScan::Folder(folder_id)], states),
        (None, Some(states)) if labels.is_empty() || is_unfinished(&states) => {
            (by_state(states), None)
        }
        (None, states) if labels.is_empty() => (vec![IndexScan::Caller], states),
        (None, states) => (vec![IndexScan::Label(labels.remove(0))], states),
    };
    let mut checks: Vec<Check<'_>> = labels.into_iter().map(Check::Label).collect();
    checks.extend(states.map(Check::States));
    let (after, before) = (filter.created_after, filter.created_before);
    if after.is_some() || before.is_some() {
        checks.push(Check::Created { after, before });
    }
    ListPlan { sources, checks, from: after.and_then(first_id), until: before.and_then(last_id) }
}

impl ListPlan<'_> {
    /// Whether every row that the scans find fits the filter.
    pub(super) fn is_exact(&self) -> bool {
        let is_exact = |source: &IndexScan<'_>| match source {
            IndexScan::Caller
            | IndexScan::Folder(_)
            | IndexScan::Label(_)
            | IndexScan::Ended(_) => true,
            // Empty, except for a while after an update of the service.
            IndexScan::Unlisted(_) => true,
            IndexScan::Unfinished(states) => states.len() == unfinished().count(),
        };
        self.checks.is_empty() && self.sources.iter().all(is_exact)
    }
}

fn labels<'a>(labels: btree_map::Iter<'a, String, String>) -> Vec<Label<'a>> {
    labels.map(|(key, value)| Label { key, value }).collect()
}

/// The states of the filter, each once; `None` if they don't restrict anything.
fn states(asked: &[State]) -> Option<Vec<State>> {
    let states: Vec<State> = State::ALL.into_iter().filter(|it| asked.contains(it)).collect();
    Some(states).filter(|states| !states.is_empty() && states.len() < State::ALL.len())
}

fn unfinished() -> impl Iterator<Item = State> {
    State::ALL.into_iter().filter(|state| !state.has_ended())
}

fn is_unfinished(states: &[State]) -> bool {
    states.iter().all(|state| !state.has_ended())
}

fn by_state<'a>(states: Vec<State>) -> Vec<IndexScan<'a>> {
    let (ended, unfinished): (Vec<_>, Vec<_>) =
        states.iter().copied().partition(|state| state.has_ended());
    let mut sources: Vec<IndexScan<'a>> = ended.into_iter().map(IndexScan::Ended).collect();
    sources.extend(Some(unfinished).filter(|it| !it.is_empty()).map(IndexScan::Unfinished));
    sources.push(IndexScan::Unlisted(states));
    sources
}

/// The smallest id that a match created at this time or later may have.
fn first_id(time: Timestamp) -> Option<MatchId> {
    let micros = u128::try_from(time.before(ID_BEHIND_MAX).as_micros()).ok()?;
    Some(id_at(micros / 1000))
}

/// An id that is greater than that of any match created before this time.
fn last_id(time: Timestamp) -> Option<MatchId> {
    let micros = u128::try_from(time.after(ID_AHEAD_MAX).as_micros()).unwrap_or(0);
    let millis = micros.div_ceil(1000);
    (millis <= MILLIS_MAX).then(|| id_at(millis))
}

/// The smallest id of a millisecond.
fn id_at(millis: u128) -> MatchId {
    MatchId::from_uuid(Uuid::from_u128(millis.min(MILLIS_MAX) << BITS_AFTER_MILLIS))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::journal::suite::{
        START,
        facts::{folder, labels, match_id},
    };

    const SHOP: Label<'static> = Label { key: "shop", value: "7" };
    const UNIT: Label<'static> = Label { key: "unit", value: "b" };

    fn with(labels: BTreeMap<String, String>, states: &[State]) -> Filter {
        Filter { labels, states: states.to_vec(), ..Filter::default() }
    }

    fn check(filter: &Filter, sources: &[IndexScan<'_>], checks: &[Check<'_>]) {
        let plan = plan(filter);
        assert_eq!((&*plan.sources, &*plan.checks), (sources, checks), "{filter:?}");
        assert_eq!((plan.from, plan.until), (None, None), "{filter:?}");
    }

    #[test]
    fn each_filter_scans_the_index_with_the_fewest_matches() {
        use State::{Accepted, Cancelled, Failed, Processing};
        let (none, shop) = (BTreeMap::new(), labels(&[("shop", "7")]));
        let both = labels(&[("unit", "b"), ("shop", "7")]);
        let unlisted = |states: &[State]| IndexScan::Unlisted(states.to_vec());
        check(&with(none.clone(), &[]), &[IndexScan::Caller], &[]);
        check(&with(none.clone(), &State::ALL), &[IndexScan::Caller], &[]);
        check(&with(shop.clone(), &[]), &[IndexScan::Label(SHOP)], &[]);
        check(&with(both, &[]), &[IndexScan::Label(SHOP)], &[Check::Label(UNIT)]);
        check(
            &with(none.clone(), &[Failed, Failed]),
            &[IndexScan::Ended(Failed), unlisted(&[Failed])],
            &[],
        );
        check(
            &with(none, &[Processing, Cancelled, Failed]),
            &[
                IndexScan::Ended(Failed),
                IndexScan::Ended(Cancelled),
                IndexScan::Unfinished(vec![Processing]),
                unlisted(&[Processing, Failed, Cancelled]),
            ],
            &[],
        );
        check(
            &with(shop.clone(), &[Accepted]),
            &[IndexScan::Unfinished(vec![Accepted]), unlisted(&[Accepted])],
            &[Check::Label(SHOP)],
        );
        check(
            &with(shop.clone(), &[Accepted, Failed]),
            &[IndexScan::Label(SHOP)],
            &[Check::States(vec![Accepted, Failed])],
        );
        let folder_id = Some(folder(1));
        check(
            &Filter { folder_id, ..with(shop, &[Accepted]) },
            &[IndexScan::Folder(folder(1))],
            &[Check::Label(SHOP), Check::States(vec![Accepted])],
        );
    }

    #[test]
    fn times_bound_the_ids_that_are_scanned_and_are_checked_as_well() {
        let (after, before) = (Some(START), Some(START.after(Duration::from_secs(5))));
        let filter = Filter { created_after: after, created_before: before, ..Filter::default() };
        let plan = plan(&filter);
        assert_eq!(plan.checks, [Check::Created { after, before }]);
        let (from, until) = (plan.from.unwrap(), plan.until.unwrap());
        assert!(from <= match_id(0, 0) && match_id(0, 0) < until);
        assert!(match_id(5_999, u64::MAX) < until && until < match_id(6_001, 0));
        assert_eq!(
            first_id(START.after(ID_BEHIND_MAX)),
            Some(id_at(START.as_micros() as u128 / 1000))
        );
    }

    #[test]
    fn times_beyond_what_ids_can_name_bound_nothing_or_everything() {
        let (dawn, doom) = (Timestamp::from_micros(i64::MIN), Timestamp::MAX);
        assert_eq!((first_id(dawn), last_id(doom)), (None, None));
        assert_eq!((first_id(doom), last_id(dawn)), (Some(id_at(MILLIS_MAX)), Some(id_at(0))));
    }

    #[test]
    fn only_scans_that_cover_the_whole_filter_are_exact() {
        let is_exact = |states: &[State]| plan(&with(BTreeMap::new(), states)).is_exact();
        assert!(is_exact(&[]) && is_exact(&[State::Failed]));
        assert!(is_exact(&[State::Accepted, State::Uploaded, State::Processing]));
        assert!(!is_exact(&[State::Accepted]));
        let timed = Filter { created_after: Some(START), ..Filter::default() };
        assert!(!plan(&timed).is_exact());
    }
}
